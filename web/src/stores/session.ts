// SPDX-License-Identifier: Apache-2.0
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { api, setCsrf } from '@/api/client'
import type { Me, Session } from '@/api/types'
import { store } from './ui'

export const useSession = defineStore('session', () => {
  const user = ref<Me | null>(null)
  const loaded = ref(false)

  function take(s: Session) {
    user.value = s.user
    setCsrf(s.csrf)
    const u = s.user
    const may = u.permissions.includes('overview.read') && !isUnit.value && !u.must_change_password && !u.must_set_up_totp
    store('figures', may ? '1' : '') // public/start.js asks for them at once then
  }
  async function load() {
    try {
      take(await api.get<Session>('/session', undefined, { quiet401: true }))
    } catch {
      clear()
    }
    loaded.value = true
  }
  async function signIn(name: string, password: string, otp?: string) {
    const body: Record<string, string> = { user: name, password }
    if (otp) body.otp = otp
    const s = await api.post<Session>('/session', body, { quiet401: true })
    take(s)
    loaded.value = true
  }
  async function signOut() {
    try {
      await api.del('/session', { quiet401: true })
    } finally {
      clear()
    }
  }
  function clear() {
    user.value = null
    setCsrf('')
    store('figures', '')
  }
  const perms = computed(() => new Set(user.value?.permissions ?? []))
  /** One permission, or any of several; nothing asked: allowed. */
  function can(p?: string | string[]): boolean {
    if (!p) return true
    const list = Array.isArray(p) ? p : [p]
    return list.some((x) => perms.value.has(x))
  }
  /** A unit's own person: sees its unit, not the city. */
  const isUnit = computed(() => user.value != null && user.value.scope !== 'all' && user.value.scope !== 'region')
  return { user, loaded, load, signIn, signOut, clear, can, perms, isUnit, take }
})
