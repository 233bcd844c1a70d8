// SPDX-License-Identifier: Apache-2.0
// The event that is open in the search is in the URL: another person opens it by the link, the way back closes it, closing is the way
// back; an event that is not there, or not in one's scope, is said so.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { openConsole, Person, strong, unable, until } from './lib.mjs'

describe('link to an event', { skip: unable() }, () => {
  let c, p
  const at = new Date(Date.now() + 8 * 3600e3).toUTCString() // the default zone of sources without one is the city's
  const line = (n) => `<38>${at.slice(8, 11)} ${String(+at.slice(5, 7)).padStart(2)} ${at.slice(17, 25)} pier-1 sshd[77]: Failed password for keeper${n} from 198.51.100.${n} port 4000 ssh2`
  before(async () => {
    c = await openConsole({ config: 'enrich:\n  geo: ""\n' })
    p = c.p
    const body = [1, 2, 3].map(line).map((l) => `${Buffer.byteLength(l)} ${l}`).join('')
    assert.ok((await c.api.call('POST', '/api/v1/records:bulk?source=sshd', body, { 'content-type': 'application/octet-stream' })).status < 300)
    await until(async () => (await c.api.post('/api/v1/events:search', { query: 'host.name:pier-1', from: 'now-1d', to: 'now+1d', limit: 0 })).body.total === 3, () => 'events are not stored')
  })
  after(() => c?.close())
  const idIn = () => new URL(p.page.url()).searchParams.get('open')
  const closed = (x = p) => x.$('.side').waitFor({ state: 'detached' })
  const row = (n) => p.$('.ev-tbl tbody tr', { hasText: 'keeper' + n })

  test('a click puts it there, the way back closes it, forward opens it again; closing is the way back', async () => {
    await p.goto('/overview')
    await p.page.waitForSelector('.shell-nav')
    await p.goto('/search?q=' + encodeURIComponent('host.name:pier-1'))
    await row(1).click()
    await p.$('.side', { hasText: 'keeper1' }).waitFor()
    const first = idIn()
    assert.ok(first)
    await row(2).locator('td').first().click() // beside the drawer
    await p.$('.side', { hasText: 'keeper2' }).waitFor()
    assert.notEqual(idIn(), first)
    await p.page.goBack()
    await closed()
    assert.equal(idIn(), null)
    assert.equal(new URL(p.page.url()).searchParams.get('q'), 'host.name:pier-1', 'the search stays')
    await p.page.goForward()
    await p.$('.side', { hasText: 'keeper2' }).waitFor()
    await p.page.keyboard.press('Escape')
    await closed()
    assert.equal(idIn(), null)
    await p.page.goBack()
    await p.page.waitForURL(/\/overview/) // no step is left over from opening and closing
    await p.clean()
  })

  test('another person opens the link, with its tab, whatever the own search shows; reloading keeps it', async () => {
    await p.goto('/search?q=' + encodeURIComponent('host.name:pier-1'))
    await row(3).click()
    await p.$('.side', { hasText: 'keeper3' }).waitFor()
    await p.page.getByRole('tab', { name: 'JSON' }).click()
    await p.page.waitForURL(/tab=json/)
    const link = new URL(p.page.url())
    link.searchParams.set('q', 'host.name:no-such-host')
    const password = (await c.api.post('/api/v1/users', { name: 'hunter', display_name: 'Hunter', org_id: 'root', roles: ['analyst'] })).body.password
    const other = await Person.at(c.browser, c.server, { locale: 'en', theme: 'dark' })
    await other.signIn('hunter', password, strong)
    await other.goto(link.pathname + link.search)
    const shown = async () => {
      await other.$('.side [role=tab][aria-selected=true]', { hasText: 'JSON' }).waitFor()
      await other.$('.side pre:visible', { hasText: 'keeper3' }).waitFor()
    }
    await shown()
    await other.page.reload()
    await shown()
    await other.$('.side').getByRole('button', { name: 'Close' }).first().click()
    await closed(other)
    await other.page.waitForURL((u) => u.search === '?q=host.name:no-such-host')
    await other.clean()
    await other.close()
    await p.clean()
  })

  test('an event that is not there is said so, and the search is left as it is', async () => {
    p.expected.push(/^404 GET \/api\/v1\/events\//)
    const told = p.$('.el-message--error').waitFor() // it goes by itself: somebody looks from the beginning
    await p.goto('/search?q=' + encodeURIComponent('host.name:pier-1') + '&open=01a20011-70df-7000-9ade-000000000000')
    await told
    await p.page.waitForFunction(() => !new URLSearchParams(location.search).has('open'))
    await row(1).waitFor()
    assert.equal(await p.$('.side').count(), 0)
    await p.clean()
  })
})
