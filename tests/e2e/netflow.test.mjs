// SPDX-License-Identifier: Apache-2.0
// NetFlow v5, v9 and IPFIX as a real exporter (softflowd 1.1.0) sent them for a capture of 300 UDP flows: flow k goes from
// 10.9.(k >> 8).(k & 255):(20000 + k) to 192.0.2.9:53 in k % 7 + 1 packets a second apart, each of 128 + k bytes. Templates that
// come late, broken packets, reading the kept original again. COL-019.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { root, run, startServer, waitUntil } from './lib.mjs';

let s, api, port;

const until = (what, fn, seconds = 20) => waitUntil(what, fn, seconds);
const listener = async () => (await api.get('/api/v1/health')).body.listeners.find((l) => l.name === 'netflow');
const search = async (query, limit = 1000) => (await api.post('/api/v1/events:search', { query, from: '2026-11-01T00:00:00Z', to: 'now+1d', limit })).body;

const send = (...packets) => new Promise((resolve, reject) => {
  const c = dgram.createSocket('udp4');
  let left = packets.length;
  for (const p of packets) c.send(p, port, '127.0.0.1', (e) => { if (e) reject(e); if (--left === 0) { c.close(); resolve(); } });
});

before(async () => {
  s = await startServer({ config: 'netflow:\n  listen: 127.0.0.1:0\nsflow:\n  listen: 127.0.0.1:0\nstore:\n  retention_days: 3650\n' });
  api = s.token('admin');
  port = (await listener()).port;
});
after(async () => {
  await s?.stop();
});

for (const version of [5, 9, 10])
  test(`softflowd's packets, version ${version}: every flow with its bytes and packets`, async () => {
    const n = 300, was = (await listener()).flows;
    const packets = fs.readFileSync(path.join(root, `tests/data/netflow/softflowd-v${version}.hex`), 'latin1').trim().split('\n').map((x) => Buffer.from(x, 'hex'));
    await send(...packets);
    await until('all flows split', async () => { const t = (await listener()).flows - was; return t === n || t; });
    await until('all flows stored', async () => { const t = (await search(`netflow.version:${version}`, 1)).total; return t === n || t; });
    const items = (await search(`netflow.version:${version}`)).items;
    assert.equal(items.length, n);
    for (const e of items) {
      const k = e.source.port - 20000, packets = k % 7 + 1;
      assert.equal(e.source.ip, `10.9.${k >> 8}.${k & 255}`);
      assert.equal(e.destination.port, 53);
      assert.equal(e.network.transport, 'udp');
      assert.equal(e.network.packets, packets);
      assert.equal(e.network.bytes, packets * (128 + k));
      assert.equal(e.observer.ip, '127.0.0.1');
      assert.equal(Math.round(e.event.duration / 1e6), (packets - 1) * 1000);
      assert.equal(e.event.dataset, 'netflow.log');
      assert.equal(Number(e.netflow.version), version);
      // softflowd's IPFIX says the start of its clock in an options record only: then the time of export counts
      if (version !== 10) assert.ok(Math.abs(new Date(e['@timestamp']) - new Date(e.event.end)) < 2);
    }
    // the original is a packet of its own: reading it again gives the same event
    const again = run(['normalise', '--format', 'netflow', '-'], { input: items[0].event.original + '\n' });
    const e = JSON.parse(again.stdout.trim());
    assert.equal(e.source.ip, items[0].source.ip);
    assert.equal(e.network.bytes, items[0].network.bytes);
    assert.equal(e.event.start, items[0].event.start);
  });

test('data before its template is counted, after it it is taken; broken and strange packets are counted', async () => {
  const head = (count) => { const b = Buffer.alloc(20); b.writeUInt16BE(9, 0); b.writeUInt16BE(count, 2); b.writeUInt32BE(1000, 4); b.writeUInt32BE(Math.floor(Date.now() / 1000), 8); b.writeUInt32BE(77, 16); return b; };
  const template = Buffer.from('00000014' + '01040003' + '00080004' + '000c0004' + '00010004', 'hex');
  const data = Buffer.from('01040010' + '0a4d0001' + 'c000024d' + '00000400', 'hex');
  const was = await listener();
  await send(Buffer.concat([head(1), data]));
  await until('no template', async () => { const n = (await listener()).no_template - was.no_template; return n === 1 || n; });
  await send(Buffer.concat([head(2), template, data]));
  await until('one flow', async () => { const t = (await search('destination.ip:192.0.2.77', 1)).total; return t === 1 || t; });
  const e = (await search('destination.ip:192.0.2.77')).items[0];
  assert.equal(e.network.bytes, 1024);
  await send(Buffer.from('hello'), head(1).subarray(0, 10), Buffer.concat([head(1), Buffer.from('010400ff0a', 'hex')]));
  await until('three malformed', async () => { const n = (await listener()).malformed - was.malformed; return n === 3 || n; });
});

test('sFlow v5 on its own port and on the other: one event a flow sample, counters are left out', async () => {
  const packet = Buffer.from(fs.readFileSync(path.join(root, 'tests/data/netflow/sflow-v5.hex'), 'latin1').trim(), 'hex');
  const second = async () => (await api.get('/api/v1/health')).body.listeners.find((l) => l.name === 'sflow');
  const first = port;
  port = (await second()).port;
  await send(packet);
  port = first;
  await send(packet);
  await until('samples split', async () => { const t = await second(); return (t.flows === 3 && t.options === 1 && t.malformed === 0) || t; });
  await until('samples stored', async () => { const t = (await search('netflow.exportProtocol:sflow', 1)).total; return t === 6 || t; });
  const e = (await search('netflow.exportProtocol:sflow')).items.find((x) => x.source.port === 443);
  assert.equal(e.source.ip, '192.0.2.1');
  assert.equal(e.destination.ip, '198.51.100.2');
  assert.equal(e.network.transport, 'tcp');
  assert.equal(e.network.bytes, 1514);
  assert.equal(Number(e.netflow.samplingInterval), 1024);
  assert.equal(e.network.vlan.id, '100');
});
