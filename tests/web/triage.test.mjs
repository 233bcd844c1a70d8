// SPDX-License-Identifier: Apache-2.0
// Alerts worked by keyboard, an incident, searching, rules; over the demo city's logs and what the real rules find in them.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { openConsole, Person, unable, until } from './lib.mjs'

describe('triage', { skip: unable() }, () => {
  let c, server, browser, api, p
  before(async () => {
    c = await openConsole({
      args: ['--demo'],
      config: 'demo:\n  rate: 20\n  backfill_lines: 4000\n  chain_every: 0s\n',
      ready: (a, s) => {
        const total = async (list) => (await a.get(`/api/v1/${list}?limit=1`)).body.total
        // the lists change no more once the past day with its attacks is behind
        return until(async () => (await a.get('/api/v1/demo')).body.backfilled && (await total('alerts')) >= 20 && (await total('incidents')) >= 3, () => `the demo's attacks are not detected\n${s.log()}`)
      }
    })
    ;({ server, browser, api, p } = c)
  })
  after(() => c?.close())
  const rows = '.tbl tbody tr[data-id]'

  test('alerts by keyboard: j k Enter, take, confirm, false positive with undo', async () => {
    await p.goto('/alerts')
    await p.page.waitForSelector(rows)
    await p.page.keyboard.press('j')
    await p.page.keyboard.press('j')
    await p.page.keyboard.press('k')
    const id = await p.page.getAttribute(rows + '.cur', 'data-id')
    assert.equal(id, await p.$(rows).first().getAttribute('data-id'))
    await p.page.keyboard.press('Enter')
    await p.page.waitForSelector('.side .ab h1')
    assert.match(p.page.url(), new RegExp('open=' + id))
    await p.page.keyboard.press('t')
    await p.page.waitForFunction(() => document.querySelector('.side .ab-head')?.textContent.includes('处置中'))
    await p.page.keyboard.press('c')
    await p.$('.el-dialog:visible textarea').fill('与资产责任人核实属实')
    await p.$('.el-dialog:visible [data-test=do]').click()
    await p.page.waitForFunction(() => document.querySelector('.side .ab-head')?.textContent.includes('已确认'))
    const r = await api.get('/api/v1/alerts/' + id)
    assert.equal(r.body.status, 'confirmed')
    assert.equal(r.body.owner.name, '管理员')
    // keys go to the list again once the dialog has faded out
    await p.page.waitForFunction(() => ![...document.querySelectorAll('.el-dialog')].some((d) => d.checkVisibility()))
    await p.page.keyboard.press('Escape')
    await p.page.waitForSelector('.side .ab h1', { state: 'hidden' })
    await p.page.keyboard.press('j')
    await p.page.keyboard.press('j')
    await p.page.keyboard.press('f')
    await p.$('.el-dialog:visible textarea').fill('已知的巡检任务')
    const second = await p.page.getAttribute(rows + '.cur', 'data-id')
    await p.$('.el-dialog:visible [data-test=do]').click()
    await p.$('.el-message .linkish').click() // undo
    await p.page.waitForFunction(async (x) => (await (await fetch('/api/v1/alerts/' + x)).json()).status === 'handling', second)
    await p.clean()
  })

  test('a false positive becomes a filter: previewed, a confirmed alert among them is said loudly, paused, deleted', async () => {
    const real = (await api.get('/api/v1/alerts?limit=1&filter=' + encodeURIComponent('status:new') + '&sort=-score')).body.items[0]
    assert.equal((await api.post(`/api/v1/alerts/${real.id}/actions`, { action: 'confirm', note: '属实' })).status, 200)
    await p.goto('/alerts/' + real.id)
    await p.test('make-exception').click()
    await p.page.waitForURL(/\/exceptions\?from=/)
    const field = p.$('.xe-r').first()
    await field.locator('input[type=checkbox]').check()
    await p.test('preview-confirmed').waitFor()
    await p.test('exception-note').or(p.$('textarea[data-test=exception-note]')).first().fill('授权的漏洞扫描')
    assert.equal(await p.test('exception-save').isDisabled(), true) // not without saying so
    await p.test('sure').click()
    await p.test('exception-save').click()
    await p.page.waitForSelector(rows)
    await p.says(rows, /生效中.*授权的漏洞扫描/s)
    await p.page.waitForURL((u) => !u.search.includes('from='))
    await p.$(rows).first().click()
    await p.test('exception-pause').click()
    await p.test('exception-resume').waitFor()
    assert.equal((await api.get('/api/v1/exceptions')).body.items[0].state, 'paused')
    await p.goto('/exceptions?state=active')
    await p.page.waitForSelector('.statebox')
    await p.goto('/exceptions?state=paused')
    await p.$(rows).first().click()
    await p.test('exception-drop').click()
    await p.$('.el-message-box__btns .el-button--primary').click()
    await p.page.waitForSelector('.statebox')
    assert.equal((await api.get('/api/v1/exceptions')).body.total, 0)
    await p.clean()
  })

  test('why it fired: matched fields, raw records, history, advice', async () => {
    const a = (await api.get('/api/v1/alerts?limit=1&sort=-score')).body.items[0]
    assert.equal((await api.post(`/api/v1/alerts/${a.id}/actions`, { action: 'comment', note: '已电话核实' })).status, 200)
    const { advice, rule } = (await api.get('/api/v1/alerts/' + a.id)).body
    await p.goto('/alerts/' + a.id)
    await p.page.waitForSelector('.ab.wide h1')
    assert.equal((await p.page.textContent('.ab h1')).trim(), a.title)
    assert.ok((await p.$('.kv td.strong').count()) >= 1)
    await p.$('.ab.wide .ab-side', { hasText: '已电话核实' }).waitFor()
    assert.ok((await p.page.textContent('.ab-main')).includes(rule.advice_zh ?? advice))
    await p.page.getByRole('tab', { name: /原始记录/ }).click()
    await p.page.waitForSelector('.ev .raw, .ev .ef')
    await p.clean()
  })

  test('filters live in the URL, the list says what is not shown, many are handled at once', async () => {
    await p.goto('/alerts?level=high&status=')
    await p.page.waitForSelector(rows)
    const total = (await api.get('/api/v1/alerts?limit=1&filter=' + encodeURIComponent('level:high'))).body.total
    const shown = Number((await p.page.textContent('.list-foot')).match(/共 ([\d,]+) 条/)[1].replace(/,/g, ''))
    assert.ok(shown <= total && shown > 0, `${shown} of ${total}`)
    assert.deepEqual([...new Set(await p.$(rows + ' .lv').allTextContents())].map((x) => x.trim()), ['高危'])
    await p.goto('/alerts?level=high&status=new')
    await p.page.waitForSelector(rows)
    await p.page.keyboard.press('j')
    await p.page.keyboard.press('x')
    await p.page.keyboard.press('j')
    await p.page.keyboard.press('x')
    await p.page.waitForSelector('.batch')
    const ids = await p.$(rows + '.picked').evaluateAll((l) => l.map((x) => x.dataset.id))
    assert.equal(ids.length, 2)
    await p.$('.batch [data-test=alert-take]').click()
    await p.page.waitForFunction(() => !document.querySelector('.batch .chip'))
    for (const id of ids) await until(async () => (await api.get('/api/v1/alerts/' + id)).body.status === 'handling', () => `${id} is not taken`)
    await p.page.goBack()
    await p.page.waitForURL(/level=high&status=$/)
    await p.goto('/alerts?q=no-such-thing-anywhere')
    await p.page.waitForSelector('.statebox')
    await p.says('.statebox', /没有符合条件/)
    await p.clean()
  })

  test('export writes what is shown', async () => {
    await p.goto('/alerts?status=')
    await p.page.waitForSelector(rows)
    const save = async (format) => {
      await p.page.getByRole('button', { name: '导出', exact: true }).click()
      const [file] = await Promise.all([p.page.waitForEvent('download'), p.page.getByRole('menuitem', { name: format }).click()])
      await p.page.waitForFunction(() => !document.querySelector('.el-dropdown-menu:not([style*="display: none"])')?.checkVisibility())
      return file.path()
    }
    const text = await (await import('node:fs')).promises.readFile(await save('CSV'), 'utf8')
    assert.ok(text.endsWith('\r\n'), 'the last line ends as the others do')
    const lines = text.slice(0, -2).replace(/^\ufeff/, '').split('\r\n')
    assert.match(lines[0], /^等级,风险分,告警/)
    assert.ok(lines.length > 20)
    const { sheetRows } = await import('../e2e/zip.mjs')
    const sheet = sheetRows(await (await import('node:fs')).promises.readFile(await save('XLSX')))
    assert.deepEqual(sheet[0].slice(0, 3), ['等级', '风险分', '告警'])
    assert.equal(sheet.length, lines.length)
    await p.clean()
  })

  test('an incident: taken, commented, timeline, graph; a notice drafted from it', async () => {
    const i = (await api.get('/api/v1/incidents?limit=1&sort=-score')).body.items[0]
    await p.goto('/incidents/' + i.id)
    await p.page.waitForSelector('.ab.wide h1')
    await p.test('incident-take').click()
    await p.page.waitForFunction(() => document.querySelector('.ab-head')?.textContent.includes('研判中'))
    await p.test('comment').locator('textarea').or(p.$('textarea[data-test=comment]')).first().fill('已联系单位断网核查')
    await p.page.getByRole('button', { name: '评论' }).click()
    await p.$('.cmt', { hasText: '已联系单位断网核查' }).waitFor()
    await p.page.getByRole('tab', { name: /^时间线/ }).click()
    await p.$('[role=tabpanel]:visible', { hasText: '已联系单位断网核查' }).waitFor()
    await p.page.getByRole('tab', { name: '关系图' }).click()
    await p.page.waitForSelector('[role=img] canvas')
    await p.test('incident-notice').click()
    await p.page.waitForURL(/\/work-items\//)
    await p.page.waitForSelector('[data-test=work-title]')
    await p.says('.work', /草稿/)
    assert.equal(await p.test('source').getAttribute('href'), '/incidents/' + i.id)
    await p.clean()
  })

  test('an incident as a security event: judged, classified with the proposed level, an order drafted', async () => {
    const i = (await api.get('/api/v1/incidents?limit=1&sort=-score')).body.items[0]
    await p.goto('/incidents/' + i.id)
    await p.page.getByRole('tab', { name: '研判处置' }).click()
    await p.page.waitForSelector('[data-test=early] li.on')
    const pick = async (field, n) => {
      await p.$(`#ip-${field} .el-select`).click()
      await p.$('.el-select-dropdown:visible .el-select-dropdown__item').nth(n).click()
      await p.$('.el-select-dropdown:visible').waitFor({ state: 'hidden' })
    }
    await p.test('opinion').click()
    await pick('verdict', 0)
    await p.page.fill('#ip-opinion-i', '日志与流量互相印证，确认失陷。')
    await pick('confidence', 0)
    await p.test('proc-save').click()
    await p.$('.proc .cmt', { hasText: '确认失陷' }).waitFor()
    await p.test('classify').click()
    await pick('subcategory', 4)
    await pick('importance', 1)
    await pick('loss', 1)
    await pick('harm', 3)
    await p.test('proposed').waitFor()
    await p.says('[data-test=proposed]', /较大（III 级）/) // important, severe, general harm
    await p.test('proc-save').click()
    await p.test('classification').waitFor()
    assert.equal((await api.get('/api/v1/incidents/' + i.id)).body.event_level, 3)
    await p.test('order').click()
    await pick('kind', 0)
    await p.page.fill('#ip-content-i', '立即隔离受影响主机并保留镜像。')
    await p.test('proc-save').click()
    await p.page.waitForURL(/\/work-items\//)
    await p.page.waitForSelector('[data-test=work-title]')
    await p.says('.work', /立即隔离受影响主机/)
    await p.test('do-submit').waitFor()
    await p.clean()
  })

  test('an incident proves values: they become drafts and wait in the review queue', async () => {
    const list = (await api.get('/api/v1/incidents?limit=20&sort=-score')).body.items
    let i
    for (const x of list) {
      i = (await api.get('/api/v1/incidents/' + x.id)).body
      if (i.entities.some((e) => e.type === 'ip')) break
    }
    const ip = i.entities.find((e) => e.type === 'ip').value
    await p.goto('/incidents/' + i.id)
    await p.test('incident-intel').click()
    await p.$('.el-dialog:visible .el-checkbox', { hasText: ip }).first().waitFor()
    const box = p.$('.el-dialog:visible .el-checkbox', { hasText: ip }).first()
    if (!(await box.locator('input').isChecked())) await box.click()
    await p.page.fill('#ii-more', 'c2.proved-by-incident.example')
    await p.page.fill('#ii-family', '测试家族')
    await p.test('make-drafts').click()
    await p.test('drafts').waitFor()
    await p.test('to-review').click()
    await p.page.waitForURL(/\/intel\/review/)
    await p.$(rows, { hasText: 'c2.proved-by-incident.example' }).waitFor()
    const made = (await api.get('/api/v1/indicators?filter=' + encodeURIComponent('value:c2.proved-by-incident.example'))).body.items
    assert.deepEqual(made.map((x) => [x.status, x.incident_id, x.family]), [['draft', i.id, '测试家族']])
    await p.clean()
  })

  test('search: completion, results, only this value, a mistake explained', async () => {
    await p.goto('/search')
    await p.page.waitForSelector('.ev-tbl tbody tr')
    const count = () => p.page.evaluate(() => Number(document.querySelector('[data-test=total] b')?.textContent.replace(/,/g, '')))
    await until(async () => (await count()) > 1000, () => 'fewer than 1,000 events')
    const all = await count()
    await p.test('query').fill('')
    await p.test('query').pressSequentially('event.datas')
    await p.$('.qi-list li', { hasText: 'event.dataset' }).first().click()
    await p.$('.qi-list li', { hasText: 'nginx' }).first().click()
    await p.test('query').press('Enter')
    await p.page.waitForURL(/q=event.dataset/)
    await p.page.waitForFunction((n) => Number(document.querySelector('[data-test=total] b')?.textContent.replace(/,/g, '')) < n, all)
    await p.$('.ev-tbl tbody tr').first().click()
    await p.page.waitForSelector('.side .ef')
    const row = p.$('.side .ef tr', { hasText: 'host.name' }).first()
    await row.hover()
    await row.getByRole('button', { name: '只看这个值 host.name' }).click()
    await p.page.waitForURL(/host.name/)
    await until(async () => /AND host\.name:/.test(await p.test('query').inputValue()), () => 'the value is not in the query')
    p.expected.push(/^400 POST \/api\/v1\/events:/)
    await p.test('query').fill('host.name:(a AND')
    await p.test('query').press('Enter')
    await p.page.waitForSelector('.search .signin-err')
    await p.clean()
  })

  test('rules: the whole text, turned off and on again', async () => {
    await p.goto('/rules')
    await p.page.waitForSelector(rows)
    await p.$(rows).first().click()
    await p.page.waitForSelector('.side .yaml')
    assert.match(await p.page.textContent('.side .yaml'), /detection:/)
    const id = new URL(p.page.url()).searchParams.get('open')
    await p.page.getByRole('button', { name: '停用规则' }).click()
    await p.page.getByRole('button', { name: '启用规则' }).waitFor()
    await until(async () => (await api.get('/api/v1/rules/' + id)).body.enabled === false, () => 'the rule is still on')
    await p.page.getByRole('button', { name: '启用规则' }).click()
    await p.page.getByRole('button', { name: '停用规则' }).waitFor()
    await until(async () => (await api.get('/api/v1/rules/' + id)).body.enabled === true, () => 'the rule is still off')
    await p.clean()
  })

  test('the overview: its numbers and the lists they lead to agree', async () => {
    await p.goto('/overview')
    await p.page.waitForSelector('.ov-tiles .tile')
    const tile = p.$('.ov-tiles a.tile', { hasText: '未关闭事件' })
    const n = (await api.get('/api/v1/overview?range=24h')).body.incidents.open
    await tile.locator('b', { hasText: new RegExp(`^\\s*${n.toLocaleString('en')}\\s*$`) }).waitFor()
    await tile.click()
    await p.page.waitForURL(/\/incidents/)
    await p.page.waitForSelector(rows)
    await p.page.waitForFunction((x) => document.querySelector('.list-foot')?.textContent.includes(`共 ${x} 条`), n)
    await p.clean()
  })

  for (const [locale, theme] of [['zh-CN', 'light'], ['en', 'dark']])
    test(`every page in ${locale}, ${theme}: no fault, no missing text, named controls, nothing wider than the window`, async (t) => {
      const q = await Person.at(browser, server, { locale, theme, width: 1366, height: 768 })
      await q.context.addInitScript(([t, l]) => { localStorage.setItem('cf.theme', t); localStorage.setItem('cf.locale', l) }, [theme, locale])
      await q.signIn('admin', server.passwords.admin)
      const took = [] // told, not judged: a test does not depend on the machine's load; web/README.md has the budget
      for (const where of ['/overview', '/todo', '/alerts', '/incidents', '/search', '/notices', '/notices/new', '/notices/ledger', '/assets', '/rules', '/rules/studio', '/coverage', '/sources/wizard', '/exceptions', '/sources', '/quality', '/intel/indicators', '/intel/import', '/intel/review', '/intel/hunts', '/intel/sources', '/intel/feeds', '/intel/collections', '/intel/objects', '/intel/statistics', '/directory', '/directory?tab=roles', '/health', '/messages', '/me']) {
        const t0 = Date.now()
        await q.goto(where)
        await q.page.waitForSelector('.shell-main h1, .shell-main .search', { state: 'attached' })
        took.push([Date.now() - t0, where])
        await q.page.waitForFunction(() => !document.querySelector('.shell-main .skel'))
        const nameless = await q.page.evaluate(() =>
          [...document.querySelectorAll('.shell button, .shell a[href], .shell input:not([type=hidden]):not([readonly])')]
            .filter((e) => e.getClientRects().length && !(e.textContent.trim() || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.title || e.placeholder || e.labels?.length || e.closest('label')))
            .map((e) => e.outerHTML.slice(0, 120))
        )
        assert.deepEqual(nameless, [], where)
        const wide = await q.page.evaluate(() => document.documentElement.scrollWidth > innerWidth)
        assert.equal(wide, false, `${where} scrolls sideways at 1366`)
        assert.equal(await q.page.evaluate(() => document.querySelectorAll('h1').length >= 1 || !!document.querySelector('.search')), true, where)
        assert.equal(await q.page.evaluate(() => document.documentElement.lang), locale)
      }
      t.diagnostic('slowest: ' + took.sort((a, b) => b[0] - a[0]).slice(0, 3).map(([ms, where]) => `${where} ${ms} ms`).join(', '))
      await q.clean()
      await q.close()
    })
})
