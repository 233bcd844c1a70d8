// SPDX-License-Identifier: Apache-2.0
// Whoever may read a list may export it, with the rows it shows and no others: a unit's officer gets the own unit's, the audit
// administrator the audit log; events stay with those who hold export.data.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { sheetRows } from '../e2e/zip.mjs'
import { openConsole, Person, strong, unable } from './lib.mjs'

describe('export of lists', { skip: unable() }, () => {
  let c, api
  const units = {}
  before(async () => {
    c = await openConsole({ config: 'store:\n  events: none\n' })
    api = c.api
    for (const name of ['港务局', '水务局']) {
      const made = await api.post('/api/v1/organisations', { name, parent_id: 'root', kind: 'unit' })
      assert.equal(made.status, 201, made.text)
      units[name] = made.body.id
      for (let i = 0; i < 3; i++) assert.equal((await api.post('/api/v1/assets', { name: `${name}主机${i}`, kind: 'hardware', org_id: made.body.id, ip: `10.${name === '港务局' ? 1 : 2}.0.${i + 1}` })).status, 201)
    }
  })
  after(() => c?.close())
  const person = async (name, role, org, how) => {
    const password = (await api.post('/api/v1/users', { name, display_name: name, org_id: org, roles: [role] })).body.password
    const p = await Person.at(c.browser, c.server, how)
    await p.signIn(name, password, strong)
    return p
  }
  async function save(p, button, format) {
    await p.page.getByRole('button', { name: button, exact: true }).last().click() // the list's own, where the page has one too
    const [file] = await Promise.all([p.page.waitForEvent('download'), p.page.getByRole('menuitem', { name: format }).click()])
    await p.page.waitForFunction(() => !document.querySelector('.el-dropdown-menu:not([style*="display: none"])')?.checkVisibility())
    return fs.promises.readFile(await file.path())
  }

  test("a unit's officer exports the unit's assets, as CSV and XLSX, and not one of another unit", async () => {
    const p = await person('officer', 'unit_officer', units['港务局'])
    await p.goto('/assets')
    await p.page.waitForSelector('.tbl tbody tr[data-id]')
    const csv = (await save(p, '导出', 'CSV')).toString('utf8')
    assert.deepEqual([...csv.matchAll(/(港务局|水务局)主机\d/g)].map((m) => m[0]).sort(), ['港务局主机0', '港务局主机1', '港务局主机2'])
    const sheet = sheetRows(await save(p, '导出', 'XLSX'))
    assert.equal(sheet.length, 4)
    assert.equal(JSON.stringify(sheet).includes('水务局'), false)
    // nor by asking for the other unit's rows
    await p.goto('/assets?org.id=' + units['水务局'] + '&q=' + encodeURIComponent('org.id:' + units['水务局']))
    await p.page.waitForSelector('.statebox')
    assert.equal((await save(p, '导出', 'CSV')).toString('utf8').includes('水务局主机'), false)
    const officer = await c.server.signIn('officer', strong)
    assert.equal((await officer.get('/api/v1/assets?filter=' + encodeURIComponent('org.id:' + units['水务局']))).body.total, 0)
    assert.equal((await officer.post('/api/v1/events:export', { query: '*', format: 'csv' })).status, 403, 'events are not lists')
    await p.clean()
    await p.close()
  })

  test('the audit administrator exports the audit log; each file is in it', async () => {
    const p = await person('auditor', 'audit_admin', 'root', { locale: 'en', theme: 'dark' })
    await p.goto('/audit')
    await p.page.waitForSelector('.tbl tbody tr[data-id]')
    const sheet = sheetRows(await save(p, 'Export', 'XLSX'))
    assert.equal(sheet[0][0], 'No.')
    assert.ok(sheet.length > 10)
    const csv = (await save(p, 'Export', 'CSV')).toString('utf8')
    assert.match(csv, /^\ufeffNo\.,/)
    const seen = (await (await c.server.signIn('auditor', strong)).get('/api/v1/audit?filter=' + encodeURIComponent('"/sheets"'))).body.items
    assert.deepEqual([...new Set(seen.map((x) => x.user.name))].sort(), ['auditor', 'officer'])
    assert.deepEqual(seen.filter((x) => x.user.name === 'officer').map((x) => [x.object, x.after.format, x.after.rows]).reverse(), [['资产台账', 'csv', 3], ['资产台账', 'xlsx', 3], ['资产台账', 'csv', 0]])
    assert.equal(seen.filter((x) => x.user.name === 'auditor' && x.after.format === 'csv').length, 1)
    await p.clean()
    await p.close()
  })

  test('a list of several pages is exported whole, piece by piece, and audited once', async () => {
    const values = Array.from({ length: 2300 }, (_, i) => `row${i}.pages-test.net`)
    const r = await api.call('POST', '/api/v1/indicators:import?format=list', values.join('\n') + '\n', { 'content-type': 'text/plain' })
    assert.ok(r.status < 300, r.text)
    const p = c.p
    await p.goto('/intel/indicators')
    await p.page.waitForSelector('.tbl tbody tr[data-id]')
    const csv = (await save(p, '导出', 'CSV')).toString('utf8').trimEnd().split('\r\n')
    assert.equal(csv.length, 2301)
    assert.equal(new Set(csv.flatMap((l) => /row\d+\.pages-test/.exec(l) ?? [])).size, 2300)
    const sheet = sheetRows(await save(p, '导出', 'XLSX'))
    assert.equal(sheet.length, 2301)
    const auditor = await c.server.signIn('auditor', strong)
    const seen = (await auditor.get('/api/v1/audit?filter=' + encodeURIComponent('"/tables"'))).body.items
    assert.deepEqual(seen.map((x) => [x.after.format, x.after.rows, x.after.of]), [['xlsx', 2300, undefined], ['csv', 2300, undefined]])
  })

  test('a role made in the console may export lists, or not', async () => {
    const admin = c.p
    await admin.goto('/directory?tab=roles')
    await admin.test('copy-unit_officer').click()
    await admin.page.fill('#rf-id', 'no_export')
    await admin.page.fill('#rf-zh', '只看不导')
    const box = admin.$('.role-perms label[title="export.list"]')
    await box.waitFor()
    assert.equal((await box.textContent()).trim(), '导出列表')
    assert.equal(await box.locator('input').isChecked(), true, 'the built-in role has it')
    await box.click()
    await admin.test('save-role').click()
    await admin.test('edit-no_export').waitFor()
    let role = (await api.get('/api/v1/roles?filter=id:no_export')).body.items[0]
    assert.equal(role.name_zh, '只看不导')
    assert.equal(role.permissions.includes('export.list'), false)
    assert.ok(role.permissions.includes('notice.unit_review') || role.permissions.includes('notice.feedback'), 'what only workflows ask for comes along')
    const p = await person('watcher', 'no_export', units['港务局'])
    await p.goto('/assets')
    await p.page.waitForSelector('.tbl tbody tr[data-id]')
    assert.equal(await p.page.getByRole('button', { name: '导出', exact: true }).count(), 0)
    assert.equal((await (await c.server.signIn('watcher', strong)).post('/api/v1/sheets', { format: 'csv', columns: ['a'], rows: [] })).status, 403)
    await p.clean()
    await p.close()
    await admin.test('edit-no_export').click()
    await box.waitFor()
    await box.click()
    await admin.test('save-role').click()
    await admin.page.waitForFunction(() => !document.querySelector('#role-form')?.checkVisibility())
    role = (await api.get('/api/v1/roles?filter=id:no_export')).body.items[0]
    assert.equal(role.permissions.includes('export.list'), true)
    assert.equal((await (await c.server.signIn('watcher', strong)).post('/api/v1/sheets', { format: 'csv', columns: ['a'], rows: [] })).status, 200)
    await admin.clean()
  })
})
