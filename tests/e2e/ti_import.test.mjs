// SPDX-License-Identifier: Apache-2.0
// Large imports as jobs: progress while the file arrives, one at a time, cancel and a broken upload leave nothing, a killed server
// takes a half import back at its next start, rights and audit.
import assert from 'node:assert/strict';
import https from 'node:https';
import { after, before, test } from 'node:test';
import { request, startServer, waitUntil } from './lib.mjs';

let s, admin;
before(async () => {
  s = await startServer({ config: 'store:\n  events: none\nhttp:\n  idle_timeout: 1h\n' }); // an upload may stand still
  admin = await s.signIn('admin');
});
after(() => s?.stop());

async function until(what, fn) {
  let v;
  await waitUntil(what, async () => !!(v = await fn()) || v);
  return v;
}
const text = { 'content-type': 'text/plain' };
const start = (name, body, more = '') => admin.call('POST', `/api/v1/intel-imports?name=${encodeURIComponent(name)}${more}`, body, text);
const job = async (id) => (await admin.get('/api/v1/intel-imports/' + id)).body;
const over = (id) => until('the import is over', async () => { const j = await job(id); return ['done', 'failed', 'cancelled', 'interrupted'].includes(j.state) && j; });
const count = async (filter) => (await admin.get('/api/v1/indicators?limit=1&filter=' + encodeURIComponent(filter))).body.total;

/** An upload that stands still after its first part, until it is told to go on or to break off. */
function slowUpload(name, length) {
  let req;
  const done = new Promise((resolve) => {
    req = https.request(`${s.url}/api/v1/intel-imports?name=${name}`, { method: 'POST', rejectUnauthorized: false, agent: false, headers: { ...text, cookie: admin.cookie, 'x-csrf-token': admin.csrf, 'content-length': length } }, (res) => {
      let b = '';
      res.on('data', (d) => { b += d; });
      res.on('end', () => resolve({ status: res.statusCode, body: JSON.parse(b) }));
      res.on('error', () => resolve({ status: 0 }));
    });
    req.on('error', () => resolve({ status: 0 }));
  });
  return { done, write: (x) => req.write(x), end: (x) => req.end(x), destroy: () => req.destroy() };
}
const uploading = (name) => until(name + ' is arriving', async () => (await admin.get('/api/v1/intel-imports?limit=1')).body.items.find((j) => j.name === name && j.state === 'uploading' && j.progress.uploaded > 0));

test('an import runs by itself, its report says what was refused and why', async () => {
  const r = await start('名单.txt', '45.77.1.1\nnonsense here\nevil-one.example\n8.8.8.8\n', '&family=JobBot');
  assert.equal(r.status, 202, r.text);
  const j = await over(r.body.id);
  assert.equal(j.state, 'done');
  assert.equal(j.name, '名单.txt');
  assert.equal(j.created_by, admin.user.display_name);
  assert.deepEqual([j.report.read, j.report.new, j.report.bad, j.report.conflicts], [3, 3, 1, 1]);
  assert.deepEqual([j.report.bad_rows[0].line, j.report.bad_rows[0].text], [2, 'nonsense here']);
  assert.equal(await count('family:JobBot'), 3);
});

test('a file with an error at its end leaves nothing; the answer names the byte', async () => {
  const good = JSON.stringify({ type: 'indicator', id: 'indicator--d81f86b9-975b-4c0b-875e-810c5ad45a4f', pattern: "[domain-name:value = 'cut.example']", pattern_type: 'stix', valid_from: '2026-01-01T00:00:00Z' });
  const body = `{"type":"bundle","id":"bundle--1","objects":[${good},`;
  const j = await over((await start('cut.json', body)).body.id);
  assert.equal(j.state, 'failed');
  assert.match(j.error, new RegExp(`ends early.*byte ${body.length}`));
  assert.equal(j.report.kept, 0);
  assert.equal(await count('value:cut.example'), 0);
  const direct = await admin.call('POST', '/api/v1/indicators:import', body, text); // the same in one request
  assert.equal(direct.status, 400);
  assert.equal(await count('value:cut.example'), 0);
});

test('one at a time, with a message that says which; cancel and a broken connection leave nothing', async () => {
  const part = 'arriving.example\n'.repeat(50000); // more than the server hands on at once
  const first = slowUpload('first', 1000000);
  first.write(part);
  const j = await uploading('first');
  assert.equal(j.progress.bytes, 1000000);
  assert.ok(j.progress.share > 0 && j.progress.share < 1);
  const second = await start('second', 'x.example\n');
  assert.equal(second.status, 409);
  assert.match(second.body.detail, /"first"/);
  assert.equal((await admin.call('POST', '/api/v1/indicators:import?dry_run=true', 'dry.example\n', text)).status, 200, 'a trial run needs no place');
  const c = await admin.post(`/api/v1/intel-imports/${j.id}/cancel`);
  assert.equal(c.status, 202, c.text);
  first.end('x\n'.padStart(1000000 - part.length, 'y'));
  const r = await first.done;
  assert.equal(r.status, 409);
  assert.equal((await over(j.id)).state, 'cancelled');
  assert.equal((await admin.post(`/api/v1/intel-imports/${j.id}/cancel`)).status, 409, 'over already');
  const third = slowUpload('third', 1000000);
  third.write(part);
  const k = await uploading('third');
  third.destroy();
  assert.equal((await over(k.id)).state, 'interrupted');
  assert.equal(await count('value:arriving.example'), 0);
  assert.equal((await admin.get('/api/v1/intel-imports/nothing')).status, 404);
});

test('who may not write may not import; each import and its end are in the audit trail', async () => {
  const made = await admin.post('/api/v1/users', { name: 'reader', display_name: 'Reader', org_id: 'root', roles: ['leader'] });
  const reader = await s.signIn('reader', made.body.password);
  assert.equal((await reader.call('POST', '/api/v1/intel-imports?name=x', 'x.example\n', text)).status, 403);
  const j = (await admin.get('/api/v1/intel-imports?limit=1')).body.items[0];
  assert.equal((await reader.get('/api/v1/intel-imports')).status, 200);
  assert.equal((await reader.post(`/api/v1/intel-imports/${j.id}/cancel`)).status, 403);
  assert.equal((await request(s.url + '/api/v1/intel-imports')).status, 401);
  const a = await admin.post('/api/v1/users', { name: 'auditor', display_name: 'Auditor', org_id: 'root', roles: ['audit_admin'] });
  const auditor = await s.signIn('auditor', a.body.password);
  const ends = await until('the ends are written', async () => {
    const items = (await auditor.get('/api/v1/audit?limit=50&filter=action:ti.import')).body.items;
    return items.length >= 5 && items;
  });
  assert.deepEqual([...new Set(ends.map((e) => e.result.split(':')[0]))].sort(), ['cancelled', 'failed', 'interrupted', 'ok']);
  assert.equal(ends.find((e) => e.result === 'ok').after.new, 3);
  assert.ok(ends.every((e) => e.user?.name === 'admin'));
  assert.equal((await auditor.post('/api/v1/audit:verify')).body.ok, true);
});

test('a server told to stop does not wait for an import that a request waits for', async () => {
  let source, r, j, ended;
  for (let n = 200000; j?.state !== 'interrupted'; n *= 4) { // larger until it is seen at work, and the server is stopped before it is done
    assert.ok(n <= 3200000, 'no import was seen at work');
    source = (await admin.post('/api/v1/intel-sources', { name: 'direct' + n, kind: 'upload' })).body.id;
    const body = Array.from({ length: n }, (_, i) => `45.${60 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`).join('\n') + '\n';
    r = admin.call('POST', `/api/v1/indicators:import?format=list&name=direct${n}&source=${source}`, body, text).catch((e) => ({ status: 0, text: String(e) }));
    j = await until('rows are written', async () => {
      const x = (await admin.get('/api/v1/intel-imports?limit=1')).body.items[0];
      return x.name === 'direct' + n && (x.state === 'done' || (x.state === 'running' && x.progress?.written > 0)) && x;
    });
    const data = s.data;
    ended = await s.stop({ keep: true });
    assert.equal(ended.code, 0);
    r = await r;
    s = await startServer({ data });
    admin = await s.signIn('admin', 'Harbour-Lantern-58');
    j = await over(j.id);
    assert.match(j.state, /^(done|interrupted)$/);
  }
  assert.notEqual(r.status, 200, r.text);
  assert.equal(j.report.kept, 0);
  assert.equal(await count(`value:45.6* source.id:${source}`), 0);
});

test('a server killed in the middle takes the half import back at its next start', async () => {
  let source = 'upload';
  let r, j;
  for (let n = 200000; j?.state !== 'interrupted'; n *= 4) { // larger until it is seen at work, and killed before it is done
    assert.ok(n <= 3200000, 'no import was seen at work');
    if (n > 200000) source = (await admin.post('/api/v1/intel-sources', { name: 'again' + n, kind: 'upload' })).body.id;
    r = await start('big.txt', Array.from({ length: n }, (_, i) => `45.${80 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`).join('\n') + '\n', '&format=list&source=' + source);
    assert.equal(r.status, 202, r.text);
    await until('rows are written', async () => { const x = await job(r.body.id); return x.state === 'done' || (x.state === 'running' && x.progress?.written > 0); });
    const data = s.data;
    await s.kill();
    s = await startServer({ data });
    admin = await s.signIn('admin', 'Harbour-Lantern-58');
    j = await over(r.body.id);
    assert.match(j.state, /^(done|interrupted)$/);
  }
  assert.match(j.error, /restarted/);
  assert.equal(j.report.kept, 0);
  assert.equal(await count(`value:45.8* source.id:${source}`), 0);
  assert.equal((await over((await start('after.txt', 'later.example\n')).body.id)).state, 'done', 'the place is free again');
});
