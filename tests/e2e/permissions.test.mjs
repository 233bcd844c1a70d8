// SPDX-License-Identifier: Apache-2.0
// Every operation of the route table (read from /api/openapi.json) with every built-in role: 401 without sign-in, 403 without the
// permission, anything but 401 and 403 with it. Then the facts about roles that no table may change by accident.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { request, run, startServer } from './lib.mjs';

let s, ops, roles;
const sessions = {};
const password = 'Harbour-Lantern-58';

before(async () => {
  s = await startServer({ config: 'store:\n  events: none\nhttp:\n  connections_per_address: 1000\n' });
  const api = (await request(s.url + '/api/openapi.json')).body;
  ops = [];
  for (const [p, item] of Object.entries(api.paths))
    for (const [m, op] of Object.entries(item)) ops.push({ method: m.toUpperCase(), path: p, permission: op['x-permission'], scope: op['x-scope'] });
  const file = path.join(os.tmpdir(), `cf-pw-${process.pid}`);
  fs.writeFileSync(file, password + '\n', { mode: 0o600 });
  const admin = s.token('admin');
  roles = (await admin.get('/api/v1/roles?limit=100&filter=builtin:true')).body.items;
  for (const r of roles) {
    const out = run(['user', 'add', `the.${r.id}`, '--data', s.data, '--role', r.id, '--password-file', file]);
    assert.equal(out.status, 0, out.stderr);
    sessions[r.id] = await s.signIn(`the.${r.id}`, password);
  }
  fs.rmSync(file);
});
after(() => s?.stop());

// operations about oneself that would end the session they are tried with, and the endless stream
const isPublic = (o) => o.permission === 'public';
const stream = '/api/v1/stream';
const at = (o) => o.path.replace(/\{[^}]*\}/g, 'nothing-with-this-id');

function streamStatus(session) {
  return new Promise((resolve, reject) => {
    const req = https.request(s.url + stream, { headers: { cookie: session?.cookie ?? '' }, rejectUnauthorized: false }, (res) => { res.destroy(); resolve(res.statusCode); });
    req.on('error', reject);
    req.end();
  });
}

test('the route table is complete', () => {
  assert.ok(ops.length >= 60, `${ops.length} operations`);
  for (const o of ops) {
    assert.ok(o.permission, `${o.method} ${o.path} has no permission`);
    assert.ok(o.scope, `${o.method} ${o.path} has no scope`);
  }
  assert.deepEqual(ops.filter(isPublic).map((o) => `${o.method} ${o.path}`).sort(),
    ['DELETE /api/v1/session', 'GET /api/openapi.json', 'GET /api/v1/session', 'GET /feeds/{token}/{format}', 'GET /healthz', 'GET /metrics', 'GET /readyz', 'POST /api/v1/session'].sort());
});

test('nothing answers without sign-in', async () => {
  const open = [];
  for (const o of ops.filter((x) => !isPublic(x))) {
    const st = o.path === stream ? await streamStatus() : (await s.anonymous().call(o.method, at(o), o.method === 'GET' ? undefined : {})).status;
    if (st !== 401) open.push(`${o.method} ${o.path}: ${st}`);
  }
  assert.deepEqual(open, []);
});

test('every operation with every built-in role', async (t) => {
  let tried = 0;
  for (const r of roles) {
    const wrong = [];
    for (const o of ops.filter((x) => !isPublic(x))) {
      if (o.path === '/api/v1/session/password') continue; // ends other sessions of the person
      const st = o.path === stream ? await streamStatus(sessions[r.id]) : (await sessions[r.id].call(o.method, at(o), o.method === 'GET' ? undefined : {})).status;
      const may = o.permission === 'self' || r.permissions.includes(o.permission);
      tried++;
      if (may ? st === 401 || st === 403 : st !== 403) wrong.push(`${o.method} ${o.path} (${o.permission}): ${st}`);
    }
    assert.deepEqual(wrong, [], r.id);
  }
  t.diagnostic(`${tried} combinations of ${ops.length} operations and ${roles.length} roles`);
});

test('what the built-in roles must never hold', () => {
  const perms = Object.fromEntries(roles.map((r) => [r.id, r.permissions]));
  assert.deepEqual(Object.keys(perms).sort(), ['analyst', 'audit_admin', 'coordinator', 'district_coordinator', 'leader', 'screen', 'security_admin',
    'system_admin', 'unit_leader', 'unit_officer']);
  for (const [id, list] of Object.entries(perms)) {
    assert.equal(list.includes('audit.read'), id === 'audit_admin', `audit.read of ${id}`);
    assert.equal(list.includes('user.write') || list.includes('role.write'), id === 'security_admin', `user.write of ${id}`);
    assert.equal(list.includes('export.list'), id !== 'screen', `export.list of ${id}`);
    assert.equal(list.includes('export.data'), id === 'analyst' || id === 'coordinator', `export.data of ${id}`);
    assert.equal(list.includes('system.write'), id === 'system_admin', `system.write of ${id}`);
  }
  for (const p of ['alert.read', 'incident.read', 'event.search', 'event.sql', 'notice.read', 'workitem.read'])
    for (const id of ['system_admin', 'security_admin', 'audit_admin']) assert.ok(!perms[id].includes(p), `${id} holds business permission ${p}`);
  for (const p of perms.screen) assert.match(p, /\.read$/, 'a big screen only reads');
  const scope = Object.fromEntries(roles.map((r) => [r.id, r.scope]));
  assert.equal(scope.unit_officer, 'subtree');
  assert.equal(scope.unit_leader, 'subtree');
  assert.equal(scope.district_coordinator, 'region');
});
