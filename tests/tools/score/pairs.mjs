// SPDX-License-Identifier: Apache-2.0
// The pair corpora as [{vendor, stream, file, zone, items: [{raw, want, given}], unpaired}]. Nothing of them is kept.
import fs from 'node:fs'
import path from 'node:path'
import { flat } from './compare.mjs'

const walk = d => fs.readdirSync(d, { withFileTypes: true }).flatMap(e => (e.isDirectory() ? walk(path.join(d, e.name)) : [path.join(d, e.name)]))
const sorted = d => walk(d).sort()

// "GMT-0200", "+0500", "GMT+2", names and offsets -> what --zone takes.
function zoneName(z) {
  if (!z || /^(local|utc|z)$/i.test(z)) return 'UTC'
  const m = /^(?:GMT|UTC)?([-+])(\d{1,2}):?(\d\d)?$/.exec(z)
  return m ? `${m[1]}${m[2].padStart(2, '0')}:${m[3] || '00'}` : z.includes('/') ? z : 'UTC'
}

// The few lines of YAML that the test set-ups consist of.
function config(file) {
  const c = { zone: null, multiline: null, values: new Set() }
  if (!fs.existsSync(file)) return c
  const text = fs.readFileSync(file, 'utf8')
  const zone = /(?:event\.timezone|timezone|tz_offset): *["']?([^"'\s]+)/.exec(text)?.[1]
  if (zone) c.zone = zoneName(zone)
  const first = /first_line_pattern: *(?:'([^']*)'|"((?:[^"\\]|\\.)*)")/.exec(text)
  if (first) c.multiline = new RegExp(first[1] ?? JSON.parse(`"${first[2]}"`))
  const fields = /^fields:\n((?:[ \t-].*\n?)*)/m.exec(text)?.[1] || ''
  for (const l of fields.split('\n')) {
    const m = /^\s*(?:- *)?(?:["']?[@\w.]+["']?:)? *["']?(.*?)["']?\s*$/.exec(l)
    if (m && m[1].length > 1) c.values.add(m[1])
  }
  return c
}

const instant = v => (/^\d{4}-\d\d-\d\dT/.test(v) ? String(Date.parse(v)) : v)
// A field is "given" when its value came beside the record and the record's text does not hold it.
function givenBy(raw, values) {
  const set = new Set([...values].map(instant))
  return (f, v) => set.size > 0 && v.every(x => set.has(instant(x)) && (instant(x) !== x || !raw.includes(x)))
}

function group(lines, first) {
  if (!first) return lines
  const out = []
  for (const l of lines) {
    if (out.length && !first.test(l)) out[out.length - 1] += '\n' + l
    else out.push(l)
  }
  return out
}

function elasticFile(file, expected, conf) {
  const text = fs.readFileSync(file, 'utf8')
  if (file.endsWith('.json')) {
    let events
    try { events = JSON.parse(text).events } catch { return null }
    if (!events || events.length !== expected.length) return null
    return events.map((e, i) => {
      const original = e.event?.original ?? e['event.original']
      const inner = e.winlog || e.auditd ? undefined : e.cef ? original ?? expected[i]?.event?.original : e.message ?? original
      if (typeof inner !== 'string') return { raw: JSON.stringify(e), given: undefined }
      const raw = inner.trim(), beside = Object.entries(flat(e)).filter(([k]) => k !== 'message' && k !== 'event.original' && !k.startsWith('cef.'))
      const have = e.cef ? new Map() : new Map(beside)
      return { raw, given: (f, v) => have.has(f) && v.every(x => have.get(f).includes(x) && !raw.includes(x)) }
    })
  }
  let lines = text.split('\n').map(l => l.replace(/\r$/, '')).filter(l => l.trim())
  if (conf.multiline) lines = group(text.split('\n').map(l => l.replace(/\r$/, '')), conf.multiline).map(l => l.trim()).filter(Boolean)
  if (lines.length !== expected.length) {
    const raw = expected.map(e => e?.event?.original)
    if (!raw.every(Boolean)) return null
    lines = raw
  }
  return lines.map(raw => ({ raw, given: givenBy(raw, conf.values) }))
}

export function elastic(dir) {
  return sorted(dir).filter(f => f.endsWith('-expected.json')).flatMap(f => {
    const file = f.slice(0, -'-expected.json'.length), rel = path.relative(dir, f).split('/')
    if (!fs.existsSync(file)) return []
    const own = config(file + '-config.yml'), common = config(path.join(path.dirname(file), 'test-common-config.yml'))
    const conf = { zone: own.zone || common.zone || 'UTC', multiline: own.multiline || common.multiline, values: new Set([...own.values, ...common.values]) }
    const { expected } = JSON.parse(fs.readFileSync(f, 'utf8'))
    const items = elasticFile(file, expected, conf)
    items?.forEach((x, i) => { x.want = expected[i] && flat(expected[i]) })
    return [{ vendor: rel[1], stream: `${rel[1]}/${rel[3]}`, file: rel.slice(1).join('/'), zone: conf.zone, items, events: expected.length }]
  })
}

// Each expected event names the offset of its first byte; "multiline" says that it goes on to the next one.
export function beats(dir) {
  return sorted(dir).filter(f => f.endsWith('-expected.json')).flatMap(f => {
    const file = f.slice(0, -'-expected.json'.length), rel = path.relative(dir, f).split('/')
    if (!fs.existsSync(file)) return []
    const bytes = fs.readFileSync(file), expected = JSON.parse(fs.readFileSync(f, 'utf8')).sort((a, b) => a['log.offset'] - b['log.offset'])
    const items = [], zoneText = expected.find(e => /^[-+]\d/.test(e['event.timezone']))?.['event.timezone']
    const zoneGiven = (f, v) => /^event\.(module|dataset)$/.test(f) || (f === 'event.timezone' && v[0] === zoneText) // names and setting of the collector's module, not of its pipeline
    // what lies between (headers, lines the module drops) is read too: columns are declared there
    const plain = (from, to) => bytes.subarray(from, to).toString().split('\n').map(l => l.replace(/\r$/, '')).filter(l => l.trim()).forEach(raw => items.push({ raw, want: null }))
    let end = 0
    expected.forEach((e, i) => {
      const from = e['log.offset'], next = expected[i + 1]?.['log.offset'] ?? bytes.length
      const nl = bytes.indexOf(10, from), multi = [e['log.flags']].flat().includes('multiline')
      const to = multi || nl < 0 || nl > next ? next : nl
      if (from > end) plain(end, from)
      items.push({ raw: bytes.subarray(from, to).toString().replace(/\s+$/, ''), want: flat(e), given: zoneGiven })
      end = to
    })
    const zone = zoneName(expected.find(e => e['event.timezone'])?.['event.timezone'])
    return [{ vendor: 'beats:' + rel[2], stream: `beats:${rel[2]}/${rel[3]}`, file: rel.slice(2).join('/'), zone, items, events: expected.length }]
  })
}

export function sekoia(dir) {
  const byProduct = {}
  for (const f of sorted(dir).filter(f => f.endsWith('.json'))) {
    const rel = path.relative(dir, f).split('/')
    let pair
    try { pair = JSON.parse(fs.readFileSync(f, 'utf8')) } catch { continue }
    if (typeof pair.input?.message !== 'string' || !pair.expected) continue
    const vendor = 'sekoia:' + (rel.length > 2 ? rel[rel.length - 3 >= 0 && /^(tests|_meta)$/.test(rel[rel.length - 2]) ? rel.length - 3 : rel.length - 2] : rel[0])
    const p = (byProduct[vendor] ||= { vendor, stream: vendor, file: vendor, zone: 'UTC', items: [], events: 0 })
    p.items.push({ raw: pair.input.message.trim(), want: flat(pair.expected), given: () => false, name: rel.join('/') })
    p.events++
  }
  return Object.values(byProduct)
}
