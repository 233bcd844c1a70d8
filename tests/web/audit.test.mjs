// SPDX-License-Identifier: Apache-2.0
// The audit log in people's words: every action that the server can write has a name in both languages (asked of the route table and
// of the source), the page shows it with the machine's name as its tooltip and filters by it.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { request, root } from '../e2e/lib.mjs'
import { openConsole, Person, strong, unable } from './lib.mjs'

/** Words of its own that a source file gives an entry: the strings of its .action or its action argument. */
function ownActions(dir) {
  const found = []
  for (const e of fs.readdirSync(dir, { withFileTypes: true, recursive: true })) {
    if (!e.name.endsWith('.c')) continue
    const text = fs.readFileSync(path.join(e.path, e.name), 'utf8')
    if (!/cf_audit_write(_tx)?\(/.test(text)) continue
    for (const [, value] of text.matchAll(/\.action = ([^,}]*(?:\([^)]*\)[^,}]*)*)/g)) for (const [, word] of value.matchAll(/"([^"]+)"/g)) found.push(word)
  }
  return found
}

describe('audit log', { skip: unable() }, () => {
  let c, api, names
  before(async () => {
    c = await openConsole({ config: 'store:\n  events: none\n' })
    api = c.api
    names = new Map((await api.get('/api/v1/dictionaries/audit-action')).body.items.map((x) => [x.value, x.label]))
  })
  after(() => c?.close())

  test('every action that the server can write has a name in both languages, and no name is of nothing', async () => {
    const doc = (await request(c.server.url + '/api/openapi.json')).body
    const can = new Set()
    for (const [p, item] of Object.entries(doc.paths))
      for (const [method, op] of Object.entries(item)) if (op['x-audit'] ?? method !== 'get') can.add(`${method.toUpperCase()} ${p}`)
    assert.ok(can.has('GET /api/v1/attachments/{id}') && can.has('POST /api/v1/users') && !can.has('POST /api/v1/events:search'))
    const own = ownActions(path.join(root, 'src'))
    for (const w of ['session.sign_in', 'session.sign_out', 'rule_proposal.approve', 'rule_proposal.return']) assert.ok(own.includes(w), `${w} is not found in the source any more`)
    for (const w of own) can.add(w)
    assert.deepEqual([...can].filter((a) => !names.has(a)), [], 'without a name')
    assert.deepEqual([...names.keys()].filter((a) => !can.has(a)), [], 'names of nothing')
    for (const [a, l] of names) assert.ok(/[\u4e00-\u9fff]|SQL/.test(l.zh) && l.en && !/[\u4e00-\u9fff]/.test(l.en), a)
    for (const lang of ['zh', 'en']) assert.equal(new Set([...names.values()].map((l) => l[lang])).size, names.size, `two actions of one name (${lang})`)
  })

  test('the page shows the names, filters by them and tells the machine\'s name, in both languages', async () => {
    const first = (await api.post('/api/v1/users', { name: 'auditor', display_name: '审计员', org_id: 'root', roles: ['audit_admin'] })).body.password
    assert.equal((await request(c.server.url + '/api/v1/session', { method: 'POST', body: { user: 'auditor', password: 'not-this-one' } })).status, 401)
    assert.equal((await api.delete('/api/v1/users/nobody')).status, 404)
    const p = await Person.at(c.browser, c.server)
    await p.signIn('auditor', first, strong)
    await p.goto('/audit')
    const cell = p.$('.tbl tbody td', { hasText: /^新增人员$/ }).first()
    await cell.waitFor()
    assert.equal(await cell.locator('span').getAttribute('title'), 'POST /api/v1/users')
    assert.equal(await p.$('.tbl tbody td', { hasText: /^(GET|POST|PUT|PATCH|DELETE) / }).count(), 0, 'a machine name as text')
    await p.$('.list-bar').getByRole('button', { name: '操作' }).focus() // it becomes a select when one comes near
    await p.$('.list-bar .el-select').click()
    await p.page.keyboard.type('登录')
    await p.$('.el-select-dropdown__item', { hasText: /^登录$/ }).click()
    await p.page.waitForURL(/action=session\.sign_in/)
    await p.page.waitForFunction(() => { const a = [...document.querySelectorAll('.tbl tbody td:nth-child(4)')].map((x) => x.textContent); return a.length && a.every((x) => x === '登录') })
    await p.goto('/audit?result=failed*')
    await p.$('.tbl tbody td', { hasText: /^失败：用户名或密码错误$/ }).first().waitFor()
    await p.$('.tbl tbody td', { hasText: /^失败：[^a-z]+$/ }).nth(1).waitFor()
    assert.equal(await p.$('.tbl tbody td', { hasText: /^(成功|拒绝)/ }).count(), 0)
    await p.clean()
    await p.close()
    const en = await Person.at(c.browser, c.server, { locale: 'en', theme: 'dark', width: 1920, height: 1080 })
    await en.signIn('auditor', strong)
    await en.goto('/audit?action=' + encodeURIComponent('POST /api/v1/users|session.sign_in'))
    const add = en.$('.tbl tbody td', { hasText: /^Add a person$/ }).first()
    await add.waitFor()
    await en.$('.tbl tbody td', { hasText: /^Sign in$/ }).first().waitFor()
    await add.click()
    await en.$('.side', { hasText: 'POST /api/v1/users' }).waitFor()
    await en.clean()
    await en.close()
  })
})
