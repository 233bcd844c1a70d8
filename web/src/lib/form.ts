// SPDX-License-Identifier: Apache-2.0
// The checks of the form engine, the same as on the server, so that one sees them while typing.
import { api } from '@/api/client'
import type { Dictionary, FormField, FormTemplate } from '@/api/types'
import { i18n, langText } from '@/i18n'
import { listed } from './format'

export interface FieldOption { value: string; label: string }
type Translate = (k: string, p?: Record<string, unknown>) => string

export function isVisible(f: FormField, data: Record<string, unknown>): boolean {
  if (!f.visible_if) return true
  const v = data[f.visible_if.field]
  const have = Array.isArray(v) ? v.map(String) : v == null ? [] : [String(v)]
  return have.some((x) => f.visible_if?.in.includes(x))
}
const empty = (v: unknown) => v == null || v === '' || (Array.isArray(v) && v.length === 0)
export function checkField(f: FormField, v: unknown, t: Translate): string | null {
  if (empty(v)) return f.required && f.type !== 'bool' ? t('form.required') : null
  const n = typeof v === 'string' ? [...v.trim()].length : Array.isArray(v) ? v.length : Number(v)
  if (f.type === 'number') {
    if (Number.isNaN(n)) return t('form.notNumber')
    if (f.min != null && n < f.min) return t('form.min', { n: f.min })
    if (f.max != null && n > f.max) return t('form.max', { n: f.max })
    return null
  }
  if (f.type === 'text' || f.type === 'textarea') {
    if (f.min != null && n < f.min) return t('form.minLen', { n: f.min })
    if (f.max != null && n > f.max) return t('form.maxLen', { n: f.max })
    if (f.pattern) {
      try {
        if (!new RegExp(f.pattern, 'u').test(String(v))) return langText(f.help) || t('form.pattern')
      } catch {
        return null // a pattern only the server understands
      }
    }
  }
  if (f.type === 'ip' && !/^(\d{1,3}\.){3}\d{1,3}$|^[0-9a-fA-F:]+:[0-9a-fA-F:.]*$/.test(String(v))) return t('form.ip')
  return null
}
const dicts = new Map<string, Promise<Dictionary>>()
export async function dictionary(id: string): Promise<FieldOption[]> {
  let p = dicts.get(id)
  if (!p) {
    p = api.get<Dictionary>('/dictionaries/' + encodeURIComponent(id))
    dicts.set(id, p)
    p.catch(() => dicts.delete(id))
  }
  try {
    return (await p).items.map((o) => ({ value: o.value, label: langText(o.label) }))
  } catch {
    return []
  }
}
const forms = new Map<string, Promise<FormTemplate>>()
export function formTemplate(id: string): Promise<FormTemplate> {
  let p = forms.get(id)
  if (!p) {
    p = api.get<FormTemplate>('/forms/' + encodeURIComponent(id))
    forms.set(id, p)
    p.catch(() => forms.delete(id))
  }
  return p
}
export const allFields = (t: FormTemplate): FormField[] => t.sections.flatMap((s) => s.fields)
/** A stored value as text for reading. */
export function shown(f: FormField, v: unknown, dict: Record<string, FieldOption[]>, names: Record<string, string>): string {
  if (empty(v)) return ''
  const t = i18n.global.t
  const one = (x: unknown): string => {
    const s = typeof x === 'object' && x ? String((x as { name?: string; id?: string }).name ?? (x as { id?: string }).id) : String(x)
    if (f.type === 'level') return t('level.' + s)
    const opts = f.dictionary ? dict[f.dictionary] : f.options?.map((o) => ({ value: o.value, label: langText(o.label) }))
    return opts?.find((o) => o.value === s)?.label ?? names[s] ?? s
  }
  if (f.type === 'bool') return t(v === true ? 'form.yes' : 'form.no')
  return Array.isArray(v) ? listed(v.map(one)) : one(v)
}

/** The answers of lower units as one: long texts stand under each other by unit, everything else comes from the first answer. */
export function combined(f: FormTemplate, answers: { name: string; data: Record<string, unknown> }[]): Record<string, unknown> {
  const out: Record<string, unknown> = {}
  for (const x of allFields(f)) {
    const given = answers.filter((a) => a.data[x.name] != null && a.data[x.name] !== '')
    if (!given.length || x.type === 'file') continue
    out[x.name] = x.type === 'textarea' ? given.map((a) => `【${a.name}】${String(a.data[x.name])}`).join('\n') : given[0].data[x.name]
  }
  return out
}
