// SPDX-License-Identifier: Apache-2.0
import type { EventRecord } from '@/api/types'
/** [dotted name, value] of every field that holds something; arrays stay whole. */
export function flatten(o: EventRecord, prefix = '', out: [string, unknown][] = []): [string, unknown][] {
  for (const [k, v] of Object.entries(o)) {
    if (v == null || v === '') continue
    if (typeof v === 'object' && !Array.isArray(v)) flatten(v as EventRecord, prefix + k + '.', out)
    else out.push([prefix + k, v])
  }
  return out
}
