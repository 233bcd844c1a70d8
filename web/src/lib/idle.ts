// SPDX-License-Identifier: Apache-2.0
// Work that must not stand in the way of what the person is waiting for.

/** When what is on the page now has been painted. */
export function afterPaint(f: () => void) {
  requestAnimationFrame(() => setTimeout(f, 0))
}
/** When the browser has nothing better to do, after `limit` ms at the latest. */
export function idle(f: () => void, limit = 2000) {
  if ('requestIdleCallback' in window) window.requestIdleCallback(f, { timeout: limit })
  else setTimeout(f, 200)
}
