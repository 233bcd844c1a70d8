// SPDX-License-Identifier: Apache-2.0
// Rules made in the browser: written with completion and the compiler's complaints in place, tried, back-tested, compared, restored;
// imported, switched many at once; why a rule fired; what is covered.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { openConsole, unable, until } from './lib.mjs'

const id = '0190c0de-0000-7000-8000-0000000000aa'
const text = (title, user = 'gatekeeper') => `title: ${title}
id: ${id}
status: test
logsource:
  product: linux
  service: sshd
detection:
  sel:
    user.name: ${user}
  condition: sel
level: high
tags:
  - attack.t1046
`
const yesterday = new Date(Date.now() - 86400e3).toUTCString() // hits of the last 30 days are told, on every day of the year
const line = (n) => `<38>${yesterday.slice(8, 11)} ${String(+yesterday.slice(5, 7)).padStart(2)} 06:0${n}:00 pier-1 sshd[77]: Failed password for gatekeeper from 198.51.100.${n} port 4000 ssh2`

describe('rule studio', { skip: unable() }, () => {
  let c, api, p
  before(async () => {
    c = await openConsole({ config: 'enrich:\n  geo: ""\n' })
    ;({ api, p } = c)
  })
  after(() => c?.close())
  const write = async (s) => {
    await p.$('.cm-content').click()
    await p.page.keyboard.press('Control+a')
    await p.page.keyboard.press('Delete')
    await p.page.evaluate((v) => navigator.clipboard?.writeText?.(v).catch(() => {}), s)
    await p.page.keyboard.insertText(s)
  }

  test('a new rule: mistakes named by line while typing, completion, tried, created staged', async () => {
    await p.goto('/rules/studio')
    await p.page.waitForSelector('.cm-content')
    await write(text('Quay watch').replace('condition: sel', 'condition: sel and other'))
    await p.page.waitForSelector('.studio-err')
    await p.says('.studio-err', /10:\d+/)
    await p.says('.studio-err', /没有名为“other”的检索项/) // the compiler's words in the reader's language
    assert.equal(await p.test('save').isEnabled(), false)
    await write(text('Quay watch'))
    await p.page.waitForSelector('.studio-ok')
    await p.page.keyboard.press('Control+End')
    await p.page.keyboard.type('  - attack.discov')
    await p.$('.cm-tooltip-autocomplete li', { hasText: 'attack.discovery' }).first().waitFor()
    await p.page.keyboard.press('Escape')
    await write(text('Quay watch'))
    await p.page.waitForSelector('.studio-ok')
    await p.test('test-input').fill(line(1) + '\n' + line(2).replace('gatekeeper', 'someone'))
    await p.test('run-test').click()
    await p.page.waitForFunction(() => /2 条中命中 1 条/.test(document.querySelector('[data-test=test-sum]')?.textContent ?? ''))
    await p.$('[data-test=test-1] .ev-h').click()
    await p.page.waitForSelector('[data-test=test-1] [data-test=explain]')
    await p.says('[data-test=test-1] [data-test=outcome]', /没有命中/)
    await p.test('save').click()
    await p.page.waitForURL(new RegExp('/rules/studio/' + id))
    const r = (await api.get('/api/v1/rules/' + id)).body
    assert.equal(r.state, 'staged')
    assert.equal(r.origin, 'custom')
    await p.clean()
  })

  test('a list that is not there is told while typing', async () => {
    await p.goto('/rules/studio')
    await p.page.waitForSelector('.cm-content')
    await write(text('Listed', "'%harbour_people%'").replace('user.name:', 'user.name|expand:'))
    await p.test('warning').first().waitFor()
    await p.says('[data-test=warning]', /9:\d+名单 %harbour_people% 不存在/)
    await p.page.evaluate(() => localStorage.removeItem('cf.studio.draft'))
    await p.clean()
  })

  test('back-tested over what came in, with its day and its entity', async () => {
    const body = [3, 4, 5].map(line).map((l) => `${Buffer.byteLength(l)} ${l}`).join('')
    assert.ok((await api.call('POST', '/api/v1/records:bulk?source=sshd', body, { 'content-type': 'application/octet-stream' })).status < 300)
    await until(async () => (await api.post('/api/v1/events:search', { query: 'user.name:gatekeeper', from: 'now-400d', to: 'now+400d', limit: 0 })).body.total === 3, () => 'events are not stored')
    await p.goto(`/rules/studio/${id}?tab=backtest`)
    await p.page.waitForSelector('.studio-ok')
    await p.test('bt-days').fill('400')
    await p.test('bt-start').click()
    await p.page.waitForSelector('[data-test=bt-matches]', { timeout: 120000 }) // goes over 400 days' parts
    await p.says('[data-test=bt-matches]', /^\s*3\s*$/)
    await p.says('.bt-ent', /198\.51\.100\.3/)
    await p.clean()
  })

  test('changed with a note, compared, restored', async () => {
    await p.goto('/rules/studio/' + id)
    await p.page.waitForSelector('.studio-ok')
    await write(text('Quay watch two'))
    await p.page.waitForSelector('.studio-ok')
    await p.test('save').click()
    await p.$('.el-message-box input').fill('wider')
    await p.$('.el-message-box .el-button--primary').click()
    await p.page.waitForFunction(() => /v2/.test(document.querySelector('.studio .page-head')?.textContent ?? ''))
    await p.page.getByRole('tab', { name: '历史' }).click()
    await p.page.waitForSelector('.diff .d-p')
    await p.says('.diff .d-p', /Quay watch two/)
    await p.says('.studio-side', /wider/)
    await p.$('.studio-side .xpp-r', { hasText: 'v1' }).click()
    await p.test('restore').click()
    await p.$('.el-message-box .el-button--primary').click()
    await p.page.waitForFunction(() => /v3/.test(document.querySelector('.studio .page-head')?.textContent ?? ''))
    assert.equal((await api.get('/api/v1/rules/' + id)).body.title, 'Quay watch')
    await p.clean()
  })

  test('staged hits are told; enabled by hand; why it fires, on the event', async () => {
    await until(async () => (await api.get(`/api/v1/rules/${id}/staged`)).body.hits_30d === 3, () => 'staged hits are not counted')
    await p.goto('/rules?open=' + id)
    await p.page.waitForSelector('.side .yaml')
    await p.says('.side', /试运行命中/)
    await p.page.getByRole('button', { name: '启用规则' }).click()
    await p.page.waitForFunction(() => document.querySelector('.side .chip.ok')?.textContent.includes('启用'))
    const e = (await api.post('/api/v1/events:search', { query: 'user.name:gatekeeper', from: 'now-400d', to: 'now+400d', limit: 1 })).body.items[0]._id
    await p.goto('/search?open=' + e)
    await p.page.waitForSelector('.side .ef')
    await p.page.getByRole('tab', { name: '检测解释' }).click()
    await p.page.waitForSelector('[data-test=explain-sum]')
    await p.$('.xpp-r', { hasText: 'Quay watch' }).click()
    await p.page.waitForSelector('[data-test=explain]')
    await p.says('[data-test=outcome]', /当时没有告警/)
    await p.says('[data-test=explain]', /sshd\.yaml/)
    await p.clean()
  })

  test('imported with a report per file; many switched at once, the effect in numbers first', async () => {
    await p.goto('/rules')
    await p.page.waitForSelector('.tbl tbody tr[data-id]')
    await p.test('rule-import').click()
    await p.test('import-files').setInputFiles([
      { name: 'good.yml', mimeType: 'text/yaml', buffer: Buffer.from(text('Brought in').replace(/aa$/m, 'ab')) },
      { name: 'bad.yml', mimeType: 'text/yaml', buffer: Buffer.from('title: x\nlogsource:\n  product: linux\ndetection:\n  a:\n    b|zzz: 1\n  condition: a\n') }
    ])
    await p.page.waitForFunction(() => /新增 1.*拒绝 1/.test(document.querySelector('[data-test=import-sum]')?.textContent ?? ''))
    await p.test('import-go').click()
    await p.page.waitForFunction(() => /已新增 1/.test(document.querySelector('[data-test=import-sum]')?.textContent ?? ''))
    await p.goto('/rules?tactic=discovery')
    await p.page.waitForSelector('.tbl tbody tr[data-id]')
    const n = (await api.get('/api/v1/rules?limit=1&filter=tactic:discovery')).body.total
    await p.test('batch-filter').click()
    await p.$('.el-dropdown-menu__item', { hasText: '停用' }).first().click()
    await p.says('.el-message-box', `涉及 ${n} 条规则`)
    await p.$('.el-message-box .el-button--primary').click()
    await p.page.waitForFunction(() => document.querySelectorAll('tr.off').length > 0)
    assert.equal((await api.get('/api/v1/rules?limit=1&filter=' + encodeURIComponent('tactic:discovery state:disabled'))).body.total, n)
    await p.clean()
  })

  test('a list is edited, and rules see it', async () => {
    await p.goto('/rules')
    await p.test('rule-lists').click()
    await p.test('list-add').click()
    await p.test('list-name').fill('night_staff')
    await p.test('list-items').fill('eve\nmallory\n')
    await p.test('list-save').click()
    await p.$('.lists .rel', { hasText: 'night_staff' }).waitFor()
    assert.deepEqual((await api.get('/api/v1/rule-lists')).body.items.find((x) => x.name === 'night_staff').items, ['eve', 'mallory'])
    await p.clean()
  })

  test('coverage: the matrix leads to the rules it counts', async () => {
    await p.goto('/coverage')
    const cell = p.$('.cov-x', { hasText: 'T1046' }).first()
    await cell.waitFor()
    assert.equal(await p.$('.cov-c').count(), 14)
    await cell.click()
    await p.page.waitForURL(/technique=T1046/)
    await p.$('.tbl tbody tr', { hasText: 'Quay watch' }).waitFor()
    for (const tab of ['sources', 'noise', 'cost']) {
      await p.goto('/coverage?tab=' + tab)
      await p.page.waitForSelector('.cov-tabs .tbl, .cov-tabs .statebox')
    }
    await p.clean()
  })
})
