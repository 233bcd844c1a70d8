// SPDX-License-Identifier: Apache-2.0
// Every key in both languages, every key used in the code known, no Chinese written into the code.
import fs from 'node:fs'
import path from 'node:path'
const root = new URL('..', import.meta.url).pathname
const load = (f) => JSON.parse(fs.readFileSync(path.join(root, 'src/i18n', f), 'utf8'))
const flat = (o, p, out) => {
  for (const [k, v] of Object.entries(o)) typeof v === 'object' ? flat(v, p + k + '.', out) : out.set(p + k, v)
  return out
}
const zh = flat(load('zh-CN.json'), '', new Map())
const en = flat(load('en.json'), '', new Map())
const bad = []
for (const k of zh.keys()) if (!en.has(k)) bad.push(`en.json lacks ${k}`)
for (const k of en.keys()) if (!zh.has(k)) bad.push(`zh-CN.json lacks ${k}`)
const holes = (s) => [...s.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort().join()
for (const [k, v] of zh) if (en.has(k) && holes(v) !== holes(en.get(k))) bad.push(`${k}: different placeholders`)
for (const [k, v] of en) if (/[\u4e00-\u9fff]/.test(v) && !k.startsWith('app.')) bad.push(`en.json ${k}: Chinese text`)
const prefixes = new Set([...zh.keys()].map((k) => k.slice(0, k.lastIndexOf('.'))))
const used = new Set()
const walk = (d) => {
  for (const e of fs.readdirSync(d, { withFileTypes: true })) {
    const f = path.join(d, e.name)
    if (e.isDirectory()) walk(f)
    else if (/\.(vue|ts)$/.test(e.name)) scan(f)
  }
}
function scan(f) {
  const text = fs.readFileSync(f, 'utf8')
  const rel = path.relative(root, f)
  for (const m of text.matchAll(/\bt\(\s*'([\w.-]+)'\s*[),]/g)) {
    used.add(m[1])
    if (!zh.has(m[1])) bad.push(`${rel}: no text for ${m[1]}`)
  }
  for (const m of text.matchAll(/\b(?:t\('([\w.-]+)\.' \+|codeText\('([\w.-]+)')/g)) {
    const p = m[1] ?? m[2]
    if (!prefixes.has(p) && !zh.has(p)) bad.push(`${rel}: no texts under ${p}`)
  }
  text.split('\n').forEach((line, i) => {
    const code = line.replace(/<!--.*?-->/g, '').replace(/\/\/.*$/, '')
    if (/[\u4e00-\u9fff]/.test(code) && !/i18n-ok|'中'|中文|'、'/.test(code)) bad.push(`${rel}:${i + 1}: Chinese text in code`)
  })
}
walk(path.join(root, 'src'))
if (bad.length) {
  console.error([...new Set(bad)].join('\n'))
  process.exit(1)
}
console.log(`i18n: ${zh.size} texts, both languages complete`)
