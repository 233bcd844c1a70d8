// SPDX-License-Identifier: Apache-2.0
// Nothing acknowledged is lost and nothing is stored twice: kill -9 at random under load, kill at every named step, full disk,
// full spool, a thousand idle connections. CF_KILLS sets the number of random kills (default 5). COL-032, COL-033.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { slow, startCrashing, startServer, waitUntil } from './lib.mjs';

const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
const until = (what, fn, seconds = 40) => waitUntil(what, fn, seconds);
const lines = (from, n, host) => Array.from({ length: n }, (_, i) => JSON.stringify({ '@timestamp': new Date().toISOString(), host: { name: host }, user: { name: `n${from + i}` } })).join('\n') + '\n';

/** Posts batches until the server goes away; numbers of acknowledged records are added to `acked`. */
async function load(api, host, counter, acked, seconds = 120, pause_ms = 0) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
    const from = counter.n, n = 200;
    counter.n += n;
    const r = await api.call('POST', '/api/v1/events:bulk?source=kill', lines(from, n, host)).catch(() => null);
    if (!r) return;
    if (pause_ms) await sleep(pause_ms); // a rate, not a wait
    if (r.status === 200) for (let i = 0; i < r.body.accepted; i++) acked.add(from + i);
  }
}

/** All numbers of a host in the store, with how often. */
async function stored(api, host) {
  const all = { n: 0, u: 0, names: new Set() };
  for (let part = 0; part < 64; part++) { // a hundred kills leave millions: within the memory a query may use
    const r = await api.post('/api/v1/sql', { sql: `SELECT count() AS n, groupUniqArray(user_name) AS names FROM events WHERE host_name = '${host}' AND cityHash64(user_name) % 64 = ${part}` });
    assert.equal(r.status, 200, r.text);
    const [n, names] = r.body.data[0];
    all.n += Number(n);
    all.u += names.length;
    for (const x of names) all.names.add(Number(x.slice(1)));
  }
  return all;
}

async function settled(api) {
  await until('spool empty', async () => { const h = (await api.get('/api/v1/health')).body; return (h.pipeline.queue_bytes < 200 && h.pipeline.lag_seconds === 0) || h.pipeline; });
}

async function checkAll(api, host, acked, counter) {
  await settled(api);
  const st = await stored(api, host);
  assert.equal(st.n, st.u, `${st.n - st.u} records are in the store twice`);
  const lost = [...acked].filter((x) => !st.names.has(x));
  assert.deepEqual(lost.slice(0, 10), [], `${lost.length} of ${acked.size} acknowledged records are lost`);
  assert.ok(st.n <= counter.n);
  return st;
}

test('kill -9 at random under load', { timeout: 600000 * slow }, async () => {
  const kills = Number(process.env.CF_KILLS || 5), acked = new Set(), counter = { n: 0 };
  let s = await startServer();
  const data = s.data, token = s.token('admin').token;
  try {
    for (let k = 0; k < kills; k++) {
      const api = s.withToken(token);
      const done = Promise.all([load(api, 'kill-1', counter, acked), load(api, 'kill-1', counter, acked)]);
      await sleep(100 + Math.random() * 900); // the moment of the kill is what is random
      await s.kill();
      await done;
      s = await startServer({ data });
    }
    const st = await checkAll(s.withToken(token), 'kill-1', acked, counter);
    assert.ok(acked.size > 0);
    console.log(`# ${kills} kills, ${acked.size} acknowledged, ${st.n} stored`);
  } finally {
    await s.stop();
    fs.rmSync(data, { recursive: true, force: true });
  }
});

test('killed at every named step', { timeout: 600000 * slow }, async () => {
  const points = ['spool.before_write', 'spool.half_write', 'spool.written', 'spool.synced', 'pipeline.before_insert', 'pipeline.after_insert',
    'pipeline.before_sync', 'pipeline.before_commit', 'spool.before_checkpoint', 'spool.half_checkpoint', 'spool.checkpointed', 'pipeline.after_commit'];
  const acked = new Set(), counter = { n: 0 };
  let s = await startServer();
  const data = s.data, token = s.token('admin').token;
  await s.stop({ keep: true });
  try {
    for (const point of points) {
      const doomed = await startCrashing({ data, env: { CF_CRASH_AT: `${point}:2` } });
      if (!doomed) continue; // what the last kill left is taken up at once: the step may come before the port is open
      s = doomed;
      await load(s.withToken(token), 'kill-2', counter, acked, 120, 10);
      let e;
      s.exited.then((x) => { e = x; });
      await until(`${point} is reached`, () => e !== undefined);
      assert.equal(e.signal, 'SIGKILL');
    }
    s = await startServer({ data });
    await checkAll(s.withToken(token), 'kill-2', acked, counter);
  } finally {
    await s.stop();
    fs.rmSync(data, { recursive: true, force: true });
  }
});

test('the engine was killed when it had noted a block and not shown its rows: the replay brings them', { timeout: 500000 * slow }, async (t) => {
  if (process.env.CF_TEST_EVENTS_URL) return t.skip('the event store is not in the data folder');
  let s = await startCrashing({ env: { CF_CRASH_AT: 'pipeline.after_insert:1' } });
  const data = s.data, token = s.token('admin').token;
  try {
    await s.withToken(token).call('POST', '/api/v1/events:bulk?source=noted', lines(0, 500, 'noted-1')).catch(() => null); // durable, but perhaps too late to say so
    assert.equal((await s.exited).signal, 'SIGKILL');
    const below = (d) => fs.readdirSync(d).map((f) => path.join(d, f));
    const tables = below(path.join(data, 'events/store')).flatMap(below).filter((d) => fs.existsSync(path.join(d, 'deduplication_logs')));
    assert.equal(tables.length, 1);
    // its log is written first, then the part gets its name: what that leaves, when it does not come to the second
    const noted = below(path.join(tables[0], 'deduplication_logs')).flatMap((f) => fs.readFileSync(f, 'utf8').trim().split('\n')).map((l) => l.split('\t')[1]);
    assert.equal(noted.length, 1);
    assert.ok(fs.existsSync(path.join(tables[0], noted[0], 'checksums.txt')));
    fs.rmSync(path.join(tables[0], noted[0]), { recursive: true });
    s = await startServer({ data });
    assert.equal((await checkAll(s.withToken(token), 'noted-1', new Set(Array.from({ length: 500 }, (_, k) => k)), { n: 500 })).n, 500);
  } finally {
    await s.stop();
    fs.rmSync(data, { recursive: true, force: true });
  }
});

test('full disk: refused with the reason, shown, and taken again when there is space', { timeout: 500000 * slow }, async (t) => {
  const data = fs.mkdtempSync(path.join(os.tmpdir(), 'cf-full-')), spool = path.join(data, 'spool');
  fs.mkdirSync(spool);
  if (process.getuid() !== 0 || spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', spool]).status !== 0) {
    fs.rmSync(data, { recursive: true, force: true });
    return t.skip('mounting a small file system needs root');
  }
  let s;
  try {
    s = await startServer({ data, config: 'spool:\n  segment: 4M\n  min_free: 2M\n' });
    const api = s.token('admin');
    assert.equal((await api.call('POST', '/api/v1/events:bulk?source=full', lines(0, 10, 'full-1'))).status, 200);
    const ballast = path.join(spool, 'ballast');
    try { fs.writeFileSync(ballast, Buffer.alloc(30 << 20)); } catch (e) { assert.equal(e.code, 'ENOSPC'); }
    await until('refused', async () => {
      const r = await api.call('POST', '/api/v1/events:bulk?source=full', '');
      const one = await api.call('POST', '/api/v1/events:bulk?source=full', lines(0, 1, 'full-probe'));
      return (r.status === 200 && one.status === 507 && /full/.test(one.body.detail)) || one.text;
    });
    await until('shown', async () => { const h = (await api.get('/api/v1/health')).body; return (h.status === 'error' && /full/.test(h.spool.reason) && h.spool.accepting === false) || h; });
    fs.rmSync(ballast);
    await until('taken again', async () => (await api.call('POST', '/api/v1/events:bulk?source=full', lines(10, 10, 'full-1'))).status === 200);
    await until('stored', async () => (await stored(api, 'full-1')).n === 20);
    await until('well again', async () => { const h = (await api.get('/api/v1/health')).body; return h.status === 'ok' || h; });
  } finally {
    await s?.stop({ keep: true });
    spawnSync('umount', [spool]);
    fs.rmSync(data, { recursive: true, force: true });
  }
});

test('a thousand idle syslog connections; the last one is served', { timeout: 500000 * slow }, async () => {
  const s = await startServer({ config: 'syslog:\n  tcp: 127.0.0.1:0\n' }), conns = [];
  try {
    const api = s.token('admin'), port = (await api.get('/api/v1/health')).body.listeners[0].port;
    for (let i = 0; i < 1000; i++) conns.push(await new Promise((r, j) => { const c = net.connect(port, '127.0.0.1', () => r(c)); c.on('error', j); }));
    await until('all open', async () => { const l = (await api.get('/api/v1/health')).body.listeners[0]; return l.connections === 1000 || l; });
    conns[999].write(`<38>1 ${new Date().toISOString()} idle-1 sshd 1 - - Failed password for root from 203.0.113.4 port 22 ssh2\n`);
    await until('served', async () => (await stored(api, 'idle-1')).n === 1);
  } finally {
    conns.forEach((c) => c.destroy());
    await s.stop();
  }
});
