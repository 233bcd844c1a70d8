// SPDX-License-Identifier: Apache-2.0
// The open tab is in the URL, so that a link leads to what was looked at.
import { computed } from 'vue'
import { useRoute, useRouter } from 'vue-router'
export function useTab(first: string, known: (v: string) => boolean = () => true, key = 'tab') {
  const route = useRoute()
  const router = useRouter()
  return computed<string>({
    get: () => (typeof route.query[key] === 'string' && route.query[key] && known(route.query[key] as string) ? (route.query[key] as string) : first),
    set: (v) => void router.replace({ query: { ...route.query, [key]: v === first ? undefined : v } })
  })
}
