// SPDX-License-Identifier: Apache-2.0
import { createRouter, createWebHistory, type RouteRecordRaw } from 'vue-router'
import { i18n } from '@/i18n'
import { prefetch } from '@/lib/prefetch'
import { useSession } from '@/stores/session'
import Overview from '@/views/overview/Overview.vue' // where most people begin: comes with the shell, without requests of its own

declare module 'vue-router' {
  interface RouteMeta {
    /** i18n key under `page.` */
    title?: string
    /** one of these permissions; none: every signed-in person */
    perm?: string | string[]
    /** breadcrumb parent: route name */
    parent?: string
    bare?: boolean
    open?: boolean
  }
}
const routes: RouteRecordRaw[] = [
  { path: '/sign-in', name: 'sign-in', component: () => import('@/views/session/SignIn.vue'), meta: { title: 'signIn', bare: true, open: true } },
  { path: '/', name: 'home', component: { template: '' }, meta: { title: 'home' } },
  { path: '/overview', name: 'overview', component: Overview, meta: { title: 'overview', perm: 'overview.read' } },
  { path: '/todo', name: 'todo', component: () => import('@/views/workflow/Todo.vue'), meta: { title: 'todo', perm: 'workitem.read' } },
  { path: '/alerts', name: 'alerts', component: () => import('@/views/incident/Alerts.vue'), meta: { title: 'alerts', perm: 'alert.read' } },
  { path: '/alerts/:id', name: 'alert', component: () => import('@/views/incident/AlertPage.vue'), meta: { title: 'alert', perm: 'alert.read', parent: 'alerts' } },
  { path: '/incidents', name: 'incidents', component: () => import('@/views/incident/Incidents.vue'), meta: { title: 'incidents', perm: 'incident.read' } },
  { path: '/incidents/:id', name: 'incident', component: () => import('@/views/incident/IncidentPage.vue'), meta: { title: 'incident', perm: 'incident.read', parent: 'incidents' } },
  { path: '/search', name: 'search', component: () => import('@/views/search/Search.vue'), meta: { title: 'search', perm: 'event.search' } },
  { path: '/notices', name: 'notices', component: () => import('@/views/notice/Notices.vue'), meta: { title: 'notices', perm: 'notice.read' } },
  { path: '/notices/new', name: 'notice-new', component: () => import('@/views/notice/NoticeNew.vue'), meta: { title: 'noticeNew', perm: 'notice.create', parent: 'notices' } },
  { path: '/notices/ledger', name: 'ledger', component: () => import('@/views/notice/Ledger.vue'), meta: { title: 'ledger', perm: 'notice.read' } },
  { path: '/work-items/:id', name: 'work', component: () => import('@/views/workflow/WorkPage.vue'), meta: { title: 'work', perm: 'workitem.read', parent: 'notices' } },
  { path: '/notices/:id', redirect: (to) => ({ name: 'work', params: { id: to.params.id } }) },
  { path: '/assets', name: 'assets', component: () => import('@/views/asset/Assets.vue'), meta: { title: 'assets', perm: 'asset.read' } },
  { path: '/rules', name: 'rules', component: () => import('@/views/detect/Rules.vue'), meta: { title: 'rules', perm: 'rule.read' } },
  { path: '/exceptions', name: 'exceptions', component: () => import('@/views/incident/Exceptions.vue'), meta: { title: 'exceptions', perm: 'alert.read' } },
  { path: '/rules/studio/:id?', name: 'studio', component: () => import('@/views/detect/Studio.vue'), meta: { title: 'studio', perm: 'rule.read', parent: 'rules' } },
  { path: '/rules/proposals', name: 'rule-proposals', component: () => import('@/views/detect/Proposals.vue'), meta: { title: 'rule-proposals', perm: 'rule.read', parent: 'rules' } },
  { path: '/coverage', name: 'coverage', component: () => import('@/views/detect/Coverage.vue'), meta: { title: 'coverage', perm: 'rule.read' } },
  { path: '/sources/wizard', name: 'wizard', component: () => import('@/views/pipeline/SourceWizard.vue'), meta: { title: 'wizard', perm: 'source.read', parent: 'sources' } },
  { path: '/quality', name: 'quality', component: () => import('@/views/pipeline/Quality.vue'), meta: { title: 'quality', perm: 'source.read' } },
  { path: '/intel/indicators', name: 'indicators', component: () => import('@/views/intel/Indicators.vue'), meta: { title: 'indicators', perm: 'ti.read' } },
  { path: '/intel/import', name: 'intel-import', component: () => import('@/views/intel/Import.vue'), meta: { title: 'intel-import', perm: 'ti.write', parent: 'indicators' } },
  { path: '/intel/review', name: 'intel-review', component: () => import('@/views/intel/Indicators.vue'), props: { review: true }, meta: { title: 'intel-review', perm: 'ti.review' } },
  { path: '/intel/hunts', name: 'intel-hunts', component: () => import('@/views/intel/Hunts.vue'), meta: { title: 'intel-hunts', perm: 'ti.read' } },
  { path: '/intel/sources', name: 'intel-sources', component: () => import('@/views/intel/Sources.vue'), meta: { title: 'intel-sources', perm: 'ti.read' } },
  { path: '/intel/feeds', name: 'intel-feeds', component: () => import('@/views/intel/Feeds.vue'), meta: { title: 'intel-feeds', perm: 'ti.share' } },
  { path: '/intel/collections', name: 'intel-collections', component: () => import('@/views/intel/Collections.vue'), meta: { title: 'intel-collections', perm: 'ti.share' } },
  { path: '/intel/objects', name: 'intel-objects', component: () => import('@/views/intel/Objects.vue'), meta: { title: 'intel-objects', perm: 'ti.read' } },
  { path: '/intel/statistics', name: 'intel-stats', component: () => import('@/views/intel/Stats.vue'), meta: { title: 'intel-stats', perm: 'ti.read' } },
  { path: '/sources', name: 'sources', component: () => import('@/views/pipeline/Sources.vue'), meta: { title: 'sources', perm: 'source.read' } },
  { path: '/directory', name: 'directory', component: () => import('@/views/directory/Directory.vue'), meta: { title: 'directory', perm: 'directory.read' } },
  { path: '/health', name: 'health', component: () => import('@/views/pipeline/Health.vue'), meta: { title: 'health', perm: 'source.read' } },
  { path: '/audit', name: 'audit', component: () => import('@/views/audit/Audit.vue'), meta: { title: 'audit', perm: 'audit.read' } },
  { path: '/messages', name: 'messages', component: () => import('@/views/message/Messages.vue'), meta: { title: 'messages' } },
  { path: '/me', name: 'me', component: () => import('@/views/me/Profile.vue'), meta: { title: 'me' } },
  { path: '/403', name: 'forbidden', component: () => import('@/views/session/Forbidden.vue'), meta: { title: 'forbidden' } },
  { path: '/:rest(.*)*', name: 'missing', component: () => import('@/views/session/Missing.vue'), meta: { title: 'missing' } }
]
export const router = createRouter({ history: createWebHistory(), routes, scrollBehavior: (_t, _f, saved) => saved ?? { top: 0 } })

/** The first page a person has a right to: the overview for the city, the to-dos for a unit. */
export function homeOf(): string {
  const s = useSession()
  if (s.isUnit && s.can('workitem.read')) return 'todo'
  for (const r of ['overview', 'alerts', 'todo', 'health', 'audit', 'directory'])
    if (s.can(router.getRoutes().find((x) => x.name === r)?.meta.perm)) return r
  return 'me'
}
router.beforeEach(async (to) => {
  const s = useSession()
  if (!s.loaded) {
    prefetch(router, String(to.name === 'home' ? 'overview' : to.name)) // beside the question who is there
    await s.load()
  }
  if (to.meta.open) return s.user && !s.user.must_change_password && !s.user.must_set_up_totp && to.query.why !== 'expired' ? { name: homeOf() } : true
  if (!s.user) return { name: 'sign-in', query: to.fullPath === '/' ? {} : { next: to.fullPath } }
  if (s.user.must_change_password || s.user.must_set_up_totp) return { name: 'sign-in', query: { next: to.fullPath } }
  if (to.name === 'home') return { name: homeOf(), replace: true }
  if (!s.can(to.meta.perm)) return { name: 'forbidden', query: { from: to.fullPath }, replace: true }
  return true
})
router.afterEach((to) => {
  const k = 'page.' + String(to.meta.title ?? 'missing')
  document.title = `${i18n.global.t(k)} · ${i18n.global.t('app.name')}`
})
