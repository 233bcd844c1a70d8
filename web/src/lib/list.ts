// SPDX-License-Identifier: Apache-2.0
// What a list page is told about its columns and filters; see components/ListPage.vue.
export interface Column<T = Record<string, unknown>> {
  key: string
  label: string
  width?: number
  min?: number
  sort?: string | true
  hidden?: boolean
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
