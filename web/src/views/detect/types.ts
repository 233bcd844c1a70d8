// SPDX-License-Identifier: Apache-2.0
// Shapes of the rule pages; the server's side is src/api/rule_*.c.
import type { Completion } from '@codemirror/autocomplete'
import type { Level, Rule } from '@/api/types'
export type RuleState = 'enabled' | 'staged' | 'disabled'
export interface RuleFull extends Rule {
  state: RuleState
  origin: 'builtin' | 'edited' | 'custom'
  staged_hits: number
  version?: number | null
  updated_at?: string | null
  updated_by?: string | null
  correlation?: boolean
}
export interface Approval { required: boolean; may_approve: boolean }
export interface Proposal {
  id: string; rule_id?: string | null; title: string; base_version: number; state: 'draft' | 'submitted' | 'approved' | 'returned' | 'withdrawn'; note?: string | null
  author: { id: string; name: string }; created_at: string; updated_at: string; submitted_at?: string | null; decided_at?: string | null; decided_by?: string | null
  decision_note?: string | null; went?: 'staged' | 'enabled' | null; actions: string[]; yaml?: string
}
export interface ProposalResult { returned: boolean; changed: number; errors: { id: string; title: string; why: string; message: string }[] }
export const proposalTones: Record<string, string> = { draft: '', submitted: 'warn', approved: 'ok', returned: 'err', withdrawn: '' }
export interface RuleError { line: number; column: number; message: string; title?: string }
export interface Check { zone?: string; valid: boolean; errors: RuleError[]; warnings?: RuleError[]; rules: { id: string; title: string; level: Level; correlation: boolean }[]; fields: { sigma: string; ecs: string[] }[] }
export interface Version { version: number; time: string | null; user: string | null; action: string; note: string | null; yaml: string }
export interface RuleList { name: string; items: string[]; shipped: string[] | null; edited: boolean; user: string | null; time: string | null }
export interface Lookup { fields: { name: string; doc: string }[]; products: string[]; categories: string[]; services: string[]; tags: Completion[]; lists: string[] }
export interface Counts { rules: number; enabled: number; staged: number; hits: number }
export interface Technique extends Counts { id: string; name: string; sub: { id: string; rules: number; enabled: number }[] }
export interface Coverage {
  rules: number
  enabled: number
  staged: number
  refused: number
  refused_rules: { title: string; reason: string }[]
  matrix: (Counts & { tactic: string; techniques: Technique[] })[]
  tactics: (Counts & { tactic: string })[]
  logsources: (Counts & { logsource: string })[]
}
export interface Match { id: string; title: string; level: Level; group: string | null; count: number; matched: { field: string; value: string }[] }
export interface Found { in: string; source_name?: string; value: string | null; counted?: number }
export interface Test { test: string; zone?: string; result: boolean; kind: string; wanted: unknown[]; matching_value?: string; found?: Found[] }
export interface CorrelationState {
  type: string; timespan_seconds: number; condition: string; open_windows: number
  window?: { value: number; needed: number; entries: number; holds: boolean; decided_at_end: boolean; group: string; from?: string; to?: string }
  rules: { title: string; true_for_event: boolean; group: Record<string, string | null>; seen?: number; reason?: string; correlation?: CorrelationState }[]
}
export interface Explanation {
  rule: { id: string; title: string }
  log_source?: { rule: string; event: string[]; tried: boolean }
  searches?: { name: string; result: boolean; tests: Test[] }[]
  condition?: string
  condition_result?: boolean
  fired?: boolean
  reason: string
  correlation?: CorrelationState
}
export interface Reading {
  event_id: string | null
  received_at: string | null
  time: string | null
  source: string | null
  parsed: boolean
  error: string | null
  organization: string | null
  as_stored: boolean
  original: string
  fields: { field: string; value: string; raw: string | null }[]
}
export interface TestItem extends Reading { hits: Match[]; explain: Explanation[] }
export interface Explained { reading: Reading; rule: RuleFull; explain: Explanation; after: { outcome: string; state: RuleState; exception: string | null; alert: { id: string; status: string } | null } }
export interface Verdict { id: string; title: string; title_zh: string | null; level: Level; state: RuleState; yes: boolean; silent: boolean; alert: { id: string; status: string } | null }
export interface EventOverview { reading: Reading; fired: Verdict[]; not_fired: Verdict[]; tried: number; other_log_source: number }
export interface Backtest {
  id: string
  rule_id: string
  title: string
  query: string
  from: string
  to: string
  state: 'queued' | 'running' | 'done' | 'cancelled' | 'failed'
  done: number
  total: number
  error: string | null
  user: string
  created_at: string
  started_at: string | null
  ended_at: string | null
  result: BacktestResult | null
}
export interface BacktestResult {
  matches: number
  events: number
  read_as_stored: number
  waiting?: { id: string; title: string }[]
  limited: boolean
  seconds: number
  events_per_second: number
  covered_to: string | null
  days: { day: string; count: number }[]
  entities: Record<string, { distinct: number; uncounted: number; top: { value: string; count: number }[] }>
  rules: { id: string; title: string; count: number }[]
  samples: { event_id: string | null; time: string; group: string; original: string; matched: { field: string; value: string }[] }[]
  alerts: { confirmed: number; confirmed_matches: number; false_positive: number; false_positive_matches: number; other: number; other_matches: number }
}
