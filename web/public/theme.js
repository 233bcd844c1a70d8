// SPDX-License-Identifier: Apache-2.0
// Runs before the first paint, so that the page does not flash in the other theme.
;(function () {
  var t = null
  try {
    t = localStorage.getItem('cf.theme')
  } catch (e) {
    t = null
  }
  var dark = t === 'dark' || (t !== 'light' && window.matchMedia('(prefers-color-scheme: dark)').matches)
  if (dark) document.documentElement.classList.add('dark')
})()
