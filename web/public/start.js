// SPDX-License-Identifier: Apache-2.0
// Runs before the first paint. The theme, so that the page does not flash in the other one; and the first questions to the server,
// which are on their way while the code is still loading (api/client.ts takes the answers from window.__cfEarly).
;(function () {
  function stored(key, def) {
    try {
      return localStorage.getItem('cf.' + key) || def
    } catch (e) {
      return def
    }
  }
  var theme = stored('theme', 'auto')
  if (theme === 'dark' || (theme !== 'light' && window.matchMedia('(prefers-color-scheme: dark)').matches)) document.documentElement.classList.add('dark')

  var lang = stored('locale', navigator.language.indexOf('en') === 0 ? 'en' : 'zh-CN')
  var early = (window.__cfEarly = {})
  function ask(path) {
    return fetch(path, { headers: { Accept: 'application/json', 'Accept-Language': lang }, credentials: 'same-origin' })
  }
  var page = location.pathname
  var session = (early['/api/v1/session'] = ask('/api/v1/session'))
  session.catch(function () {})
  if (page !== '/' && page !== '/overview') return
  var range = stored('range', '24h')
  var figures = '/api/v1/overview?range=' + (range === '7d' || range === '30d' ? range : range === 'all' ? '30d' : '24h')
  // who was here last and may see the figures: at once; else when it is known that the person may
  if (stored('figures', '')) early[figures] = ask(figures)
  else
    early[figures] = session
      .then(function (r) {
        return r.ok ? r.clone().json() : null
      })
      .then(function (s) {
        var u = s && s.user
        var may = u && !u.must_change_password && !u.must_set_up_totp && u.permissions.indexOf('overview.read') >= 0 && (page !== '/' || u.scope === 'all' || u.scope === 'region')
        return may ? ask(figures) : null
      })
  early[figures] = early[figures].catch(function () {
    return null
  })
})()
