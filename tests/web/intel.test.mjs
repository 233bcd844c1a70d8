// SPDX-License-Identifier: Apache-2.0
// Intelligence in the console: preview and import of a pasted report with a bad row and a conflict, the list and its detail, review,
// a feed whose address is shown once, a hunt, sources, statistics; in both languages.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { request, waitUntil } from '../e2e/lib.mjs'
import { openConsole, unable } from './lib.mjs'

describe('intelligence', { skip: unable() }, () => {
  let c, p
  before(async () => {
    c = await openConsole()
    p = c.p
  })
  after(() => c?.close())
  const rows = '.tbl tbody tr[data-id]'

  test('a pasted report is previewed, then imported; the bad row says why', async () => {
    await p.goto('/intel/import')
    await p.test('paste').fill('45.77.66.1\nc2[.]evil-zone[.]example\nnonsense here\n8.8.8.8\n')
    await p.test('preview').click()
    await p.test('rows').waitFor()
    await p.says('[data-test=bad]', /nonsense here/)
    await p.says('[data-test=rows]', /c2\.evil-zone\.example/)
    await p.test('import').click()
    await p.page.waitForFunction(() => document.querySelector('.imp-out h2')?.textContent.includes('导入完成'))
  })

  test('the list filters by the URL, the detail says that nothing met it yet, a value is withdrawn with a reason', async () => {
    await p.goto('/intel/indicators?status=active')
    await p.page.waitForSelector(rows)
    await p.page.waitForFunction((r) => document.querySelectorAll(r).length === 2, rows)
    await p.$(rows, { hasText: '45.77.66.1' }).click()
    await p.page.waitForSelector('.ip .facts')
    await p.says('.ip', /尚无命中/)
    await p.$('.ip-act').getByRole('button', { name: '撤回' }).click()
    await p.page.fill('.el-message-box textarea', '误收录')
    await p.$('.el-message-box__btns .el-button--primary').click()
    await p.page.waitForFunction((r) => document.querySelectorAll(r).length === 1, rows)
    const gone = (await c.api.get('/api/v1/indicators?filter=' + encodeURIComponent('value:45.77.66.1'))).body.items[0]
    assert.deepEqual([gone.status, gone.note], ['withdrawn', '误收录'])
    await p.goto('/intel/review')
    await p.page.waitForSelector(rows)
    assert.match(await p.$(rows).first().textContent(), /8\.8\.8\.8/)
  })

  test('a feed is made, its address shown once and served', async () => {
    await p.goto('/intel/feeds')
    await p.test('new-feed').click()
    await p.page.fill('#if-n', '防火墙')
    await p.page.click('button[form=ifeed]')
    await p.test('token').waitFor()
    const url = /https:\/\/\S+\/feeds\/[0-9a-f]+\/txt/.exec(await p.test('token').textContent())[0]
    assert.equal((await request(url)).status, 200)
  })

  test('a collection is made, tried, given out by a token that works, changed and deleted', async () => {
    await p.goto('/intel/collections')
    await p.page.waitForSelector(rows)
    await p.test('new-collection').click()
    await p.page.fill('#ic-t', '区县平台')
    await p.test('save-collection').click()
    await p.$('.side [data-test=url]').waitFor()
    const path = new URL(await p.$('.side [data-test=url]').textContent()).pathname
    assert.match(path, /^\/taxii2\/api\/collections\/[0-9a-f-]+\/$/)
    await p.says('[data-test=holds]', /\d+ 条指标/)
    await p.test('try').click()
    await p.$('[data-test=tried]', { hasText: 'HTTP 200' }).waitFor()
    await p.test('new-token').click()
    await p.$('.el-dialog:visible .el-select').click()
    await p.$('.el-select-dropdown:visible .el-select-dropdown__item').first().click()
    await p.page.fill('#ict-n', '区县平台取用')
    await p.test('make-token').click()
    await p.test('made-token').waitFor()
    const token = (await p.$('[data-test=made-token] .copytext').textContent()).trim()
    const bearer = { authorization: 'Bearer ' + token, accept: 'application/taxii+json;version=2.1' }
    assert.equal((await request(c.server.url + path + 'objects/', { headers: bearer })).status, 200)
    assert.equal((await request(c.server.url + '/api/v1/alerts', { headers: bearer })).status, 403)
    await p.$('.el-dialog:visible .el-dialog__footer button').click()
    await p.page.waitForFunction(() => ![...document.querySelectorAll('.el-dialog')].some((d) => d.checkVisibility()))
    await p.$('[data-test=tokens]', { hasText: '区县平台取用' }).waitFor()
    await p.test('edit-collection').click()
    await p.page.fill('#ic-d', '每日取用')
    await p.test('save-collection').click()
    await p.$(rows, { hasText: '每日取用' }).waitFor()
    await p.test('drop-collection').click()
    await p.$('.el-message-box__btns .el-button--primary').click()
    await p.page.waitForFunction(() => !document.querySelector('.tbl tbody')?.textContent.includes('区县平台'))
    assert.equal((await request(c.server.url + path, { headers: bearer })).status, 401)
    await p.clean()
  })

  test('GB/T 36643 as XML is previewed and imported', async () => {
    await p.goto('/intel/import')
    await p.test('paste').fill('<威胁信息><可观测数据列表><可观测数据 标识="o1" 类型="ipv4" 值="45.77.9.9"/></可观测数据列表><攻击指标 标识="i1"><可观测数据引用>o1</可观测数据引用><置信度>80</置信度></攻击指标></威胁信息>')
    await p.test('preview').click()
    await p.test('rows').waitFor()
    await p.says('[data-test=rows]', /45\.77\.9\.9/)
    await p.says('.imp-out h2', /GB\/T 36643/)
    await p.test('import').click()
    await p.page.waitForFunction(() => document.querySelector('.imp-out h2')?.textContent.includes('导入完成'))
    await p.clean()
  })

  test('hunts, sources, objects and statistics in English', async () => {
    await p.page.evaluate(() => localStorage.setItem('cf.locale', 'en'))
    await p.goto('/intel/hunts')
    await p.test('new-hunt').click()
    await p.test('start-hunt').click()
    await p.page.waitForSelector(rows)
    for (const [where, text] of [['/intel/sources', 'Intelligence sources'], ['/intel/objects', 'Actors and malware'], ['/intel/statistics', 'Intelligence statistics']]) {
      await p.goto(where)
      await p.page.waitForFunction((t) => document.querySelector('h1')?.textContent.includes(t), text)
    }
    // a source that cannot be fetched says why, and that nothing of the run was kept
    const made = await c.api.post('/api/v1/intel-sources', { kind: 'taxii', name: 'nobody answers', url: 'http://127.0.0.1:1/c/' })
    assert.equal(made.status, 201, made.text)
    assert.equal((await c.api.post(`/api/v1/intel-sources/${made.body.id}/run`)).status, 202)
    await waitUntil('the run is over', async () => !!(await c.api.get('/api/v1/intel-sources/' + made.body.id)).body.last_error)
    await p.goto('/intel/sources')
    await p.$(rows, { hasText: 'nobody answers' }).click()
    await p.says('[data-test=fetch-error]', /all or nothing/)
    await p.clean()
  })
})
