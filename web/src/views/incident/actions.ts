// SPDX-License-Identifier: Apache-2.0
// What may be done with an alert in which state, and how it is sent.
import { api } from '@/api/client'
import type { Alert } from '@/api/types'

export type AlertAction = 'take' | 'confirm' | 'false_positive' | 'ignore' | 'close' | 'reopen' | 'assign' | 'comment' | 'convert_incident' | 'convert_notice'
const table: Record<string, AlertAction[]> = {
  new: ['take', 'confirm', 'false_positive', 'ignore', 'assign', 'comment'],
  handling: ['confirm', 'false_positive', 'ignore', 'assign', 'comment'],
  confirmed: ['convert_notice', 'convert_incident', 'close', 'assign', 'comment'],
  converted: ['close', 'comment'],
  false_positive: ['reopen', 'comment'],
  ignored: ['reopen', 'comment'],
  closed: ['reopen', 'comment']
}
/** The first is the one primary next step. */
export function actionsOf(status: string): AlertAction[] {
  return table[status] ?? ['comment']
}
export const needsNote: AlertAction[] = ['confirm', 'false_positive', 'ignore', 'close', 'reopen', 'comment']
export interface ActionBody {
  action: AlertAction
  note?: string
  owner?: string
  exception?: { fields: Record<string, unknown>; expires_at?: string }
}
export const act = (id: string, b: ActionBody) => api.post<Alert & { notice_id?: string }>(`/alerts/${id}/actions`, b)
export const actMany = (ids: string[], b: ActionBody) => api.post<{ changed: number; errors?: { id: string; message: string }[] }>('/alerts:batch', { ids, ...b })
