// SPDX-License-Identifier: Apache-2.0
import { h } from 'vue'
import { ElMessage } from 'element-plus'
import { ApiError } from '@/api/client'
import { i18n } from '@/i18n'

export function said(text: string) {
  ElMessage({ type: 'success', message: text, grouping: true })
}
export function failed(e: unknown) {
  const x = e as ApiError
  const t = i18n.global.t
  let m = x.status === 0 ? t('state.e0') : x.status === 403 ? t('state.e403') : x.message || t('state.failed')
  if (x.status === 409) m = x.message || t('state.e409')
  if (x.requestId) m += ` (${t('state.request')} ${x.requestId})`
  ElMessage({ type: 'error', message: m, duration: 6000, showClose: true })
}
/** Done, with ten seconds to take it back. */
export function saidWithUndo(text: string, undo: () => void) {
  const m = ElMessage({
    type: 'success',
    duration: 10000,
    showClose: true,
    message: h('span', null, [
      text + ' ',
      h('button', { class: 'linkish', onClick: () => { m.close(); undo() } }, i18n.global.t('act.undo'))
    ])
  })
}
