// SPDX-License-Identifier: Apache-2.0
// Small text work of the source wizard: where values stand in a line, and single lines of the source file.
export interface Part { text: string; field: string; n: number }
/** A line cut into what became a field and what did not. Offsets are bytes of UTF-8. */
export function marks(text: string, fields: { field: string; start: number | null; end: number | null }[]): Part[] {
  const bytes = new TextEncoder().encode(text)
  const dec = new TextDecoder()
  const out: Part[] = []
  let at = 0
  const names = [...new Set(fields.map((f) => f.field))]
  const cut = (a: number, b: number) => dec.decode(bytes.subarray(a, b))
  // the shortest places win: a field that holds the whole line marks nothing
  const list: { field: string; start: number; end: number }[] = []
  for (const f of fields.filter((x) => x.start != null && x.end != null && x.end > x.start).sort((x, y) => x.end! - x.start! - (y.end! - y.start!)))
    if (f.end! <= bytes.length && !list.some((x) => f.start! < x.end && x.start < f.end!) && !(f.start === 0 && f.end === bytes.length)) list.push({ field: f.field, start: f.start!, end: f.end! })
  list.sort((x, y) => x.start - y.start)
  for (const f of list) {
    if (f.start > at) out.push({ text: cut(at, f.start), field: '', n: 0 })
    out.push({ text: cut(f.start, f.end), field: f.field, n: names.indexOf(f.field) })
    at = f.end
  }
  if (at < bytes.length) out.push({ text: cut(at, bytes.length), field: '', n: 0 })
  return out
}
const quoted = (s: string) => (/^[A-Za-z_][\w.@-]*$/.test(s) ? s : JSON.stringify(s))
/** `key: field` in the file's map, put in or changed; everything else stays as it is written. */
export function setField(yaml: string, key: string, field: string, convert: string | null): string {
  const lines = yaml.split('\n')
  const to = convert ? `{to: ${quoted(field)}, convert: ${convert}}` : quoted(field)
  const row = `  ${quoted(key)}: ${to}`
  const map = lines.findIndex((l) => /^map:\s*(#.*)?$/.test(l))
  if (map < 0) {
    const end = lines.length && lines[lines.length - 1] === '' ? lines.length - 1 : lines.length
    lines.splice(end, 0, 'map:', row)
    return lines.join('\n')
  }
  for (let i = map + 1; i < lines.length && (/^\s/.test(lines[i]) || !lines[i]); i++) {
    const m = /^ {2}("(?:[^"\\]|\\.)*"|'[^']*'|[^\s:#'"][^:]*):(\s|$)/.exec(lines[i])
    if (m && m[1].replace(/^["']|["']$/g, '') === key) {
      lines[i] = row
      return lines.join('\n')
    }
  }
  lines.splice(map + 1, 0, row)
  return lines.join('\n')
}
export function renameSource(yaml: string, name: string, title: string): string {
  let out = yaml.replace(/^name: .*$/m, 'name: ' + name)
  if (title) out = out.replace(/^doc: .*$/m, () => 'doc: ' + JSON.stringify(title))
  return out
}
/** What one look takes: the server reads so many lines and bytes. */
export const LINES_MAX = 1000
export const BYTES_MAX = 1 << 20
const HEAD = 100
export interface Sample { lines: string[]; all: number; long: number }
/** Lines of a text, without empty ones; of more than one look takes, the first 100 (headers are there) and the rest evenly over the whole.
 *  `long`: lines left out because one alone is more than a look takes. */
export function sample(text: string): Sample {
  const all = text.split('\n').map((l) => l.replace(/\r$/, '')).filter((l) => l.trim())
  const bytes = (l: string) => (l.length * 3 < 4096 ? l.length * 3 : new TextEncoder().encode(l).length)
  let lines = all.filter((l) => bytes(l) <= BYTES_MAX)
  const long = all.length - lines.length
  if (lines.length > LINES_MAX) {
    const rest = lines.slice(HEAD)
    lines = lines.slice(0, HEAD).concat(Array.from({ length: LINES_MAX - HEAD }, (_, k) => rest[Math.floor((k * rest.length) / (LINES_MAX - HEAD))]))
  }
  let room = BYTES_MAX
  const fits = lines.findIndex((l) => (room -= bytes(l)) < 0)
  return { lines: fits < 0 ? lines : lines.slice(0, fits), all: all.length, long }
}
const READ_MAX = 4 << 20
async function head(stream: ReadableStream<Uint8Array>): Promise<{ bytes: Uint8Array; cut: boolean }> {
  const reader = stream.getReader()
  const parts: Uint8Array[] = []
  let n = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    parts.push(value)
    n += value.length
    if (n > READ_MAX) { await reader.cancel(); break }
  }
  const bytes = new Uint8Array(n)
  let at = 0
  for (const p of parts) { bytes.set(p, at); at += p.length }
  return { bytes, cut: n > READ_MAX }
}
/** The text at the beginning of a log file: gzip is unpacked; UTF-8, UTF-16 with its mark, GB18030. null: this is no text. */
export async function readLog(file: Blob): Promise<{ text: string; encoding: string; cut: boolean } | null> {
  const magic = new Uint8Array(await file.slice(0, 2).arrayBuffer())
  let got
  try {
    got = await head(magic[0] === 0x1f && magic[1] === 0x8b ? file.stream().pipeThrough(new DecompressionStream('gzip') as unknown as ReadableWritablePair<Uint8Array, Uint8Array>) : file.stream())
  } catch {
    return null
  }
  const { bytes, cut } = got
  const wide = bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : ''
  if (!wide && bytes.includes(0)) return null
  for (const encoding of wide ? [wide] : ['utf-8', 'gb18030']) {
    try {
      const all = new TextDecoder(encoding, { fatal: true }).decode(bytes, { stream: cut })
      return { text: cut ? all.slice(0, all.lastIndexOf('\n') + 1) : all, encoding, cut }
    } catch { /* the next one */ }
  }
  return null
}
