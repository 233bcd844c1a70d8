// SPDX-License-Identifier: Apache-2.0
// Lines that went and came between two texts (longest common subsequence; texts of at most a few thousand lines).
export interface DiffLine { op: ' ' | '-' | '+'; text: string }
export function diffLines(a: string, b: string): DiffLine[] {
  const x = a.replace(/\n$/, '').split('\n')
  const y = b.replace(/\n$/, '').split('\n')
  if (x.length * y.length > 4_000_000) return [...x.map((text) => ({ op: '-' as const, text })), ...y.map((text) => ({ op: '+' as const, text }))]
  const w = y.length + 1
  const l = new Uint16Array((x.length + 1) * w)
  for (let i = x.length - 1; i >= 0; i--) for (let j = y.length - 1; j >= 0; j--) l[i * w + j] = x[i] === y[j] ? l[(i + 1) * w + j + 1] + 1 : Math.max(l[(i + 1) * w + j], l[i * w + j + 1])
  const out: DiffLine[] = []
  let i = 0
  let j = 0
  while (i < x.length || j < y.length) {
    if (i < x.length && j < y.length && x[i] === y[j]) { out.push({ op: ' ', text: x[i] }); i++; j++ }
    else if (i < x.length && (j >= y.length || l[(i + 1) * w + j] >= l[i * w + j + 1])) out.push({ op: '-', text: x[i++] })
    else out.push({ op: '+', text: y[j++] })
  }
  return out
}
