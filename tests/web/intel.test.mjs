// SPDX-License-Identifier: Apache-2.0
// Intelligence in the console: preview and import of a pasted report with a bad row and a conflict, the list and its detail, review,
// a feed whose address is shown once, a hunt, sources, statistics; in both languages.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { request } from '../e2e/lib.mjs'
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
    assert.match(await p.test('bad').textContent(), /nonsense here/)
    assert.match(await p.test('rows').textContent(), /c2\.evil-zone\.example/)
    await p.test('import').click()
    await p.page.waitForFunction(() => document.querySelector('.imp-out h2')?.textContent.includes('导入完成'))
  })

  test('the list filters by the URL, the detail says that nothing met it yet, a value is withdrawn with a reason', async () => {
    await p.goto('/intel/indicators?status=active')
    await p.page.waitForSelector(rows)
    assert.equal(await p.$(rows).count(), 2)
    await p.$(rows, { hasText: '45.77.66.1' }).click()
    await p.page.waitForSelector('.ip .facts')
    assert.match(await p.$('.ip').textContent(), /尚无命中/)
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
    await p.clean()
  })
})
