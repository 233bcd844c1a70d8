// SPDX-License-Identifier: Apache-2.0
// What the rule editor completes: keys of a Sigma rule by the place they stand in, modifiers, levels, log sources, tactics, fields.
import type { Completion, CompletionContext, CompletionResult } from '@codemirror/autocomplete'
import { api } from '@/api/client'
import { i18n } from '@/i18n'
import type { Coverage, Lookup, RuleList } from './types'

const top = ['title', 'id', 'name', 'status', 'description', 'references', 'author', 'date', 'modified', 'tags', 'logsource', 'detection', 'correlation', 'fields', 'falsepositives', 'level', 'x_title_zh', 'x_description_zh', 'x_advice', 'x_advice_zh']
const inLogsource = ['product', 'category', 'service', 'definition']
const inCorrelation = ['type', 'rules', 'group-by', 'timespan', 'condition', 'aliases', 'generate']
const correlationTypes = ['event_count', 'value_count', 'temporal', 'temporal_ordered', 'value_sum', 'value_avg', 'value_percentile', 'value_median']
export const modifiers = ['contains', 'startswith', 'endswith', 'all', 'cased', 'exists', 'neq', 're', 'i', 'm', 's', 'base64', 'base64offset', 'utf16le', 'utf16be', 'utf16', 'wide', 'windash', 'cidr', 'lt', 'lte', 'gt', 'gte', 'minute', 'hour', 'day', 'week', 'month', 'year', 'expand', 'fieldref']
const timeParts = new Set(['minute', 'hour', 'day', 'week', 'month', 'year'])
const levels = ['informational', 'low', 'medium', 'high', 'critical']
const statuses = ['experimental', 'test', 'stable', 'deprecated', 'unsupported']

let known: Promise<Lookup> | null = null
/** Fields, log sources, tags and lists of this server; asked once. */
export function lookup(): Promise<Lookup> {
  known ??= (async () => {
    const [fields, coverage, lists] = await Promise.all([
      api.get<{ items: { name: string; doc: string }[] }>('/fields').catch(() => ({ items: [] })),
      api.get<Coverage>('/rules/coverage').catch(() => null),
      api.get<{ items: RuleList[] }>('/rule-lists').catch(() => ({ items: [] }))
    ])
    const sources = (coverage?.logsources ?? []).map((s) => s.logsource.split('/'))
    const pick = (i: number) => [...new Set(sources.map((s) => s[i]).filter(Boolean))].sort()
    const tags: Completion[] = (coverage?.tactics ?? []).map((x) => ({ label: 'attack.' + x.tactic, type: 'namespace' }))
    for (const t of coverage?.matrix ?? []) for (const x of t.techniques) if (!tags.some((y) => y.label === 'attack.' + x.id.toLowerCase())) tags.push({ label: 'attack.' + x.id.toLowerCase(), detail: x.name, type: 'constant' })
    return { fields: fields.items, products: pick(0), categories: pick(1), services: pick(2), tags, lists: lists.items.map((l) => l.name) }
  })()
  return known
}
export function forgetLookup() {
  known = null
}

/** The key of the nearest line above that is indented less: the map this line stands in. */
function parents(lines: string[], at: number, indent: number): string[] {
  const out: string[] = []
  let want = indent
  for (let i = at - 1; i >= 0 && want > 0; i--) {
    const m = /^(\s*)(?:- )?([^\s:#][^:]*):/.exec(lines[i])
    if (!m || m[1].length >= want) continue
    out.unshift(m[2].trim())
    want = m[1].length
  }
  return out
}
const words = (list: string[], type = 'property', suffix = ''): Completion[] => list.map((label) => ({ label, type, apply: suffix ? label + suffix : undefined }))

export async function complete(ctx: CompletionContext): Promise<CompletionResult | null> {
  const line = ctx.state.doc.lineAt(ctx.pos)
  const before = line.text.slice(0, ctx.pos - line.from)
  const lines = ctx.state.doc.toString().split('\n')
  const indent = /^\s*/.exec(before)![0].length
  const dash = /^\s*- /.test(before)
  const up = parents(lines, line.number - 1, dash ? indent + 1 : indent)
  const all = await lookup()
  const from = (text: string) => ctx.pos - text.length
  // modifiers after "field|"
  const mod = /^\s*(?:- )?[^\s|:]+(?:\|[a-z0-9]*)*\|([a-z0-9]*)$/.exec(before)
  if (mod && up[0] === 'detection') return { from: from(mod[1]), options: words(modifiers, 'keyword').map((o) => (timeParts.has(o.label) ? { ...o, detail: i18n.global.t('studio.timePart') } : o)) }
  // a value after "key: "
  const val = /^\s*(?:- )?([\w.|-]+):\s+['"]?([^'"]*)$/.exec(before)
  if (val) {
    const [, key, text] = val
    const of = (l: string[], type = 'enum') => ({ from: from(text), options: words(l, type) })
    if (indent === 0 && key === 'level') return of(levels)
    if (indent === 0 && key === 'status') return of(statuses)
    if (up[0] === 'logsource') return of(key === 'product' ? all.products : key === 'category' ? all.categories : key === 'service' ? all.services : [])
    if (up[0] === 'correlation' && key === 'type') return of(correlationTypes)
    if (up[0] === 'detection' && key === 'condition') {
      const sels = lines.map((l) => /^ {2,4}([\w-]+):/.exec(l)?.[1] ?? /^ {4}([\w-]+):/.exec(l)?.[1] ?? '').filter((x) => x && x !== 'condition' && x !== 'product' && x !== 'category' && x !== 'service')
      const w = /[\w*-]*$/.exec(text)![0]
      return { from: from(w), options: words([...new Set(sels), 'and', 'or', 'not', '1 of', 'all of', 'them'], 'keyword') }
    }
    if (key.endsWith('|expand')) return { from: from(text), options: words(all.lists.map((l) => `%${l}%`), 'variable') }
    return null
  }
  const word = ctx.matchBefore(/[\w.@-]+$/)
  if (!word && !ctx.explicit) return null
  const start = word ? word.from : ctx.pos
  if (dash && up[up.length - 1] === 'tags') return { from: start, options: all.tags }
  if (indent === 0) return { from: start, options: words(top, 'property', ': ') }
  if (up[0] === 'logsource') return { from: start, options: words(inLogsource, 'property', ': ') }
  if (up[0] === 'correlation') return { from: start, options: words(inCorrelation, 'property', ': ') }
  if (up[0] === 'detection' && up.length > 1) return { from: start, options: all.fields.map((f) => ({ label: f.name, detail: f.doc, type: 'variable' })), validFor: /^[\w.@-]*$/ }
  if (up[0] === 'detection') return { from: start, options: words(['selection', 'filter', 'condition', 'timeframe'], 'property', ': ') }
  return null
}

export const template = `title: 
status: experimental
description: 
tags:
  - attack.
logsource:
  product: linux
detection:
  selection:
    event.action: 
  condition: selection
falsepositives:
  - 
level: medium
`
