// SPDX-License-Identifier: Apache-2.0
// Small edits of the search language: filter a value in or out, find the word at the caret.
export function term(field: string, value: unknown): string {
  const v = String(Array.isArray(value) ? value[0] : value)
  return `${field}:${/^[\w.\-@]+$/.test(v) && !/^(AND|OR|NOT)$/.test(v) ? v : '"' + v.replace(/\\/g, '\\\\').replace(/"/g, '\\"') + '"'}`
}
export function add(query: string, field: string, value: unknown, not: boolean): string {
  const w = (not ? 'NOT ' : '') + term(field, value)
  const q = query.trim()
  if (!q) return w
  if (q.includes(w)) return q
  return `${/\bOR\b/.test(q) ? '(' + q + ')' : q} AND ${w}`
}
export function wordAt(query: string, caret: number): { from: number; to: number; field: string | null; text: string } {
  let from = caret
  while (from > 0 && !/[\s()]/.test(query[from - 1])) from--
  let to = caret
  while (to < query.length && !/[\s()]/.test(query[to])) to++
  const w = query.slice(from, caret)
  const m = /^(-?)([\w.@-]+)(:|>=|<=|>|<)(.*)$/.exec(w)
  return m ? { from: from + m[1].length + m[2].length + m[3].length, to, field: m[2], text: m[4].replace(/^"/, '') } : { from, to, field: null, text: w }
}
export function flat(o: unknown, path: string): unknown {
  const r = o as Record<string, unknown>
  if (r == null) return undefined
  if (path in r) return r[path]
  let v: unknown = r
  for (const p of path.split('.')) {
    if (v == null || typeof v !== 'object') return undefined
    v = (v as Record<string, unknown>)[p]
  }
  return v
}
export function show(v: unknown): string {
  if (v == null) return ''
  if (Array.isArray(v)) return v.map(show).join(', ')
  return typeof v === 'object' ? JSON.stringify(v) : String(v)
}
