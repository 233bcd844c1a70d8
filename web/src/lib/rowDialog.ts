// SPDX-License-Identifier: Apache-2.0
import { reactive, ref, type Ref } from 'vue'
import { ElMessageBox } from 'element-plus'
import { api, ApiError } from '@/api/client'
import { i18n } from '@/i18n'
import type { ListApi } from '@/lib/list'
import { failed, said } from '@/lib/toast'

/**
 * A dialog that adds or changes one row of a list at `path`, and the question before a row is removed. `fill` makes the form of a
 * row, or an empty one; what is left empty is not sent. Errors of the fields stay in `errors`, any other is told.
 */
export function useRowDialog<R extends { id: string }, F extends object>(path: string, list: Ref<ListApi | undefined>, fill: (row?: R) => F) {
  const t = i18n.global.t
  const dialog = ref(false)
  const edited = ref<string | null>(null)
  const form = reactive(fill()) as F
  const errors = ref<Record<string, string>>({})
  function edit(row?: R) {
    edited.value = row?.id ?? null
    errors.value = {}
    Object.assign(form, fill(row))
    dialog.value = true
  }
  async function save() {
    errors.value = {}
    try {
      const body = Object.fromEntries(Object.entries(form).filter(([, v]) => v !== '' && v != null))
      if (edited.value) await api.patch(`${path}/${edited.value}`, body)
      else await api.post(path, body)
      dialog.value = false
      said(t('work.saved'))
      await list.value?.refresh()
    } catch (e) {
      errors.value = (e as ApiError).fields ?? {}
      if (!Object.keys(errors.value).length) failed(e)
    }
  }
  async function drop(row: R, question: string) {
    const ok = await ElMessageBox.confirm(question, t('act.remove'), { type: 'warning', confirmButtonText: t('act.remove'), cancelButtonText: t('act.cancel') }).catch(() => null)
    if (!ok) return
    try {
      await api.del(`${path}/${row.id}`)
      list.value?.close()
      await list.value?.refresh()
    } catch (e) {
      failed(e)
    }
  }
  return { dialog, edited, form, errors, edit, save, drop }
}
