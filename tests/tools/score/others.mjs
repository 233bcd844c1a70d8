// SPDX-License-Identifier: Apache-2.0
// Further ground truth: what other open tools' tests say about their log lines. Each prints the share that agrees.
//   crowdsec     parser.assert: source address, user, verb, path, status, machine of each parsed line
//   napalm       yang.json: host, facility, severity, process number, and the values of the structured message
//   wazuh, ossec ini files: they name only the decoder, so the share of lines that a source (not the generic syslog form)
//                takes apart is given, and of those with an address in the text the share with that address in a field
import fs from 'node:fs'
import path from 'node:path'
import { flat } from './compare.mjs'

const walk = d => fs.readdirSync(d, { withFileTypes: true }).flatMap(e => (e.isDirectory() ? walk(path.join(d, e.name)) : [path.join(d, e.name)]))
const pct = (a, b) => (b ? ((100 * a) / b).toFixed(1) : '-').padStart(6)

function table(title, rows, nMisses) {
  console.log(title)
  const sum = [0, 0]
  for (const [name, r] of Object.entries(rows).sort((a, b) => b[1].want - b[1].equal - (a[1].want - a[1].equal))) {
    sum[0] += r.equal; sum[1] += r.want
    if (nMisses || r.want - r.equal > 0) console.log('  ', name.padEnd(40), String(r.want).padStart(6), pct(r.equal, r.want))
    for (const [k, m] of Object.entries(r.misses || {}).sort((a, b) => b[1].n - a[1].n).slice(0, nMisses)) console.log(`     ${String(m.n).padStart(4)} ${k}   ${m.raw.slice(0, 150)}`)
  }
  console.log('  ', 'all'.padEnd(40), String(sum[1]).padStart(6), pct(sum[0], sum[1]))
}
function count(rows, name, good, key, raw) {
  const r = (rows[name] ||= { want: 0, equal: 0, misses: {} })
  r.want++
  if (good) r.equal++
  else (r.misses[key] ||= { n: 0, raw }).n++
}
// Any of the fields holds the text.
const holds = (have, fields, text) => fields.some(f => have[f]?.some(v => v === text || v.toLowerCase() === text.toLowerCase()))

const meta = {
  source_ip: ['source.ip', 'client.ip'],
  user: ['user.name', 'source.user.name', 'user.target.name', 'user.effective.name'],
  username: ['user.name', 'source.user.name', 'user.target.name', 'user.effective.name'],
  target_user: ['user.name', 'user.target.name', 'user.effective.name', 'source.user.name'],
  http_verb: ['http.request.method'], http_status: ['http.response.status_code'], http_path: ['url.original', 'url.path'],
  http_user_agent: ['user_agent.original'], machine: ['host.name', 'host.hostname', 'observer.name', 'observer.hostname'],
  target_fqdn: ['url.domain', 'destination.domain'],
}

function crowdsec({ unpack, normalise, nMisses }) {
  const rows = {}, byField = {}
  for (const f of walk(unpack('logs/crowdsec-hub.tar.zst')).filter(f => f.endsWith('parser.assert')).sort()) {
    const dir = path.dirname(f), logs = fs.readdirSync(dir).filter(n => n.endsWith('.log') || n.endsWith('.txt') || n.endsWith('.json'))
    if (logs.length !== 1) continue
    const lines = fs.readFileSync(path.join(dir, logs[0]), 'utf8').split('\n').map(l => l.replace(/\r$/, '')).filter(l => l.trim())
    const want = {}
    for (const m of fs.readFileSync(f, 'utf8').matchAll(/results\["(s\d\d-[\w-]+)"\]\["([^"]+)"\]\[(\d+)\]\.Evt\.(Meta|Parsed)\["(\w+)"\] == "((?:[^"\\]|\\.)*)"/g)) {
      const w = (want[m[3]] ||= {})
      let v
      try { v = JSON.parse(`"${m[6]}"`) } catch { continue }
      if (m[4] === 'Meta' && meta[m[5]] && m[1] !== 's00-raw') w[m[5]] = v
      if (m[4] === 'Parsed' && m[5] === 'message') w.message ||= v
      if (m[4] === 'Meta' && m[5] === 'machine') w.machine = v
    }
    const headers = lines.filter(l => l.startsWith('#')).length
    const got = normalise(lines, 'UTC')
    if (got.length !== lines.length && got.length !== lines.length - headers) continue
    const rest = got.length === lines.length ? lines : lines.filter(l => !l.startsWith('#'))
    let from = 0
    for (const i of Object.keys(want).map(Number).sort((a, b) => a - b)) {
      const w = want[i], at = w.message ? rest.findIndex((l, k) => k >= from && l.includes(w.message)) : i
      const k = at < 0 ? i : at
      if (!got[k]) continue
      if (at >= 0 && w.message) from = k + 1
      const have = flat(got[k])
      for (const [name, v] of Object.entries(w)) {
        if (name === 'message' || !v) continue
        const good = holds(have, meta[name], v)
        count(rows, path.basename(dir), good, `${name} want "${v.slice(0, 60)}" got "${(meta[name].map(x => have[x]?.[0]).find(Boolean) || '-').slice(0, 60)}"`, rest[k])
        count(byField, name, good, '', '')
      }
    }
  }
  table('CrowdSec parser.assert, per test', rows, nMisses)
  table('CrowdSec parser.assert, per field', byField, 0)
}

function napalm({ unpack, normalise, nMisses }) {
  const rows = {}
  for (const f of walk(unpack('logs/napalm-logs.tar.zst')).filter(f => f.endsWith('yang.json')).sort()) {
    const msg = path.join(path.dirname(f), 'syslog.msg')
    if (!fs.existsSync(msg)) continue
    const raw = fs.readFileSync(msg, 'utf8').trim(), y = JSON.parse(fs.readFileSync(f, 'utf8'))
    const [got] = normalise([raw], 'UTC'), have = flat(got)
    const values = new Set(Object.entries(have).filter(([k]) => k !== 'message' && k !== 'event.original').flatMap(([, v]) => v))
    const check = (name, good, want) => count(rows, y.os, good, `${name} want "${want}"`, raw)
    if (y.host && y.host !== 'unknown') check('host', holds(have, ['host.name', 'host.hostname', 'observer.name', 'observer.hostname', 'observer.ip'], y.host), y.host)
    if (raw.startsWith('<')) {
      check('facility', have['log.syslog.facility.code']?.[0] === String(y.facility), y.facility)
      check('severity', have['log.syslog.severity.code']?.[0] === String(y.severity), y.severity)
    }
    if (y.message_details?.processId) check('process', values.has(String(y.message_details.processId)), y.message_details.processId)
    // leaves and list keys of the structured message whose text is in the record
    const leaves = new Set()
    const collect = o => { for (const [k, v] of Object.entries(o)) { if (raw.includes(k) && /[\d/.]/.test(k)) leaves.add(k); if (v && typeof v === 'object') collect(v); else if (v !== null && String(v).length > 2 && raw.includes(String(v))) leaves.add(String(v).replace(/^"|"$/g, '')) } }
    collect(y.yang_message || {})
    for (const v of leaves) check('value', values.has(v), v)
  }
  table('napalm-logs yang.json, per system', rows, nMisses)
}

const ini = (archive, title) => ({ unpack, normalise, nMisses }) => {
  const rows = {}, ips = {}
  for (const f of walk(unpack(archive)).filter(f => f.endsWith('.ini')).sort()) {
    const lines = []
    let pending = []
    for (const l of fs.readFileSync(f, 'utf8').split('\n')) {
      const log = /^log \d+ (?:pass|fail) *= *(.*)$/.exec(l), dec = /^decoder *= *(.*)$/.exec(l)
      if (log && log[1].trim()) pending.push(log[1].trim())
      if (dec) { lines.push(...pending.map(raw => ({ raw, decoder: dec[1].trim() || 'none' }))); pending = [] }
    }
    if (!lines.length) continue
    const got = normalise(lines.map(l => l.raw), 'UTC')
    if (got.length !== lines.length) continue
    lines.forEach((l, i) => {
      const e = got[i], known = e.event?.kind !== 'pipeline_error' && e.event?.dataset && e.event.dataset !== 'syslog', have = flat(e)
      count(rows, l.decoder, known, 'no source', l.raw)
      const ip = /(?<![\d.])(?!0\.0\.0\.0|127\.)(?:\d{1,3}\.){3}\d{1,3}(?![\d.])/.exec(l.raw)?.[0]
      if (ip && known) count(ips, l.decoder, Object.entries(have).some(([k, v]) => k !== 'event.original' && k !== 'message' && v.includes(ip)), ip, l.raw)
    })
  }
  table(`${title}: lines that a source takes apart, per decoder`, rows, nMisses)
  table(`${title}: first address of the text is in a field, per decoder`, ips, nMisses)
}

export const others = { crowdsec, napalm, wazuh: ini('logs/wazuh-ini.tar.zst', 'Wazuh ini'), ossec: ini('logs/ossec-ini.tar.zst', 'OSSEC ini') }
