// SPDX-License-Identifier: Apache-2.0
// Shapes and option lists of the intelligence pages.
import { codeText } from '@/i18n'
export interface Indicator {
  id: string; type: string; value: string; threat_type?: string; family?: string; group?: string; confidence: number; severity: string; tlp: string; status: string
  source?: { id: string; name: string }; conflict?: string; valid_until?: string; first_seen?: string; last_seen?: string; added_at?: string; description?: string; tags?: string[]
  techniques?: string[]; conditions?: string; hits: number; last_hit?: string; false_hits?: number; reviewed_by?: string; reviewed_at?: string; note?: string; incident_id?: string
}
export interface IndicatorDetail extends Indicator {
  sightings: { kind: string; field: string; first_seen: string; last_seen: string; count: number; org?: { name?: string }; note?: string }[]
  same_value: { id: string; source: string; confidence: number; status: string; family?: string }[]
  relations: { kind: string; id: string; type: string; name?: string; direction: string }[]
  alerts: { id: string; title: string; level: string; status: string; last_seen: string; entity?: string }[]
  assets: { id: string; name: string; ip?: string }[]
}
export interface IntelSource {
  id: string; name: string; kind: string; url?: string; user?: string; has_secret: boolean; schedule_s: number; weight: number; confidence: number; severity: string; tlp: string
  valid_days: number; trusted: boolean; paused: boolean; licence?: string; last_run?: string; last_ok?: string; next_run?: string; last_error?: string; last_result?: Report
}
export interface Report {
  format?: string; read: number; new: number; updated: number; repeated: number; bad: number; conflicts: number; unmatchable: number; objects: number; relations: number; sightings?: number; seconds?: number; dry_run?: boolean
  bad_rows?: { line: number; reason: string; text: string }[]; conflict_rows?: { type: string; value: string; list: string }[]; unmatchable_rows?: { id: string; pattern: string; reason: string }[]
  preview?: { type: string; value: string; threat_type?: string; family?: string; confidence: number; status: string; conflict?: string }[]
}
export interface ImportJob {
  id: string; name: string; kind: 'upload' | 'fetch'; state: string; format?: string; source?: { id: string; name: string }; error?: string; created_by?: string; created_at: string; started_at?: string; finished_at?: string
  report?: Report & { kept?: number }
  progress?: { share: number | null; bytes: number; uploaded: number; read_bytes: number; read: number; written: number; bad: number; conflicts: number; unmatchable: number; objects: number; cancelling: boolean }
}
export interface Hunt { id: string; name: string; status: string; from: string; to: string; indicators: number; steps: number; done: number; hits: number; values_seen: number; error?: string; created_by?: string; created_at: string; finished_at?: string }
export interface HuntHit { id: string; indicator: { id: string; value: string; type: string; family?: string }; field: string; value: string; org?: { name?: string }; first_seen: string; last_seen: string; count: number; events?: string[] }
export interface Feed { id: string; name: string; org?: { id: string; name?: string }; types?: string; min_confidence: number; tlp_max: string; per_hour: number; active: boolean; last_used?: string; requests: number; items: number; token?: string }
export interface Collection { id: string; title: string; description?: string; types?: string; min_confidence: number; tlp_max: string; orgs: string[]; can_write: boolean; created_at: string; tokens: number; last_used?: string; path: string }
export interface CollectionDetail extends Collection { indicators: number; objects: number; token_list: { id: string; name: string; user: string; display_name?: string; org: { id: string; name: string }; created_at: string; expires_at?: string; last_used?: string }[] }
/** The two collections every installation begins with have names in both languages until somebody renames them. */
const shipped: Record<string, string> = { active: 'Active indicators and their context', submissions: 'What others submit, for review' }
export const collectionTitle = (c: Collection) => (shipped[c.title] === c.description ? codeText('intel.shipped', c.title) : c.title)
export const collectionText = (c: Collection) => (shipped[c.title] === c.description ? codeText('intel.shippedText', c.title) : (c.description ?? ''))
/** So have the sources that are always there. */
export const sourceName = (s?: { id: string; name: string }) => (s && s.name === s.id ? codeText('intelSource', s.id) : (s?.name ?? ''))
export const types = ['ipv4', 'ipv6', 'cidr', 'domain', 'url', 'md5', 'sha1', 'sha256', 'email', 'ja3', 'ja4', 'cert', 'account', 'wallet']
export const statuses = ['active', 'draft', 'expired', 'withdrawn', 'false_positive']
export const levels = ['critical', 'high', 'medium', 'low', 'informational']
export const tlps = ['clear', 'green', 'amber', 'amber+strict', 'red']
export const opts = (list: string[], prefix: string) => list.map((value) => ({ value, label: codeText(prefix, value) }))
export const typeOptions = () => opts(types, 'intelType')
