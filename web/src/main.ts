// SPDX-License-Identifier: Apache-2.0
import { createPinia } from 'pinia'
import { createApp } from 'vue'
import 'element-plus/theme-chalk/base.css'
import 'element-plus/theme-chalk/dark/css-vars.css'
import 'element-plus/es/components/message/style/css'
import 'element-plus/es/components/message-box/style/css'
import './styles/tokens.css'
import './styles/base.css'
import './styles/patterns.css'
import App from './App.vue'
import { onSessionLost } from './api/client'
import { i18n, setLocale } from './i18n'
import { router } from './router'
import { useLive } from './stores/live'
import { useSession } from './stores/session'
import { useUi } from './stores/ui'

const app = createApp(App)
app.use(createPinia()).use(i18n).use(router)
const session = useSession()
onSessionLost(() => {
  if (!session.user) return
  session.clear()
  useLive().stop()
  const here = router.currentRoute.value
  if (here.name !== 'sign-in') void router.push({ name: 'sign-in', query: { next: here.fullPath, why: 'expired' } })
})
void setLocale(useUi().locale).then(() => app.mount('#app'))
