// SPDX-License-Identifier: Apache-2.0
// Only the parts of ECharts that are used; loaded with the first chart, not with the shell.
import { BarChart, GraphChart, LineChart } from 'echarts/charts'
import { BrushComponent, GridComponent, TooltipComponent } from 'echarts/components'
import { init, registerTheme, use } from 'echarts/core'
import { CanvasRenderer } from 'echarts/renderers'
import { dark } from './theme-dark'
import { light } from './theme-light'
import type { Palette } from './tokens'

use([BarChart, LineChart, GraphChart, GridComponent, TooltipComponent, BrushComponent, CanvasRenderer])
function theme(p: Palette) {
  const axis = {
    axisLine: { lineStyle: { color: p.axis } }, axisTick: { show: false }, axisLabel: { color: p.text2, fontSize: 12 },
    splitLine: { lineStyle: { color: p.grid } }, nameTextStyle: { color: p.text2 }
  }
  return {
    color: p.series, backgroundColor: 'transparent', textStyle: { color: p.text, fontFamily: 'inherit', fontSize: 12 },
    categoryAxis: { ...axis, splitLine: { show: false } }, timeAxis: { ...axis, axisLabel: { ...axis.axisLabel, hideOverlap: true, formatter: { year: '{yyyy}', month: '{yyyy}-{MM}', day: '{MM}-{dd}', hour: '{HH}:{mm}', minute: '{HH}:{mm}', second: '{HH}:{mm}:{ss}', millisecond: '{HH}:{mm}:{ss}' } }, splitLine: { show: false } }, valueAxis: { ...axis, axisLine: { show: false } },
    tooltip: { backgroundColor: p.surface, borderColor: p.axis, textStyle: { color: p.text, fontSize: 12 }, padding: [8, 12], extraCssText: 'border-radius:4px;box-shadow:none' },
    grid: { left: 8, right: 8, top: 12, bottom: 4, containLabel: true }
  }
}
registerTheme('cf-light', theme(light))
registerTheme('cf-dark', theme(dark))
export { init }
export const palette = (isDark: boolean): Palette => (isDark ? dark : light)
