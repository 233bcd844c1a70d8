// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath, URL } from 'node:url'
import vue from '@vitejs/plugin-vue'
import Components from 'unplugin-vue-components/vite'
import { ElementPlusResolver } from 'unplugin-vue-components/resolvers'
import { defineConfig } from 'vite'

// `npm run dev` forwards API calls: CF_API=https://127.0.0.1:8443 (a real server) or the mock of dev/mock.mjs.
const api = process.env.CF_API ?? 'http://127.0.0.1:8999'

export default defineConfig({
  plugins: [
    vue(),
    Components({ dts: 'src/components.d.ts', dirs: [], resolvers: [ElementPlusResolver({ importStyle: 'css' })] })
  ],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  define: { __VUE_I18N_FULL_INSTALL__: 'false', __VUE_I18N_LEGACY_API__: 'false', __INTLIFY_PROD_DEVTOOLS__: 'false' },
  server: { port: 5173, proxy: { '/api': { target: api, secure: false }, '/healthz': { target: api, secure: false } } },
  build: {
    target: ['chrome86', 'firefox102'],
    cssTarget: 'chrome86',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
    rollupOptions: {
      output: {
        manualChunks(id) {
          if (!id.includes('node_modules')) return undefined
          if (/node_modules\/(echarts|zrender|tslib)\//.test(id)) return 'charts'
          if (/node_modules\/(vue|@vue|vue-router|pinia|vue-i18n|@intlify)\//.test(id)) return 'vue'
          return undefined
        }
      }
    }
  }
})
