// SPDX-License-Identifier: Apache-2.0
// Data quality page: what a person sees of rates, silence, fields and failures, and doing failed records again.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { openConsole, Person, unable, until } from './lib.mjs'

describe('data quality', { skip: unable() }, () => {
  let c, api, p
  const prepare = async (api) => {
    await api.post('/api/v1/sources', { name: 'quiet', silent_after_seconds: 5 })
    const now = Date.now()
    const good = Array.from({ length: 480 }, (_, k) => `<38>1 ${new Date(now - 90000).toISOString()} gw-${k % 3} sshd 77 - - Failed password for u${k} from 203.0.113.9 port 4022 ssh2`)
    for (const [source, lines] of [['gateway', good], ['strange', Array.from({ length: 60 }, (_, k) => `~~ ${k} ~~ nobody knows this`)]]) {
      const body = lines.map((l) => `${Buffer.byteLength(l)} ${l}`).join('')
      const r = await api.call('POST', `/api/v1/records:bulk?source=${source}&format=text`, body, { 'content-type': 'application/octet-stream' })
      assert.equal(r.status, 200, r.text)
    }
    let rows, f
    await until(async () => {
      rows = (await api.get('/api/v1/quality/sources?limit=100')).body.items
      f = (await api.get('/api/v1/quality/failures')).body
      return rows.find((x) => x.name === 'quiet')?.silent && rows.find((x) => x.name === 'gateway')?.sampled && f.groups?.[0]?.count === 60
    }, () => JSON.stringify([rows, f]))
  }
  before(async () => {
    c = await openConsole({ ready: prepare })
    ;({ api, p } = c)
  })
  after(() => c?.close())

  test('the silent source is first, the other ones have rate and skew; a click shows the fields', async () => {
    await p.goto('/quality')
    await p.page.waitForSelector('tr[data-source=gateway] .spark')
    const names = await p.page.$$eval('tr[data-source]', (x) => x.map((r) => r.dataset.source))
    assert.equal(names[0], 'quiet')
    assert.match(await p.$('tr[data-source=quiet]').textContent(), /静默/)
    assert.match(await p.$('tr[data-source=gateway]').textContent(), /\+[12]\s*分/)
    await p.$('tr[data-source=gateway]').click()
    await p.page.waitForSelector('[data-test=fields] .fillrow')
    assert.match(p.page.url(), /source=gateway/)
    await p.says('[data-test=fields]', /source\.ip/)
    if (process.env.CF_SHOTS) await p.page.screenshot({ path: `${process.env.CF_SHOTS}/quality-zh.png` })
  })

  test('failures with their originals; done again with a progress bar', async () => {
    await p.goto('/quality')
    await p.page.waitForSelector('pre.raw')
    assert.match(await p.$('pre.raw').first().textContent(), /nobody knows this/)
    await p.$('[data-test=again]').click()
    await p.$('.el-message-box .el-button--primary').click()
    await p.page.waitForSelector('[data-test=job][data-state=done]')
    await p.says('[data-test=job]', /60 条中 0 条/)
    assert.equal((await api.get('/api/v1/quality/reprocess')).body.done, 60)
  })

  test('the health page shows the last of them with source, reason and time', async () => {
    await p.goto('/health')
    await p.page.waitForSelector('.cmt pre.raw')
    const first = p.$('.cmt').first()
    assert.match(await first.textContent(), /strange/)
    const [{ reason }] = (await api.get('/api/v1/pipeline/unparsed?limit=1')).body.items
    assert.ok(reason.length > 5, reason)
    assert.equal(await first.locator('.why').textContent(), reason)
    await p.says('.comps li', /\d+ 个中 \d+ 个静默/) // the server tells its details in the reader's language
    await p.says('.comps li', /^[^a-z]*延迟 [\d.]+ 秒$/)
    assert.ok((await first.locator('time').getAttribute('datetime'))?.startsWith('20'), await first.innerHTML())
    if (process.env.CF_SHOTS) await p.page.screenshot({ path: `${process.env.CF_SHOTS}/health-zh.png`, fullPage: true })
  })

  test('English', async () => {
    const q = await Person.at(c.browser, c.server, { locale: 'en', theme: 'dark' })
    await q.signIn('admin', c.server.passwords.admin)
    await q.goto('/quality?hours=168')
    await q.page.waitForSelector('tr[data-source=gateway] .spark')
    assert.match(await q.$('.page').textContent(), /Data quality.*Records nobody understood/s)
    if (process.env.CF_SHOTS) await q.page.screenshot({ path: `${process.env.CF_SHOTS}/quality-en.png` })
  })

  test('of very many sources the silent ones are there, a name is found', async () => {
    for (let k = 0; k < 230; k++) assert.equal((await api.post('/api/v1/sources', { name: `gate-${k}` })).status, 201)
    await p.goto('/quality')
    await p.page.waitForSelector('[data-test=quality-part]')
    assert.equal(await p.$('tr[data-source]').first().getAttribute('data-source'), 'quiet')
    assert.match(await p.$('.page-head').textContent(), /1 个静默/)
    await p.test('quality-search').fill('gate-229')
    await p.page.waitForFunction(() => [...document.querySelectorAll('tr[data-source]')].map((r) => r.dataset.source).join() === 'gate-229')
    await p.test('quality-search').fill('no such "name')
    await p.page.waitForFunction(() => !document.querySelector('tr[data-source]'))
    assert.match(await p.page.textContent('.page'), /没有名称匹配的数据源/)
    await p.clean()
  })
})
