// SPDX-License-Identifier: Apache-2.0
import type { WorkAction, WorkItem } from '@/api/types'
import { codeText, langText } from '@/i18n'

export const stateText = (w: { state: string; state_title?: unknown; state_name?: unknown }) => langText(w.state_title) || langText(w.state_name) || codeText('workState', w.state)
export const isDone = (w: { state: string; done?: boolean }) => w.done ?? /^(closed|ended|archived|withdrawn|cancelled)$/.test(w.state)
export const actionText = (a: WorkAction) => langText(a.label) || codeText('workAction', a.transition)
/** Sort of buttons: the definition's primary first, dangerous ones last. */
export function ordered(actions: WorkAction[] = []): WorkAction[] {
  const rank = (a: WorkAction) => (a.style === 'primary' ? 0 : a.style === 'danger' ? 2 : 1)
  return [...actions].sort((a, b) => rank(a) - rank(b))
}
export const pathOf = (w: WorkItem) => '/work-items/' + w.id
