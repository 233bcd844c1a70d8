// SPDX-License-Identifier: Apache-2.0
// The engine tells its reason in English words of a few known forms; here they become texts of the reader's language.
import { num } from '@/lib/format'
import type { CorrelationState } from './types'
type T = (key: string, named?: Record<string, unknown>) => string
const forms: [RegExp, string, string[]][] = [
  [/^the event has no field (\S+) \(test "(.*)"\)$/, 'noField', ['field', 'test']],
  [/^no value fits the test "(.*)" \(counted in the zone (.*)\)$/, 'noTime', ['test', 'zone']],
  [/^no value fits the test "(.*)"$/, 'noValue', ['test']],
  [/^"(.*)" is true, which the condition excludes$/, 'excluded', ['test']],
  [/^the event belongs to other log sources than the rule$/, 'elsewhere', []],
  [/^the condition is true; the hit is counted/, 'counted', []],
  [/^the condition is true$/, 'true', []],
  [/^the condition is false$/, 'false', []],
  [/^a list of the rule is empty/, 'emptyList', []],
  [/^the event is not counted: it has no (.*)$/, 'notCounted', ['field']],
  [/^none of the rules it refers to/, 'noneOf', []]
]
export function reasonText(reason: string, t: T, te: (key: string) => boolean): string {
  for (const [re, key, names] of forms) {
    const m = re.exec(reason)
    if (m && te('explain.reason.' + key)) return t('explain.reason.' + key, Object.fromEntries(names.map((n, i) => [n, m[i + 1]])))
  }
  return reason
}

// "3 of 5 within 60 s, group user=x"; empty: the event bears on none of its rules, or is not counted
export function countedText(c: CorrelationState | undefined, t: T): string {
  const w = c?.window
  return w ? t(w.group ? 'explain.windowOf' : 'explain.window', { value: num(w.value), needed: num(w.needed), within: t('explain.within', { n: num(c.timespan_seconds) }), group: w.group }) : ''
}

/** A compiler's message without the line it begins with, which stands beside it. */
export const withoutLine = (m: string) => m.replace(/^(line \d+: |\u7b2c \d+ \u884c\uff1a)/, '')
