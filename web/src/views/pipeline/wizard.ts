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
