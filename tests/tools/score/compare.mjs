// SPDX-License-Identifier: Apache-2.0
// What is compared and how: groups of fields, equality of values, and the exclusions with their reasons.

export const groups = /^(@timestamp$|(event|source|destination|client|server|user|host|network|process|file|url|http|dns|tls|rule|observer)\.)/

const words = s => new Set(s.split(' '))
const allowed = {
  'event.kind': words('alert asset enrichment event metric state pipeline_error signal'),
  'event.category': words('api authentication configuration database driver email file host iam intrusion_detection library malware network package process registry session threat vulnerability web'),
  'event.type': words('access admin allowed change connection creation deletion denied device end error group indicator info installation protocol start user'),
  'event.outcome': words('failure success unknown'),
}

// Left out of the "net" score; the "gross" score counts them too. Only what the record's text cannot tell.
export const exclusions = [
  { name: 'geo', test: f => /\.geo\./.test(f), why: 'looked up in a GeoIP database, not in the record' },
  { name: 'as', test: f => /\.as\./.test(f), why: 'looked up in an AS number database, not in the record' },
  { name: 'ingest', test: f => /^event\.(ingested|agent_id_status)$/.test(f), why: 'set by the receiving cluster at the time of ingest' },
  { name: 'original', test: f => f === 'event.original', why: 'the record itself: always kept byte for byte here; the expected text differs in framing only' },
  { name: 'nothing', test: (f, v) => v.length === 1 && v[0] === '-', why: 'the expected value is the log\'s own sign for "no value"; it is left away here' },
  { name: 'invalid', test: (f, v) => allowed[f] && v.some(x => !allowed[f].has(x)), why: 'the expected value is none that ECS allows for this field (event.kind, category, type, outcome have closed lists)' },
  { name: 'joined', test: (f, v, item) => (item.raw.match(/\[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d /g) || []).length > 1 && item.raw.includes('\n'), why: 'the test set-up glues several lines of an access log into one record, whose later requests the expected event has lost' },
  { name: 'given', test: (f, v, item) => item.given?.(f, v), why: 'not in the record: handed over by the collector beside it (test set-up: configured fields, host of the agent, path of the file)' },
]
// Counted apart, by normalise_score.mjs itself.
export const disputedWhy = 'another pair of the corpora expects something else for the very same record, and that is what is given here'

export function excluded(field, values, item) {
  const e = exclusions.find(e => e.test(field, values, item))
  return e ? e.name : null
}

// Leaves of a JSON value by dotted name, as lists of texts. Empty texts and nulls do not count.
export function flat(o, prefix = '', out = {}) {
  for (const [k, v] of Object.entries(o)) {
    const name = prefix ? prefix + '.' + k : k
    if (v === null || v === '') continue
    if (Array.isArray(v)) {
      for (const e of v) {
        if (e !== null && typeof e === 'object') flat(e, name, out)
        else if (e !== null && e !== '') (out[name] ||= []).push(String(e))
      }
    } else if (typeof v === 'object') flat(v, name, out)
    else (out[name] ||= []).push(String(v))
  }
  return out
}

const iso = /^\d{4}-\d\d-\d\dT\d\d:\d\d/
// Instants are equal to the millisecond; when the record has no year (its digits are not there) the year may differ.
function sameTime(a, b, raw) {
  const x = Date.parse(a), y = Date.parse(b)
  if (Number.isNaN(x) || Number.isNaN(y)) return false
  if (Math.abs(x - y) < 1) return true
  if (new RegExp('(?<!\\d)' + a.slice(0, 4) + '(?!\\d)').test(raw) || raw.includes(String(Math.trunc(x / 1000)))) return false
  return new Date(x).toISOString().slice(5) === new Date(y).toISOString().slice(5)
}
const zone = z => z.replace(/^(UTC|Z)$/, '+0000').replace(/^GMT/, '').replace(':', '')

// Lists are compared as sets, numbers as texts.
export function equal(name, want, got, raw = '') {
  if (!got) return false
  if (name === 'event.timezone' && zone(want[0]) === zone(got[0])) return true
  if (want.length === 1 && got.length === 1 && iso.test(want[0]) && iso.test(got[0])) return sameTime(want[0], got[0], raw)
  const a = [...new Set(want)].sort(), b = [...new Set(got)].sort()
  return a.length === b.length && a.every((v, i) => v === b[i])
}
