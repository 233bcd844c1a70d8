// SPDX-License-Identifier: Apache-2.0
// What the first visit loads, gzip: the entry, what it imports statically, its styles. Over the budget: the build fails.
import fs from 'node:fs'
import path from 'node:path'
import zlib from 'node:zlib'
const dist = new URL('../dist/', import.meta.url).pathname
const budget = 350 * 1000
const html = fs.readFileSync(path.join(dist, 'index.html'), 'utf8')
const seen = new Set()
const todo = [...html.matchAll(/(?:src|href)="\/([^"]+\.(?:js|css))"/g)].map((m) => m[1])
const shell = fs.readdirSync(path.join(dist, 'assets'))
while (todo.length) {
  const f = todo.pop()
  if (seen.has(f)) continue
  seen.add(f)
  if (!f.endsWith('.js')) continue
  const text = fs.readFileSync(path.join(dist, f), 'utf8')
  for (const m of text.matchAll(/(?:from|import)\s*"\.\/([\w.-]+\.js)"/g)) todo.push('assets/' + m[1])
}
const gz = (f) => zlib.gzipSync(fs.readFileSync(path.join(dist, f)), { level: 9 }).length
let total = gz('index.html')
for (const f of seen) total += gz(f)
const all = shell.reduce((s, f) => s + gz('assets/' + f), 0)
console.log(`shell: ${(total / 1000).toFixed(1)} kB gzip in ${seen.size} files (budget ${budget / 1000} kB); all ${shell.length} files: ${(all / 1000).toFixed(1)} kB`)
if (total > budget) process.exit(1)
