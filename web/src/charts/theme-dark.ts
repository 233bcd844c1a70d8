// SPDX-License-Identifier: Apache-2.0
import type { Palette } from './tokens'
export const dark: Palette = {
  text: '#e4eaf3', text2: '#8c9bb0', grid: '#233042', axis: '#3c4c61', surface: '#151d29', primary: '#6ea8fe',
  series: ['#6ea8fe', '#4fb9be', '#ab95e6', '#e2935f', '#8fb866', '#d77cab', '#a9b6c8'],
  level: { critical: '#e5484f', high: '#f08434', medium: '#e0b62c', low: '#4a8ef0', informational: '#75849a' }, ok: '#35b06e'
}
