// SPDX-License-Identifier: Apache-2.0
import { createI18n } from 'vue-i18n'
import zh from './zh-CN.json'

export const i18n = createI18n({
  legacy: false,
  locale: 'zh-CN',
  fallbackLocale: 'zh-CN',
  messages: { 'zh-CN': zh } as Record<string, typeof zh>,
  missing: (_l, key) => {
    ;(window as unknown as { __cfMissing?: string[] }).__cfMissing ??= []
    ;(window as unknown as { __cfMissing: string[] }).__cfMissing.push(key)
    return undefined
  },
  missingWarn: false,
  fallbackWarn: false
})
export async function setLocale(l: string) {
  if (l === 'en' && !i18n.global.availableLocales.includes('en')) {
    const m = await import('./en.json')
    i18n.global.setLocaleMessage('en', m.default as typeof zh)
  }
  i18n.global.locale.value = l as 'zh-CN'
  document.documentElement.lang = l
}
/** Text of a key when there is one, else the code itself (values that come from the server). */
export function codeText(prefix: string, code: string | number | null | undefined): string {
  if (code == null || code === '') return ''
  const key = `${prefix}.${code}`
  return i18n.global.te(key) || i18n.global.te(key, 'zh-CN') ? i18n.global.t(key) : String(code)
}
/** {zh,en} or plain text of a content file in the current language. */
export function langText(v: unknown): string {
  if (v == null) return ''
  if (typeof v === 'string') return v
  const o = v as { zh?: string; en?: string }
  return (i18n.global.locale.value === 'en' ? o.en : o.zh) ?? o.zh ?? o.en ?? ''
}
