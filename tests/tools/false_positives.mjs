#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// How often each rule fires on logs that hold no attack: the benign parts of the shared corpora (host logs of the EVTX parser
// samples and of the OCSF examples, LogHub without its SSH and Linux logs under attack, OCSF Zeek logs). Every hit there is a
// false positive, or worth a look. usage: node tests/tools/false_positives.mjs [--rules PATH]... [--top N] [--level LEVEL] [--json]
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const shared = process.env.CF_SHARED || path.resolve(root, '../shared');
const binary = process.env.CF_BINARY || path.join(root, 'build/chengfang');
const levels = ['informational', 'low', 'medium', 'high', 'critical'];
const corpora = [
  { name: 'windows, EVTX parser samples', archive: 'windows/evtx.tar.zst', keep: /evtx-parser-samples\/.*\.evtx$/ },
  { name: 'windows, OCSF examples', archive: 'windows/evtx.tar.zst', keep: /ocsf-examples\/.*\.evtx$/ },
  { name: 'LogHub without attacks', archive: 'logs/loghub.tar.zst', keep: /(Android|Apache|BGL|HDFS|HPC|Hadoop|Mac|Spark|Windows)\/[^/]*\.log$/ },
  { name: 'Zeek, OCSF examples', archive: 'network/ocsf-zeek-json.tar.zst', keep: /\.(log|json|jsonl)$/ },
];

function args() {
  const a = { rules: [], top: 25, level: 'informational', json: false };
  for (let i = 2; i < process.argv.length; i++) {
    const k = process.argv[i];
    if (k === '--rules') a.rules.push(process.argv[++i]);
    else if (k === '--top') a.top = Number(process.argv[++i]);
    else if (k === '--level') a.level = process.argv[++i];
    else if (k === '--json') a.json = true;
    else { console.error('usage: false_positives.mjs [--rules PATH]... [--top N] [--level LEVEL] [--json]'); process.exit(2); }
  }
  if (!levels.includes(a.level)) { console.error(`--level must be one of ${levels.join(' ')}`); process.exit(2); }
  if (!a.rules.length) a.rules = [path.join(root, 'content/rules'), path.join(shared, 'data/sigma/sigma-rules.tar.zst')].filter((p) => fs.existsSync(p));
  return a;
}

function walk(dir) {
  return fs.readdirSync(dir, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? walk(path.join(dir, e.name)) : e.isFile() ? [path.join(dir, e.name)] : []));
}

/** Hits of one corpus, by rule id: {title, level, count}; and how many events there were. */
async function hitsOf(rules, files, tmp) {
  const summary = path.join(tmp, 'summary.json');
  const child = spawn(binary, ['detect', ...rules.flatMap((r) => ['--rules', r]), '--json-summary', summary, ...files], { stdio: ['ignore', 'pipe', 'ignore'] });
  const by = new Map();
  for await (const line of readline.createInterface({ input: child.stdout })) {
    const { id, title, level } = JSON.parse(line).rule, key = id || title;
    const r = by.get(key) ?? { id: key, title, level, count: 0 };
    r.count++;
    by.set(key, r);
  }
  if (child.exitCode === null) await new Promise((r) => child.on('exit', r));
  if (child.exitCode !== 0) throw new Error(`chengfang detect ended with ${child.exitCode}`);
  return { by, events: JSON.parse(fs.readFileSync(summary, 'utf8')).events };
}

const opt = args(), tmp = fs.mkdtempSync(path.join(os.tmpdir(), 'cf-fp-')), total = new Map(), report = [];
try {
  for (const c of corpora) {
    const archive = path.join(shared, 'data', c.archive), dir = path.join(tmp, 'x');
    if (!fs.existsSync(archive)) { console.error(`${c.name}: ${archive} is absent, left out`); continue; }
    fs.rmSync(dir, { recursive: true, force: true });
    fs.mkdirSync(dir);
    if (spawnSync('sh', ['-c', 'zstd -dc "$1" | tar x -C "$2"', 'sh', archive, dir]).status !== 0) throw new Error(`${archive} cannot be unpacked`);
    const files = walk(dir).filter((f) => c.keep.test(f));
    const { by, events } = await hitsOf(opt.rules, files, tmp);
    let hits = 0;
    for (const r of by.values()) {
      if (levels.indexOf(r.level) < levels.indexOf(opt.level)) continue;
      hits += r.count;
      const t = total.get(r.id) ?? { ...r, count: 0, corpora: {} };
      t.count += r.count;
      t.corpora[c.name] = r.count;
      total.set(r.id, t);
    }
    report.push({ corpus: c.name, files: files.length, events, hits, rules: by.size });
  }
} finally { fs.rmSync(tmp, { recursive: true, force: true }); }
const list = [...total.values()].sort((a, b) => b.count - a.count || a.id.localeCompare(b.id));
if (opt.json) console.log(JSON.stringify({ corpora: report, rules: list }, null, 1));
else {
  for (const r of report) console.log(`${r.corpus}: ${r.files} files, ${r.events} events, ${r.hits} hits of ${r.rules} rules (${((r.hits / Math.max(1, r.events)) * 1000).toFixed(2)} per 1,000 events)`);
  console.log(`\n${'hits'.padStart(7)}  level          rule`);
  for (const r of list.slice(0, opt.top)) console.log(`${String(r.count).padStart(7)}  ${r.level.padEnd(13)}  ${r.title} (${r.id})`);
  if (list.length > opt.top) console.log(`... and ${list.length - opt.top} more rules (--top)`);
}
