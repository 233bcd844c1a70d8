// SPDX-License-Identifier: Apache-2.0
// Assets and data sources: added, a mistake shown at its field, changed, removed, in the dialog that the two pages share.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { openConsole, unable } from './lib.mjs'

describe('rows added and changed in a dialog', { skip: unable() }, () => {
  let c, api, p
  before(async () => {
    c = await openConsole()
    ;({ api, p } = c)
  })
  after(() => c?.close())
  const rows = '.tbl tbody tr[data-id]'
  const save = () => p.$('.el-dialog:visible .el-button--primary').last().click()

  test('a data source: added, changed, removed', async () => {
    await p.goto('/sources')
    await p.page.getByRole('button', { name: '登记数据源' }).first().click()
    await p.page.fill('#so-n', '码头防火墙')
    await p.page.fill('#so-a', 'not an address')
    p.expected.push(/^400 POST \/api\/v1\/sources$/)
    await save()
    await p.$('.el-dialog:visible .fr-m').first().waitFor()
    await p.page.fill('#so-a', '192.0.2.7')
    await save()
    await p.$(rows, { hasText: '码头防火墙' }).click()
    await p.$('.side').getByRole('button', { name: '编辑' }).click()
    await p.page.fill('#so-n', '码头新防火墙')
    await save()
    await p.$(rows, { hasText: '码头新防火墙' }).waitFor()
    assert.equal((await api.get('/api/v1/sources?limit=10')).body.items[0].address, '192.0.2.7')
    await p.$('.side').getByRole('button', { name: '删除' }).click()
    await p.$('.el-message-box__btns .el-button--primary').click()
    await p.page.waitForFunction((r) => !document.querySelector(r), rows)
    assert.equal((await api.get('/api/v1/sources?limit=10')).body.total, 0)
    await p.clean()
  })
})
