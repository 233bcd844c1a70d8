// SPDX-License-Identifier: Apache-2.0
// What the engineer says about one way in: a format whose text does not give its maker away is read by the source file named for
// that listener or path, counted for that data source, owned by that organisation; the health page shows it. COL-001, COL-005.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { run, startServer, waitUntil } from './lib.mjs';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'cf-intake-'));
let s, api, listeners;

const until = (what, fn, seconds = 20) => waitUntil(what, fn, seconds);
const line = (port) => `src=203.0.113.9 dst=10.0.0.1 sport=${port} dport=22 proto=tcp action=deny`;
const search = async (query) => (await api.post('/api/v1/events:search', { query, from: 'now-1d', to: 'now+1d', limit: 10 })).body;
const one = async (port) => {
  let e;
  await until(`the line with port ${port}`, async () => { const r = await search(`"sport=${port}"`); e = r.items?.[0]; return r.total === 1 || r; });
  return e;
};
const tcp = (port, text) => new Promise((resolve, reject) => {
  const c = net.connect(port, '127.0.0.1', () => c.end(text + '\n'));
  c.on('error', reject).on('close', resolve);
});

before(async () => {
  fs.writeFileSync(path.join(dir, 'fw.log'), line(4001) + '\n');
  s = await startServer({ config: `syslog:
  tcp: 127.0.0.1:0
  listeners: ["tcp:127.0.0.1:0 source=edge-fw parser=topsec org=root", "udp:127.0.0.1:0 source=edge-udp parser=topsec", "tls:127.0.0.1:0 source=edge-tls", "flow:127.0.0.1:0 source=edge-flow"]
tail:
  paths: ["${dir}/fw.log source=edge-file parser=topsec"]
` });
  api = s.token('admin');
  listeners = (await api.get('/api/v1/health')).body.listeners;
});
after(async () => {
  await s?.stop();
  fs.rmSync(dir, { recursive: true, force: true });
});

test('the same line: by content on the main port, by the named source file on the others', async () => {
  const by = (source) => listeners.find((l) => l.source === source).port;
  await tcp(listeners.find((l) => l.name === 'syslog-tcp' && !l.source).port, line(4002));
  await tcp(by('edge-fw'), line(4003));
  const c = dgram.createSocket('udp4');
  await new Promise((r, j) => c.send(line(4004), by('edge-udp'), '127.0.0.1', (e) => (e ? j(e) : r())));
  c.close();
  assert.notEqual((await one(4002)).event.module, 'topsec');
  for (const port of [4001, 4003, 4004]) {
    const e = await one(port);
    assert.equal(e.event.module, 'topsec', String(port));
    assert.equal(e.source.ip, '203.0.113.9');
    assert.equal(e.destination.port, 22);
    assert.equal(e.organization?.id, port === 4004 ? e.organization?.id : 'root');
  }
});

test('each is a data source of its own, and the health page says what belongs together', async () => {
  for (const name of ['edge-fw', 'edge-udp', 'edge-file'])
    await until(`source ${name}`, async () => { const all = (await api.get('/api/v1/sources?limit=100')).body.items; return !!all.find((x) => x.name === name) || all.map((x) => x.name); });
  const l = (await api.get('/api/v1/health')).body.listeners;
  const fw = l.find((x) => x.source === 'edge-fw');
  assert.deepEqual([fw.name, fw.parser, fw.org, fw.address, fw.accepted], ['syslog-tcp', 'topsec', 'root', 'tcp:127.0.0.1:0', 1]);
  assert.equal(l.find((x) => x.source === 'edge-udp').received, 1);
  assert.ok(l.find((x) => x.source === 'edge-tls').port > 0);
  assert.equal(l.find((x) => x.source === 'edge-flow').name, 'netflow');
  assert.deepEqual(l.find((x) => x.name === 'tail').paths, [{ path: `${dir}/fw.log`, source: 'edge-file', parser: 'topsec' }]);
});

test('HTTP: ?source= names the file as well', async () => {
  const r = await api.call('POST', '/api/v1/records:bulk?source=topsec', ((x) => `${Buffer.byteLength(x)} ${x}`)(line(4005)), { 'content-type': 'application/octet-stream' });
  assert.equal(r.status, 200, r.text);
  assert.equal((await one(4005)).event.module, 'topsec');
});

test('what cannot be meant is an error that names the key', () => {
  for (const [text, what] of [['quic:127.0.0.1:0', /syslog\.listeners.*quic/s], ['tcp:127.0.0.1:0 colour=red', /syslog\.listeners.*colour=red/s], ['udp:127.0.0.1', /listen address/]]) {
    const d = fs.mkdtempSync(path.join(dir, 'bad-'));
    fs.writeFileSync(path.join(d, 'chengfang.yaml'), `syslog:\n  listeners: ["${text}"]\nstore:\n  events: none\n`);
    const r = run(['serve', '--data', d, '--listen', '127.0.0.1:0']);
    assert.notEqual(r.status, 0);
    assert.match(r.stderr, what);
  }
});
