// SPDX-License-Identifier: Apache-2.0
// Correlation windows survive kill -9: what came before and what comes after it is counted together, once. Rules are loaded again
// fifty times while events flow: each matching event fires exactly once.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { slow, startServer, waitUntil } from './lib.mjs';

const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
const until = (what, fn, seconds = 40) => waitUntil(what, fn, seconds);
const settled = (api) => until('spool empty', async () => { const h = (await api.get('/api/v1/health')).body; return (h.pipeline.queue_bytes < 200 && h.pipeline.lag_seconds === 0) || h.pipeline; });

const rules = `title: step
id: step-rule
name: step
logsource: {category: test}
detection:
  s: {message|contains: wrong-step}
  condition: s
level: informational
---
title: ten steps
id: ten-steps
correlation: {type: event_count, rules: [step], group-by: [source.ip], timespan: 1h, condition: {gte: 10}}
level: medium
---
title: five names
id: five-names
correlation: {type: value_count, rules: [step], group-by: [source.ip], timespan: 1h, condition: {field: user.name, gte: 10}}
level: medium
---
title: each
id: each-rule
logsource: {category: test}
detection:
  s: {message|contains: flow-event}
  condition: s
level: low
`;
function dataDir() {
  const data = fs.mkdtempSync(path.join(os.tmpdir(), 'cf-corr-'));
  fs.mkdirSync(path.join(data, 'rules'));
  fs.writeFileSync(path.join(data, 'rules/own.yml'), rules);
  return data;
}
let n = 0;
const step = (ip) => JSON.stringify({ '@timestamp': new Date().toISOString(), source: { ip }, user: { name: `u${n++}` }, message: `wrong-step ${n}` });
async function send(api, ...ips) {
  const r = await api.call('POST', '/api/v1/events:bulk?source=corr', ips.map(step).join('\n') + '\n');
  assert.equal(r.status, 200, r.text);
  assert.equal(r.body.accepted, ips.length);
}
async function alertsOf(api, ip) {
  const r = await api.get(`/api/v1/alerts?limit=200&filter=${encodeURIComponent(`source_ip:${ip}`)}`);
  assert.equal(r.status, 200, r.text);
  return r.body.items.filter((a) => a.rule_id === 'ten-steps' || a.rule_id === 'five-names').map((a) => `${a.rule_id} ${a.count}`).sort();
}
const times = (k, ip) => Array.from({ length: k }, () => ip);

test('half a window before kill -9, half after: one alert, and none one event short of it', { timeout: 600000 * slow }, async () => {
  const data = dataDir(), rounds = Number(process.env.CF_KILLS || 6);
  let s = await startServer({ data });
  const token = s.token('admin').token;
  try {
    for (let k = 0; k < rounds; k++) {
      const api = s.withToken(token), full = `198.51.100.${k}`, short = `203.0.113.${k}`;
      for (let i = 0; i < 6; i++) await send(api, full, short);
      if (k % 2) await settled(api); // counted, perhaps committed, or still in the spool
      await sleep(Math.random() * 1500); // the moment of the kill is what is random
      await s.kill();
      s = await startServer({ data });
      await send(s.withToken(token), ...times(3, full), ...times(3, short));
      await sleep(Math.random() * 300); // a second kill, on the heels of the first
      await s.kill();
      s = await startServer({ data });
      const last = s.withToken(token);
      await send(last, full);
      await settled(last);
      await until('alert', async () => { const a = await alertsOf(last, full); return JSON.stringify(a) === '["five-names 1","ten-steps 1"]' || a; });
      assert.deepEqual(await alertsOf(last, short), [], 'nine events were counted as ten');
    }
  } finally { await s.stop(); fs.rmSync(data, { recursive: true, force: true }); }
});

for (const point of ['pipeline.after_insert', 'pipeline.before_sync', 'pipeline.before_commit', 'pipeline.after_commit']) {
  test(`a window is whole after a crash at ${point}`, { timeout: 500000 * slow }, async () => {
    const data = dataDir();
    let s = await startServer({ data });
    const token = s.token('admin').token;
    try {
      await send(s.withToken(token), ...times(4, '198.51.100.1'), ...times(4, '203.0.113.1'));
      await settled(s.withToken(token));
      await s.stop(); // everything is committed: the next step of this name is one of the events below
      s = await startServer({ data, env: { CF_CRASH_AT: `${point}:${point === 'pipeline.after_insert' ? 1 : 2}` } }); // the first commit is that of the start
      await send(s.withToken(token), ...times(5, '198.51.100.1'), ...times(5, '203.0.113.1')).catch(() => {});
      let e;
      s.exited.then((x) => { e = x; });
      while (!e) await send(s.withToken(token), '192.0.2.1').then(() => sleep(100), () => sleep(100)); // another batch, if the ten went with that of the start
      assert.ok(e.code !== 0 || e.signal, `the server was to end at ${point}`);
      s = await startServer({ data });
      const api = s.withToken(token);
      await settled(api);
      assert.deepEqual(await alertsOf(api, '203.0.113.1'), []);
      await send(api, '198.51.100.1');
      await until('alert', async () => { const a = await alertsOf(api, '198.51.100.1'); return JSON.stringify(a) === '["five-names 1","ten-steps 1"]' || a; });
      assert.deepEqual(await alertsOf(api, '203.0.113.1'), [], 'nine events were counted as ten');
    } finally { await s.stop(); fs.rmSync(data, { recursive: true, force: true }); }
  });
}

test('fifty reloads under load: every matching event fires once, windows lose nothing', { timeout: 500000 * slow }, async () => {
  const data = dataDir(), s = await startServer({ data }), api = s.token('admin');
  let sent = 0, groups = 0, stop = false;
  async function flow(lane) {
    for (let i = 0; !stop; i++) {
      const lines = Array.from({ length: 40 }, (_, k) => JSON.stringify({ '@timestamp': new Date().toISOString(), source: { ip: `10.${lane}.0.1` }, message: `flow-event ${lane} ${i} ${k}` }));
      const r = await api.call('POST', '/api/v1/events:bulk?source=flow', lines.join('\n') + '\n');
      assert.equal(r.status, 200, r.text);
      sent += r.body.accepted;
    }
  }
  try {
    const lanes = [flow(1), flow(2), flow(3)];
    for (let k = 0; k < 50; k++) {
      const ip = `198.51.100.${k}`;
      await send(api, ...times(5, ip)); // half a window before the reload, half after
      const r = await api.post('/api/v1/rules:reload');
      assert.ok(r.status < 300, r.text);
      await send(api, ...times(5, ip));
      groups++;
    }
    stop = true;
    await Promise.all(lanes);
    await settled(api);
    let stats;
    const hits = (id) => stats.find((x) => x.id === id).hits;
    await until('all counted', async () => { stats = (await api.get('/api/v1/rules/statistics')).body.items; return hits('each-rule') >= sent || [hits('each-rule'), sent]; });
    assert.equal(hits('each-rule'), sent, 'each matching event fires exactly once');
    assert.equal(hits('step-rule'), groups * 10);
    assert.equal(hits('ten-steps'), groups, 'each window fires once');
    assert.equal(hits('five-names'), groups);
    assert.ok(sent > 1000, `only ${sent} events flowed`);
  } finally { stop = true; await s.stop(); fs.rmSync(data, { recursive: true, force: true }); }
});
