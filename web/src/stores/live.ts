// SPDX-License-Identifier: Apache-2.0
// The stream of server-sent events: one connection for the whole console, updates handed out at most four times a second.
import { defineStore } from 'pinia'
import { onScopeDispose, ref } from 'vue'

export type Topic = 'alert' | 'incident' | 'work-item' | 'health' | 'stats' | 'message'
const topics: Topic[] = ['alert', 'incident', 'work-item', 'health', 'stats', 'message']
type Handler = (items: Record<string, unknown>[]) => void

export const useLive = defineStore('live', () => {
  const state = ref<'off' | 'on' | 'lost'>('off')
  const lastAt = ref(0)
  const handlers = new Map<Topic, Set<Handler>>()
  const pending = new Map<Topic, Record<string, unknown>[]>()
  let source: EventSource | null = null
  let timer: number | undefined
  let retry: number | undefined

  function flush() {
    timer = undefined
    for (const [t, items] of pending) {
      pending.delete(t)
      for (const h of handlers.get(t) ?? []) h(items)
    }
  }
  function start() {
    if (source) return
    source = new EventSource('/api/v1/stream')
    source.onopen = () => (state.value = 'on')
    source.onerror = () => {
      state.value = 'lost'
      if (source?.readyState === EventSource.CLOSED) {
        source = null
        clearTimeout(retry)
        retry = window.setTimeout(start, 5000)
      }
    }
    for (const t of topics)
      source.addEventListener(t, (e) => {
        lastAt.value = Date.now()
        try {
          const list = pending.get(t) ?? []
          list.push(JSON.parse((e as MessageEvent<string>).data) as Record<string, unknown>)
          if (list.length > 2000) list.splice(0, list.length - 2000)
          pending.set(t, list)
        } catch {
          return
        }
        timer ??= window.setTimeout(flush, 250)
      })
  }
  function stop() {
    clearTimeout(retry)
    clearTimeout(timer)
    timer = undefined
    source?.close()
    source = null
    state.value = 'off'
  }
  /** Inside a component's setup: ends with it. */
  function on(t: Topic, h: Handler) {
    const set = handlers.get(t) ?? new Set()
    set.add(h)
    handlers.set(t, set)
    onScopeDispose(() => set.delete(h))
  }
  return { state, lastAt, start, stop, on }
})
