// SPDX-License-Identifier: Apache-2.0
// The whole way of a notice, each person at a browser of their own: drafted by the city, approved by a leader, issued,
// signed for and answered with a file by the unit's officer, reviewed and closed by the city.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startServer } from '../e2e/lib.mjs'
import { openBrowser, Person, strong, unable } from './lib.mjs'

describe('notice', { skip: unable() }, () => {
  let server, browser, api, unit, other, city, leader, officer, stranger
  const first = {}
  const title = '门户网站发现疑似后门文件的通报'
  before(async () => {
    server = await startServer()
    api = await server.signIn('admin')
    const org = async (name) => {
      const r = await api.post('/api/v1/organisations', { name, kind: 'unit', parent_id: 'root' })
      assert.equal(r.status, 201, r.text)
      return r.body.id
    }
    unit = await org('江城市第一人民医院')
    other = await org('江城大学')
    const user = async (name, display_name, org_id, roles) => {
      const r = await api.post('/api/v1/users', { name, display_name, org_id, roles })
      assert.equal(r.status, 201, r.text)
      first[name] = r.body.password ?? r.body.one_time_password
    }
    await user('leader1', '周卫国', 'root', ['leader'])
    await user('officer1', '王强', unit, ['unit_officer'])
    await user('officer2', '赵敏', other, ['unit_officer'])
    browser = await openBrowser()
    city = await Person.at(browser, server)
    leader = await Person.at(browser, server)
    officer = await Person.at(browser, server, { theme: 'dark' })
    stranger = await Person.at(browser, server)
    await city.signIn('admin', server.passwords.admin)
    await leader.signIn('leader1', first.leader1, strong)
    await officer.signIn('officer1', first.officer1, strong)
    await stranger.signIn('officer2', first.officer2, strong)
  })
  after(async () => {
    await browser?.close()
    await server?.stop()
  })
  const step = async (p, transition) => {
    await p.test('do-' + transition).click()
    await p.$('.el-dialog:visible [data-test=do]').click()
    await p.$('.el-dialog:visible').waitFor({ state: 'detached' }).catch(() => p.$('#work-act').waitFor({ state: 'detached' }))
  }
  let notice

  test('the city drafts it: what is missing is listed, what is typed is kept', async () => {
    await city.goto('/notices')
    await city.test('notice-new').click()
    await city.page.waitForSelector('[data-test=save-notice]')
    await city.test('save-notice').click()
    await city.page.waitForSelector('.fr-errs')
    assert.ok((await city.$('.fr-errs li').count()) >= 4)
    await city.page.fill('#nn-title-i', title)
    await city.$('#nn-kind .el-select').click()
    await city.$('.el-select-dropdown:visible .el-select-dropdown__item').first().click()
    await city.$('#nn-level .el-radio-button').nth(1).click()
    await city.$('#nn-receivers .el-select').click()
    await city.page.keyboard.type('人民医院')
    await city.$('.el-tree-node:visible', { hasText: '江城市第一人民医院' }).last().locator('.el-tree-node__content').last().click()
    await city.page.keyboard.press('Escape')
    await city.page.fill('#nn-content-i', '监测发现门户网站目录被写入可执行脚本，疑似后门。')
    await city.page.fill('#nn-requirements-i', '请立即下线核查，清除后门并修复漏洞。')
    await city.page.waitForFunction(() => Object.keys(sessionStorage).some((k) => k.startsWith('cf.draft.notice') && sessionStorage.getItem(k).includes('立即下线')))
    await city.test('save-notice').click()
    await city.page.waitForURL(/\/work-items\//)
    assert.equal((await city.page.textContent('[data-test=work-title]')).trim(), title)
    notice = city.page.url().split('/').pop()
  })

  test('judged, sent for approval; the leader approves from the to-dos', async () => {
    await step(city, 'judge')
    await city.test('do-submit').waitFor()
    await step(city, 'submit')
    await city.page.waitForFunction(() => document.querySelector('.ab-head')?.textContent.includes('待审批'))
    await leader.goto('/todo')
    await leader.$('.todo-list li').getByText(title).waitFor()
    await leader.test('do-approve').click()
    await leader.$('.el-dialog:visible [data-test=do]').click()
    await leader.page.waitForFunction(() => !document.querySelector('.todo-list li'))
    await leader.clean()
  })

  test('issued: it gets its number, the unit its work item', async () => {
    await city.goto('/work-items/' + notice)
    await step(city, 'issue')
    await city.page.waitForFunction(() => /通报〔\d{4}〕\d+号/.test(document.querySelector('.ab-head')?.textContent ?? ''))
    const row = city.$('.tbl tbody tr', { hasText: '江城市第一人民医院' })
    await row.waitFor()
    await row.filter({ hasText: '待签收' }).waitFor()
    await city.clean()
  })

  test('the unit sees what is asked of it, signs for it and answers with a file', async () => {
    await officer.goto('/')
    await officer.page.waitForURL(/\/todo/)
    assert.deepEqual((await officer.$('.nav-item span').allTextContents()).filter((x) => /规则|审计|运行健康|狩猎检索/.test(x)), [])
    const card = officer.$('.todo-list li', { hasText: title })
    await card.waitFor()
    await card.filter({ hasText: '剩余' }).waitFor()
    await card.locator('.todo-t').click()
    await officer.page.waitForSelector('[data-test=work-title]')
    await officer.says('.work', /立即下线核查/)
    await step(officer, 'sign')
    await officer.test('do-submit').waitFor()
    await officer.test('upload').setInputFiles({ name: '处置截图.txt', mimeType: 'text/plain', buffer: Buffer.from('后门已清除，日志见附件。') })
    await officer.test('file-处置截图.txt').waitFor()
    await officer.test('do-submit').click()
    await officer.page.waitForSelector('#work-act')
    await officer.$('.el-dialog:visible [data-test=do]').click()
    await officer.page.waitForSelector('.fr-errs') // nothing filled in yet
    await officer.$('#wa-result .el-select').click()
    await officer.$('.el-select-dropdown:visible .el-select-dropdown__item').first().click()
    await officer.page.fill('#wa-cause-i', '上传组件存在未授权上传漏洞。')
    await officer.page.fill('#wa-measures-i', '已清除后门文件，修复上传组件并修改口令。')
    await officer.page.fill('#wa-person-i', '王强')
    await officer.$('.el-dialog:visible [data-test=do]').click()
    await officer.page.waitForFunction(() => document.querySelector('.ab-head')?.textContent.includes('待审核'))
    await officer.clean()
  })

  test('another unit sees nothing of it', async () => {
    const receipt = officer.page.url().split('/').pop()
    await stranger.goto('/todo')
    await stranger.page.waitForSelector('.statebox')
    stranger.expected.push(/^404 GET \/api\/v1\/work-items\//)
    await stranger.goto('/work-items/' + receipt)
    await stranger.page.waitForSelector('.statebox.err')
    await stranger.goto('/work-items/' + notice)
    await stranger.page.waitForSelector('.statebox.err')
    assert.doesNotMatch(await stranger.page.textContent('.shell-main'), /后门/)
    await stranger.clean()
  })

  test('the city reads the answer, downloads the file, closes it; the history tells all of it', async () => {
    await city.goto('/work-items/' + notice)
    await city.$('.tbl tbody tr', { hasText: '江城市第一人民医院' }).click()
    await city.test('do-approve').waitFor()
    await city.says('.work', /已清除后门文件/)
    const [file] = await Promise.all([city.page.waitForEvent('download'), city.test('file-处置截图.txt').click()])
    assert.equal(file.suggestedFilename(), '处置截图.txt')
    const text = await (await import('node:fs')).promises.readFile(await file.path(), 'utf8')
    assert.equal(text, '后门已清除，日志见附件。')
    await step(city, 'approve')
    await city.page.waitForFunction(() => document.querySelector('.ab-head')?.textContent.includes('已办结'))
    for (const word of ['签收', '提交反馈', '审核通过', '王强']) await city.says('.tl', word)
    await city.goto('/notices')
    await city.page.waitForSelector('.tbl tbody tr[data-id]')
    await city.says('.tbl tbody', /已归档/)
    await city.says('.tiles', /100%/)
    await city.clean()
  })

  test('the notice printed as an official document: A4, red head, number, seal place; as PDF two pages at most', async () => {
    await city.goto('/work-items/' + notice)
    const href = await city.test('document').getAttribute('href')
    const page = await city.context.newPage()
    await page.goto(server.url + href)
    const look = await page.evaluate(() => {
      const css = (q) => getComputedStyle(document.querySelector(q))
      return { head: css('.head').color, rule: css('.rule').borderTopColor, title: css('.title').fontSize, body: css('body').fontSize, scripts: document.scripts.length, text: document.body.innerText }
    })
    assert.equal(look.head, 'rgb(208, 0, 0)')
    assert.equal(look.rule, 'rgb(208, 0, 0)')
    assert.equal(Math.round(parseFloat(look.title) * 0.75), 22) // size 2
    assert.equal(Math.round(parseFloat(look.body) * 0.75), 16) // size 3
    assert.match(look.text, /通报〔\d{4}〕\d+号/)
    assert.match(look.text, /江城市第一人民医院：/)
    assert.ok(look.text.includes(title) && look.text.includes('印章'))
    const pdf = (await page.pdf({ preferCSSPageSize: true })).toString('latin1')
    assert.ok(pdf.match(/\/Type \/Page\b/g).length <= 2)
    const [, w, h] = /\/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]/.exec(pdf)
    assert.ok(Math.abs(w - 595) < 2 && Math.abs(h - 842) < 2, `${w} x ${h} is not A4`)
    await page.close()
  })

  test('the ledger: rate against target, ranking, export; a figure leads to as many rows', async () => {
    await city.goto('/notices/ledger')
    await city.test('ledger').waitFor()
    const row = city.$('[data-test=ledger] tbody tr', { hasText: '江城市第一人民医院' })
    await row.filter({ hasText: '100%' }).waitFor()
    await city.says('[data-test=ledger-tiles]', /目标 95%/)
    const [file] = await Promise.all([city.page.waitForEvent('download'), city.test('ledger-export').click()])
    const text = await (await import('node:fs')).promises.readFile(await file.path(), 'utf8')
    assert.match(text, /江城市第一人民医院,1,1,1/)
    await row.getByRole('link').first().click()
    await city.page.waitForURL(/view=received/)
    await city.page.waitForSelector('.tbl tbody tr[data-id]')
    await city.says('.list-foot', /共 1 条/)
    await city.says('.tbl tbody', /江城市第一人民医院/)
    await city.goto('/notices/ledger?period=lastYear')
    await city.page.waitForSelector('.statebox')
    await city.clean()
  })

  test('the same problem again: offered to join the open notice', async () => {
    const body = { title: '弱口令问题的通报', kind: 'weak-password', level: 'medium', receivers: [other], content: '远程桌面弱口令。', requirements: '请立即修改口令。', problem: 'weak-rdp' }
    const first = await api.post('/api/v1/notices', { form: body })
    assert.equal(first.status, 201, first.text)
    await city.goto('/notices/new')
    await city.page.waitForSelector('[data-test=save-notice]')
    await city.page.evaluate((b) => sessionStorage.setItem('cf.draft.notice.new', JSON.stringify(b)), { ...body, content: '数据库也是弱口令。' })
    await city.page.reload()
    await city.page.waitForFunction(() => document.querySelector('#nn-content-i')?.value.includes('数据库'))
    city.expected.push(/^409 POST \/api\/v1\/notices$/)
    await city.test('save-notice').click()
    await city.test('join').click()
    await city.page.waitForURL(new RegExp('/work-items/' + first.body.id))
    await city.page.waitForFunction(() => /远程桌面弱口令。[^]*数据库也是弱口令。/.test(document.querySelector('.work')?.textContent ?? ''))
    assert.equal((await api.get('/api/v1/notices?filter=' + encodeURIComponent('弱口令问题'))).body.total, 1)
    await city.clean()
  })

  test('the messages are there and lead to the work', async () => {
    await officer.goto('/messages')
    await officer.$('.msgs li').first().waitFor()
    await officer.says('.msgs', title)
    await officer.$('.msgs li').first().click()
    await officer.page.waitForURL(/\/work-items\//)
    await officer.clean()
  })
})
