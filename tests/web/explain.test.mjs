// SPDX-License-Identifier: Apache-2.0
// Why a correlation over correlations fired or did not: its own window, and below it the window, the group and the count of each rule
// it is made of. A real chain in the running engine, real log lines, both languages.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { openConsole, Person, strong, unable, until } from './lib.mjs'

const id = (n) => `0190c0de-0000-7000-8000-00000000ca0${n}`
const yaml = `title: Refused at the gate
id: ${id(1)}
name: refused
logsource: {product: linux, service: sshd}
detection:
  sel: {event.outcome: failure}
  condition: sel
level: informational
---
title: Let in at the gate
id: ${id(2)}
name: letin
logsource: {product: linux, service: sshd}
detection:
  sel: {event.outcome: success}
  condition: sel
level: informational
---
title: Three refusals
id: ${id(3)}
name: tries
correlation: {type: event_count, rules: [refused], group-by: [source.ip], timespan: 10m, condition: {gte: 3}}
level: medium
---
title: Let in after refusals
id: ${id(4)}
correlation: {type: temporal_ordered, rules: [tries, letin], group-by: [source.ip], timespan: 1h}
level: high
`
// the default zone of sources without one is the city's; the lines lie in the last minutes
const at = (secondsAgo) => {
  const d = new Date(Date.now() + 8 * 3600e3 - secondsAgo * 1000).toUTCString()
  return `${d.slice(8, 11)} ${String(+d.slice(5, 7)).padStart(2)} ${d.slice(17, 25)}`
}
const line = (secondsAgo, what, ip) => `<38>${at(secondsAgo)} pier-1 sshd[77]: ${what} password for kay from ${ip} port 4000 ssh2`

describe('explained chain', { skip: unable() }, () => {
  let c, api
  before(async () => {
    c = await openConsole({ config: 'enrich:\n  geo: ""\n' })
    api = c.api
    assert.equal((await api.post('/api/v1/rules', { yaml, state: 'enabled' })).status, 201)
  })
  after(() => c?.close())
  async function events(query, n) {
    const ask = async () => (await api.post('/api/v1/events:search', { query, from: 'now-1d', to: 'now+1d', limit: 50 })).body
    await until(async () => (await ask()).total >= n, () => `${query}: fewer than ${n} events`)
    return (await ask()).items
  }
  async function send(lines) {
    const r = await api.call('POST', '/api/v1/records:bulk?source=sshd', lines.map((l) => `${Buffer.byteLength(l)} ${l}`).join(''), { 'content-type': 'application/octet-stream' })
    assert.equal(r.body.accepted, lines.length, r.text)
  }
  /** As a person does: the event, its explanation, the rule chosen by name. Of each step the text that is shown. */
  async function explained(p, event, tab) {
    await p.goto('/search?open=' + event)
    await p.page.getByRole('tab', { name: tab }).click()
    await p.test('explain-sum').waitFor()
    await p.$('.xpp-pick input').fill('Let in after')
    await p.$('.el-select-dropdown__item', { hasText: 'Let in after refusals' }).click()
    await p.test('explain').waitFor()
    const text = async (l) => (await l.textContent()).replace(/\s+/g, ' ')
    const top = p.$('[data-test=explain] .xpc').first()
    const rows = top.locator('> .xpc-r')
    await rows.nth(1).waitFor()
    assert.equal(await rows.count(), 2)
    const chain = rows.nth(0).locator('[data-test=chain]')
    return { outcome: await text(p.test('outcome')), window: await text(top.locator('> [data-test=window]')), tries: await text(rows.nth(0).locator('> p')), triesWindow: await text(chain.locator('> [data-test=window], > [data-test=no-bearing]')), letin: await text(rows.nth(1).locator('> p')), inner: await text(chain.locator('.xpc-r')) }
  }
  const clock = '\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d'

  test('refused three times and not let in: the chain waits, its first rule has its window full', async () => {
    const ip = '198.51.100.9'
    await send([60, 50, 40].map((s) => line(s, 'Failed', ip)))
    const [e] = await events(`source.ip:${ip}`, 3)
    const x = await explained(c.p, e._id, '检测解释')
    assert.match(x.outcome, /关联规则：看它的计数/)
    assert.match(x.window, new RegExp(`3,600 秒内 1 / 2，分组 source\\.ip=${ip} · ${clock}`))
    assert.match(x.tries, new RegExp(`✓ Three refusals source\\.ip=${ip}\\s*窗口内 1 次`))
    assert.match(x.triesWindow, new RegExp(`600 秒内 3 / 3，分组 source\\.ip=${ip} · ${clock}.* – ${clock}`))
    assert.match(x.inner, new RegExp(`✓ Refused at the gate source\\.ip=${ip}`))
    assert.match(x.letin, new RegExp(`✗ Let in at the gate source\\.ip=${ip}\\s*窗口内 0 次`))
    await c.p.clean()
  })

  test('refused twice, then let in: the window of the first rule is one short, and the chain has nothing', async () => {
    const ip = '198.51.100.10'
    await send([30, 20].map((s) => line(s, 'Failed', ip)))
    await send([line(10, 'Accepted', ip)])
    await events(`source.ip:${ip}`, 3)
    const [e] = await events(`source.ip:${ip} event.outcome:failure`, 2)
    const x = await explained(c.p, e._id, '检测解释')
    assert.match(x.triesWindow, new RegExp(`600 秒内 2 / 3，分组 source\\.ip=${ip}`))
    assert.match(x.tries, /✗ Three refusals.*窗口内 0 次/)
    await c.p.clean()
  })

  test('let in after the refusals: the chain is complete and there is an alert, told in English', async () => {
    const ip = '198.51.100.9'
    await send([line(5, 'Accepted', ip)])
    const [e] = await events(`source.ip:${ip} event.outcome:success`, 1)
    await until(async () => (await api.get('/api/v1/alerts?filter=' + encodeURIComponent(`rule_id:${id(4)}`))).body.total === 1, () => 'no alert of the chain')
    const made = (await api.post('/api/v1/users', { name: 'reader', display_name: 'Reader', org_id: 'root', roles: ['analyst'] })).body.password
    const p = await Person.at(c.browser, c.server, { locale: 'en', theme: 'dark' })
    await p.signIn('reader', made, strong)
    const x = await explained(p, e._id, 'Explanation')
    assert.match(x.outcome, /an alert was made/)
    assert.match(x.window, new RegExp(`2 of 2 within 3,600 s.*source\\.ip=${ip.replaceAll('.', '\\.')} · ${clock}.* – ${clock}`))
    assert.match(x.letin, /✓ Let in at the gate.*1 in the window/)
    assert.match(x.tries, /✗ Three refusals.*1 in the window/)
    assert.match(x.triesWindow, /no rule below is true for this event/)
    await p.clean()
    await p.close()
  })
})
