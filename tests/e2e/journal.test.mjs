// SPDX-License-Identifier: Apache-2.0
// Journals over HTTP: requests made by hand (pieces, binary and large fields, broken ends, sign-in) and the real
// systemd-journal-upload with a journal that systemd-journal-remote wrote. COL-001.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Session, assertEachOnce, request, startServer, waitUntil } from './lib.mjs';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'cf-journal-'));
const file = (name) => path.join(dir, name);
const TYPE = 'application/vnd.fdo.journal';
const UPLOAD = '/lib/systemd/systemd-journal-upload', REMOTE = '/lib/systemd/systemd-journal-remote';
let s, api, token;

const now = () => BigInt(Date.now()) * 1000n;
let number = 0;
/** An entry as journald writes it; fields: text, or Buffer for the binary form. */
function entry(fields, cursor = true) {
  const parts = cursor ? [`__CURSOR=s=0a;i=${(++number).toString(16)};b=0b\n`] : [];
  for (const [k, v] of Object.entries({ __REALTIME_TIMESTAMP: String(now()), __MONOTONIC_TIMESTAMP: '100', _BOOT_ID: '0123456789abcdef0123456789abcdef', ...fields })) {
    if (typeof v === 'string') parts.push(`${k}=${v}\n`);
    else {
      const n = Buffer.alloc(8);
      n.writeBigUInt64LE(BigInt(v.length));
      parts.push(`${k}\n`, n, v, '\n');
    }
  }
  return Buffer.concat([...parts, '\n'].map((p) => Buffer.from(p)));
}
const sshd = (user, host) => ({ _HOSTNAME: host, SYSLOG_IDENTIFIER: 'sshd', _PID: '77', PRIORITY: '6', MESSAGE: `Failed password for ${user} from 203.0.113.9 port 4022 ssh2` });
/** Posts pieces as they are, chunked. */
const post = (pieces, { p = '/upload', headers = {} } = {}) => new Promise((resolve, reject) => {
  const req = https.request(s.url + p, { method: 'POST', rejectUnauthorized: false, headers: { 'content-type': TYPE, authorization: `Bearer ${token}`, ...headers } }, (res) => {
    let text = '';
    res.on('data', (d) => { text += d; });
    res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, body: JSON.parse(text) }));
  });
  req.on('error', reject);
  for (const x of pieces) req.write(x);
  req.end();
});
const found = (query, n) => waitUntil(`${query} -> ${n}`, async () => {
  const t = (await api.post('/api/v1/events:search', { query, from: 'now-1d', to: 'now+1d', limit: 1 })).body.total;
  return t === n || t;
}, 20);
const source = (name) => waitUntil(`data source ${name}`, async () => (await api.get('/api/v1/sources?limit=100')).body.items.some((x) => x.name === name), 20);
const one = async (query) => (await api.post('/api/v1/events:search', { query, from: 'now-1d', to: 'now+1d', limit: 1 })).body.items[0];

before(async () => {
  s = await startServer({ config: 'log:\n  level: info\n' });
  api = s.token('admin');
  token = s.token('admin', ['event.ingest']).token;
});
after(async () => {
  await s?.stop();
  fs.rmSync(dir, { recursive: true, force: true });
});

test('entries in odd pieces: parsed by what their program says, kept with the data source', async () => {
  const all = Buffer.concat([entry(sshd('ann', 'j-1')), entry(sshd('bob', 'j-1')), entry({ _HOSTNAME: 'j-1', SYSLOG_IDENTIFIER: 'app', MESSAGE: Buffer.from('two\nlines \x01') })]);
  const pieces = [];
  for (let k = 0; k < all.length; k += 37) pieces.push(all.subarray(k, k + 37));
  const r = await post(pieces);
  assert.deepEqual([r.status, r.body], [200, { accepted: 3, fields_left_out: 0 }]);
  await found('host.name:j-1', 3);
  const e = await one('host.name:j-1 user.name:ann');
  assert.equal(e.source.ip, '203.0.113.9');
  assert.match((await one('host.name:j-1 process.name:app')).message, /^two\nlines/);
  await source('journald');
});

test('a path names the data source; no cursor is no matter; an empty upload is fine', async () => {
  const r = await post([entry(sshd('cat', 'j-2'), false)], { p: '/api/v1/journal/branch-7/upload' });
  assert.deepEqual([r.status, r.body.accepted], [200, 1]);
  await found('host.name:j-2 user.name:cat', 1);
  await source('branch-7');
  assert.equal((await post([])).status, 200);
});

test('a core dump in an entry is left out and counted, the entry and those behind it are kept', async () => {
  const r = await post([entry({ ...sshd('dan', 'j-3'), COREDUMP: Buffer.alloc(20 << 20, 'c') }), entry({ ...sshd('eve', 'j-3'), LONG: 'x'.repeat(5 << 20) }), entry(sshd('fay', 'j-3'))]);
  assert.deepEqual([r.status, r.body], [200, { accepted: 3, fields_left_out: 2 }]);
  await found('host.name:j-3', 3);
});

test('an entry cut off at the end, bytes that are no journal, another type: refused with the reason', async () => {
  const cut = await post([entry(sshd('gus', 'j-4')), entry(sshd('hal', 'j-4')).subarray(0, -1)]);
  assert.equal(cut.status, 400);
  assert.match(cut.body.detail, /last entry is not complete.*1 entries before it are kept/);
  await found('host.name:j-4', 1);
  for (const [text, why] of [['{"a":1}\n', /entry 1.*no field's name/], [`A\n${'\0'.repeat(8)}b`, /no line feed behind/], ['\x1f\x8b\n', /no field's name/]]) {
    const r = await post([Buffer.from(text, 'latin1')]);
    assert.equal(r.status, 400);
    assert.match(r.body.detail, why);
  }
  const json = await post([entry(sshd('ida', 'j-4'))], { headers: { 'content-type': 'application/json' } });
  assert.equal(json.status, 400);
  assert.match(json.body.detail, /vnd\.fdo\.journal/);
});

test('sign-in: bearer, or the token as the password of the address; elsewhere basic authentication is not taken', async () => {
  const basic = (t, name = 'collector') => ({ authorization: 'Basic ' + Buffer.from(`${name}:${t}`).toString('base64') });
  assert.equal((await post([entry(sshd('joe', 'j-5'))], { headers: basic(token) })).status, 200);
  await found('host.name:j-5', 1);
  for (const h of [basic('nonsense'), basic(''), { authorization: 'Basic !!!' }, { authorization: 'Bearer nonsense' }, { authorization: '' }]) {
    const r = await post([entry(sshd('kim', 'j-5'))], { headers: h });
    assert.equal(r.status, 401, JSON.stringify(h));
    assert.match(r.headers['www-authenticate'], /^Basic realm=/);
  }
  const reads = s.token('admin', ['event.search']).token; // a token without event.ingest
  assert.equal((await post([entry(sshd('kim', 'j-5'))], { headers: basic(reads) })).status, 403);
  const other = await request(`${s.url}/api/v1/events:bulk`, { method: 'POST', body: '{}\n', headers: basic(token) });
  assert.equal(other.status, 401);
  assert.equal(other.headers['www-authenticate'], 'Bearer');
  await found('host.name:j-5', 1);
});

test('a full spool is 507, a server that dies before the answer has kept what it answered for', async () => {
  const two = await startServer({ config: 'spool:\n  min_free: 900000G\n' }); // no disk has that
  const t = two.token('admin');
  const r = await request(`${two.url}/upload`, { method: 'POST', body: entry(sshd('lee', 'j-6')), headers: { 'content-type': TYPE, authorization: `Bearer ${t.token}` }, timeout: 500000 });
  assert.equal(r.status, 507);
  await two.stop();
  assert.equal((await post([entry(sshd('max', 'j-6'))])).status, 200);
  await s.kill();
  s = await startServer({ data: s.data, config: 'log:\n  level: info\n' });
  api = new Session(s, { token: api.token });
  await found('host.name:j-6 user.name:max', 1);
});

test('systemd-journal-upload: a whole journal arrives, what comes later after it; only the entry at its mark is sent again', { skip: fs.existsSync(UPLOAD) && fs.existsSync(REMOTE) ? false : 'systemd-journal-remote is not installed' }, async () => {
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file('c.key'), '-out', file('c.crt'), '-subj', '/CN=host', '-days', '2'], { stdio: 'ignore' });
  const write = (name, from, n) => {
    const text = Buffer.concat(Array.from({ length: n }, (_, k) => entry({ ...sshd(`u${from + k}`, 'j-real'), BLOB: Buffer.from([0, 10, 61, 10, k & 255]), __MONOTONIC_TIMESTAMP: String(100 + from + k) }, false)));
    fs.writeFileSync(file(`${name}.txt`), text);
    execFileSync(REMOTE, ['-o', file(`${name}.journal`), file(`${name}.txt`)], { stdio: 'ignore' });
  };
  const upload = (name, address) => new Promise((resolve) => {
    const p = spawn(UPLOAD, [`--url=${address}`, '--trust=all', `--key=${file('c.key')}`, `--cert=${file('c.crt')}`, `--save-state=${file('state')}`, `--file=${file(name)}`, '--follow=no']);
    let text = '';
    p.stderr.on('data', (d) => { text += d; });
    p.on('close', (code) => resolve({ code, text }));
  });
  const at = s.url.replace('127.0.0.1', 'localhost');
  write('real', 0, 1500);
  const wrong = await upload('real.journal', at.replace('https://', 'https://host:nonsense@') + '/api/v1/journal/real');
  assert.notEqual(wrong.code, 0);
  assert.match(wrong.text, /401/);
  const good = at.replace('https://', `https://host:${token}@`) + '/api/v1/journal/real';
  const r = await upload('real.journal', good);
  assert.equal(r.code, 0, r.text);
  await found('host.name:j-real', 1500);
  assert.match(fs.readFileSync(file('state'), 'utf8'), /LAST_CURSOR=/);
  assert.equal((await upload('real.journal', good)).code, 0); // nothing new: systemd 252 sends the entry at its mark again at each start
  write('real', 1500, 200);
  const more = await upload('real.journal', good);
  assert.equal(more.code, 0, more.text);
  await found('host.name:j-real user.name:u1699', 1);
  const seen = new Map();
  for (let cursor; ;) {
    const page = (await api.post('/api/v1/events:search', { query: 'host.name:j-real', from: 'now-1d', to: 'now+1d', limit: 1000, cursor, fields: ['user.name'] })).body;
    for (const x of page.items) seen.set(x.user.name, (seen.get(x.user.name) || 0) + 1);
    cursor = page.next;
    if (!cursor) break;
  }
  seen.set('u1499', Math.min(seen.get('u1499') ?? 0, 1));
  assertEachOnce(seen, 1700);
  const e = await one('host.name:j-real user.name:u1699');
  assert.equal(e.source.ip, '203.0.113.9');
});
