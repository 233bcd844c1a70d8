// SPDX-License-Identifier: Apache-2.0
// Data quality: silence with message and health, samples, failures, and records done again with new source files, also over
// kill -9 between insert and delete. COL-005, COL-006, COL-036, NRM reprocessing.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { root, startServer, waitUntil } from './lib.mjs';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'cf-quality-'));
const content = path.join(dir, 'content'), data = path.join(dir, 'data');
const N = 1300;
let s, api;

const until = (what, fn) => waitUntil(what, fn);
const start = async (env = {}) => {
  s = await startServer({ config: 'syslog:\n  tcp: 127.0.0.1:0\n', data, env: { CF_CONTENT: content, ...env } });
  api = s.token('admin');
};
const send = async (text) => {
  const { port } = (await api.get('/api/v1/health')).body.listeners.find((l) => l.name === 'syslog-tcp');
  await new Promise((resolve, reject) => { const c = net.connect(port, '127.0.0.1', () => c.end(text)); c.on('error', reject).on('close', resolve).resume(); });
};
const total = async (query) => (await api.post('/api/v1/events:search', { query, from: 'now-1d', to: 'now+1d', limit: 1 })).body.total;
const row = async (name) => (await api.get('/api/v1/quality/sources?limit=100')).body.items.find((x) => x.name === name);
const component = async () => (await api.get('/api/v1/health')).body.components.find((c) => c.name === 'sources');

before(async () => {
  fs.cpSync(path.join(root, 'content'), content, { recursive: true });
  fs.mkdirSync(data);
  await start();
  const r = await api.post('/api/v1/sources', { name: 'acme-gw', address: '127.0.0.1', silent_after_seconds: 5 });
  assert.equal(r.status, 201, r.text);
});
after(async () => {
  await s?.stop();
  fs.rmSync(dir, { recursive: true, force: true });
});

test('a silent source: state, health, message to the administrators; and back', async () => {
  await until('silent', async () => { const x = await row('acme-gw'); return x.silent === true || x; });
  await until('shown', async () => { const x = await component(); return (x.status === 'warning' && /1 of 1 silent: acme-gw/.test(x.detail)) || x; });
  const told = async () => (await api.get('/api/v1/messages')).body.items.filter((m) => /acme-gw/.test(JSON.stringify(m))).length;
  assert.equal(await told(), 1, 'a message was written');
  const iso = new Date().toISOString();
  await send(Array.from({ length: 640 }, (_, k) => `<38>1 ${iso} gw sshd 77 - - Failed password for u${k} from 203.0.113.9 port 4022 ssh2\n`).join(''));
  await until('back', async () => { const x = await row('acme-gw'); return x.silent === false || x; });
  const { id } = (await api.get('/api/v1/sources?limit=100')).body.items.find((x) => x.name === 'acme-gw');
  assert.equal((await api.patch(`/api/v1/sources/${id}`, { silent_after_seconds: 86400 })).status, 200); // five more seconds of nothing, and it is silent again
  assert.ok(await told() >= 2, 'and when it came back');
  await until('nothing silent', async () => /cf_sources_silent 0/.test((await api.get('/metrics')).text));
});

test('samples: rate, skew, fields', async () => {
  await until('samples', async () => { const x = await row('acme-gw'); return (x.sampled >= 30 && x.minutes.reduce((a, b) => a + b, 0) === 640) || x; });
  const x = await row('acme-gw');
  assert.ok(Math.abs(x.skew_seconds) < 30, String(x.skew_seconds));
  const fill = Object.fromEntries(x.fields.map((f) => [f.field, f.percent]));
  assert.equal(fill['source.ip'], 100);
  assert.equal(fill['user.name'], 100);
  assert.equal(fill['url.domain'], undefined);
});

test('failures are kept with their data source and reason', async () => {
  await send(Array.from({ length: N }, (_, k) => `ACME~${k}~login~user${k}~198.51.100.${k % 250}\n`).join(''));
  await until('stored', async () => { const t = await total('event.kind:pipeline_error'); return t === N || t; });
  const q = await api.get('/api/v1/quality/failures?hours=24'), f = q.body;
  assert.equal(q.status, 200, q.text);
  assert.equal(f.groups.length, 1);
  assert.equal(f.groups[0].data_source, 'acme-gw');
  assert.equal(f.groups[0].count, N);
  assert.match(f.samples[0].raw, /^ACME~/);
  assert.equal((await api.get('/api/v1/quality/failures?source=other')).body.samples.length, 0);
});

test('nothing is understood yet: reprocessing leaves everything as it is', async () => {
  assert.equal((await api.post('/api/v1/quality/reprocess', { hours: 24, source: 'acme-gw' })).status, 202);
  await until('done', async () => { const j = (await api.get('/api/v1/quality/reprocess')).body; return (j.state === 'done' && j.done === N && j.understood === 0) || j; });
  assert.equal(await total('event.kind:pipeline_error'), N);
});

test('with a new source file, killed between insert and delete, begun again: each record exactly once', async () => {
  await s.stop({ keep: true });
  fs.writeFileSync(path.join(content, 'sources/acme.yaml'), `name: acme
doc: test gateway
match:
  - starts: ["ACME~"]
extract:
  - regex: '^ACME~(?<n>\\d+)~(?<event__action>\\w+)~(?<user__name>\\w+)~(?<source__ip>[\\d.]+)$'
set: {event.module: acme}
`);
  await start({ CF_CRASH_AT: 'reprocess.inserted:2' });
  await api.post('/api/v1/quality/reprocess', { hours: 24 }).catch(() => null);
  assert.equal((await s.exited).signal, 'SIGKILL');
  await start();
  assert.equal((await api.post('/api/v1/quality/reprocess', { hours: 24 })).status, 202);
  await until('done', async () => { const j = (await api.get('/api/v1/quality/reprocess')).body; return j.state === 'done' || j; });
  await until('nothing unparsed', async () => { const t = await total('event.kind:pipeline_error'); return t === 0 || t; });
  await until('all there', async () => { const t = await total('event.module:acme'); return t === N || t; });
  const r = (await api.post('/api/v1/events:search', { query: 'event.module:acme user.name:user77', from: 'now-1d', to: 'now+1d' })).body;
  assert.equal(r.total, 1);
  assert.equal(r.items[0].source.ip, '198.51.100.77');
  assert.match(r.items[0].event.original, /^ACME~77~/);
});

test('a named source that does not know the line: an event, listed with the failures, done again', async () => {
  const id = (await api.get('/api/v1/sources?limit=100')).body.items.find((x) => x.name === 'acme-gw').id;
  const before = (await row('acme-gw')).unparsed;
  const r = await api.patch(`/api/v1/sources/${id}`, { parser: 'acme' });
  assert.equal(r.status, 200, r.text);
  await until('named', async () => { // the sender's name is known to the workers a moment later
    await send('OTHER~7~logout\n');
    const t = await total('event.module:acme event.kind:event error.message:"no pattern of source acme fits"');
    return t > 0 || t;
  });
  await until('counted', async () => { const t = (await row('acme-gw')).unparsed; return t > before || t; });
  const f = (await api.get('/api/v1/quality/failures?hours=24&source=acme-gw')).body;
  assert.ok(f.groups.some((g) => g.data_source === 'acme-gw' && g.reason === 'no pattern of source acme fits'), JSON.stringify(f.groups));
  assert.ok(f.samples.some((x) => x.raw === 'OTHER~7~logout'), JSON.stringify(f.samples));
  await s.stop({ keep: true });
  const file = path.join(content, 'sources/acme.yaml'), text = fs.readFileSync(file, 'utf8');
  fs.writeFileSync(file, text.replace('extract:\n', () => "extract:\n  - regex: '^OTHER~(?<n>\\d+)~(?<event__action>\\w+)$'\n"));
  await start();
  assert.equal((await api.post('/api/v1/quality/reprocess', { hours: 24 })).status, 202);
  await until('known now', async () => { const t = await total('event.module:acme error.message:"no pattern of source acme fits"'); return t === 0 || t; });
  await until('there', async () => { const t = await total('event.module:acme event.action:logout'); return t > 0 || t; });
});
