// SPDX-License-Identifier: Apache-2.0
// Signing in for the first time, wrong passwords, one-time codes, signing out, language and theme, menus by permission.
import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { startServer } from '../e2e/lib.mjs'
import { openBrowser, Person, strong, unable } from './lib.mjs'

function totp(secret, at = Date.now()) {
  const bits = [...secret.replace(/=+$/, '')].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)))
  const msg = Buffer.alloc(8)
  msg.writeBigUInt64BE(BigInt(Math.floor(at / 30000)))
  const h = crypto.createHmac('sha1', key).update(msg).digest()
  const o = h[19] & 15
  return String((h.readUInt32BE(o) & 0x7fffffff) % 1000000).padStart(6, '0')
}

describe('sign-in', { skip: unable() }, () => {
  let server, browser, first
  before(async () => {
    server = await startServer()
    first = server.adminPassword
    browser = await openBrowser()
  })
  after(async () => {
    await browser?.close()
    await server?.stop()
  })

  test('a page asked for without session leads to sign-in and back again', async () => {
    const p = await Person.at(browser, server)
    p.expected.push(/^401 /)
    await p.goto('/audit')
    await p.page.waitForURL(/\/sign-in\?next=/)
    assert.equal(await p.page.title(), '登录 · 城防')
    await p.page.fill('input[name=user]', 'admin')
    await p.page.fill('input[name=password]', 'not the password')
    await p.page.click('button[type=submit]')
    await p.page.waitForSelector('.signin-err')
    assert.match(await p.page.textContent('.signin-err'), /用户名或密码不对/)
    await p.clean()
    await p.close()
  })

  test('the one-time password must be changed; a weak one cannot be sent', async () => {
    const p = await Person.at(browser, server)
    p.expected.push(/^401 GET \/api\/v1\/session$/)
    await p.goto('/')
    await p.page.fill('input[name=user]', 'admin')
    await p.page.fill('input[name=password]', first)
    await p.page.click('button[type=submit]')
    await p.page.waitForSelector('input[name=new1]')
    assert.equal(await p.$('.shell-nav').count(), 0)
    await p.page.fill('input[name=new1]', 'short')
    await p.page.fill('input[name=new2]', 'short')
    assert.equal(await p.$('button[type=submit]').isDisabled(), true)
    // another page does not get around it
    await p.goto('/directory')
    await p.page.waitForSelector('input[name=new1]')
    await p.page.fill('input[name=old]', first)
    await p.page.fill('input[name=new1]', strong)
    await p.page.fill('input[name=new2]', strong)
    await p.page.click('button[type=submit]')
    await p.page.waitForSelector('.shell-nav')
    server.passwords.admin = strong
    await p.clean()
    await p.close()
  })

  test('language and theme switch and stay', async () => {
    const p = await Person.at(browser, server)
    await p.signIn('admin', strong)
    await p.goto('/directory')
    await p.page.waitForSelector('.dir .tbl tbody tr')
    assert.equal(await p.page.textContent('.shell-main h1'), '组织人员')
    const light = await p.page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    await p.test('theme').click()
    assert.equal(await p.page.evaluate(() => document.documentElement.classList.contains('dark')), true)
    assert.notEqual(await p.page.evaluate(() => getComputedStyle(document.body).backgroundColor), light)
    await p.test('locale').click()
    await p.page.waitForFunction(() => document.querySelector('.shell-main h1')?.textContent === 'Directory')
    await p.page.reload()
    await p.page.waitForFunction(() => document.querySelector('.shell-main h1')?.textContent === 'Directory')
    assert.equal(await p.page.evaluate(() => document.documentElement.classList.contains('dark')), true)
    const chinese = await p.page.evaluate(() => {
      const out = []
      const w = document.createTreeWalker(document.querySelector('.shell-nav'), NodeFilter.SHOW_TEXT)
      while (w.nextNode()) if (/[\u4e00-\u9fff]/.test(w.currentNode.data)) out.push(w.currentNode.data)
      return out
    })
    assert.deepEqual(chinese, [])
    await p.test('locale').click() // kept with the person: put back for the other tests
    await p.page.waitForFunction(() => document.querySelector('.shell-main h1')?.textContent === '组织人员')
    await p.test('theme').click()
    await p.clean()
    await p.close()
  })

  test('one-time codes: turned on in the profile, asked for at the next sign-in', async () => {
    const p = await Person.at(browser, server)
    p.expected.push(/^401 POST \/api\/v1\/session$/)
    await p.signIn('admin', strong)
    await p.goto('/me')
    await p.page.getByRole('button', { name: '开启动态口令' }).click()
    const secret = (await p.page.textContent('dl.facts .copytext >> nth=0')).trim()
    assert.match(secret, /^[A-Z2-7]{16,}$/)
    await p.page.fill('input[placeholder="认证器中的 6 位数字"]', totp(secret))
    await p.page.getByRole('button', { name: '验证' }).click()
    await p.page.getByRole('button', { name: '关闭动态口令' }).waitFor()
    await p.test('person').click()
    await p.page.getByText('退出登录').click()
    await p.page.waitForSelector('input[name=password]')
    await p.page.fill('input[name=user]', 'admin')
    await p.page.fill('input[name=password]', strong)
    await p.page.click('button[type=submit]')
    await p.page.waitForSelector('input[name=otp]')
    await p.page.fill('input[name=otp]', totp(secret, Date.now() + 30000)) // a code is good once: the next step's
    await p.page.click('button[type=submit]')
    await p.page.waitForSelector('.shell-nav')
    await p.goto('/me')
    await p.page.getByRole('button', { name: '关闭动态口令' }).click()
    await p.page.locator('.el-message-box').getByRole('button', { name: '关闭动态口令' }).click()
    await p.page.getByRole('button', { name: '开启动态口令' }).waitFor()
    await p.clean()
    await p.close()
  })

  test('a new person gets a one-time password; menus and pages follow the role', async () => {
    const admin = await Person.at(browser, server)
    await admin.signIn('admin', strong)
    const api = await server.signIn('admin', strong)
    const r = await api.post('/api/v1/users', { name: 'chenxi', display_name: '陈曦', org_id: 'root', roles: ['audit_admin'] })
    assert.equal(r.status, 201, r.text)
    await admin.goto('/directory')
    await admin.page.waitForSelector('.dir .tbl tbody tr')
    await admin.page.fill('.qbox input', 'chenxi')
    await admin.page.keyboard.press('Enter')
    await admin.page.waitForFunction(() => document.querySelectorAll('.dir .tbl tbody tr[data-id]').length === 1)
    await admin.$('.dir .tbl tbody tr').click()
    await admin.$('.side').getByRole('button', { name: '重置密码' }).click()
    await admin.$('.el-message-box').getByRole('button', { name: '重置密码' }).click()
    const password = (await admin.page.textContent('[data-test=once]')).trim()
    assert.ok(password.length >= 8)
    await admin.clean()
    await admin.close()

    const p = await Person.at(browser, server)
    await p.signIn('chenxi', password, strong)
    const items = await p.$('.nav-item').allTextContents()
    assert.deepEqual(items.map((x) => x.trim()), ['组织人员', '审计'])
    await p.goto('/rules')
    await p.page.waitForURL(/\/403/)
    assert.match(await p.page.textContent('.shell-main'), /没有权限/)
    await p.goto('/no/such/page')
    await p.page.waitForSelector('.statebox')
    assert.match(await p.page.textContent('.shell-main'), /没有找到/)
    await p.goto('/audit')
    await p.page.waitForSelector('.tbl tbody tr[data-id]')
    await p.test('verify').click()
    await p.page.waitForSelector('[data-test=verdict].ok')
    await p.clean()
    await p.close()
  })

  test('the palette: Ctrl-K goes to a page by its name', async () => {
    const p = await Person.at(browser, server)
    await p.signIn('admin', strong)
    await p.page.keyboard.press('Control+k')
    await p.page.locator('.pal-q').fill('组织')
    await p.page.waitForFunction(() => document.querySelector('.pal-list button.on')?.textContent?.includes('组织'))
    await p.page.keyboard.press('Enter')
    await p.page.waitForURL(/\/directory/)
    await p.close()
  })
})
