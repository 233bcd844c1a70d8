// SPDX-License-Identifier: Apache-2.0
// Agreement of `chengfang normalise` with expected ECS events: share of expected fields with an equal value, per vendor, stream
// and field. Ground truth: <shared>/data/normalise/*.tar.zst (never part of the repository).
//
//   node tests/tools/normalise_score.mjs [--set elastic,beats,sekoia] [--vendor NAME[,NAME]] [--streams] [--fields]
//        [--misses [N] [--raw CHARS]] [--expected] [--unknown [--raw CHARS]] [--dump N] [--half tune|holdout] [--json FILE] [--gate PCT] [--bin PATH] [--shared DIR] [--cache DIR]
//   node tests/tools/normalise_score.mjs --set crowdsec|wazuh|ossec|napalm      other ground truth, see score/others.mjs
//
// --unknown lists records of the tune half that nothing knows (column "errors").
// Each stream's files are halved by the hash of their names (a stream of one file: its records by the hash of their text).
// Mappings are made by looking at the tune half only: --misses prints that half unless --half holdout is asked for.
// "net" leaves out what a record cannot tell (list and reasons: score/compare.mjs, printed at the end), "gross" counts all. "exc" is net
// without the misses that score/exceptions.json names (vendor, field, why the expectation is wrong); the list is printed with how often each
// was used. An exception never makes a field equal: it is not counted at all.
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { disputedWhy, equal, excluded, exclusions, flat, groups } from './score/compare.mjs'
import { exceptionOf, exceptions } from './score/exceptions.mjs'
import { beats, elastic, sekoia } from './score/pairs.mjs'
import { others } from './score/others.mjs'

const arg = (name, def) => { const i = process.argv.indexOf('--' + name); return i < 0 ? def : process.argv[i + 1] }
const has = name => process.argv.includes('--' + name)
const root = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../..')
const bin = path.resolve(arg('bin', path.join(root, 'build/chengfang')))
const shared = arg('shared', process.env.CF_SHARED || path.join(root, '../shared'))
const only = arg('vendor')?.split(',')
const sets = arg('set', 'elastic,beats').split(',')
const nMisses = has('misses') ? Number(arg('misses')) || 12 : 0

if (!fs.existsSync(path.join(shared, 'data/normalise'))) {
  console.log(`normalise_score: skipped, there is no ${shared}/data/normalise (set CF_SHARED)`)
  process.exit(0)
}
const cache = arg('cache')
const tmp = cache || fs.mkdtempSync(path.join(os.tmpdir(), 'cf-score-'))
if (!cache) process.on('exit', () => fs.rmSync(tmp, { recursive: true, force: true }))

function unpack(archive) {
  const dir = path.join(tmp, path.basename(archive, '.tar.zst'))
  if (!fs.existsSync(dir)) {
    fs.mkdirSync(dir, { recursive: true })
    execFileSync('tar', ['--zstd', '-xf', path.join(shared, 'data', archive), '-C', dir])
  }
  return dir
}

// One event of each record. Records of several lines are handed over as container engines write them.
function normalise(records, zone, source) {
  const one = r => (!/[\n\r]/.test(r) ? r : r.startsWith('{') ? r.replace(/\s*[\n\r]+\s*/g, ' ') : JSON.stringify({ log: r, stream: 'stdout' }))
  const r = spawnSync(bin, ['normalise', '--zone', zone, ...(source ? ['--source', source] : []), '-'], { input: records.map(one).join('\n') + '\n', maxBuffer: 1 << 30 })
  if (r.status !== 0) throw new Error(r.stderr.toString())
  return r.stdout.toString().split('\n').filter(Boolean).map(l => JSON.parse(l))
}

// Streams whose records do not say which product wrote them (lines of dhcpd, access logs in the common format): the sender is
// named, as a data source of the server names it. --unnamed leaves even these to recognition by content.
const senders = { 'pfsense/log': 'pfsense', 'squid/log': 'squid', 'infoblox_nios/log': 'infoblox', 'apache_tomcat/access': 'tomcat', 'vsphere/log': 'vsphere', 'juniper_srx/log': 'juniper-srx', 'cisco_nexus/log': 'cisco-nexus',
  // Sekoia's inputs begin behind the syslog header
  'sekoia:postfix': 'postfix', 'sekoia:openssh': 'sshd', 'sekoia:openvpn': 'openvpn', 'sekoia:bind': 'bind', 'sekoia:juniper-ngfw': 'juniper-srx', 'sekoia:vmware-vcenter': 'vsphere', }
const hash = s => createHash('sha1').update(s).digest('hex')
const newCount = () => ({ events: 0, errors: 0, want: 0, equal: 0, gross: 0, grossEqual: 0, excepted: 0, field: {} })
const streams = {}, left = {}

// Not understood, or not recognised by the source that was named.
const notKnown = e => e.event?.kind === 'pipeline_error' || /^no (pattern of source|field of the record)/.test(e.error?.message || '')

function scoreItem(count, item, got, vendor) {
  const have = flat(got)
  count.events++
  if (notKnown(got)) count.errors++
  for (const [name, values] of Object.entries(item.want)) {
    if (!groups.test(name)) continue
    const same = equal(name, values, have[name], item.raw), why = excluded(name, values, item)
    count.gross++
    if (same) count.grossEqual++
    if (!same && !why && disputed(item, name, values, have[name])) { left.disputed = (left.disputed || 0) + 1; continue }
    if (why) { left[why] = (left[why] || 0) + 1; continue }
    const f = (count.field[name] ||= { want: 0, equal: 0, missing: 0, misses: {} })
    f.want++; count.want++
    if (has('expected')) { const d = (f.expected ||= {}), v = values.join(' | ').slice(0, 60); d[v] = (d[v] || 0) + 1 }
    if (same) { f.equal++; count.equal++; continue }
    const exc = exceptionOf(vendor, name, values, have[name])
    if (exc) { exc.used++; count.excepted++ }
    if (!have[name]) f.missing++
    const key = `${values.join(' | ').slice(0, 90)}\u0000${(have[name] || ['-']).join(' | ').slice(0, 90)}`
    const m = (f.misses[key] ||= { n: 0, raw: item.raw.slice(0, Number(arg('raw', 160))), source: got.event?.dataset || got.event?.module })
    m.n++
  }
}

// The same record in two test sets with different expectations: no mapping can meet both. What another pair expects is not
// counted as a miss (it is left out of net); anything else is.
const claims = new Map()
function claim(files) {
  for (const f of files) for (const item of f.items || []) if (item.want) (claims.get(item.raw) || claims.set(item.raw, []).get(item.raw)).push(item.want)
}
const disputed = (item, name, values, got) => (claims.get(item.raw) || []).some(w => w !== item.want && w[name] && !equal(name, values, w[name], item.raw) && equal(name, w[name], got, item.raw))

function scorePairs(files) {
  const byStream = {}
  for (const f of files) if (!only || only.some(o => (o.includes('/') ? f.stream === o : f.vendor === o || f.vendor === 'beats:' + o || f.vendor === 'sekoia:' + o))) (byStream[f.stream] ||= []).push(f)
  for (const [stream, list] of Object.entries(byStream)) {
    const s = (streams[stream] ||= { vendor: list[0].vendor, files: 0, unpaired: 0, tune: newCount(), holdout: newCount() })
    list.sort((a, b) => (hash(a.file) < hash(b.file) ? -1 : 1)).forEach((f, i) => {
      s.files++
      if (!f.items) { s.unpaired += f.events; return }
      let got = normalise(f.items.map(x => x.raw), f.zone, has('unnamed') ? undefined : senders[f.stream] || senders[f.vendor])
      if (got.length < f.items.length) { // headers of columns are no events
        let at = 0
        const events = f.items.map(x => (x.raw.startsWith('#') ? null : got[at++]))
        if (at === got.length) got = events
      }
      if (got.length !== f.items.length) { console.error(`${f.file}: ${f.items.length} records, ${got.length} events`); s.unpaired += f.events; return }
      f.items.forEach((item, k) => {
        if (!item.want || !got[k]) return
        dump(stream, list, i, item, got[k])
        const half = list.length > 1 ? i % 2 : parseInt(hash(item.raw).slice(0, 2), 16) % 2
        if (has('unknown') && !half && notKnown(got[k])) console.log(`${stream}: ${item.raw.slice(0, Number(arg('raw', 160)))}`)
        scoreItem(half ? s.holdout : s.tune, item, got[k], s.vendor)
      })
    })
  }
}

// --dump N [--max CHARS]: N tune records of each stream, each with its shape's first expected event and what differs
const dumped = {}
function dump(stream, list, i, item, got) {
  const half = list.length > 1 ? i % 2 : parseInt(hash(item.raw).slice(0, 2), 16) % 2
  if (!has('dump') || half || (dumped[stream] || 0) >= Number(arg('dump'))) return
  const have = flat(got), max = Number(arg('max', 600))
  const diff = Object.entries(item.want).filter(([f, v]) => groups.test(f) && !excluded(f, v, item) && !equal(f, v, have[f], item.raw))
  if (!diff.length) return
  dumped[stream] = (dumped[stream] || 0) + 1
  console.log(`--- ${stream}\n${item.raw.slice(0, max)}\n  wanted: ` + diff.map(([f, v]) => `${f}=${v.join('|').slice(0, 60)}${have[f] ? ` (got ${have[f].join('|').slice(0, 40)})` : ''}`).join('; '))
}

const sums = ['events', 'errors', 'want', 'equal', 'gross', 'grossEqual', 'excepted']
function add(into, c) {
  for (const k of sums) into[k] += c[k]
  for (const [name, f] of Object.entries(c.field)) {
    const g = (into.field[name] ||= { want: 0, equal: 0, missing: 0, misses: {} })
    g.want += f.want; g.equal += f.equal; g.missing += f.missing
    if (f.expected) for (const [k, n] of Object.entries(f.expected)) { g.expected ||= {}; g.expected[k] = (g.expected[k] || 0) + n }
    for (const [k, m] of Object.entries(f.misses)) (g.misses[k] ||= { ...m, n: 0 }).n += m.n
  }
  return into
}
const pct = (a, b) => (b ? ((100 * a) / b).toFixed(1) : '-').padStart(6)
const worst = c => Object.entries(c.field).filter(([, f]) => f.equal < f.want).sort((a, b) => b[1].want - b[1].equal - (a[1].want - a[1].equal))

function printRow(name, v) {
  const all = add(add(newCount(), v.tune), v.holdout)
  console.log(name.padEnd(34), String(all.events).padStart(6), String(all.errors).padStart(6), String(v.unpaired).padStart(8), String(all.want).padStart(7),
    pct(all.equal, all.want), pct(all.equal, all.want - all.excepted), pct(v.tune.equal, v.tune.want), pct(v.holdout.equal, v.holdout.want), pct(all.grossEqual, all.gross))
  const half = has('half') ? v[arg('half')] : v.tune
  if (has('fields')) for (const [f, s] of worst(has('half') ? half : all)) console.log('    ', f.padEnd(44), String(s.want).padStart(6), pct(s.equal, s.want), `missing ${s.missing}`)
  if (has('expected')) for (const [f, s] of Object.entries(half.field).sort()) {
    const top = Object.entries(s.expected).sort((a, b) => b[1] - a[1])
    console.log('    ', f.padEnd(40), String(s.want).padStart(5), pct(s.equal, s.want), top.slice(0, 8).map(([v, n]) => `${v} (${n})`).join(', '), top.length > 8 ? `… ${top.length}` : '')
  }
  if (nMisses) {
    const list = worst(half).flatMap(([f, s]) => Object.entries(s.misses).map(([k, m]) => ({ f, k, ...m }))).sort((a, b) => b.n - a.n)
    for (const m of list.slice(0, nMisses)) {
      const [want, got] = m.k.split('\u0000')
      console.log(`   ${String(m.n).padStart(5)} ${m.f.padEnd(34)} want "${want}" got "${got}"${has('raw') ? `\n          [${m.source}] ${m.raw}` : ''}`)
    }
  }
}

function report() {
  const rows = {}
  for (const [name, s] of Object.entries(streams)) {
    const r = (rows[has('streams') ? name : s.vendor] ||= { files: 0, unpaired: 0, tune: newCount(), holdout: newCount() })
    r.files += s.files; r.unpaired += s.unpaired
    add(r.tune, s.tune); add(r.holdout, s.holdout)
  }
  console.log('vendor'.padEnd(34), 'events', 'errors', 'unpaired', ' fields', '  net%', '  exc%', ' tune%', ' hold%', 'gross%')
  const total = { unpaired: 0, tune: newCount(), holdout: newCount() }
  const lost = v => v.tune.want - v.tune.equal + v.holdout.want - v.holdout.equal
  for (const [name, v] of Object.entries(rows).sort((a, b) => lost(b[1]) - lost(a[1]))) {
    printRow(name, v)
    total.unpaired += v.unpaired
    for (const h of ['tune', 'holdout']) for (const k of sums) total[h][k] += v[h][k]
  }
  printRow('all', total)
  const net = Object.values(rows).map(v => [v.tune.equal + v.holdout.equal, v.tune.want + v.holdout.want, v.tune.excepted + v.holdout.excepted]).filter(([, w]) => w)
  const gross = Object.values(rows).filter(v => v.tune.grossEqual + v.holdout.grossEqual >= 0.95 * (v.tune.gross + v.holdout.gross))
  console.log(`vendors at 95% or more: ${net.filter(([e, w]) => e / w >= 0.95).length} of ${net.length} (with exceptions: ${net.filter(([e, w, x]) => e / (w - x) >= 0.95).length}, gross: ${gross.length})`)
  const silent = Object.entries(rows).filter(([, v]) => !v.tune.want && !v.holdout.want).map(([name]) => name)
  if (silent.length) console.log(`no expected field of the compared groups, so no score: ${silent.join(', ')}`)
  for (const x of exceptions.filter(x => Object.values(streams).some(s => s.vendor === x.vendor))) console.log(`exception: ${String(x.used).padStart(4)} ${x.vendor} ${x.field}: ${x.reason} (${x.example})${x.used ? '' : ' NOT NEEDED ANY MORE'}`)
  for (const e of [...exclusions, { name: 'disputed', why: disputedWhy }]) if (left[e.name]) console.log(`left out of net: ${String(left[e.name]).padStart(6)} ${e.name}: ${e.why}`)
  if (arg('json')) fs.writeFileSync(arg('json'), JSON.stringify({ vendors: rows, excluded: left }, null, 1))
  const all = (total.tune.equal + total.holdout.equal) / (total.tune.want + total.holdout.want)
  if (has('gate') && all * 100 < Number(arg('gate'))) { console.log(`below the gate of ${arg('gate')}%`); process.exitCode = 1 }
}

const loaders = { elastic: ['normalise/elastic-pairs.tar.zst', elastic], beats: ['normalise/beats-oss-pairs.tar.zst', beats], sekoia: ['normalise/sekoia-pairs.tar.zst', sekoia] }
let pairs = false
const loaded = Object.fromEntries(sets.filter(s => loaders[s]).map(s => [s, loaders[s][1](unpack(loaders[s][0]))]))
for (const files of Object.values(loaded)) claim(files)
for (const set of sets) {
  if (loaded[set]) { scorePairs(loaded[set]); pairs = true }
  else if (others[set]) others[set]({ unpack, normalise, nMisses, only })
  else { console.error(`normalise_score: no such set: ${set}`); process.exitCode = 2 }
}
if (pairs) report()
