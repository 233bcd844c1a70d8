// SPDX-License-Identifier: Apache-2.0
// The source wizard in the browser: lines pasted and read from files of any encoding and size, a proposal changed, tried, saved; opened again, removed.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { openConsole, Person, unable, until } from './lib.mjs'

describe('source wizard', { skip: unable() }, () => {
  let c, api, p
  before(async () => {
    c = await openConsole()
    ;({ api, p } = c)
  })
  after(() => c?.close())
  const lines = Array.from({ length: 20 }, (_, i) => `gate=${i % 3} at=2026-11-21T06:00:${String(i).padStart(2, '0')}Z badge="码头-${i}" door_ip=10.1.0.${i} visitor=u${i} verdict=${i % 2 ? 'deny' : 'allow'}`)

  test('lines in, a proposal out, a field changed, tried, saved with the lines as its test', async () => {
    await p.goto('/sources/wizard')
    await p.test('wizard-lines').fill(lines.join('\n'))
    await p.test('wizard-go').click()
    await p.page.waitForSelector('.wz-cols')
    await p.says('[data-test=wizard-good]', /20 行中读出 20 行/)
    await p.$('.wz-l.cur mark').nth(2).waitFor() // values are marked in the text
    await p.test('map-visitor').fill('user.name')
    await p.test('map-visitor').press('Tab')
    await p.page.getByText('YAML', { exact: true }).click()
    await p.page.waitForFunction(() => /visitor: user\.name/.test(document.querySelector('.wz .cm-content')?.textContent ?? ''))
    await p.page.waitForFunction(() => [...document.querySelectorAll('.wz-v td')].some((x) => x.textContent === 'user.name'))
    await p.test('wizard-name').fill('pier-gate')
    await p.test('wizard-title').fill('Gates of the pier')
    await p.page.waitForFunction(() => /name: pier-gate/.test(document.querySelector('.wz .cm-content')?.textContent ?? ''))
    await p.test('wizard-save').click()
    await p.page.waitForSelector('[data-test=wizard-done]')
    const r = (await api.get('/api/v1/source-types/pier-gate')).body
    assert.match(r.yaml, /visitor: user\.name/)
    const again = (await api.post('/api/v1/source-types:propose', { lines })).body
    assert.equal(again.recognised.source, 'pier-gate')
    await p.goto('/sources/wizard')
    await p.test('wizard-lines').fill(lines.join('\n'))
    await p.test('wizard-lines').press('Control+Enter')
    await p.page.waitForSelector('[data-test=wizard-known]')
    await p.clean()
  })

  const big = Array.from({ length: 10000 }, (_, k) => `gate=${k % 3} badge=b${k} door_ip=10.1.0.${k % 250} visitor=u${k}`).join('\n')
  const give = (name, bytes) => p.test('wizard-file').setInputFiles({ name, mimeType: 'application/octet-stream', buffer: Buffer.from(bytes) })
  const note = async (re) => {
    await until(async () => re.test((await p.page.textContent('.wz')) ?? ''), () => `no text like ${re} on the page`)
  }

  test('files: GB18030 is read as such, gzip is unpacked, what is no text is refused in words', async () => {
    await p.goto('/sources/wizard')
    await p.page.waitForSelector('[data-test=wizard-lines]')
    // "用户=张三 结果=拒绝" and so on in GB18030
    const gb = [0xd3, 0xc3, 0xbb, 0xa7, 0x3d, 0xd5, 0xc5, 0xc8, 0xfd, 0x20, 0xbd, 0xe1, 0xb9, 0xfb, 0x3d, 0xbe, 0xdc, 0xbe, 0xf8, 0x0a]
    await give('gb.log', Array.from({ length: 20 }, () => gb).flat())
    await until(async () => (await p.test('wizard-lines').inputValue()).startsWith('用户=张三 结果=拒绝\n'), () => 'the text is not read as GB18030')
    await note(/GB18030/)
    await p.page.waitForSelector('.wz-cols')
    await give('big.log.gz', gzipSync(big))
    await note(/共 10,000 行，取其中 1,000 行/)
    await until(async () => /1,000 行中读出 1,000 行/.test((await p.page.textContent('[data-test=wizard-good]')) ?? ''), () => 'the sample is not read')
    const shown = (await p.test('wizard-lines').inputValue()).split('\n')
    assert.equal(shown.length, 1000)
    assert.equal(shown[0], 'gate=0 badge=b0 door_ip=10.1.0.0 visitor=u0')
    assert.match(shown[999], /badge=b99\d\d /, 'the end of the file is in the sample')
    await give('picture.bin', [0x89, 0x50, 0, 1, 2, 3, 255, 254])
    await note(/picture\.bin 不是文本文件/)
    await p.$('.wz-cols').waitFor({ state: 'detached' })
    await p.clean()
  })

  test('10,000 lines pasted are sampled before they come into the text area', async () => {
    await p.goto('/sources/wizard')
    await p.page.waitForSelector('[data-test=wizard-lines]')
    await p.test('wizard-lines').fill('')
    await p.test('wizard-lines').evaluate((el, text) => {
      const d = new DataTransfer()
      d.setData('text', text)
      el.dispatchEvent(new ClipboardEvent('paste', { clipboardData: d, bubbles: true, cancelable: true }))
    }, big)
    await note(/共 10,000 行，取其中 1,000 行/)
    assert.equal((await p.test('wizard-lines').inputValue()).split('\n').length, 1000)
    await p.clean()
  })

  test('a saved type is listed, opened with its lines, and removed; who may not write sees no such button', async () => {
    await p.goto('/sources/wizard')
    await p.test('open-pier-gate').click()
    await p.page.waitForFunction(() => /name: pier-gate/.test(document.querySelector('.wz .cm-content')?.textContent ?? ''))
    await until(async () => /20 行中读出 20 行/.test((await p.page.textContent('[data-test=wizard-good]')) ?? ''), () => 'its lines are not read')
    assert.equal(await p.test('wizard-lines').inputValue(), lines.join('\n'))
    const made = await api.post('/api/v1/users', { name: 'reader1', display_name: '读者', org_id: 'root', roles: ['leader'] })
    assert.equal(made.status, 201, made.text)
    const other = await Person.at(c.browser, c.server)
    try {
      await other.signIn('reader1', made.body.password, 'Harbour-Lantern-59')
      await other.goto('/sources/wizard')
      await other.test('open-pier-gate').click()
      await other.page.waitForSelector('.wz-cols')
      assert.equal(await other.test('remove-pier-gate').count(), 0)
      assert.ok(await other.test('wizard-save').isDisabled())
      await other.clean()
    } finally {
      await other.close()
    }
    await p.test('remove-pier-gate').click()
    await p.$('.el-message-box .el-button--primary').click()
    await p.page.waitForSelector('[data-test=open-pier-gate]', { state: 'detached' })
    assert.equal((await api.get('/api/v1/source-types/pier-gate')).status, 404)
    await p.clean()
  })
})
