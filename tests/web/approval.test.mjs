// SPDX-License-Identifier: Apache-2.0
// Two people and a rule: written and submitted in the studio by one, looked at and approved by the other; in both languages.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startServer } from '../e2e/lib.mjs'
import { openBrowser, Person, strong, unable } from './lib.mjs'

describe('rule approval', { skip: unable() }, () => {
  let server, browser, api, first
  before(async () => {
    server = await startServer({ config: 'rules:\n  approval: true\nstore:\n  events: none\n' })
    api = await server.signIn('admin')
    first = (await api.post('/api/v1/users', { name: 'second', display_name: '值班领导', org_id: 'root', roles: ['leader'] })).body.password
    browser = await openBrowser()
  })
  after(async () => {
    await browser?.close()
    await server?.stop()
  })

  test('the author submits and cannot approve; another person approves it, staged', async () => {
    const author = await Person.at(browser, server)
    await author.signIn('admin', server.passwords.admin)
    await author.goto('/rules/studio')
    await author.page.waitForSelector('.studio-two')
    await author.page.waitForFunction(() => document.querySelector('[data-test=check]')?.textContent.includes('✓'))
    await author.test('save').click()
    await author.$('.el-message-box input').fill('新的登录规则')
    await author.$('.el-message-box__btns .el-button--primary').click()
    await author.page.waitForURL(/\/rules\/proposals\?open=/)
    await author.$('[data-test=proposal-state]', { hasText: '待审批' }).waitFor()
    assert.equal(await author.test('approve-staged').count(), 0)
    await author.says('.side', /须由另一人审批/)
    const where = new URL(author.page.url())
    await author.clean()
    const other = await Person.at(browser, server, { locale: 'en', theme: 'dark' })
    await other.signIn('second', first, strong)
    await other.goto(where.pathname + where.search)
    await other.test('approve-staged').click()
    await other.$('.el-message-box__btns .el-button--primary').click()
    await other.$('[data-test=proposal-state]', { hasText: 'Approved' }).waitFor()
    const done = (await api.get('/api/v1/rule-proposals?filter=state:approved')).body.items[0]
    assert.deepEqual([done.went, done.decided_by, done.author.name], ['staged', '值班领导', '管理员'])
    assert.equal((await api.get('/api/v1/rules/' + done.rule_id)).body.state, 'staged')
    await other.clean()
    await other.close()
    await author.close()
  })

  test('an import is proposed, a file at a time, and comes into use when the other person approves it', async () => {
    const id = '0190c0de-0000-7000-8000-00000000ab31'
    const author = await Person.at(browser, server)
    await author.signIn('admin', server.passwords.admin)
    await author.goto('/rules')
    await author.test('rule-import').click()
    await author.test('import-proposing').waitFor()
    await author.test('import-files').setInputFiles([
      { name: 'good.yml', mimeType: 'text/yaml', buffer: Buffer.from(`title: Brought in\nid: ${id}\nlogsource:\n  product: linux\ndetection:\n  a:\n    user.name: kay\n  condition: a\nlevel: low\n`) },
      { name: 'bad.yml', mimeType: 'text/yaml', buffer: Buffer.from('title: x\nlogsource:\n  product: linux\ndetection:\n  a:\n    b|zzz: 1\n  condition: a\n') }
    ])
    await author.page.waitForFunction(() => /新增 1.*拒绝 1/.test(document.querySelector('[data-test=import-sum]')?.textContent ?? ''))
    await author.test('import-go').click()
    await author.page.waitForFunction(() => /已提交审批 1.*拒绝 1/.test(document.querySelector('[data-test=import-sum]')?.textContent ?? ''))
    assert.equal((await api.get('/api/v1/rules/' + id)).status, 404)
    await author.test('import-proposals').click()
    await author.page.waitForURL(/\/rules\/proposals/)
    await author.clean()
    await author.close()
    const waiting = (await api.get('/api/v1/rule-proposals?filter=state:submitted')).body.items
    assert.deepEqual(waiting.map((p) => [p.title, p.note]), [['Brought in', 'good.yml']])
    const other = await Person.at(browser, server, { locale: 'en' })
    await other.signIn('second', strong)
    await other.goto('/rules/proposals?open=' + waiting[0].id)
    await other.test('approve-staged').click()
    await other.$('.el-message-box__btns .el-button--primary').click()
    await other.$('[data-test=proposal-state]', { hasText: 'Approved' }).waitFor()
    assert.equal((await api.get('/api/v1/rules/' + id)).body.state, 'staged')
    await other.clean()
    await other.close()
  })

  test('many at once: picked by keyboard and sent back; all that match approved with one note; refused ones named with the reason', async () => {
    const nth = (i) => `0190c0de-0000-7000-8000-0000000b${String(i).padStart(4, '0')}`
    const yaml = (title, id) => `title: ${title}\nid: ${id}\nlogsource:\n  product: linux\ndetection:\n  a:\n    user.name: kay\n  condition: a\nlevel: low\n`
    const files = Array.from({ length: 500 }, (_, i) => ({ name: `r${i}.yml`, text: yaml(`Quay ${i}`, nth(i)) }))
    assert.equal((await api.post('/api/v1/rules:import', { files })).body.proposed, 500)
    const other = await Person.at(browser, server)
    await other.signIn('second', strong)
    await other.goto('/rules/proposals?sort=title')
    const row = (title) => other.$('.tbl tbody tr[data-id]', { hasText: new RegExp(title + '(?!\\d)') })
    await row('Quay 0').waitFor()
    for (const k of ['j', 'x', 'j', 'x']) await other.page.keyboard.press(k)
    await other.$('.batch', { hasText: '已选 2 条' }).waitFor()
    await other.page.keyboard.press('r')
    await other.$('.el-message-box', { hasText: '退回所选 2 项' }).waitFor()
    await other.$('.el-message-box input').fill('范围太大')
    await other.$('.el-message-box__btns .el-button--primary').click()
    await other.$('[data-test=proposal-result]', { hasText: '已退回 2 项' }).waitFor()
    const back = (await api.get('/api/v1/rule-proposals?sort=title&filter=state:returned')).body.items
    assert.deepEqual(back.map((p) => [p.title, p.decision_note, p.decided_by]), [['Quay 0', '范围太大', '值班领导'], ['Quay 1', '范围太大', '值班领导']])
    await other.clean()
    await other.close()

    // one of them becomes stale while the list is open: the rule it changes gets a newer text
    const en = await Person.at(browser, server, { locale: 'en', theme: 'dark', width: 1920, height: 1080 })
    await en.signIn('second', strong)
    const brought = '0190c0de-0000-7000-8000-00000000ab31'
    const change = async (title) => (await api.post('/api/v1/rule-proposals', { rule_id: brought, version: 1, submit: true, yaml: yaml(title, brought) })).body.id
    const [newer, stale] = [await change('Newer text'), await change('Stale text')]
    await en.goto('/rules/proposals?state=submitted')
    await en.$('.list-foot', { hasText: '500 in total' }).waitFor()
    const decided = await en.page.evaluate(async (id) => {
      const csrf = (await (await fetch('/api/v1/session')).json()).csrf
      return (await fetch(`/api/v1/rule-proposals/${id}/actions`, { method: 'POST', headers: { 'content-type': 'application/json', 'x-csrf-token': csrf }, body: JSON.stringify({ action: 'approve', state: 'staged' }) })).status
    }, newer)
    assert.equal(decided, 200)
    await en.$('thead input[type=checkbox]').check()
    await en.$('.batch', { hasText: '50 selected' }).waitFor()
    await en.test('pick-matching').click()
    await en.$('.batch', { hasText: '499 selected' }).waitFor()
    await en.test('batch-staged').click()
    await en.$('.el-message-box input').fill('read by two')
    await en.$('.el-message-box__btns .el-button--primary').click()
    const result = en.test('proposal-result')
    await result.filter({ hasText: 'Approved: 498' }).waitFor({ timeout: 120000 })
    assert.match(await result.textContent(), /Not decided: 1.*Stale text.*newer version/s)
    const done = (await api.get('/api/v1/rule-proposals?limit=1&filter=' + encodeURIComponent('state:approved Quay'))).body
    assert.deepEqual([done.total, done.items[0].decision_note, done.items[0].went], [498, 'read by two', 'staged'])
    assert.equal((await api.get('/api/v1/rules/' + nth(2))).body.state, 'staged')
    assert.equal((await api.get('/api/v1/rule-proposals/' + stale)).body.state, 'submitted')
    await en.clean()
    await en.close()
    // who wrote one sees it refused
    await api.post('/api/v1/rule-proposals', { yaml: yaml('Own', nth(900)), submit: true })
    const author = await Person.at(browser, server)
    await author.signIn('admin', server.passwords.admin)
    await author.goto('/rules/proposals?state=submitted')
    await author.$('.tbl tbody tr[data-id]', { hasText: 'Own' }).waitFor()
    await author.$('thead input[type=checkbox]').check()
    await author.test('batch-enabled').click()
    await author.$('.el-message-box__btns .el-button--primary').click()
    await author.$('[data-test=proposal-result]', { hasText: /已批准 0 项.*未处理 2 项.*本人提交/s }).waitFor()
    await author.clean()
    await author.close()
  })
})
