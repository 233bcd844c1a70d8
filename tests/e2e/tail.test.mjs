// SPDX-License-Identifier: Apache-2.0
// File tail with the real server: rotation, copytruncate, truncation, packed files, encodings, fairness, and kill -9 while
// everything of this goes on: no line lost, no line twice. COL-001, COL-032, COL-033.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import zlib from 'node:zlib';
import { assertEachOnce, slow, startCrashing, startServer, waitUntil } from './lib.mjs';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'cf-tail-'));
const logs = path.join(dir, 'logs');
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
const file = (name) => path.join(logs, name);
let s, api, data;
const config = `tail:
  paths: ["${logs}/app*.log*", "${logs}/old.log", "${logs}/gb.log encoding=gb18030 source=gb", "${logs}/win.log encoding=utf-16le source=win", "${logs}/many-*.txt source=many"]
  poll: 200ms
  rotated: 500ms
`;

const until = (what, fn, seconds = 30) => waitUntil(what, fn, seconds);
const start = async () => {
  s = await startServer({ config, data });
  api = s.token('admin');
};
const sql = async (q) => {
  const r = await api.post('/api/v1/sql', { sql: q });
  assert.equal(r.status, 200, r.text);
  return r.body.items ?? r.body.rows;
};
const search = async (query, limit = 1) => (await api.post('/api/v1/events:search', { query, from: 'now-1d', to: 'now+1d', limit })).body;
const found = (query, n) => until(`${query} -> ${n}`, async () => { const t = (await search(query)).total; return t === n || t; });
const tail = async () => (await api.get('/api/v1/health')).body.listeners.find((l) => l.name === 'tail');
const line = (host, k) => `<38>1 ${new Date().toISOString()} ${host} sshd 77 - - Failed password for u${k} from 203.0.113.9 port 4022 ssh2\n`;
const lines = (host, from, n) => Array.from({ length: n }, (_, k) => line(host, from + k)).join('');

/** Every u<k>, 0 <= k < n, exactly once. */
async function exactlyOnce(host, n, seconds = 60) {
  await until(`${host}: ${n} lines stored`, async () => {
    const total = (await search(`host.name:${host}`)).total;
    if (total >= n) return true;
    const h = (await api.get('/api/v1/health')).body; // says whether they were not read, wait in the spool, or are gone
    return { total, tail: h.listeners.find((l) => l.name === 'tail'), pipeline: h.pipeline };
  }, seconds);
  await until('drained', async () => { const h = (await api.get('/api/v1/health')).body; return h.pipeline.queue_bytes === 0 || h.pipeline.queue_bytes; });
  const seen = new Map();
  for (let cursor; ;) {
    const r = (await api.post('/api/v1/events:search', { query: `host.name:${host}`, from: 'now-1d', to: 'now+1d', limit: 1000, cursor, fields: ['user.name'] })).body;
    for (const e of r.items) seen.set(e.user.name, (seen.get(e.user.name) || 0) + 1);
    cursor = r.next;
    if (!cursor) break;
  }
  assertEachOnce(seen, n);
}

before(async () => {
  fs.mkdirSync(logs);
  data = path.join(dir, 'data');
  fs.mkdirSync(data);
  fs.writeFileSync(file('app.log'), lines('t-app', 0, 100));
  await start();
});
after(async () => {
  await s?.stop();
  fs.rmSync(dir, { recursive: true, force: true });
});

test('what is there, what is appended, a line in two pieces', async () => {
  await found('host.name:t-app', 100);
  const l = line('t-app', 100);
  fs.appendFileSync(file('app.log'), l.slice(0, 60));
  await sleep(700); // an unfinished line must not come; there is nothing to wait for
  assert.equal((await search('host.name:t-app')).total, 100);
  fs.appendFileSync(file('app.log'), l.slice(60) + line('t-app', 101));
  await found('host.name:t-app', 102);
});

test('rename and create, the writer goes on in the old file for a while', async () => {
  const fd = fs.openSync(file('app.log'), 'a');
  fs.renameSync(file('app.log'), file('app.log.1'));
  fs.writeFileSync(file('app.log'), lines('t-app', 104, 50));
  fs.writeSync(fd, lines('t-app', 102, 2));
  fs.closeSync(fd);
  await exactlyOnce('t-app', 154);
});

test('rotated away under a name no pattern has: its last unfinished line counts', async () => {
  fs.writeFileSync(file('old.log'), lines('t-old', 0, 10) + line('t-old', 10).trimEnd());
  await found('host.name:t-old', 10);
  fs.renameSync(file('old.log'), file('gone.1'));
  fs.writeFileSync(file('old.log'), lines('t-old', 11, 10));
  await exactlyOnce('t-old', 21);
});

test('copytruncate: the copy adds nothing, the truncated file is read from its beginning', async () => {
  fs.copyFileSync(file('app.log'), file('app.log.2'));
  fs.truncateSync(file('app.log'), 0);
  await until('truncation seen', async () => { const t = await tail(); return t.truncations >= 1 || t; });
  fs.appendFileSync(file('app.log'), lines('t-app', 154, 20));
  await exactlyOnce('t-app', 174);
  // truncated and refilled beyond its old size between two looks
  fs.writeFileSync(file('app.log'), lines('t-app', 174, 300));
  await exactlyOnce('t-app', 474);
});

test('packed: the rotated file that was read live comes once, a strange one is read', async () => {
  fs.writeFileSync(file('app.log.1.gz'), zlib.gzipSync(fs.readFileSync(file('app.log.1'))));
  fs.rmSync(file('app.log.1'));
  fs.writeFileSync(file('app-feb.log.gz'), zlib.gzipSync(lines('t-gz', 0, 3000)));
  fs.writeFileSync(path.join(dir, 'mar.log'), lines('t-zst', 0, 3000));
  fs.writeFileSync(file('app-mar.log.zst'), ''); // seen while it has no byte yet: not to be taken for text
  fs.writeFileSync(file('many-look.txt'), line('t-look', 0));
  await found('host.name:t-look', 1);
  fs.appendFileSync(file('app-mar.log.zst'), spawnSync('zstd', ['-q', '-c', path.join(dir, 'mar.log')]).stdout);
  await exactlyOnce('t-gz', 3000);
  await until('three packed files', async () => { const t = await tail(); return t.packed_files === 3 || t; });
  await exactlyOnce('t-zst', 3000);
  await exactlyOnce('t-app', 474);
});

test('encodings: GB18030 and UTF-16', async () => {
  fs.writeFileSync(file('gb.log'), Buffer.concat([Buffer.from('<38>1 ' + new Date().toISOString() + ' t-gb app 1 - - '), Buffer.from('b5c7c2bccaa7b0dc', 'hex'), Buffer.from('\n')]));
  fs.writeFileSync(file('win.log'), Buffer.from('\ufeff' + line('t-win', 0).replace('Failed', '登录失败 Failed') + line('t-win', 1), 'utf16le'));
  await found('host.name:t-gb', 1);
  assert.match((await search('host.name:t-gb')).items[0].event.original, /登录失败/);
  await found('host.name:t-win', 2);
  const src = (await api.get('/api/v1/sources?limit=100')).body.items;
  for (const name of ['gb', 'win']) await until(`source ${name}`, async () => !!(await api.get('/api/v1/sources?limit=100')).body.items.find((x) => x.name === name) || src.map((x) => x.name));
});

test('many files, one of them huge: the small ones do not wait for it', async () => {
  fs.writeFileSync(file('many-0.txt'), lines('t-huge', 0, 60000));
  for (let k = 1; k <= 100; k++) fs.writeFileSync(file(`many-${k}.txt`), line('t-many', k - 1));
  await exactlyOnce('t-many', 100);
  await exactlyOnce('t-huge', 60000, 120);
});

for (const point of ['tail.appended:3', 'tail.before_save:2', 'tail.saved:2', 'spool.synced:4', 'spool.half_write:3', 'pipeline.before_commit:2', 'spool.checkpointed:2'])
  test(`killed at ${point} while files grow and rotate: nothing lost, nothing twice`, { timeout: 500000 * slow }, async () => {
    const host = `k-${point.replace(/[^a-z]/g, '-')}`;
    await s.stop({ keep: true });
    const doomed = await startCrashing({ config, data, env: { CF_CRASH_AT: point } });
    let k = 0, over = !doomed;
    doomed?.exited.then(() => { over = true; });
    for (let round = 0; !over; round++) { // ends with the test's time
      fs.appendFileSync(file('app.log'), lines(host, k, 200));
      k += 200;
      if (round % 7 === 3) {
        fs.renameSync(file('app.log'), file(`app.log.${host}.${round}`));
        fs.writeFileSync(file('app.log'), '');
      }
      await sleep((round < 200 ? 20 : 500) * slow);
    }
    if (doomed) assert.equal((await doomed.exited).signal, 'SIGKILL');
    fs.appendFileSync(file('app.log'), lines(host, k, 50)); // written and rotated while nobody follows
    fs.renameSync(file('app.log'), file(`app.log.${host}.last`));
    fs.writeFileSync(file('app.log'), lines(host, k + 50, 50));
    await start();
    await exactlyOnce(host, k + 100);
  });

test('rotated out of every pattern while the server was away: read to its end all the same', async () => {
  fs.writeFileSync(file('old.log'), lines('t-away', 0, 10));
  await found('host.name:t-away', 10);
  await s.kill();
  fs.appendFileSync(file('old.log'), lines('t-away', 10, 10));
  fs.renameSync(file('old.log'), file('hidden.1'));
  fs.writeFileSync(file('old.log'), lines('t-away', 20, 10));
  await start();
  await exactlyOnce('t-away', 30);
});

test('killed at any moment, ten times', { timeout: 500000 * slow }, async () => {
  let k = 0;
  for (let round = 0; round < 10; round++) {
    for (let n = 0; n < 20 + round * 3; n++) {
      fs.appendFileSync(file('app.log'), lines('k-any', k, 100));
      k += 100;
      await sleep(10);
    }
    await s.kill();
    await start();
  }
  await exactlyOnce('k-any', k);
});

test('killed before positions were ever saved, then again when the spool has forgotten them', async () => {
  await s.stop();
  data = path.join(dir, 'again'); // nobody knows these files there
  fs.mkdirSync(data);
  for (const name of fs.readdirSync(logs)) fs.rmSync(file(name));
  fs.writeFileSync(file('app.log'), lines('t-again', 0, 300));
  const doomed = await startCrashing({ config, data, env: { CF_CRASH_AT: 'tail.before_save:1' } });
  if (doomed) assert.equal((await doomed.exited).signal, 'SIGKILL');
  await start();
  await until('positions saved', async () => fs.existsSync(path.join(data, 'tail.state')));
  await s.kill();
  fs.appendFileSync(file('app.log'), lines('t-again', 300, 100));
  await start();
  await exactlyOnce('t-again', 400);
});
