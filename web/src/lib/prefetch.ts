// SPDX-License-Identifier: Apache-2.0
// The code of pages before they are asked for: of a menu entry when the pointer comes near it, of all of them one by one while nothing
// else goes on.
import type { Router } from 'vue-router'
import { idle } from './idle'

const asked = new Set<string>()
export function prefetch(router: Router, name: string) {
  if (asked.has(name)) return
  asked.add(name)
  const c = router.getRoutes().find((r) => r.name === name)?.components?.default
  if (typeof c === 'function') void (c as () => Promise<unknown>)().catch(() => asked.delete(name))
}
export function prefetchAll(router: Router, names: string[]) {
  const save = (navigator as { connection?: { saveData?: boolean } }).connection?.saveData
  if (save) return
  const left = names.filter((n) => !asked.has(n))
  const step = () => {
    const n = left.shift()
    if (!n) return
    prefetch(router, n)
    idle(step, 5000)
  }
  setTimeout(() => idle(step, 5000), 1500)
}
