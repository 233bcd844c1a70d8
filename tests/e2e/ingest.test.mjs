// SPDX-License-Identifier: Apache-2.0
// Ways in: syslog over UDP and TCP, bulk over HTTP, files; each ends in a search hit. COL-001, COL-007, COL-028, COL-034, COL-037.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import dgram from 'node:dgram';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import zlib from 'node:zlib';
import { run, startServer, waitUntil } from './lib.mjs';

let s, api, udp, tcp;

/** Polls a condition until it holds; the last value goes into the failure. */
export const until = (what, fn, seconds = 20) => waitUntil(what, fn, seconds);
const total = async (query) => {
  const { body } = await api.post('/api/v1/events:search', { query, from: 'now-1d', to: 'now+1d', limit: 1 });
  return body.total ?? body;
};
const found = (query, n) => until(`${query} -> ${n}`, async () => { const t = await total(query); return t === n || t; });
const sshd = (user, host) => `<38>1 ${new Date().toISOString()} ${host} sshd 77 - - Failed password for ${user} from 203.0.113.9 port 4022 ssh2`;
const bulk = (source, body, headers = {}) => api.call('POST', `/api/v1/events:bulk?source=${source}`, body, { 'content-type': 'application/x-ndjson', ...headers });
const event = (n, host) => JSON.stringify({ '@timestamp': new Date().toISOString(), host: { name: host }, user: { name: `u${n}` }, message: `event ${n}` }) + '\n';

before(async () => {
  s = await startServer({ config: 'syslog:\n  udp: 127.0.0.1:0\n  tcp: 127.0.0.1:0\n' });
  api = s.token('admin');
  const h = (await api.get('/api/v1/health')).body;
  udp = h.listeners.find((l) => l.name === 'syslog-udp').port;
  tcp = h.listeners.find((l) => l.name === 'syslog-tcp').port;
});
after(async () => {
  const data = s?.data; // a server on a directory given to it leaves it there
  await s?.stop();
  if (data) fs.rmSync(data, { recursive: true, force: true });
});

const send = (text) => new Promise((resolve, reject) => {
  const c = net.connect(tcp, '127.0.0.1', () => c.end(text));
  c.on('error', reject).on('close', resolve);
});

test('syslog over TCP, lines: searchable as ECS', async () => {
  await send(`${sshd('alice', 'tcp-lf')}\n${sshd('bob', 'tcp-lf')}\n${sshd('carol', 'tcp-lf')}`);
  await found('host.name:tcp-lf', 3);
  const r = await api.post('/api/v1/events:search', { query: 'host.name:tcp-lf user.name:bob', from: 'now-1d', to: 'now+1d' });
  assert.equal(r.body.total, 1);
  const e = r.body.items[0];
  assert.equal(e.source.ip, '203.0.113.9');
  assert.equal(e.event.outcome, 'failure');
  assert.match(e.event.original, /Failed password for bob/);
  assert.ok(e.event.ingested);
});

test('syslog over TCP, octet counting, with a line feed inside a record', async () => {
  const records = [sshd('dave', 'tcp-octet'), `${sshd('erin', 'tcp-octet')}\nsecond line`];
  await send(records.map((x) => `${Buffer.byteLength(x)} ${x}`).join(''));
  await found('host.name:tcp-octet', 2);
});

test('syslog over UDP', async () => {
  const c = dgram.createSocket('udp4');
  for (let i = 0; i < 5; i++) await new Promise((r, j) => c.send(sshd(`udp${i}`, 'udp-1'), udp, '127.0.0.1', (e) => (e ? j(e) : r())));
  c.close();
  await found('host.name:udp-1', 5);
});

test('bulk: good lines are kept, bad ones named; encodings; repeated key', async () => {
  const body = event(1, 'bulk-1') + '{broken\n' + event(2, 'bulk-1') + '[]\n\n42\n' + event(3, 'bulk-1').trim();
  const r = await bulk('web', body);
  assert.equal(r.status, 200);
  assert.equal(r.body.accepted, 3);
  assert.equal(r.body.rejected, 3);
  assert.deepEqual(r.body.errors.map((e) => e.line), [2, 4, 6]);
  assert.ok(r.body.errors.every((e) => e.message.length > 0));
  await found('host.name:bulk-1', 3);

  const many = Array.from({ length: 20000 }, (_, i) => event(i, 'bulk-gz')).join('');
  const gz = await bulk('web', zlib.gzipSync(many), { 'content-encoding': 'gzip' });
  assert.equal(gz.body.accepted, 20000);
  await found('host.name:bulk-gz', 20000);

  // a Zstandard frame of raw blocks (RFC 8878), so that the test needs no library for it
  const data = Buffer.from(Array.from({ length: 3000 }, (_, i) => event(i, 'bulk-zst')).join(''));
  const parts = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0]), Buffer.alloc(4)];
  parts[1].writeUInt32LE(data.length);
  for (let at = 0; at < data.length; at += 100000) {
    const n = Math.min(100000, data.length - at), head = Buffer.alloc(3);
    head.writeUIntLE((n << 3) | (at + n >= data.length ? 1 : 0), 0, 3);
    parts.push(head, data.subarray(at, at + n));
  }
  const zst = await bulk('web', Buffer.concat(parts), { 'content-encoding': 'zstd' });
  assert.equal(zst.status, 200, zst.text);
  assert.equal(zst.body.accepted, 3000);
  await found('host.name:bulk-zst', 3000);
  assert.equal((await bulk('web', 'x', { 'content-encoding': 'gzip' })).status, 400);

  for (let i = 0; i < 2; i++) {
    const k = await bulk('web', event(1, 'bulk-key'), { 'idempotency-key': 'once-7' });
    assert.deepEqual([k.status, k.body.accepted], [200, 1]);
  }
  await bulk('web', event(2, 'bulk-key'));
  await found('host.name:bulk-key', 2);
});

test('bulk needs a sign-in; a line that is too long is refused, the rest is kept', async () => {
  assert.equal((await s.anonymous().call('POST', '/api/v1/events:bulk?source=x', event(1, 'no'))).status, 401);
  const r = await bulk('web', `{"message":"${'x'.repeat(5 << 20)}"}\n` + event(1, 'bulk-long'));
  assert.deepEqual([r.status, r.body.accepted, r.body.rejected, r.body.errors[0].line], [200, 1, 1, 1]);
  await found('host.name:bulk-long', 1);
});

test('a data source gives its records name and organisation; changes apply without a restart', async () => {
  const made = await api.post('/api/v1/sources', { name: 'core-fw', address: '127.0.0.0/8', device_type: 'firewall' });
  assert.equal(made.status, 201, made.text);
  assert.equal((await api.post('/api/v1/sources', { name: 'core-fw' })).status, 409);
  assert.equal((await api.post('/api/v1/sources', { name: 'bad', address: 'nonsense' })).status, 400);
  await until('records of the new source', async () => {
    await send(`${sshd('frank', 'named-1')}\n`);
    const item = (await api.get(`/api/v1/sources/${made.body.id}`)).body;
    return item.records_today > 0 && item.status === 'online' ? true : item;
  });
  const off = await api.patch(`/api/v1/sources/${made.body.id}`, { enabled: false });
  assert.equal(off.body.status, 'disabled');
  let refused = 0;
  await until('records of a disabled source are refused and counted', async () => {
    await send(`${sshd('frank', 'named-2')}\n`);
    const item = (await api.get(`/api/v1/sources/${made.body.id}`)).body;
    refused = item.counters.rejected;
    return refused > 0 || item;
  });
  assert.equal((await api.delete(`/api/v1/sources/${made.body.id}`)).status, 204);
});

test('an asset gives events of its address its organisation and name', async () => {
  const a = await api.post('/api/v1/assets', { name: 'portal', kind: 'hardware', ip: '198.51.100.7, 198.51.100.64/26', importance: 5 });
  assert.equal(a.status, 201, a.text);
  assert.equal((await api.post('/api/v1/assets', { name: 'x', kind: 'no such class' })).status, 400);
  let n = 0;
  await until('the asset on new events', async () => {
    await bulk('web', JSON.stringify({ '@timestamp': new Date().toISOString(), host: { name: 'asset-1' }, destination: { ip: '198.51.100.70' } }) + '\n');
    n++;
    return (await total('host.name:asset-1 asset.name:portal')) > 0 || n;
  });
  const e = (await api.post('/api/v1/events:search', { query: 'host.name:asset-1 asset.name:portal', from: 'now-1d', to: 'now+1d' })).body.items[0];
  assert.equal(e.asset.id, a.body.id);
  assert.equal(e.organization.id, 'root');
  assert.equal((await api.delete(`/api/v1/assets/${a.body.id}`)).status, 204);
  assert.equal((await api.get(`/api/v1/assets/${a.body.id}`)).status, 404);
});

test('what no source understands is stored, counted and shown', async () => {
  await send('\x01\x02 no known \xff thing 7781\n');
  await until('a sample', async () => {
    const r = (await api.get('/api/v1/pipeline/unparsed')).body;
    return r.items.some((i) => i.raw.includes('7781') && i.reason) || r;
  });
  await until('stored', async () => (await total('event.kind:pipeline_error')) >= 1);
});

test('a slow sender and a half-open one do not hold up others', async () => {
  const half = net.connect(tcp, '127.0.0.1');
  half.write('<38>never ended');
  const port = Number(new URL(s.url).port);
  const slow = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  slow.on('error', () => {});
  slow.write(`POST /api/v1/events:bulk?source=slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${api.token}\r\nContent-Length: 1000000\r\n\r\n{"a":`);
  let ended = 0;
  for (const c of [slow, half]) c.on('close', () => { ended++; }).on('error', () => {}).resume();
  assert.equal((await bulk('web', event(1, 'beside-slow'))).status, 200);
  await found('host.name:beside-slow', 1);
  assert.equal(ended, 0, 'they were there all the while');
  slow.destroy();
  half.destroy();
});

test('files: beside the server and without it', async () => {
  const f = path.join(s.data, 'sample.log'), g = f + '.gz';
  fs.writeFileSync(f, Array.from({ length: 500 }, (_, i) => sshd(`file${i}`, 'file-1')).join('\n') + '\n');
  fs.writeFileSync(g, zlib.gzipSync(fs.readFileSync(f)));
  const r = run(['ingest', '--data', s.data, '--source', 'archive', f, g]);
  assert.equal(r.status, 0, r.stderr);
  assert.match(r.stderr, /1000 records/);
  await found('host.name:file-1', 1000);
  const bad = run(['ingest', '--data', s.data, path.join(s.data, 'missing.log'), f]);
  assert.equal(bad.status, 1);
  assert.match(bad.stderr, /^chengfang: ingest: .*missing\.log/m);
  await found('host.name:file-1', 1500);
});

test('archives: member by member, beside the server; a broken member is named and the others are loaded', async () => {
  const d = fs.mkdtempSync(path.join(s.data, 'archive-'));
  const write = (name, host, n) => fs.writeFileSync(path.join(d, name), Array.from({ length: n }, (_, i) => sshd(`a${i}`, host)).join('\n') + '\n');
  write('one.log', 'tar-1', 3000);
  write('two.log', 'tar-2', 5);
  fs.writeFileSync(path.join(d, 'bad.gz'), zlib.gzipSync('lost\n').subarray(0, -9));
  const tar = (name, ...members) => { execFileSync('tar', ['-C', d, '-czf', path.join(d, name), ...members]); return path.join(d, name); };
  const r = run(['ingest', '--data', s.data, tar('all.tgz', 'one.log', 'two.log')]);
  assert.equal(r.status, 0, r.stderr);
  assert.match(r.stderr, /3005 records/);
  await found('host.name:tar-1', 3000);
  await found('host.name:tar-2', 5);
  const bad = run(['ingest', '--data', s.data, tar('bad.tgz', 'two.log', 'bad.gz', 'one.log')]);
  assert.equal(bad.status, 1);
  assert.match(bad.stderr, /bad\.tgz: 1 of 3 members were not read, the first: .*bad\.tgz:bad\.gz: packed data is damaged/);
  await found('host.name:tar-1', 6000);
  await found('host.name:tar-2', 10);
  const rule = path.join(d, 'rule.yml');
  fs.writeFileSync(rule, 'title: t\nid: 5f0f3f53-0d39-4a5c-a9f8-111111111111\nlogsource: {product: linux, service: sshd}\ndetection:\n  s:\n    user.name: [a4, a2999]\n  condition: s\nlevel: low\n');
  const hits = run(['detect', '--rules', rule, tar('hits.tgz', 'two.log', 'one.log')]).stdout.trim().split('\n').map((l) => JSON.parse(l).event);
  assert.deepEqual(hits.map((e) => [path.basename(e.file), e.record]), [['hits.tgz:two.log', 4], ['hits.tgz:one.log', 4], ['hits.tgz:one.log', 2999]]);
});

test('the five numbers add up for every source', async () => {
  let p; // what the half-open sender of before had written comes as a record when it goes
  await until('nothing in flight', async () => { p = (await api.get('/api/v1/health')).body.pipeline; return (p.accepted === p.stored + p.failed && p.received === p.accepted + p.rejected && p.queue_bytes === 0) || p; });
  assert.equal(p.failed, 0);
  for (const item of (await api.get('/api/v1/sources?limit=200')).body.items) {
    assert.equal(item.counters.received, item.counters.accepted + item.counters.rejected, item.name);
    assert.equal(item.counters.accepted, item.counters.stored + item.counters.failed, item.name);
  }
  const m = (await s.anonymous().get('/metrics')).text;
  assert.equal(Number(/^cf_records_stored_total (\d+)$/m.exec(m)[1]), p.stored);
});

test('files without a server, then found by the server', async () => {
  const e = await s.stop({ keep: true });
  assert.equal(e.code, 0);
  const f = path.join(s.data, 'offline.log');
  fs.writeFileSync(f, Array.from({ length: 300 }, (_, i) => sshd(`off${i}`, 'file-off')).join('\n'));
  const r = run(['ingest', '--data', s.data, f]);
  assert.equal(r.status, 0, r.stderr);
  assert.match(r.stderr, /300 stored/);
  const data = s.data, token = api.token;
  s = await startServer({ data });
  api = s.withToken(token);
  await found('host.name:file-off', 300);
  await found('host.name:file-1', 1500); // nothing came twice over the restart
});

test('unmapped values keep the kind JSON gave them', async () => {
  const acme = { n: 5, big: 12345678901, f: 2.5, yes: true, no: false, s: '5', t: 'true', list: [1, 2] };
  const doc = JSON.stringify({ '@timestamp': new Date().toISOString(), host: { name: 'kinds-1' }, acme }) + '\n';
  assert.equal((await bulk('kinds', doc)).status, 200);
  await found('host.name:kinds-1', 1);
  const ev = (await api.post('/api/v1/events:search', { query: 'host.name:kinds-1', from: 'now-1d', to: 'now+1d', limit: 1 })).body.items[0];
  for (const k of ['n', 'big', 'f', 'yes', 'no', 's', 't']) assert.strictEqual(ev.acme[k], acme[k], `acme.${k} of ${JSON.stringify(ev.acme)}`);
  assert.equal(JSON.parse(ev.event.original).acme.n, 5);
  await found('host.name:kinds-1 acme.n:5 acme.yes:true acme.n>4', 1);
});
