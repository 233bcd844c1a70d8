// SPDX-License-Identifier: Apache-2.0
// What a list page is told about its columns and filters; see components/ListPage.vue.
export interface Column<T = Record<string, unknown>> {
  key: string
  label: string
  width?: number
  min?: number
  sort?: string | true
  hidden?: boolean
  /** takes its part of a wide window */
  grow?: boolean
  /** shown unasked only in windows of this width and wider */
  from?: number
  align?: 'right'
  mono?: boolean
  /** plain text of the cell: shown when there is no slot, and written to exports */
  text?: (row: T) => string
}
export interface Filter {
  key: string
  /** name in the filter language when it is not the key */
  field?: string
  label: string
  type: 'select' | 'text' | 'org'
  options?: { value: string; label: string }[]
  /** shown when the URL says nothing */
  initial?: string
}
export interface KeyAction<T = Record<string, unknown>> {
  key: string
  label: string
  run: (rows: T[]) => void
}
/** What a page may ask of its list (template ref). */
export interface ListApi {
  reload: () => Promise<void>
  refresh: () => Promise<void>
  close: () => void
  setQuery: (patch: Record<string, string | undefined>) => void
}

interface Kept<T> { rows: T[]; total: number }
const kept = new Map<string, Kept<unknown>>()
/** First pages of the lists visited last, by person and filters; of this tab only. */
export function keep<T>(key: string, v: Kept<T>) {
  kept.delete(key)
  kept.set(key, v)
  if (kept.size > 20) kept.delete(kept.keys().next().value as string)
}
export const recall = <T>(key: string) => kept.get(key) as Kept<T> | undefined
