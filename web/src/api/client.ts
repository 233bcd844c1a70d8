// SPDX-License-Identifier: Apache-2.0
// One way to the server: JSON, the session cookie, the CSRF token, problem documents as ApiError.
import type { List, Problem } from './types'

export class ApiError extends Error {
  status: number
  problem: Problem
  requestId: string
  constructor(status: number, problem: Problem, requestId: string) {
    super(problem.detail || problem.title || String(status))
    this.status = status
    this.problem = problem
    this.requestId = requestId
  }
  /** field -> message, for forms */
  get fields(): Record<string, string> {
    const r: Record<string, string> = {}
    for (const e of this.problem.errors ?? []) r[e.field] = e.message
    return r
  }
}

let csrf = ''
let onUnauthorised: () => void = () => {}
export function setCsrf(v: string) {
  csrf = v
}
export function getCsrf() {
  return csrf
}
export function onSessionLost(f: () => void) {
  onUnauthorised = f
}

export interface CallOptions {
  signal?: AbortSignal
  quiet401?: boolean
  headers?: Record<string, string>
  raw?: Blob
}

/** Answers that public/start.js asked for before this code was there; each is taken once. */
async function early(method: string, path: string): Promise<Response | null> {
  const asked = (window as { __cfEarly?: Record<string, Promise<Response | null>> }).__cfEarly
  const p = method === 'GET' ? asked?.[path] : undefined
  if (!asked || !p) return null
  delete asked[path]
  return p.catch(() => null)
}

async function problemOf(res: Response): Promise<ApiError> {
  let p: Problem = { title: res.statusText, status: res.status }
  try {
    const text = await res.text()
    if (text.startsWith('{')) p = JSON.parse(text) as Problem
  } catch {
    /* body lost: the status line has to do */
  }
  return new ApiError(res.status, p, res.headers.get('X-Request-Id') ?? p.request_id ?? '')
}

export async function send(method: string, path: string, body?: unknown, o: CallOptions = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json', 'Accept-Language': document.documentElement.lang || 'zh-CN', ...o.headers }
  if (method !== 'GET' && csrf) headers['X-CSRF-Token'] = csrf
  let payload: BodyInit | undefined
  if (o.raw) payload = o.raw
  else if (body !== undefined) {
    headers['Content-Type'] = 'application/json'
    payload = JSON.stringify(body)
  }
  let res: Response
  try {
    res = (await early(method, path)) ?? (await fetch(path, { method, headers, body: payload, credentials: 'same-origin', signal: o.signal }))
  } catch (e) {
    if ((e as Error).name === 'AbortError') throw e
    throw new ApiError(0, { title: 'network', status: 0 }, '')
  }
  if (!res.ok) {
    const err = await problemOf(res)
    if (res.status === 401 && !o.quiet401) onUnauthorised()
    if (res.status === 403 && err.problem.type?.endsWith(':totp-setup-required') && !location.pathname.startsWith('/sign-in')) location.assign('/sign-in?next=' + encodeURIComponent(location.pathname + location.search))
    throw err
  }
  return res
}

async function call<T>(method: string, path: string, body?: unknown, o?: CallOptions): Promise<T> {
  const res = await send(method, path, body, o)
  if (res.status === 204) return undefined as T
  const text = await res.text()
  return (text ? JSON.parse(text) : undefined) as T
}

export type Query = Record<string, string | number | undefined | null>
export function qs(q?: Query): string {
  if (!q) return ''
  const p = new URLSearchParams()
  for (const [k, v] of Object.entries(q)) if (v !== undefined && v !== null && v !== '') p.set(k, String(v))
  const s = p.toString()
  return s ? '?' + s : ''
}
const base = '/api/v1'
export const api = {
  get: <T>(path: string, q?: Query, o?: CallOptions) => call<T>('GET', base + path + qs(q), undefined, o),
  list: <T>(path: string, q?: Query, o?: CallOptions) => call<List<T>>('GET', base + path + qs(q), undefined, o),
  post: <T>(path: string, body?: unknown, o?: CallOptions) => call<T>('POST', base + path, body ?? {}, o),
  patch: <T>(path: string, body: unknown, o?: CallOptions) => call<T>('PATCH', base + path, body, o),
  put: <T>(path: string, body: unknown, o?: CallOptions) => call<T>('PUT', base + path, body, o),
  del: <T>(path: string, o?: CallOptions) => call<T>('DELETE', base + path, undefined, o),
  upload: <T>(path: string, file: File) =>
    call<T>('POST', base + path + qs({ name: file.name }), undefined, { raw: file, headers: { 'Content-Type': file.type || 'application/octet-stream' } })
}

/** Saves a reply as a file (exports). */
export async function download(method: string, path: string, body: unknown, name: string) {
  const res = await send(method, base + path, body, { headers: { Accept: '*/*' } })
  saveBlob(await res.blob(), name)
}
export type TableFormat = 'csv' | 'xlsx'
/** A table as a file, made (and written into the audit log) by the server. */
export async function saveTable(format: TableFormat, name: string, columns: string[], rows: unknown[][], fileName: string) {
  const width = Math.max(columns.length, ...rows.map((r) => r.length))
  const full = (r: unknown[]) => (r.length < width ? [...r, ...Array<string>(width - r.length).fill('')] : r)
  await download('POST', '/sheets', { name, format, columns: full(columns), rows: rows.map(full) }, fileName)
}
/** A long list as a file: page by page into a table that the server writes (and audits), fetched as a download; neither side holds more than a page. */
export async function saveList(format: TableFormat, name: string, columns: string[], pages: AsyncIterable<{ rows: unknown[][]; total: number; last: boolean }>, fileName: string, count: (n: number) => void): Promise<{ rows: number; of: number }> {
  const { id, max_rows: max } = await api.post<{ id: string; max_rows: number }>('/tables', { name, format, columns })
  let n = 0
  let of = 0
  try {
    for await (const p of pages) {
      const rows = p.rows.slice(0, max - n)
      if (rows.length) await api.post(`/tables/${id}/rows`, { rows })
      n += rows.length
      count(n)
      if (n >= max && !(p.last && rows.length === p.rows.length)) {
        of = Math.max(p.total, n + 1)
        break
      }
    }
    await api.post(`/tables/${id}/finish`, of ? { total: of } : {})
  } catch (e) {
    void api.del(`/tables/${id}`).catch(() => undefined)
    throw e
  }
  const a = document.createElement('a')
  a.href = `${base}/tables/${id}${qs({ file: fileName })}`
  a.download = fileName
  document.body.appendChild(a)
  a.click()
  a.remove()
  return { rows: n, of }
}
export function saveBlob(b: Blob, name: string) {
  const url = URL.createObjectURL(b)
  const a = document.createElement('a')
  a.href = url
  a.download = name
  document.body.appendChild(a)
  a.click()
  a.remove()
  setTimeout(() => URL.revokeObjectURL(url), 10000)
}

/** A word of the list filter language, quoted when needed. */
export function filterWord(key: string, value: string | string[]): string {
  const q = (v: string) => (/[\s"|]/.test(v) ? '"' + v.replace(/"/g, '\\"') + '"' : v)
  return Array.isArray(value) ? `${key}:${value.map(q).join('|')}` : `${key}:${q(value)}`
}
