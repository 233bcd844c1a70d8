// SPDX-License-Identifier: Apache-2.0
// Agreement of `chengfang normalise` with expected ECS events: share of expected fields with an equal value, per vendor and
// per field. Ground truth: <shared>/data/normalise/{elastic-pairs,beats-oss-pairs}.tar.zst (never part of the repository).
//
//   node tests/tools/normalise_score.mjs [--bin build/chengfang] [--shared DIR] [--vendor NAME] [--fields] [--show N] [--json FILE]
//
// What counts: fields of the groups below. Left out: geo and AS (enrichment), event.original, times of collection.
// Equal: same text (numbers as text), lists as sets, times as instants; a stamp without year may differ in the year.
import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

const arg = (name, def) => { const i = process.argv.indexOf('--' + name); return i < 0 ? def : process.argv[i + 1] }
const has = name => process.argv.includes('--' + name)
const root = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../..')
const bin = arg('bin', path.join(root, 'build/chengfang'))
const shared = arg('shared', process.env.CF_SHARED || path.join(root, '../shared'))
const only = arg('vendor')
const show = Number(arg('show', 0))
const groups = /^(@timestamp$|(event|source|destination|client|server|user|host|network|process|file|url|http|dns|tls|rule|observer)\.)/
const leftOut = /\.geo\.|\.as\.|^event\.(original|created|ingested|agent_id_status)$|^(host|agent)\.(os|architecture|mac|containerized|ephemeral_id)|^user_agent\./

if (!fs.existsSync(path.join(shared, 'data/normalise'))) {
  console.log(`normalise_score: skipped, there is no ${shared}/data/normalise (set CF_SHARED)`)
  process.exit(0)
}
const tmp = fs.mkdtempSync(path.join(os.tmpdir(), 'cf-score-'))
process.on('exit', () => fs.rmSync(tmp, { recursive: true, force: true }))

function flat(o, prefix, out) {
  for (const [k, v] of Object.entries(o)) {
    const name = prefix ? prefix + '.' + k : k
    if (v === null || v === '') continue
    if (Array.isArray(v)) {
      for (const e of v) {
        if (e !== null && typeof e === 'object') flat(e, name, out)
        else (out[name] ||= []).push(String(e))
      }
    } else if (typeof v === 'object') flat(v, name, out)
    else (out[name] ||= []).push(String(v))
  }
  return out
}

function sameTime(a, b) {
  const x = Date.parse(a), y = Date.parse(b)
  if (Number.isNaN(x) || Number.isNaN(y)) return false
  if (Math.abs(x - y) < 1) return true
  return new Date(x).toISOString().slice(5) === new Date(y).toISOString().slice(5)
}
function equal(name, want, got) {
  if (name === 'event.timezone' && got) return want[0].replace(':', '').replace(/^UTC$/, '+0000') === got[0].replace(':', '')
  if (!got) return false
  if (name === '@timestamp' || name === 'event.start' || name === 'event.end') return sameTime(want[0], got[0])
  const a = [...new Set(want)].sort(), b = [...new Set(got)].sort()
  return a.length === b.length && a.every((v, i) => v === b[i])
}

function normalise(records, zone) {
  const r = spawnSync(bin, ['normalise', '--zone', zone, '-'], { input: records.join('\n') + '\n', maxBuffer: 1 << 30 })
  if (r.status !== 0) throw new Error(r.stderr.toString())
  return r.stdout.toString().split('\n').filter(Boolean).map(l => JSON.parse(l))
}

// One raw record per expected event, or null when they cannot be paired.
function records(file, expected) {
  const text = fs.readFileSync(file, 'utf8')
  if (file.endsWith('.json')) {
    let events
    try { events = JSON.parse(text).events } catch { return null }
    if (!events || events.length !== expected.length) return null
    return events.map((e, i) => {
      const text = e.message ?? e.event?.original ?? (e.cef ? expected[i]?.event?.original : undefined)
      return typeof text === 'string' && !e.winlog && !/[\n\r]/.test(text.trim()) ? text.trim() : JSON.stringify(e)
    })
  }
  const lines = text.split('\n').map(l => l.replace(/\r$/, '')).filter(l => l.trim())
  if (lines.length === expected.length) return lines
  const raw = expected.map(e => e?.event?.original)
  return raw.every(o => o && !o.includes('\n')) ? raw : null
}

const vendors = {}
function score(vendor, file, expectedFile) {
  const v = (vendors[vendor] ||= { files: 0, skipped: 0, events: 0, errors: 0, want: 0, equal: 0, field: {} })
  let expected = JSON.parse(fs.readFileSync(expectedFile, 'utf8'))
  expected = Array.isArray(expected) ? expected : expected.expected
  const raw = records(file, expected)
  v.files++
  if (!raw) { v.skipped++; return }
  let zone = 'UTC'
  const conf = file + '-config.yml'
  if (fs.existsSync(conf)) zone = /(?:event\.timezone|timezone|tz_offset): *"?([-+]\d\d:?\d\d)"?/.exec(fs.readFileSync(conf, 'utf8'))?.[1]?.replace(/^([-+]\d\d)(\d\d)$/, '$1:$2') || 'UTC'
  const headers = raw.filter(l => l.startsWith('#')).length
  const got = normalise(raw, zone)
  if (got.length !== raw.length) { if (!headers) { v.skipped++; return } return }
  expected.forEach((e, i) => {
    if (!e) return
    const want = flat(e, '', {}), have = flat(got[i], '', {})
    v.events++
    if (got[i].event?.kind === 'pipeline_error') v.errors++
    for (const [name, values] of Object.entries(want)) {
      if (!groups.test(name) || leftOut.test(name)) continue
      const f = (v.field[name] ||= { want: 0, equal: 0, missing: 0, sample: null })
      f.want++; v.want++
      if (equal(name, values, have[name])) { f.equal++; v.equal++ } else {
        if (!have[name]) f.missing++
        f.sample ||= { want: values.join('|').slice(0, 80), got: (have[name] || ['-']).join('|').slice(0, 80), raw: raw[i].slice(0, 200) }
      }
    }
  })
}

for (const set of ['elastic-pairs', 'beats-oss-pairs']) {
  const dir = path.join(tmp, set)
  fs.mkdirSync(dir)
  execFileSync('tar', ['--zstd', '-xf', path.join(shared, 'data/normalise', set + '.tar.zst'), '-C', dir])
  const walk = d => fs.readdirSync(d, { withFileTypes: true }).flatMap(e => (e.isDirectory() ? walk(path.join(d, e.name)) : [path.join(d, e.name)]))
  for (const f of walk(dir).filter(f => f.endsWith('-expected.json')).sort()) {
    const raw = f.slice(0, -'-expected.json'.length)
    if (!fs.existsSync(raw)) continue
    const rel = path.relative(dir, f).split('/')
    const vendor = set === 'elastic-pairs' ? `${rel[1]}/${rel[3]}` : `beats:${rel[2]}/${rel[3]}`
    if (!only || vendor.includes(only)) score(vendor, raw, f)
  }
}

const pct = (a, b) => (b ? ((100 * a) / b).toFixed(1).padStart(5) : '    -')
let want = 0, same = 0
console.log('vendor'.padEnd(40), 'events', 'errors', 'skipped', ' fields', ' equal%')
for (const [name, v] of Object.entries(vendors).sort((a, b) => b[1].want - b[1].equal - (a[1].want - a[1].equal))) {
  console.log(name.padEnd(40), String(v.events).padStart(6), String(v.errors).padStart(6), `${v.skipped}/${v.files}`.padStart(7), String(v.want).padStart(7), pct(v.equal, v.want))
  want += v.want; same += v.equal
  if (has('fields') || show)
    for (const [f, s] of Object.entries(v.field).filter(([, s]) => s.equal < s.want).sort((a, b) => b[1].want - b[1].equal - (a[1].want - a[1].equal)).slice(0, show || 100))
      console.log('   ', f.padEnd(36), String(s.want).padStart(6), pct(s.equal, s.want), `missing ${s.missing}`, `want "${s.sample.want}" got "${s.sample.got}"`)
}
console.log('all'.padEnd(40), ''.padStart(6), ''.padStart(6), ''.padStart(7), String(want).padStart(7), pct(same, want))
if (arg('json')) fs.writeFileSync(arg('json'), JSON.stringify(vendors, null, 1))
