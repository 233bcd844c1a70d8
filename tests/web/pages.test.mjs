// SPDX-License-Identifier: Apache-2.0
// Every route of the console, read from web/src/router.ts so that none is forgotten, in both languages: no error in the console, no
// exception, no refused or failed request, no key where a text belongs, no Chinese in what an English page says by itself.
// Then the keyboard: Ctrl-K finds and opens, dialogs take the focus to their first field, Escape closes, / goes to the search box.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { root } from '../e2e/lib.mjs'
import { openConsole, Person, strong, unable, until } from './lib.mjs'

const routes = [...fs.readFileSync(path.join(root, 'web/src/router.ts'), 'utf8').matchAll(/\{ path: '([^']+)'(?!, redirect)/g)].map((m) => m[1]).filter((x) => !['/', '/sign-in', '/403', '/:rest(.*)*'].includes(x))
const flat = (o, p = '') => Object.entries(o).flatMap(([k, v]) => (typeof v === 'object' ? flat(v, p + k + '.') : [p + k]))

describe('pages', { skip: unable() }, () => {
  let c, api
  const ids = {}
  before(async () => {
    c = await openConsole({
      args: ['--demo'],
      config: 'demo:\n  rate: 1\n  backfill_lines: 4000\n  chain_every: 0s\n',
      ready: (a, s) => until(async () => (await a.get('/api/v1/notices?limit=1')).body.total >= 1, () => `the demo's notices are not there\n${s.log()}`)
    })
    api = c.api
    for (const list of ['alerts', 'incidents', 'work-items', 'rules']) ids[list] = (await api.get(`/api/v1/${list}?limit=1`)).body.items[0].id
    const r = await api.post('/api/v1/users', { name: 'watcher', display_name: '审计', org_id: 'root', roles: ['audit_admin'] })
    assert.equal(r.status, 201, r.text)
    await c.server.signIn('watcher', r.body.password, { change: strong })
  })
  after(() => c?.close())

  /** The addresses of a route: its parameter filled with something that exists, and left out where it may be. */
  function addresses(route) {
    if (!route.includes(':')) return [route]
    const [, list, optional] = /\/([\w-]+)(?:\/studio)?\/:\w+(\?)?$/.exec(route)
    const full = route.replace(/:\w+\??$/, encodeURIComponent(ids[list] ?? ''))
    assert.ok(ids[list], `no example for ${route}: give it one here`)
    return optional ? [route.replace(/\/:\w+\?$/, ''), full] : [full]
  }
  const fields = async () => new Set((await api.get('/api/v1/fields')).body.map?.((x) => x.name) ?? (await api.get('/api/v1/fields')).body.items.map((x) => x.name))
  async function look(p, where, locale, keys) {
    await p.goto(where)
    await p.page.waitForSelector('.shell-main h1, .shell-main .search', { state: 'attached' })
    await p.page.waitForFunction(() => !document.querySelector('.shell-main .skel'))
    const seen = await p.page.evaluate(() => {
      const w = document.createTreeWalker(document.querySelector('.shell'), NodeFilter.SHOW_TEXT)
      const all = [], own = []
      while (w.nextNode()) {
        const e = w.currentNode.parentElement, text = w.currentNode.textContent.trim()
        if (!text || !e.checkVisibility()) continue
        all.push(text)
        if (e.closest('th, dt, legend, .nav-item, .nav-group, .crumbs, .el-tabs__item, .list-bar, .list-foot, .tile') && /[\u4e00-\u9fff]/.test(text)) own.push(text)
      }
      return { all, own }
    })
    assert.deepEqual(seen.all.filter((x) => keys.has(x)), [], `${where} shows a key`)
    if (locale === 'en') assert.deepEqual(seen.own, [], `${where} in English`)
    assert.equal(await p.$('.shell-main .statebox.err').count(), 0, `${where} shows an error`)
    assert.deepEqual(p.faults, [], where)
  }

  for (const locale of ['zh-CN', 'en'])
    test(`every route in ${locale}`, async () => {
      const known = await fields()
      const keys = new Set(flat(JSON.parse(fs.readFileSync(path.join(root, 'web/src/i18n/zh-CN.json'), 'utf8'))).filter((k) => !known.has(k)))
      const p = await Person.at(c.browser, c.server, { locale, theme: locale === 'en' ? 'light' : 'dark', width: 1440, height: 900 })
      await p.signIn('admin', c.server.passwords.admin)
      const audit = await Person.at(c.browser, c.server, { locale, width: 1920, height: 1080 })
      await audit.signIn('watcher', strong)
      assert.ok(routes.length >= 30, routes.join(' '))
      for (const where of routes.flatMap(addresses)) await look(where === '/audit' ? audit : p, where, locale, keys)
      for (const where of ['/403', '/no/such/page']) await look(p, where, locale, keys)
      await p.clean()
      await audit.clean()
      await p.close()
      await audit.close()
    })

  test('keys: / and Ctrl-K, what is found opens, a dialog begins at its first field, Escape closes', async () => {
    const p = c.p
    // keys go to the page again once a dialog has faded out
    const gone = () => p.page.waitForFunction(() => ![...document.querySelectorAll('.el-overlay')].some((d) => d.checkVisibility()))
    await p.goto('/assets')
    await p.page.waitForSelector('.tbl tbody tr[data-id]')
    await p.page.keyboard.press('/')
    await p.page.waitForFunction(() => document.activeElement.type === 'search')
    await p.page.keyboard.press('Escape')
    await p.page.getByRole('button', { name: '登记资产' }).focus()
    await p.page.keyboard.press('Enter')
    await p.page.waitForFunction(() => document.activeElement?.matches('.el-dialog input'))
    await p.page.keyboard.press('Escape')
    await gone()
    const made = await api.post('/api/v1/assets', { name: '灯塔渡口终端', kind: 'hardware', ip: '192.0.2.44', importance: 1, org_id: 'root' }) // the least of the list: not on its first page
    assert.equal(made.status, 201, made.text)
    await p.page.keyboard.press('Control+k')
    await p.page.waitForFunction(() => document.activeElement?.matches('.pal-q'))
    await p.page.keyboard.insertText('灯塔渡口')
    await p.$('.pal-list button', { hasText: '灯塔渡口终端' }).waitFor()
    await p.$('.pal-list button.on', { hasText: '灯塔渡口终端' }).waitFor() // the first of what was found
    await p.page.keyboard.press('Enter')
    await p.page.waitForURL(/\/assets\?open=/)
    await p.$('.side .facts', { hasText: '192.0.2.44' }).waitFor()
    await gone()
    await p.page.keyboard.press('Escape')
    await p.page.waitForFunction(() => !document.querySelector('.side'))
    await p.clean()
  })
})
