// SPDX-License-Identifier: Apache-2.0
// Syslog over TLS (RFC 5425) with real certificates made by openssl: framing, client certificates, refusals, half-open
// handshakes, many idle connections, certificates replaced while running. COL-007, COL-038.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { slow, startServer, waitUntil } from './lib.mjs';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'cf-tls-'));
const file = (name) => path.join(dir, name);
const openssl = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
let s, api, port;

const until = (what, fn, seconds = 20) => waitUntil(what, fn, seconds);
const listener = async (a = api) => (await a.get('/api/v1/health')).body.listeners.find((l) => l.name === 'syslog-tls');
const found = (query, n) => until(`${query} -> ${n}`, async () => {
  const t = (await api.post('/api/v1/events:search', { query, from: 'now-1d', to: 'now+1d', limit: 1 })).body.total;
  return t === n || t;
});
const sshd = (user, host) => `<38>1 ${new Date().toISOString()} ${host} sshd 77 - - Failed password for ${user} from 203.0.113.9 port 4022 ssh2`;

function authority(name) {
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.crt`, '-subj', `/CN=${name}`, '-days', '2');
}
function issue(ca, name, subject, { days = '2', san } = {}) {
  openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject);
  fs.writeFileSync(file(`${name}.ext`), san ? `subjectAltName=${san}\n` : 'basicConstraints=CA:FALSE\n');
  openssl('x509', '-req', '-in', `${name}.csr`, '-CA', `${ca}.crt`, '-CAkey', `${ca}.key`, '-CAcreateserial', '-out', `${name}.crt`, '-days', days, '-extfile', `${name}.ext`);
}
const pair = (name) => ({ cert: fs.readFileSync(file(`${name}.crt`)), key: fs.readFileSync(file(`${name}.key`)) });

before(async () => {
  authority('city');
  authority('stranger');
  issue('city', 'server', '/CN=soc', { san: 'DNS:soc.example,IP:127.0.0.1' });
  issue('city', 'gate', '/CN=gate-7.logs.example');
  issue('city', 'van', '/CN=van', { san: 'DNS:van.example' });
  issue('city', 'other', '/CN=printer');
  issue('stranger', 'fake', '/CN=gate-7.logs.example');
  authority('lone'); // signed by itself, known by its fingerprint
  const print = new crypto.X509Certificate(fs.readFileSync(file('lone.crt'))).fingerprint256;
  s = await startServer({
    config: `syslog:\n  tls: 127.0.0.1:0\n  tls_certificate: ${file('server.crt')}\n  tls_key: ${file('server.key')}\n  tls_client: required\n` +
      `  tls_ca: ${file('city.crt')}\n  tls_allowed: ["*.logs.example", "van.example", "sha-256:${print}"]\n  tls_handshake_timeout: 600s\n  connections: 1300\n`,
  });
  api = s.token('admin');
  port = (await listener()).port;
});
after(async () => {
  await s?.stop();
  fs.rmSync(dir, { recursive: true, force: true });
});

/** Sends over TLS; resolves to 'ok' once the server has closed after our end, or to the error's code. */
function send(text, options = {}, to = port) {
  return new Promise((resolve) => {
    let failed;
    const c = tls.connect({ port: to, host: '127.0.0.1', ca: fs.readFileSync(file('city.crt')), servername: 'soc.example', ...options }, () => c.end(text));
    c.on('error', (e) => { failed = e.code || e.message; });
    c.on('close', () => resolve(failed || 'ok'));
    c.resume();
  });
}

test('client certificate of the authority: octet counting and lines, TLS 1.2 and 1.3', async () => {
  const a = sshd('ann', 'tls-1'), b = `${sshd('bob', 'tls-1')}\nsecond line`;
  assert.equal(await send(`${Buffer.byteLength(a)} ${a}${Buffer.byteLength(b)} ${b}`, { ...pair('gate'), minVersion: 'TLSv1.3' }), 'ok');
  await found('host.name:tls-1', 2);
  assert.equal(await send(`${sshd('cat', 'tls-2')}\n${sshd('dan', 'tls-2')}\n${sshd('eve', 'tls-2')}`, { ...pair('van'), maxVersion: 'TLSv1.2' }), 'ok');
  await found('host.name:tls-2', 3);
});

test('a fingerprint needs no authority', async () => {
  assert.equal(await send(`${sshd('fay', 'tls-lone')}\n`, pair('lone')), 'ok');
  await found('host.name:tls-lone', 1);
});

test('refused and counted: no certificate, strange authority, name not listed, TLS 1.1, no TLS at all', async () => {
  const was = (await listener()).handshake_failed;
  const results = [];
  for (const o of [{}, pair('fake'), pair('other'), { ...pair('gate'), minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }])
    results.push(await send(`${sshd('mallory', 'tls-bad')}\n`, o));
  await new Promise((r) => { const c = net.connect(port, '127.0.0.1', () => c.end(`${sshd('mallory', 'tls-bad')}\n`)); c.on('close', r).on('error', () => {}).resume(); });
  await until('five refusals', async () => { const n = (await listener()).handshake_failed - was; return n === 5 || n; });
  assert.ok(results.every((r) => r !== 'ok'), results.join(' '));
  await s.logged(/TLS handshake failed.*client certificate: its name and fingerprint are not in syslog.tls_allowed/);
  const m = (await api.get('/metrics')).text;
  assert.match(m, /cf_syslog_tls_handshakes_failed_total [5-9]/);
  await send(`${sshd('gus', 'tls-after')}\n`, pair('gate'));
  await found('host.name:tls-after', 1);
  await found('host.name:tls-bad', 0);
});

test('openssl s_client as another sender', async () => {
  const c = spawn('openssl', ['s_client', '-quiet', '-no_ign_eof', '-connect', `127.0.0.1:${port}`, '-cert', file('gate.crt'), '-key', file('gate.key'), '-CAfile', file('city.crt')],
    { stdio: ['pipe', 'ignore', 'ignore'] });
  c.stdin.end(`${sshd('hal', 'tls-openssl')}\n${sshd('ida', 'tls-openssl')}\n`);
  await new Promise((r) => c.on('exit', r));
  await found('host.name:tls-openssl', 2);
});

test('half-open handshakes are given up', async () => { // a server of its own: no honest sender is in a hurry there
  const t = await startServer({ config: `syslog:\n  tls: 127.0.0.1:0\n  tls_handshake_timeout: 1s\n` });
  try {
    const a = t.token('admin'), to = (await listener(a)).port;
    const dumb = Array.from({ length: 50 }, () => net.connect(to, '127.0.0.1').on('error', () => {}));
    await until('50 handshakes given up', async () => { const n = (await listener(a)).handshake_timeout; return n === 50 || n; }, 60);
    dumb.forEach((c) => c.destroy());
  } finally {
    await t.stop();
  }
});

test('half-open handshakes hold nobody up; 1,000 idle connections', { timeout: 500000 * slow }, async () => {
  const dumb = Array.from({ length: 50 }, () => net.connect(port, '127.0.0.1').on('error', () => {}));
  await send(`${sshd('jon', 'tls-beside')}\n`, pair('gate'));
  await found('host.name:tls-beside', 1);
  dumb.forEach((c) => c.destroy());
  const idle = [];
  const open = () => new Promise((resolve) => { // on a machine that is slower than the handshake's limit: again
    const c = tls.connect({ port, host: '127.0.0.1', ca: fs.readFileSync(file('city.crt')), servername: 'soc.example', ...pair('gate') }, () => resolve(c));
    c.on('error', () => resolve(open()));
  });
  for (let k = 0; k < 100; k++) idle.push(...await Promise.all(Array.from({ length: 10 }, open)));
  await until('1,000 open', async () => { const n = (await listener()).connections; return n === 1000 || n; });
  idle.forEach((c, k) => { if (k % 100 === 0) c.write(`${sshd(`idle${k}`, 'tls-idle')}\n`); });
  await found('host.name:tls-idle', 10);
  idle.forEach((c) => c.destroy());
  await until('all closed', async () => { const n = (await listener()).connections; return n === 0 || n; });
});

test('2 MB through one connection, in one piece', async () => {
  const lines = Array.from({ length: 16000 }, (_, k) => `${sshd(`u${k}`, 'tls-much')}\n`).join('');
  assert.equal(await send(lines, pair('gate')), 'ok');
  await found('host.name:tls-much', 16000);
});

test('a new certificate holds for new connections without a restart', async () => {
  const serial = () => new Promise((resolve, reject) => {
    const c = tls.connect({ port, host: '127.0.0.1', ca: fs.readFileSync(file('city.crt')), servername: 'soc.example', ...pair('gate') }, () => {
      resolve(c.getPeerCertificate().serialNumber);
      c.destroy();
    });
    c.on('error', reject);
  });
  const was = await serial();
  issue('city', 'server', '/CN=soc', { san: 'DNS:soc.example,IP:127.0.0.1' });
  await until('the new certificate is shown', async () => (await serial()) !== was);
});

test('client certificates optional: none is taken, a wrong one is not; the console\'s certificate is the default', async () => {
  const t = await startServer({ config: `syslog:\n  tls: 127.0.0.1:0\n  tls_client: optional\n  tls_ca: ${file('city.crt')}\n` });
  try {
    const a = t.token('admin'), to = (await listener(a)).port;
    assert.equal(await send('<1>x\n', { rejectUnauthorized: false }, to), 'ok');
    assert.equal(await send('<1>x\n', { rejectUnauthorized: false, ...pair('other') }, to), 'ok');
    assert.notEqual(await send('<1>x\n', { rejectUnauthorized: false, ...pair('fake') }, to), 'ok');
    await until('two handshakes, one refusal', async () => { const l = await listener(a); return (l.handshakes === 2 && l.handshake_failed === 1) || l; });
  } finally {
    await t.stop();
  }
});
