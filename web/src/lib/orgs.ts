// SPDX-License-Identifier: Apache-2.0
import { api } from '@/api/client'
import type { Org } from '@/api/types'

let cache: Promise<Org[]> | null = null
export function forgetOrgs() {
  cache = null
}
/** All organisations in the caller's scope (pages of 500). */
export function loadOrgs(): Promise<Org[]> {
  cache ??= (async () => {
    const all: Org[] = []
    let cursor: string | undefined
    for (let i = 0; i < 40; i++) {
      const r = await api.list<Org>('/organisations', { limit: 500, cursor })
      all.push(...r.items)
      if (!r.next) break
      cursor = r.next
    }
    return all
  })().catch(() => {
    cache = null
    return []
  })
  return cache
}
export interface TreeNode { value: string; label: string; children: TreeNode[]; org: Org }
export function orgTree(orgs: Org[]): TreeNode[] {
  const m = new Map<string, TreeNode>()
  for (const o of orgs) m.set(o.id, { value: o.id, label: o.name, children: [], org: o })
  const roots: TreeNode[] = []
  for (const n of m.values()) {
    const p = n.org.parent_id ? m.get(n.org.parent_id) : undefined
    if (p && p !== n) p.children.push(n)
    else roots.push(n)
  }
  return roots
}
