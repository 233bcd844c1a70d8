// SPDX-License-Identifier: Apache-2.0
// Dates are picked and typed in the console's language, whatever the browser speaks: the range of the top bar, a form, the ledger.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { root } from '../e2e/lib.mjs'
import { openConsole, Person, unable } from './lib.mjs'

describe('dates', { skip: unable() }, () => {
  let c
  before(async () => {
    c = await openConsole({ config: 'store:\n  events: none\n' })
  })
  after(() => c?.close())
  /** A browser of one language, the console in the other. */
  async function other(browserSpeaks, consoleSpeaks, theme) {
    const p = await Person.at(c.browser, c.server, { locale: browserSpeaks, theme })
    await p.page.addInitScript((l) => localStorage.setItem('cf.locale', l), consoleSpeaks)
    await p.signIn('admin', c.server.passwords.admin)
    return p
  }
  const panel = async (p) => (await p.$('.el-picker-panel:visible').textContent()).replace(/\s+/g, ' ')
  const type = async (p, field, value) => {
    await p.$(`[data-field="${field}"] .datefield input`).fill(value)
    await p.page.keyboard.press('Enter')
    await p.$('.el-picker-panel:visible').waitFor({ state: 'hidden' })
  }

  test('no page has a native date input', () => {
    const src = path.join(root, 'web/src')
    const found = fs.readdirSync(src, { recursive: true }).filter((f) => /\.(vue|ts)$/.test(f) && /type=["'](date|datetime-local|time|month|week)["']/.test(fs.readFileSync(path.join(src, f), 'utf8')))
    assert.deepEqual(found, [])
  })

  test('the console in Chinese in an English browser: the range of the top bar, and a form', async () => {
    const p = await other('en', 'zh-CN', 'light')
    await p.goto('/overview')
    await p.test('range').click()
    await p.$('#range-a').click()
    assert.match(await panel(p), /年.*月.*一 ?二 ?三 ?四 ?五 ?六 ?日|日 ?一 ?二/)
    assert.match(await panel(p), /一 ?二 ?三 ?四 ?五 ?六 ?日/, 'a week begins on Monday')
    await type(p, 'range-from', '2026-11-01 08:00')
    await type(p, 'range-to', '2026-11-02 09:30')
    await p.$('.range-own .el-button--primary').click()
    await p.page.waitForFunction(() => /11-01|11 月 1|2026/.test(document.querySelector('[data-test=range]')?.textContent ?? ''))
    await p.page.waitForFunction(() => localStorage.getItem('cf.range') === '2026-11-01T00:00:00.000Z/2026-11-02T01:30:00.000Z') // local time of the person
    await p.goto('/notices/new')
    await p.$('[data-field="deadline"] .datefield input').click()
    assert.match(await panel(p), /确定|此刻/)
    await type(p, 'deadline', '2026-12-24 18:00')
    assert.equal(await p.$('[data-field="deadline"] .datefield input').inputValue(), '2026-12-24 18:00')
    await p.clean()
    await p.close()
  })

  test('the console in English in a Chinese browser: the ledger between two days', async () => {
    const p = await other('zh-CN', 'en', 'dark')
    await p.goto('/notices/ledger?period=own&from=2026-03-01&to=2026-03-31')
    await p.$('[data-field="from"]').first().click()
    assert.match(await panel(p), /2026.*March.*Sun ?Mon ?Tue/)
    await type(p, 'from', '2026-02-02')
    await p.page.waitForURL(/from=2026-02-02/)
    await p.$('.page-head', { hasText: '2026-02-02 – 2026-03-31' }).waitFor()
    await p.clean()
    await p.close()
  })
})
