// SPDX-License-Identifier: Apache-2.0
// Chart themes read the same numbers as tokens.css; ECharts cannot read CSS variables itself.
export interface Palette { text: string; text2: string; grid: string; axis: string; surface: string; primary: string; series: string[]; level: Record<string, string>; ok: string }
