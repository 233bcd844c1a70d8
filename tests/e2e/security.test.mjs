// SPDX-License-Identifier: Apache-2.0
// The server against bad input and bad people: sessions, CSRF, lockout, one-time codes, limits, traversal, slow clients.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { after, before, test } from 'node:test';
import { noRecordsFile, request, run, slow, startServer, waitUntil } from './lib.mjs';

let s, admin;
const post = (p, body, headers, cookie) => request(s.url + p, { method: 'POST', body, headers, cookie });

before(async () => {
  s = await startServer({ config: 'store:\n  events: none\nsecurity:\n  address_failures: 1000\n' });
});
after(() => s?.stop());

test('the first password must be changed before anything else', async () => {
  const r = await post('/api/v1/session', { user: 'admin', password: s.adminPassword });
  assert.equal(r.status, 200);
  const cookie = r.headers['set-cookie'][0];
  assert.match(cookie, /^cf_session=[0-9a-f]{64}; Path=\/; HttpOnly; SameSite=Strict; Secure$/);
  assert.equal(r.body.user.must_change_password, true);
  const blocked = await request(s.url + '/api/v1/users', { cookie: cookie.split(';')[0] });
  assert.equal(blocked.status, 403);
  assert.equal(blocked.body.type, 'urn:chengfang:problem:password-change-required');
  admin = await s.signIn('admin');
  assert.equal((await admin.get('/api/v1/users')).status, 200);
  assert.equal((await request(s.url + '/api/v1/users', { cookie: cookie.split(';')[0] })).status, 401, 'the other session ended with the change');
  assert.equal((await post('/api/v1/session', { user: 'admin', password: s.adminPassword })).status, 401);
});

test('CSRF: token and origin', async () => {
  const patch = (headers) => request(s.url + '/api/v1/me', { method: 'PATCH', body: { theme: 'dark' }, headers, cookie: admin.cookie });
  assert.equal((await patch({})).status, 403);
  assert.equal((await patch({ 'x-csrf-token': 'f'.repeat(64) })).status, 403);
  assert.equal((await patch({ 'x-csrf-token': admin.csrf, origin: 'https://evil.example' })).status, 403);
  assert.equal((await patch({ 'x-csrf-token': admin.csrf, origin: s.url })).status, 204);
  assert.equal((await patch({ 'x-csrf-token': admin.csrf })).status, 204);
  assert.equal((await post('/api/v1/session', { user: 'admin', password: 'x' }, { origin: 'https://evil.example' })).status, 403, 'sign-in from another site');
  const token = s.token('admin');
  assert.equal((await token.patch('/api/v1/me', { theme: 'light' })).status, 204, 'a bearer token needs no CSRF token');
});

test('wrong passwords lock the account, an administrator unlocks', async () => {
  const made = (await admin.post('/api/v1/users', { name: 'locky', org_id: 'root', roles: ['screen'] })).body;
  const seen = [];
  for (let i = 0; i < 6; i++) seen.push((await post('/api/v1/session', { user: 'locky', password: `wrong-${i}` })).status);
  assert.deepEqual(seen, [401, 401, 401, 401, 429, 429]);
  const right = await post('/api/v1/session', { user: 'locky', password: made.password });
  assert.equal(right.status, 429);
  assert.ok(Number(right.headers['retry-after']) > 800, 'says when to come back');
  const fresh = (await admin.post(`/api/v1/users/${made.id}/reset`)).body.password;
  assert.notEqual(fresh, made.password);
  assert.equal((await post('/api/v1/session', { user: 'locky', password: fresh })).status, 200);
});

function totp(base32, time = Date.now()) {
  let bits = '';
  for (const c of base32) bits += 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0');
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const msg = Buffer.alloc(8);
  msg.writeBigUInt64BE(BigInt(Math.floor(time / 30000)));
  const mac = crypto.createHmac('sha1', key).update(msg).digest();
  const o = mac[19] & 15;
  return String((mac.readUInt32BE(o) & 0x7fffffff) % 1000000).padStart(6, '0');
}

test('one-time codes', async () => {
  const made = (await admin.post('/api/v1/users', { name: 'otto', org_id: 'root', roles: ['leader'] })).body;
  const otto = await s.signIn('otto', made.password);
  const { body } = await otto.post('/api/v1/me/totp');
  assert.match(body.otpauth_uri, /^otpauth:\/\/totp\/Chengfang:otto\?secret=[A-Z2-7]{32}&issuer=Chengfang$/);
  const code = totp(body.secret);
  assert.equal((await otto.post('/api/v1/me/totp/confirm', { otp: code === '000000' ? '000001' : '000000' })).status, 400);
  assert.match(body.qr_svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 (\d+) \1"/);
  assert.ok(!/[^\w\s<>="/:.#-]/.test(body.qr_svg), 'nothing but squares');
  const on = await otto.post('/api/v1/me/totp/confirm', { otp: code });
  assert.equal(on.status, 200);
  const codes = on.body.recovery_codes;
  assert.equal(new Set(codes).size, 10);
  assert.match(codes[0], /^[A-Z2-7]{4}(-[A-Z2-7]{4}){3}$/);
  const need = await post('/api/v1/session', { user: 'otto', password: s.passwords.otto });
  assert.equal(need.status, 401);
  assert.equal(need.body.otp_required, true);
  assert.equal((await post('/api/v1/session', { user: 'otto', password: s.passwords.otto, otp: code })).status, 401, 'a used code is no code');
  const later = totp(body.secret, Date.now() + 30000); // one step ahead is within the window
  assert.equal((await post('/api/v1/session', { user: 'otto', password: s.passwords.otto, otp: later })).status, 200);
  // a lost telephone: each recovery code is good once, however it is typed, and the audit trail says so
  const sign = (otp) => post('/api/v1/session', { user: 'otto', password: s.passwords.otto, otp });
  assert.equal((await sign(codes[3].toLowerCase().replaceAll('-', ''))).body.user.recovery_codes_left, 9);
  assert.equal((await sign(codes[3])).status, 401);
  assert.equal((await sign('AAAA-BBBB-CCCC-DDDD')).status, 401);
  const again = (await otto.post('/api/v1/me/totp/recovery')).body.recovery_codes;
  assert.equal((await sign(codes[4])).status, 401, 'the old ones are void');
  assert.equal((await sign(again[0])).status, 200);
  const trail = (await admin.get('/api/v1/audit?limit=50')).text;
  assert.ok(trail.includes('ok: recovery code') || (await admin.get('/api/v1/audit')).status === 403);
  if (noRecordsFile) return;
  const stored = fs.readFileSync(path.join(s.data, 'records.db')).toString('latin1');
  assert.ok(!stored.includes(again[1]) && !stored.includes(again[1].replaceAll('-', '')), 'only digests are stored');
});

test('a role that wants a second factor: nothing works until it is set up, and it cannot be turned off', async () => {
  const made = (await admin.post('/api/v1/users', { name: 'deputy', org_id: 'root', roles: ['screen'] })).body;
  const deputy = await s.signIn('deputy', made.password);
  assert.equal((await deputy.get('/api/v1/overview')).status, 200);
  assert.equal((await deputy.put('/api/v1/roles/screen/second-factor', { required: true })).status, 403);
  const role = await admin.put('/api/v1/roles/screen/second-factor', { required: true }); // built-in roles too
  assert.equal(role.status, 200, role.text);
  assert.equal(role.body.totp_required, true);
  assert.ok(role.body.users_without_totp >= 1);
  const held = await deputy.get('/api/v1/overview'); // at once, sessions that are open included
  assert.equal(held.status, 403);
  assert.equal(held.body.type, 'urn:chengfang:problem:totp-setup-required');
  assert.equal((await deputy.get('/api/v1/session')).body.user.must_set_up_totp, true);
  assert.equal((await deputy.post('/api/v1/tokens', { name: 'way-round' })).status, 403);
  const { body } = await deputy.post('/api/v1/me/totp');
  assert.equal((await deputy.post('/api/v1/me/totp/confirm', { otp: totp(body.secret) })).status, 200);
  assert.equal((await deputy.get('/api/v1/overview')).status, 200);
  assert.equal((await deputy.delete('/api/v1/me/totp')).status, 409);
  assert.equal((await post('/api/v1/session', { user: 'deputy', password: s.passwords.deputy })).body.otp_required, true);
  assert.equal((await admin.post(`/api/v1/users/${made.id}/reset`)).status, 200); // telephone and codes lost: an administrator resets
  assert.equal((await admin.put('/api/v1/roles/screen/second-factor', { required: false })).body.totp_required, false);
  assert.equal((await admin.put('/api/v1/roles/nobody/second-factor', { required: true })).status, 404);
});

test('tokens: scopes narrow, withdrawal and suspension end them', async () => {
  const made = (await admin.post('/api/v1/tokens', { name: 'narrow', scopes: ['rule.read'] })).body;
  const narrow = s.withToken(made.token);
  assert.equal((await narrow.get('/api/v1/rules')).status, 200);
  assert.equal((await narrow.get('/api/v1/users')).status, 403);
  assert.equal((await s.withToken('cft_' + '0'.repeat(64)).get('/api/v1/rules')).status, 401);
  assert.equal((await s.withToken('x').get('/api/v1/rules')).status, 401);
  const listed = (await admin.get('/api/v1/tokens')).text;
  assert.ok(!listed.includes(made.token.slice(4)), 'a token is shown once');
  assert.equal((await admin.delete(`/api/v1/tokens/${made.id}`)).status, 204);
  assert.equal((await narrow.get('/api/v1/rules')).status, 401);
});

test('signing out ends the session at once', async () => {
  const one = await s.signIn('admin');
  assert.equal((await one.get('/api/v1/sessions')).status, 200);
  assert.equal((await one.delete('/api/v1/session')).status, 204);
  assert.equal((await one.get('/api/v1/sessions')).status, 401);
});

test('the event stream speaks, and ends with its session', { timeout: 500000 * slow }, async () => {
  const one = await s.signIn('admin');
  const stream = one.stream();
  await stream.opened;
  assert.deepEqual(await stream.next('hello'), {});
  assert.equal((await one.delete('/api/v1/session')).status, 204);
  await stream.closed; // by the server
});

test('broken and oversized requests get a problem document', async () => {
  const t = s.token('admin');
  const raw = (body, type = 'application/json', p = '/api/v1/organisations') => t.call('POST', p, body, { 'content-type': type });
  const cases = [
    [await raw('{"name":'), 400], [await raw('[1]'), 400], [await raw('{"name":1}'), 400], [await raw('{"name":"a","name":"b"}'), 400],
    [await raw('{"nme":"x"}'), 400], [await raw('name=x', 'application/x-www-form-urlencoded'), 415], [await raw('{}', 'text/plain'), 415],
    [await raw('['.repeat(100000)), 400], [await raw('{"name":"\\u0000"}'), 400], [await raw(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d])), 400],
    [await raw('{"name":"' + 'x'.repeat(2 << 20) + '"}'), 413], [await t.call('PUT', '/api/v1/users'), 405], [await t.get('/api/v1/no-such-thing'), 404],
    [await t.get('/api/v1/users?limit=0'), 400], [await t.get('/api/v1/users?sort=password_hash'), 400], [await t.get('/api/v1/users?filter=password_hash:x'), 400],
    [await t.get('/api/v1/users?cursor=zz'), 400], [await t.get('/api/v1/users?filter=' + encodeURIComponent('name:"')), 400],
    [await t.get('/api/v1/users?filter=' + encodeURIComponent("x' OR '1'='1")), 200],
  ];
  cases.forEach(([r, want], i) => {
    assert.equal(r.status, want, `case ${i}: ${r.text.slice(0, 200)}`);
    if (want >= 400) {
      assert.match(r.headers['content-type'], /application\/problem\+json/);
      assert.ok(r.body.title && r.body.detail && r.body.status === want && r.body.instance, `case ${i}`);
    }
  });
  assert.equal(cases[11][0].headers.allow, 'GET, POST');
  assert.deepEqual(cases[4][0].body.errors.map((e) => e.field).sort(), ['name', 'nme']);
  assert.equal(cases.at(-1)[0].body.total, 0, 'quotes in a filter stay text');
});

/** Sends raw bytes over TLS, resolves to what came back until the server closes or the reply is complete. */
function rawRequest(bytes, { end = true, url: where = s.url } = {}) {
  const url = new URL(where);
  return new Promise((resolve, reject) => {
    let got = '';
    const c = tls.connect({ port: url.port, host: '127.0.0.1', rejectUnauthorized: false }, () => { c.write(bytes); if (!end) resolve(c); });
    c.on('data', (d) => { got += d; });
    c.on('close', () => resolve(got));
    c.on('error', (e) => (got ? resolve(got) : reject(e)));
  });
}

test('no path leaves the console folder', async () => {
  for (const p of ['/../../../etc/passwd', '/..%2f..%2f..%2fetc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/assets/../../../../etc/passwd', '/....//etc/passwd', '//etc/passwd',
    '/\\..\\..\\etc\\passwd', '/%00/etc/passwd', '/index.html%00.js']) {
    const r = await rawRequest(`GET ${p} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    assert.doesNotMatch(r, /root:/, p);
    assert.match(r, /^HTTP\/1\.1 (200|400|404) /, p);
  }
});

test('security headers on pages, API and errors', async () => {
  for (const [p, st] of [['/', 200], ['/api/v1/users', 401], ['/healthz', 200], ['/no.such.file', 404]]) {
    const r = await request(s.url + p);
    assert.equal(r.status, st, p);
    assert.equal(r.headers['x-content-type-options'], 'nosniff');
    assert.equal(r.headers['x-frame-options'], 'DENY');
    assert.match(r.headers['strict-transport-security'], /max-age=\d+/);
    assert.match(r.headers['content-security-policy'], /default-src '(self|none)'.*frame-ancestors 'none'/);
    assert.doesNotMatch(r.headers['content-security-policy'], /unsafe-eval|script-src[^;]*unsafe-inline/);
    assert.match(r.headers['x-request-id'], /^[0-9a-f-]{36}$/);
  }
});

test('old TLS is refused', async () => {
  const url = new URL(s.url);
  const e = await new Promise((resolve) => {
    const c = tls.connect({ port: url.port, host: '127.0.0.1', rejectUnauthorized: false, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }, () => resolve(null));
    c.on('error', resolve);
  });
  assert.ok(e, 'TLS 1.1 was accepted');
});

// A server of its own with short limits; a fresh connection for each probe, because the server closes idle ones.
const serves = (x) => waitUntil('serves', async () => (await request(x.url + '/readyz', { agent: new https.Agent({ rejectUnauthorized: false }) }).catch((e) => e)).status === 200);

test('slow and half-open clients are dropped and hinder nobody', async () => {
  const x = await startServer({ config: 'store:\n  events: none\nhttp:\n  idle_timeout: 2s\n' });
  try {
    const slow = [];
    for (let i = 0; i < 20; i++) slow.push(await rawRequest('POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n', { end: false, url: x.url }));
    const closed = Promise.all(slow.map((c) => new Promise((r) => (!c || c.destroyed ? r() : c.on('close', r)))));
    await serves(x);
    await closed; // the runner's own limit ends this if it never comes
    await serves(x);
  } finally {
    await x.stop();
  }
});

test('one address cannot take all connections', async () => {
  const x = await startServer({ config: 'store:\n  events: none\nhttp:\n  connections_per_address: 40\n  idle_timeout: 1h\n' });
  try {
    let refused = 0;
    const all = [];
    for (let i = 0; i < 120; i++) {
      const c = net.connect({ port: new URL(x.url).port, host: '127.0.0.1' });
      c.on('error', () => {});
      c.resume();
      c.on('close', () => { refused++; });
      all.push(c);
    }
    await waitUntil('those over the limit are refused', () => refused >= 80 || refused); // the others may be idle for an hour
    assert.ok(refused < 120, 'and no others');
    all.forEach((c) => c.destroy());
    await serves(x); // again, once they are gone
  } finally {
    await x.stop();
  }
});

test('every change and every sign-in is in the audit chain, which verifies', async () => {
  const file = `${s.data}/pw`;
  fs.writeFileSync(file, 'Harbour-Lantern-58');
  assert.equal(run(['user', 'add', 'auditor', '--data', s.data, '--role', 'audit_admin', '--password-file', file]).status, 0);
  const auditor = await s.signIn('auditor', 'Harbour-Lantern-58');
  const find = async (f) => (await auditor.get('/api/v1/audit?limit=1000&filter=' + encodeURIComponent(f))).body;
  assert.ok((await find('action:session.sign_in user:locky result:"failed: wrong"')).total >= 4);
  assert.ok((await find('action:session.sign_in user:admin result:ok')).total >= 1);
  const denied = await find('result:denied* action:"PATCH /api/v1/me"');
  assert.ok(denied.total >= 3, 'refused changes are there');
  const added = (await find('action:"POST /api/v1/users"')).items.find((x) => x.after?.name === 'otto');
  assert.ok(added && added.user.name === 'admin' && added.peer === '127.0.0.1');
  assert.doesNotMatch((await find('')).items.map((x) => JSON.stringify(x)).join('\n'), /Harbour-Lantern|cft_[0-9a-f]{20}|"password":"[^"]+"/, 'no secret in the log');
  const v = (await auditor.post('/api/v1/audit:verify')).body;
  assert.equal(v.ok, true);
  assert.ok(v.checked > 20);
  assert.equal((await auditor.get('/api/v1/alerts')).status, 403);
  assert.equal((await auditor.get('/api/v1/events/1')).status, 403);
});
