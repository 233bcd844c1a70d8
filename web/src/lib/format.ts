// SPDX-License-Identifier: Apache-2.0
import { i18n } from '@/i18n'

const loc = () => i18n.global.locale.value
/** A measure that depends on the language: English words are longer. */
export const byLang = <T>(zh: T, en: T): T => (loc() === ('en' as string) ? en : zh)
/** Names in a row. */
export const listed = (names: string[]) => names.join(i18n.global.t('form.comma'))
const p2 = (n: number) => String(n).padStart(2, '0')
export function parseTime(t: string | number | null | undefined): Date | null {
  if (t == null || t === '') return null
  const d = new Date(typeof t === 'number' ? t / 1000 : t)
  return Number.isNaN(d.getTime()) ? null : d
}
export function dateTime(t: string | number | null | undefined, seconds = true): string {
  const d = parseTime(t)
  if (!d) return '—'
  return `${d.getFullYear()}-${p2(d.getMonth() + 1)}-${p2(d.getDate())} ${p2(d.getHours())}:${p2(d.getMinutes())}${seconds ? ':' + p2(d.getSeconds()) : ''}`
}
/** A time range of stores/ui in words. */
export function rangeText(range: string): string {
  return range.includes('/') ? range.split('/').map((x) => dateTime(x, false)).join(' – ') : i18n.global.t('range.' + range)
}
export function zone(): string {
  const o = -new Date().getTimezoneOffset()
  return `UTC${o < 0 ? '-' : '+'}${p2(Math.floor(Math.abs(o) / 60))}:${p2(Math.abs(o) % 60)}`
}
/** Relative below 24 hours, otherwise the date. */
export function ago(t: string | number | null | undefined, now = Date.now()): string {
  const d = parseTime(t)
  if (!d) return '—'
  const s = Math.round((now - d.getTime()) / 1000)
  const { t: tr } = i18n.global
  if (s < -60 || s >= 86400) return dateTime(t, false)
  if (s < 60) return tr('time.just')
  if (s < 3600) return tr('time.minutesAgo', { n: Math.floor(s / 60) })
  return tr('time.hoursAgo', { n: Math.floor(s / 3600) })
}
/** 3 h 20 min, 2 d 4 h */
export function span(ms: number): string {
  const { t } = i18n.global
  const m = Math.max(0, Math.round(Math.abs(ms) / 60000))
  if (m < 60) return t('time.m', { m })
  if (m < 1440) return t('time.hm', { h: Math.floor(m / 60), m: m % 60 })
  return t('time.dh', { d: Math.floor(m / 1440), h: Math.floor((m % 1440) / 60) })
}
export function num(n: number | null | undefined, digits = 0): string {
  return n == null || Number.isNaN(n) ? '—' : n.toLocaleString(loc(), { maximumFractionDigits: digits })
}
/** Compact: thousands in English, ten-thousands in Chinese. */
export function short(n: number | null | undefined): string {
  if (n == null) return '—'
  if (Math.abs(n) < 10000) return num(n, n < 10 && !Number.isInteger(n) ? 1 : 0)
  return n.toLocaleString(loc(), { notation: 'compact', maximumFractionDigits: 1 })
}
export function bytes(n: number | null | undefined): string {
  if (n == null) return '—'
  const u = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let i = 0
  while (n >= 1024 && i < 4) {
    n /= 1024
    i++
  }
  return `${n.toLocaleString(loc(), { maximumFractionDigits: i ? 1 : 0 })} ${u[i]}`
}
export function percent(x: number | null | undefined, digits = 1): string {
  return x == null ? '—' : (x * 100).toLocaleString(loc(), { maximumFractionDigits: digits }) + '%'
}
export function refName(r: unknown): string {
  if (r == null || r === '') return '—'
  if (typeof r === 'object') {
    const o = r as Record<string, unknown>
    return String(o.display_name || o.name || o.id || '—')
  }
  return String(r)
}
