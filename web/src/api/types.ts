// SPDX-License-Identifier: Apache-2.0
export interface Problem {
  type?: string
  title: string
  detail?: string
  status: number
  errors?: { field: string; message: string }[]
  request_id?: string
  otp_required?: boolean
  duplicate_of?: string
  position?: number
  retry_after?: number
}
export interface List<T> {
  items: T[]
  next: string | null
  total: number
}
export interface Ref {
  id: string
  name: string
}
export type Level = 'critical' | 'high' | 'medium' | 'low' | 'informational'
export interface Me {
  id: string
  name: string
  display_name: string
  org: Ref
  roles: string[]
  permissions: string[]
  scope: string
  must_change_password: boolean
  totp_enabled: boolean
  totp_required?: boolean
  must_set_up_totp?: boolean
  recovery_codes_left?: number
  locale?: string
  theme?: string
  phone?: string
  email?: string
}
export interface Session {
  csrf: string
  user: Me
}
export interface Overview {
  generated_at: string
  events: { total: number; per_second: number; series: { time: string; count: number }[] }
  funnel: { events: number; hits: number; alerts: number; incidents: number; notices: number }
  alerts: { by_level: Record<Level, number>; by_status: Record<string, number>; open: number }
  incidents: { open: number; by_level: Record<string, number> }
  notices: { open: number; overdue: number; closed: number; rectification_rate: number | null; mean_close_hours: number | null }
  top_rules: { id: string; title: string; count: number }[]
  top_sources: { ip: string; count: number; country?: string }[]
  top_orgs: { id: string; name: string; alerts: number; open_notices: number }[]
  attack_tactics: { tactic: string; count: number }[]
  todo: { count: number; overdue: number }
  sources: { online: number; silent: number; error: number }
}
export interface Alert {
  id: string
  rule_id: string
  title: string
  level: Level
  status: string
  score: number
  count: number
  first_seen: string
  last_seen: string
  entity?: { type: string; value: string }
  source_ip?: string | null
  destination_ip?: string | null
  host?: string | null
  user?: string | null
  org?: Ref | null
  asset?: Ref | null
  owner?: Ref | null
  incident_id?: string | null
  tactics?: string[]
  techniques?: string[]
  source_name?: string | null
}
export interface Condition {
  op: 'equals' | 'contains' | 'cidr'
  value: string
}
/** A filter that hides hits of a rule: false positives that people have found. */
export interface Exception {
  id: string
  rule_id: string | null
  rule_title?: string | null
  fields: Record<string, Condition>
  note: string
  org?: Ref | null
  alert_id?: string | null
  created_by: string
  created_at: string
  expires_at?: string | null
  hits: number
  last_hit_at?: string | null
  enabled: boolean
  state: 'active' | 'paused' | 'expired'
}
export interface ExceptionPreview {
  days: number
  checked: number
  hidden: number
  undecided: number
  confirmed: number
  examples: { id: string; title: string; status: string; level: Level; count: number; entity?: { type: string; value: string } }[]
}
export type EventRecord = Record<string, unknown>
export interface HistoryItem {
  time: string
  user?: Ref | string | null
  org?: Ref | string | null
  action: string
  action_title?: LangText | null
  from?: string | null
  to?: string | null
  note?: string | null
  form?: Record<string, unknown> | null
}
export interface AlertDetail extends Alert {
  description?: string
  matched?: { field: string; value: unknown }[]
  events?: EventRecord[]
  history?: HistoryItem[]
  rule?: Partial<Rule> & { references?: string[]; false_positives?: string[] }
  related?: Alert[]
  advice?: string
}
export interface Incident {
  id: string
  number: string
  title: string
  level: Level | number
  status: string
  score: number
  alert_count: number
  first_seen: string
  last_seen: string
  org?: Ref | null
  assets_count?: number
  owner?: Ref | null
  tactics?: string[]
}
export interface GraphNode {
  id: string
  type: string
  name?: string
  value?: string
  label?: string
  count?: number
  level?: Level
}
export interface GraphEdge {
  from?: string
  to?: string
  source?: string
  target?: string
  label?: string
  kind?: string
  count?: number
}
/** The incident as a security event; see src/incident/process.c. */
export interface IncidentProcess {
  classification: (Record<string, unknown> & { subcategory?: string; subcategory_label?: string; proposed?: number; decided?: number; reason?: string }) | null
  opinions: { time: string; user: string; form: Record<string, unknown> }[]
  orders: { id: string; number: string; title: string; state: string; level?: Level; total: number; closed: number; overdue: number }[]
  early: { step: string; at: string | null; seconds: number | null }[]
}
export interface IncidentDetail extends Incident {
  process?: IncidentProcess
  summary?: string
  alerts?: Alert[]
  timeline?: { time: string; kind: string; title: string; detail?: string; ref?: string; level?: Level; user?: string }[]
  entities?: { type: string; value: string; count: number }[]
  graph?: { nodes: GraphNode[]; edges: GraphEdge[] }
  notices?: Notice[]
  comments?: { id?: string; time: string; user?: Ref | string; text?: string; note?: string }[]
  history?: HistoryItem[]
}
export interface NoticeReceiver {
  org: Ref
  state: string
  state_name?: string
  signed_at?: string | null
  due_at?: string | null
  overdue?: boolean
  work_item_id?: string
  id?: string
}
export interface Notice {
  id: string
  number: string
  title: string
  level: Level
  state: string
  state_name?: string
  kind?: string
  org?: Ref
  receivers?: NoticeReceiver[]
  created_at?: string
  issued_at?: string | null
  signed_at?: string | null
  due_at?: string | null
  overdue?: boolean
  progress?: { total: number; signed: number; fed_back: number; closed: number }
}
export interface NoticeSums {
  sent: number
  signed: number
  handled: number
  overdue: number
  ever_overdue: number
  closed: number
  ended: number
  open: number
  rectification_rate: number | null
  mean_close_hours: number | null
  mean_sign_hours: number | null
}
export interface NoticeLedger extends NoticeSums {
  targets: { rectification_rate: number; mean_close_hours: number }
  by_level: Record<string, number>
  units: (NoticeSums & { org: Ref; rank: number })[]
}
export interface WorkAction {
  transition: string
  label: string | LangText
  style?: string
  form?: string | null
  todo?: boolean
  note_required?: boolean
}
export interface LangText {
  zh?: string
  en?: string
}
export interface WorkItem {
  id: string
  kind: string
  number: string
  title: string
  state: string
  state_name?: string
  state_title?: LangText
  done?: boolean
  revision?: number
  urged?: number
  level?: Level
  org?: Ref
  issuer?: Ref
  issued_at?: string | null
  due_at?: string | null
  overdue?: boolean
  clock?: { name?: string; percent: number; left_seconds?: number } | null
  actions?: WorkAction[]
  updated_at?: string
  created_at?: string
  parent_id?: string | null
  /** a child's answer, for combining */
  answer?: Record<string, unknown>
}
export interface Attachment {
  id: string
  name: string
  size: number
  type: string
  sha256?: string
  uploaded_by?: Ref | string
  uploaded_at?: string
  internal?: boolean
  from_issuer?: boolean
}
export interface WorkItemDetail extends WorkItem {
  form?: { template?: FormTemplate | null; data?: Record<string, unknown> }
  editable?: boolean
  source?: { type: string; id: string } | null
  history?: HistoryItem[]
  children?: WorkItem[]
  attachments?: Attachment[]
  workflow?: { id?: string; title?: LangText; states?: { id: string; name?: LangText; final?: boolean; current?: boolean }[] }
  parent?: (WorkItem & { form?: { template?: FormTemplate | null; data?: Record<string, unknown> } }) | null
}
export type FieldType =
  | 'text' | 'textarea' | 'number' | 'date' | 'datetime' | 'select' | 'multiselect' | 'org' | 'orgs' | 'user' | 'file' | 'bool' | 'ip' | 'level'
export interface FormField {
  name: string
  label: string | LangText
  type: FieldType
  required?: boolean
  options?: { value: string; label: string | LangText }[]
  dictionary?: string
  min?: number
  max?: number
  pattern?: string
  help?: string | LangText
  placeholder?: string | LangText
  visible_if?: { field: string; in: string[] }
  internal?: boolean
  format?: string
  default?: unknown
}
export interface FormTemplate {
  id: string
  version?: number
  title?: string | LangText
  sections: { title?: string | LangText; fields: FormField[] }[]
}
export interface Dictionary {
  id: string
  title?: LangText
  items: { value: string; label: LangText }[]
}
export interface Message {
  id: string
  time: string
  title: string
  body?: string
  link?: string | null
  href?: string | null
  read?: boolean
  read_at?: string | null
  kind?: string
}
export interface Rule {
  id: string
  title: string
  level: Level
  status?: string
  enabled: boolean
  logsource?: { product?: string; category?: string; service?: string }
  tags?: string[]
  hits_24h?: number
  last_hit?: string | null
  file?: string
  yaml?: string
  title_zh?: string | null
  description_zh?: string | null
  advice?: string | null
  advice_zh?: string | null
  description?: string
  tests?: unknown
}
export interface Org {
  id: string
  name: string
  short_name?: string
  kind?: string
  region_code?: string
  region?: string
  parent_id?: string | null
  industry?: string
  level?: string
  contact_name?: string
  contact_phone?: string
  active?: boolean
  people?: number
}
export interface Person {
  id: string
  name: string
  display_name: string
  org?: Ref
  roles?: string[]
  phone?: string
  email?: string
  active?: boolean
  totp_enabled?: boolean
  locked_until?: string | null
  last_seen?: string | null
}
export interface Role {
  id: string
  name_zh?: string
  name_en?: string
  name?: string
  builtin?: boolean
  scope: string
  permissions: string[]
  users?: number
  totp_required?: boolean
  users_without_totp?: number
}
export interface Source {
  id: string
  name: string
  type?: string
  source?: string
  org?: Ref | null
  address?: string
  status: 'online' | 'silent' | 'error' | 'disabled'
  last_seen?: string | null
  records_today?: number
  eps?: number
  /** percent */
  parse_failure_rate?: number
  parser?: string
  device_type?: string
  protocol?: string
}
export interface Health {
  status: string
  components: { name: string; status: string; detail?: string; metrics?: Record<string, unknown> }[]
  pipeline?: Record<string, number>
  spool?: Record<string, unknown>
  store?: Record<string, unknown>
  listeners?: Record<string, unknown>[]
}
export interface AuditEntry {
  seq: number
  time: string
  user?: Ref | string | null
  org?: Ref | string | null
  peer?: string
  action: string
  object?: string
  result?: string | number
  before?: unknown
  after?: unknown
  hash?: string
}
export interface Asset {
  id: string
  name: string
  kind?: string
  ip?: string
  domain?: string
  org?: Ref | null
  importance?: number
  system?: string
  owner?: Ref | string | null
  last_seen?: string | null
  alerts_open?: number
}
export interface FieldInfo {
  name: string
  type: string
  doc?: string
}
export interface SearchGroup {
  type: string
  items: { id: string; title: string; sub?: string; href: string }[]
}
