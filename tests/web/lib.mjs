// SPDX-License-Identifier: Apache-2.0
// Shared by the browser tests: the real server (tests/e2e/lib.mjs) and a real Chromium. Waits are for conditions, never for time.
// A page that writes an error to the console, asks another origin or lacks a translation fails the test that used it.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { root, slow, startServer } from '../e2e/lib.mjs'

const require = createRequire(path.join(root, 'web/package.json'))
export const chromium = process.env.CF_CHROMIUM || '/usr/bin/chromium'
export const strong = 'Harbour-Lantern-58'

/** Why the browser tests cannot run here, or false. */
export function unable() {
  if (!fs.existsSync(chromium)) return `no browser at ${chromium}`
  if (!fs.existsSync(path.join(root, 'web/dist/index.html'))) return 'web/dist is not built'
  try {
    require.resolve('playwright-core')
  } catch {
    return 'playwright-core is not installed in web/'
  }
  return false
}
export async function openBrowser() {
  const { chromium: type } = require('playwright-core')
  return type.launch({
    executablePath: chromium,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
  })
}

/** A person at a browser of their own. `faults` collects what must not happen. */
export class Person {
  static async at(browser, server, { locale = 'zh-CN', theme = 'light', width = 1440, height = 900 } = {}) {
    const p = new Person()
    p.server = server
    p.faults = []
    p.expected = []
    p.context = await browser.newContext({ viewport: { width, height }, ignoreHTTPSErrors: true, locale, timezoneId: 'Asia/Shanghai', acceptDownloads: true })
    await p.context.addInitScript(([t, l]) => {
      if (!localStorage.getItem('cf.theme')) localStorage.setItem('cf.theme', t)
      if (!localStorage.getItem('cf.locale')) localStorage.setItem('cf.locale', l)
    }, [theme, locale])
    p.page = await p.context.newPage()
    p.page.setDefaultTimeout(120000 * slow) // what comes, comes soon; only a failure waits this long
    p.page.on('pageerror', (e) => p.faults.push(`exception: ${e.message}`))
    p.page.on('console', (m) => {
      if (m.type() !== 'error' && m.type() !== 'warning') return
      if (/Failed to load resource/.test(m.text())) return // judged by its status below
      p.faults.push(`console ${m.type()}: ${m.text()}`)
    })
    p.page.on('request', (r) => {
      const u = r.url()
      if (!u.startsWith(server.url) && !/^(data|blob|about):/.test(u)) p.faults.push(`request to another origin: ${u}`)
    })
    p.page.on('response', (r) => {
      if (r.status() < 400) return
      const line = `${r.status()} ${r.request().method()} ${r.url().slice(server.url.length)}`
      if (!p.expected.some((e) => e.test(line))) p.faults.push(`reply ${line}`)
    })
    return p
  }
  goto(where) {
    return this.page.goto(this.server.url + where)
  }
  $(selector, options) {
    return this.page.locator(selector, options)
  }
  test(name) {
    return this.page.locator(`[data-test="${name}"]`)
  }
  /** Waits until what is there holds the text; with a regular expression also over several elements of it. */
  async says(selector, text) {
    await this.$(selector).filter({ hasText: text }).first().waitFor()
  }
  /** Does what changes something that the server keeps with the person, and waits until it is kept. */
  async kept(act) {
    const reply = this.page.waitForResponse((r) => r.request().method() === 'PATCH' && /\/api\/v1\/me$/.test(r.url()))
    await act()
    await reply
  }
  /** Through the form, as a person does it; a forced change is made on the way. */
  async signIn(name, password, change) {
    this.expected.push(/^401 GET \/api\/v1\/session$/)
    await this.goto('/sign-in')
    await this.page.fill('input[name=user]', name)
    await this.page.fill('input[name=password]', password)
    await this.page.click('button[type=submit]')
    if (change) {
      await this.page.fill('input[name=new1]', change)
      await this.page.fill('input[name=new2]', change)
      await this.page.click('button[type=submit]')
    }
    await this.page.waitForSelector('.shell-nav')
  }
  async clean() {
    const missing = await this.page.evaluate(() => [...new Set(globalThis.__cfMissing ?? [])])
    for (const m of missing) this.faults.push(`no translation: ${m}`)
    assert.deepEqual(this.faults, [])
  }
  async close() {
    await this.context.close()
  }
}

/** A server with its first administrator at the API and in a browser. `ready` prepares data or waits for it before the browser opens. */
export async function openConsole({ ready, ...options } = {}) {
  const c = { server: await startServer(options), close: async () => { await c.browser?.close(); await c.server.stop() } }
  try {
    c.api = await c.server.signIn('admin')
    await ready?.(c.api, c.server)
    c.browser = await openBrowser()
    c.p = await Person.at(c.browser, c.server)
    await c.p.signIn('admin', c.server.passwords.admin)
    return c
  } catch (e) {
    await c.close()
    throw e
  }
}
/** Asks `fn` until it answers something true, which is returned; `what` words the failure after three minutes. */
export async function until(fn, what) {
  for (let i = 0; i < 900; i++) {
    const v = await fn()
    if (v) return v
    await new Promise((ok) => setTimeout(ok, 200)) // polled condition, bounded by the loop
  }
  assert.fail(what())
}
