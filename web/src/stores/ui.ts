// SPDX-License-Identifier: Apache-2.0
// What a person chooses for the whole console: theme, language, density, the time range. Kept in this browser.
import { defineStore } from 'pinia'
import { computed, ref, watch } from 'vue'

function stored(key: string, def: string): string {
  try {
    return localStorage.getItem('cf.' + key) ?? def
  } catch {
    return def
  }
}
export function store(key: string, v: string) {
  try {
    localStorage.setItem('cf.' + key, v)
  } catch {
    /* private mode: lives as long as the page */
  }
}
export type Theme = 'light' | 'dark' | 'auto'
export const presets = ['15m', '1h', '6h', '24h', '7d', '30d', 'all'] as const

export const useUi = defineStore('ui', () => {
  const theme = ref<Theme>(stored('theme', 'auto') as Theme)
  const locale = ref(stored('locale', navigator.language.startsWith('en') ? 'en' : 'zh-CN'))
  const navFolded = ref(stored('nav', '') === 'folded')
  const media = window.matchMedia('(prefers-color-scheme: dark)')
  const systemDark = ref(media.matches)
  const onMedia = (e: { matches: boolean }) => (systemDark.value = e.matches)
  media.addEventListener('change', onMedia)
  const dark = computed(() => theme.value === 'dark' || (theme.value === 'auto' && systemDark.value))
  watch(dark, (d) => document.documentElement.classList.toggle('dark', d), { immediate: true })
  watch(theme, (t) => store('theme', t))
  watch(locale, (l) => store('locale', l))
  watch(navFolded, (f) => store('nav', f ? 'folded' : ''))

  /** '24h' and so on, 'all', or 'FROM/TO' as RFC 3339 */
  const range = ref(stored('range', '24h'))
  watch(range, (r) => store('range', r))
  const from = computed(() => (range.value === 'all' ? '' : range.value.includes('/') ? range.value.split('/')[0] : 'now-' + range.value))
  const to = computed(() => (range.value.includes('/') ? range.value.split('/')[1] : ''))
  return { theme, locale, dark, navFolded, range, from, to }
})

const unit: Record<string, number> = { m: 60e3, h: 3600e3, d: 86400e3 }
/** now-24h -> RFC 3339; other text unchanged. */
export function absolute(t: string, now = Date.now()): string {
  const m = /^now(?:-(\d+)([mhd]))?$/.exec(t)
  if (!m) return t
  return new Date(now - (m[1] ? Number(m[1]) * unit[m[2]] : 0)).toISOString()
}
