// SPDX-License-Identifier: Apache-2.0
// Kafka over TLS and with sign-in: kafka_door.mjs stands before librdkafka's mock cluster, ends TLS and does the SASL exchanges of
// a broker. Right credentials; wrong password, unknown authority, other name, no client certificate: said in the health page and
// in the log with the broker's name, never the secret; mended, it goes on. COL-001, COL-032.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { openDoor } from './kafka_door.mjs';
import { run, slow, startKafka, startServer, waitUntil } from './lib.mjs';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'cf-kafka-login-'));
const file = (name) => path.join(dir, name);
const read = (name) => fs.readFileSync(file(name));
const openssl = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
const until = (what, fn, seconds = 40) => waitUntil(what, fn, seconds);
const SECRET = 'Harbour-secret-77', WRONG = 'Wrong-secret-78';
let mock;
const doors = [], servers = [];

const authority = (name) => openssl('req', '-x509', ...curve, '-nodes', '-keyout', `${name}.key`, '-out', `${name}.crt`, '-subj', `/CN=${name}`, '-days', '2');
function issue(ca, name, { san, password } = {}) {
  openssl('req', ...curve, ...(password ? ['-passout', `pass:${password}`] : ['-nodes']), '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
  fs.writeFileSync(file(`${name}.ext`), san ? `subjectAltName=${san}\n` : 'basicConstraints=CA:FALSE\n');
  openssl('x509', '-req', '-in', `${name}.csr`, '-CA', `${ca}.crt`, '-CAkey', `${ca}.key`, '-CAcreateserial', '-out', `${name}.crt`, '-days', '2', '-extfile', `${name}.ext`);
}
const secure = (name = 'broker', more = {}) => ({ cert: read(`${name}.crt`), key: read(`${name}.key`), ca: read('city.crt'), ...more });

before(async () => {
  authority('city');
  authority('stranger');
  issue('city', 'broker', { san: 'IP:127.0.0.1' });
  issue('city', 'elsewhere', { san: 'DNS:kafka.elsewhere.example' });
  issue('city', 'soc', { password: SECRET });
  issue('stranger', 'fake');
  for (const [name, text] of [['right', SECRET], ['wrong', WRONG]]) fs.writeFileSync(file(name), text + '\n', { mode: 0o600 });
  mock = await startKafka(2);
});
after(async () => {
  for (const s of servers) await s.stop();
  doors.forEach((d) => d.close());
  mock?.stop();
  fs.rmSync(dir, { recursive: true, force: true });
});

const openFor = async (o) => { const d = await openDoor({ brokers: mock.brokers, ...o }); doors.push(d); return d; };
const kafka = async (s) => (await s.api.get('/api/v1/health')).body.listeners.find((l) => l.name === 'kafka');
/** A server of group `name` that reads topic `name`; lines are the keys below kafka:. */
async function reader(name, door, lines, commit = '200ms') {
  const s = await startServer({ config: ['kafka:', `brokers: "${door.brokers}"`, `group: ${name}`, `topics: ["${name} parser=sshd"]`, 'session_timeout: 6s', `commit_interval: ${commit}`, ...lines].join('\n  ') + '\n' });
  s.api = s.token('admin');
  servers.push(s);
  return s;
}
const count = async (s, host) => (await s.api.post('/api/v1/events:search', { query: `host.name:${host}`, from: 'now-1d', to: 'now+1d', limit: 1 })).body.total;
async function arrives(s, name, from, n) {
  await mock.ok(`lines ${name} 2 k-${name} ${from} ${n}`);
  await until(`${name}: ${from + n} stored`, async () => { const c = await count(s, `k-${name}`); return c === from + n || c; });
  await until('committed', async () => { const c = await mock.committed(name, name, 2); return c === from + n || c; });
  await until('status', async () => { const k = await kafka(s); return (k.status === 'ok' && k.lag === 0) || k; });
}
/** No secret in what the server says, wherever it says it. */
async function discreet(s) {
  const texts = [s.log(), JSON.stringify((await s.api.get('/api/v1/health')).body), (await s.api.get('/metrics')).text];
  for (const t of texts) for (const secret of [SECRET, WRONG, Buffer.from(SECRET).toString('base64')]) assert.ok(!t.includes(secret), `the secret is in ${t.slice(0, 200)}`);
}
/** The health page and the log say what is wrong, and with which broker. */
async function complains(s, door, what) {
  const port = new RegExp(door.brokers.split(',').map((b) => b.split(':')[1]).join('|'));
  await until(`error ${what}`, async () => { const k = await kafka(s); return (k.status === 'error' && what.test(k.error) && port.test(k.error)) || k; });
  await s.logged(new RegExp(`${what.source}.*(${port.source})|(${port.source}).*${what.source}`, what.flags));
}

for (const [mechanism, security] of [['PLAIN', 'sasl_ssl'], ['SCRAM-SHA-256', 'sasl_ssl'], ['SCRAM-SHA-512', 'sasl_plaintext']])
  test(`${mechanism} over ${security}: events arrive, commits hold, the next start goes on behind them`, { timeout: 500000 * slow }, async () => {
    const name = mechanism.toLowerCase();
    await mock.ok(`topic ${name} 2`);
    const door = await openFor({ tls: security === 'sasl_ssl' ? secure() : undefined, users: { collector: SECRET } });
    const lines = [`security: ${security}`, `sasl_mechanism: ${mechanism}`, 'sasl_user: collector', `sasl_password_file: ${file('right')}`, `tls_ca: ${file('city.crt')}`];
    const s = await reader(name, door, lines);
    await arrives(s, name, 0, 400);
    assert.ok(door.seen.signedIn >= 2 && door.seen.refused === 0, JSON.stringify(door.seen));
    await discreet(s);
    await s.stop({ keep: true });
    await mock.ok(`lines ${name} 2 k-${name} 400 100`);
    const again = await reader(name, door, lines); // another store: only what was not committed
    await until('the rest', async () => { const c = await count(again, `k-${name}`); return c === 100 || c; });
    await again.stop();
    fs.rmSync(s.data, { recursive: true, force: true });
  });

test('wrong password: said with the broker, not the secret; mended in its file, it goes on without a restart', { timeout: 500000 * slow }, async () => {
  await mock.ok('topic mend 2');
  const door = await openFor({ tls: secure(), users: { collector: SECRET } });
  fs.copyFileSync(file('wrong'), file('mend'));
  // the file is looked at when positions are committed: a long time between them lets the mending come before the first look
  const s = await reader('mend', door, ['security: sasl_ssl', 'sasl_mechanism: SCRAM-SHA-256', 'sasl_user: collector', `sasl_password_file: ${file('mend')}`, `tls_ca: ${file('city.crt')}`], '3s');
  await complains(s, door, /authentication.*kafka\.sasl_password_file/i);
  await discreet(s);
  assert.equal((await kafka(s)).received, 0);
  fs.copyFileSync(file('right'), file('mend'));
  await arrives(s, 'mend', 0, 200);
  await s.logged(/password was read again/);

  door.users.collector = WRONG; // changed at the brokers while we are connected
  door.cut();
  await complains(s, door, /authentication.*kafka\.sasl_password_file/i);
  fs.copyFileSync(file('wrong'), file('mend'));
  await until('well again, though no record came', async () => { const k = await kafka(s); return k.status === 'ok' || k; });
  await arrives(s, 'mend', 200, 100);
  await discreet(s);
  await s.stop();
});

test('SCRAM as Kafka 4 checks it: taken with librdkafka 2.6.1 and later, with an older one the reason is said', { timeout: 500000 * slow }, async () => {
  await mock.ok('topic four 2');
  const door = await openFor({ users: { collector: SECRET }, strict: true });
  const s = await reader('four', door, ['security: sasl_plaintext', 'sasl_mechanism: SCRAM-SHA-256', 'sasl_user: collector', `sasl_password_file: ${file('right')}`]);
  if (Number(await mock.ask('version')) >= 0x020601ff) await arrives(s, 'four', 0, 100);
  else await complains(s, door, /Kafka 4 takes SCRAM only from librdkafka 2\.6\.1 on/);
  await s.stop();
});

test('a mechanism that the brokers do not offer is named', { timeout: 500000 * slow }, async () => {
  await mock.ok('topic mechanism 2');
  const door = await openFor({ users: { collector: SECRET }, mechanisms: ['SCRAM-SHA-512'] });
  const s = await reader('mechanism', door, ['security: sasl_plaintext', 'sasl_mechanism: PLAIN', 'sasl_user: collector', `sasl_password_file: ${file('right')}`]);
  await complains(s, door, /PLAIN.*kafka\.sasl_mechanism/);
  await discreet(s);
  await s.stop();
});

test('a certificate of an unknown authority, or with another name, is refused and said', { timeout: 500000 * slow }, async () => {
  await mock.ok('topic authority 2');
  for (const [ca, cert] of [['stranger', 'broker'], ['city', 'elsewhere']]) {
    const door = await openFor({ tls: secure(cert) });
    const s = await reader('authority', door, ['security: ssl', `tls_ca: ${file(`${ca}.crt`)}`]);
    await complains(s, door, /certificate.*kafka\.tls_ca/);
    assert.equal((await kafka(s)).received, 0);
    await s.stop();
  }
  const door = await openFor({ tls: secure('elsewhere') });
  const s = await reader('authority', door, ['security: ssl', `tls_ca: ${file('city.crt')}`, 'tls_verify_name: false']);
  await arrives(s, 'authority', 0, 100);
  await s.stop();
});

test('brokers that want a client certificate: none is an error, of a stranger too, ours with its encrypted key is taken', { timeout: 500000 * slow }, async () => {
  await mock.ok('topic client 2');
  const door = await openFor({ tls: secure('broker', { requestCert: true }) });
  const ssl = ['security: ssl', `tls_ca: ${file('city.crt')}`];
  let s = await reader('client', door, ssl);
  await complains(s, door, /kafka\.tls_certificate/);
  await s.stop();
  s = await reader('client', door, [...ssl, `tls_certificate: ${file('fake.crt')}`, `tls_key: ${file('fake.key')}`]);
  await until('not connected', async () => { const k = await kafka(s); return (k.status === 'error' && k.errors > 0) || k; });
  await s.stop();
  s = await reader('client', door, [...ssl, `tls_certificate: ${file('soc.crt')}`, `tls_key: ${file('soc.key')}`, `tls_key_password_file: ${file('right')}`]);
  await arrives(s, 'client', 0, 100);
  await discreet(s);
  await s.stop();
});

test('a plain client at a TLS port, and a sign-in that lacks its name: errors that name the key', { timeout: 500000 * slow }, async () => {
  await mock.ok('topic bare 2');
  const door = await openFor({ tls: secure() });
  const s = await reader('bare', door, ['security: plaintext']);
  await complains(s, door, /kafka\.security/);
  await s.stop();
  const d = fs.mkdtempSync(file('bad-'));
  fs.writeFileSync(path.join(d, 'chengfang.yaml'), `kafka:\n  brokers: "${door.brokers}"\n  topics: [plain]\n  security: sasl_ssl\nstore:\n  events: none\n`);
  const r = run(['serve', '--data', d, '--listen', '127.0.0.1:0']);
  assert.notEqual(r.status, 0);
  assert.match(r.stderr, /kafka\.sasl_user and kafka\.sasl_password_file/);
  const keys = run(['serve', '--print-config']).stdout;
  for (const k of ['brokers', 'security', 'sasl_mechanism', 'sasl_user', 'sasl_password_file', 'tls_ca', 'tls_certificate', 'tls_key', 'tls_key_password_file', 'tls_verify_name'])
    assert.match(keys, new RegExp(`\\n  # [^\\n]{12,}\\n(  #[^\\n]*\\n)*  ${k}:`), k);
});
