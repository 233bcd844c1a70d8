// SPDX-License-Identifier: Apache-2.0
// The import page while an import is there: its progress survives a reload, others are told, cancelling leaves nothing; a broken
// file says where, a pattern that is not understood is named. In both languages and dark.
import assert from 'node:assert/strict'
import https from 'node:https'
import { after, before, describe, test } from 'node:test'
import { openConsole, Person, unable, until } from './lib.mjs'

describe('import of intelligence', { skip: unable() }, () => {
  let c, p
  before(async () => {
    c = await openConsole({ config: 'store:\n  events: none\nhttp:\n  idle_timeout: 1h\n' }) // an upload stands still as long as the browser needs
    p = c.p
  })
  after(() => c?.close())
  const state = (x, s) => x.page.waitForFunction((want) => document.querySelector('[data-test=job-state]')?.dataset.state === want, s)

  /** A file of which a part arrives and no more. */
  function halfUpload(name) {
    const req = https.request(`${c.server.url}/api/v1/intel-imports?name=${encodeURIComponent(name)}`, { method: 'POST', rejectUnauthorized: false, agent: false, headers: { 'content-type': 'text/plain', cookie: c.api.cookie, 'x-csrf-token': c.api.csrf, 'content-length': 2000000 } })
    req.on('error', () => {})
    req.on('response', (r) => r.resume())
    req.write('half.example\n'.repeat(80000))
    return req
  }

  test('an import that is there shows its progress, also after a reload; cancelled, it leaves nothing', async () => {
    const req = halfUpload('城市清单.txt')
    await until(async () => (await c.api.get('/api/v1/intel-imports?limit=1')).body.items.some((j) => j.state === 'uploading' && j.progress.uploaded > 0), () => 'the file does not arrive')
    await p.goto('/intel/import')
    await state(p, 'uploading')
    await p.page.reload()
    await state(p, 'uploading')
    await p.page.waitForFunction(() => Number(document.querySelector('[data-test=bar]')?.getAttribute('aria-valuenow')) > 0)
    await p.says('.imp-out', /城市清单\.txt.*已上传.*MiB/s)
    await p.test('paste').fill('x.example\n')
    await p.says('[data-test=busy]', /“城市清单\.txt”正在导入/)
    assert.equal(await p.test('import').isDisabled(), true)
    const en = await Person.at(c.browser, c.server, { locale: 'en', theme: 'dark' })
    await en.signIn('admin', c.server.passwords.admin)
    await en.goto('/intel/import')
    await state(en, 'uploading')
    await en.says('.imp-out', /Uploading.*uploaded.*Cancel the import/s)
    await en.clean()
    await en.close()
    await p.test('cancel-import').click()
    await p.$('.el-message-box__btns .el-button--primary').click()
    await p.page.waitForFunction(() => !document.querySelector('[data-test=cancel-import]'))
    req.end('x'.repeat(2000000 - 13 * 80000))
    await state(p, 'cancelled')
    await p.says('[data-test=kept]', /没有留下任何内容/)
    assert.equal((await c.api.get('/api/v1/indicators?limit=1')).body.total, 0)
    await p.clean()
  })

  test('a broken bundle says where and keeps nothing; a pattern that is not understood is named', async () => {
    const ind = (n, pattern) => JSON.stringify({ type: 'indicator', id: `indicator--d81f86b9-975b-4c0b-875e-810c5ad45a4${n}`, pattern, pattern_type: 'stix', valid_from: '2026-01-01T00:00:00Z' })
    await p.goto('/intel/import')
    await p.test('paste').fill(`{"type":"bundle","objects":[${ind(1, "[domain-name:value = 'one.example']")},`)
    await p.test('import').click()
    await state(p, 'failed')
    await p.says('[data-test=job-error]', /第 \d+ 字节/)
    await p.says('[data-test=kept]', /没有留下任何内容/)
    await p.$('.imp-out').getByRole('button', { name: '继续导入' }).click()
    await p.test('paste').fill(`{"type":"bundle","objects":[${ind(1, "[domain-name:value = 'one.example']")},${ind(2, "[process:name = 'x'] FOLLOWEDBY [file:name = 'y']")}]}`)
    await p.test('import').click()
    await state(p, 'done')
    await p.says('[data-test=unmatchable]', /FOLLOWEDBY/)
    await p.page.waitForFunction(() => document.querySelectorAll('[data-test=jobs] tr[data-id]').length === 3)
    assert.equal((await c.api.get('/api/v1/indicators?limit=1')).body.total, 1)
    await p.test('jobs').locator('tr[data-id]').last().click()
    await state(p, 'cancelled')
    await p.clean()
  })
})
