// SPDX-License-Identifier: Apache-2.0
// The source wizard: lines in, a proposal out; saved, it reads what arrives from then on, without a restart; removed, it is gone.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { startServer, waitUntil } from './lib.mjs';

let s, api, udp;
const until = (what, fn, seconds = 20) => waitUntil(what, fn, seconds);
const send = (text) => new Promise((resolve, reject) => {
  const c = dgram.createSocket('udp4');
  c.send(text, udp, '127.0.0.1', (e) => { c.close(); e ? reject(e) : resolve(); });
});
const hits = async (query) => (await api.post('/api/v1/events:search', { query, from: 'now-1d', to: 'now+1d', limit: 5 })).body;
const stamp = (i) => new Date(Date.now() + i * 1000).toISOString();
const line = (i, user, word = 'accepted') => `<86>1 ${stamp(i)} vpn-1 gatekeeper 812 - - login of ${user} from 203.0.113.${10 + i} port ${51000 + i} ${word}`;
const lines = ['zhang.wei', 'li.na', 'root', 'wang.fang'].map((u, i) => line(i, u, i % 2 ? 'accepted' : 'rejected'));

before(async () => {
  s = await startServer({ config: 'syslog:\n  udp: 127.0.0.1:0\n' });
  api = s.token('admin');
  udp = (await api.get('/api/v1/health')).body.listeners.find((l) => l.name === 'syslog-udp').port;
});
after(() => s?.stop());

test('an unknown log is proposed, tested, saved and read from then on', async () => {
  const p = await api.post('/api/v1/source-types:propose', { lines, id: 'gatekeeper' });
  assert.equal(p.status, 200, p.text);
  assert.equal(p.body.recognised, null);
  assert.equal(p.body.proposal.format, 'text');
  assert.deepEqual(p.body.statistics, { lines: 4, understood: 4 });
  const ip = p.body.proposal.fields.find((f) => f.field === 'source.ip');
  assert.ok(ip.confidence > 0.5 && ip.reason && ip.samples.includes('203.0.113.10'), JSON.stringify(ip));
  for (const row of p.body.rows) {
    const f = row.fields.find((x) => x.field === 'source.ip');
    assert.equal(Buffer.from(row.text).subarray(f.start, f.end).toString(), f.value);
  }
  const yaml = p.body.proposal.yaml;
  const t = await api.post('/api/v1/source-types:test', { yaml, lines: [lines[0], 'something else entirely'] });
  assert.equal(t.body.valid, true, t.text);
  assert.equal(t.body.rows[0].source, 'gatekeeper');
  assert.ok(t.body.rows[1].error);
  const bad = await api.post('/api/v1/source-types:test', { yaml: yaml.replace('extract:', 'extrakt:'), lines });
  assert.equal(bad.body.valid, false);
  assert.ok(bad.body.errors[0].line > 1 && /extrakt/.test(bad.body.errors[0].message), bad.text);

  const put = await api.put('/api/v1/source-types/gatekeeper', { yaml, lines });
  assert.equal(put.status, 201, put.text);
  assert.equal(put.body.statistics.understood, 4);
  await send(line(50, 'live.user'));
  await until('the line sent afterwards is read by the new type', async () => {
    const r = await hits('event.module:gatekeeper user.name:live.user');
    return (r.total === 1 && r.items[0]) ? true : r;
  });
  const ev = (await hits('user.name:live.user')).items[0];
  assert.equal(ev.source.ip, '203.0.113.60');

  const again = await api.post('/api/v1/source-types:propose', { lines });
  assert.deepEqual(again.body.recognised, { source: 'gatekeeper', count: 4 });
});

test('list, one, change, audit, remove', async () => {
  const all = (await api.get('/api/v1/source-types')).body.items;
  assert.ok(all.length > 40);
  assert.equal(all.find((x) => x.id === 'sshd').kind, 'builtin');
  assert.equal(all.find((x) => x.id === 'gatekeeper').kind, 'custom');
  const one = (await api.get('/api/v1/source-types/gatekeeper')).body;
  assert.deepEqual(one.tests, lines);
  assert.ok(fs.existsSync(path.join(s.data, 'content/sources/gatekeeper.yaml')));
  const ours = (await api.get('/api/v1/source-types/sshd')).body;
  assert.ok(ours.yaml.includes('name: sshd') && ours.tests[0].startsWith('<38>'));

  assert.equal((await api.put('/api/v1/source-types/other', { yaml: one.yaml, lines: [] })).status, 400);
  assert.equal((await api.put('/api/v1/source-types/sshd', { yaml: ours.yaml, lines: [] })).status, 400);
  assert.equal((await api.delete('/api/v1/source-types/sshd')).status, 409);
  assert.equal((await api.put('/api/v1/source-types/gatekeeper', { yaml: one.yaml.replace('doc:', 'doc: Gate keeper #'), lines })).status, 200);
  assert.equal((await api.get('/api/v1/source-types')).body.items.find((x) => x.id === 'gatekeeper').title, 'Gate keeper');

  assert.equal((await api.delete('/api/v1/source-types/gatekeeper')).status, 204);
  assert.equal((await api.get('/api/v1/source-types/gatekeeper')).status, 404);
  assert.ok(!fs.existsSync(path.join(s.data, 'content/sources/gatekeeper.yaml')));
  const person = await api.post('/api/v1/users', { name: 'auditor', display_name: 'Auditor', org_id: 'root', roles: ['audit_admin'] });
  assert.equal(person.status, 201, person.text);
  const auditor = await s.signIn('auditor', person.body.password);
  const done = (await auditor.get('/api/v1/audit?limit=100&filter=' + encodeURIComponent('object:"source-type/gatekeeper" result:ok'))).body.items.map((x) => x.action);
  assert.deepEqual(done.sort(), ['DELETE /api/v1/source-types/{id}', 'PUT /api/v1/source-types/{id}', 'PUT /api/v1/source-types/{id}']);
  await send(line(60, 'after.removal'));
  await until('read as plain syslog again', async () => {
    const r = await hits('host.name:vpn-1 NOT event.module:gatekeeper');
    return r.total >= 1 || r;
  });
});
