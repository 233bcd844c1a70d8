// SPDX-License-Identifier: Apache-2.0
import type { Palette } from './tokens'
export const light: Palette = {
  text: '#17202e', text2: '#66748a', grid: '#e6ebf1', axis: '#c3ccd8', surface: '#ffffff', primary: '#1d5fbf',
  series: ['#1d5fbf', '#2b8a8f', '#8a6fc4', '#c2703d', '#5d7f3c', '#a34a78', '#47546a'],
  level: { critical: '#d6252e', high: '#ec7211', medium: '#e5b400', low: '#3d86e8', informational: '#97a3b4' }, ok: '#2ba463'
}
