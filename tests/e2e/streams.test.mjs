// SPDX-License-Identifier: Apache-2.0
// Column headers: what a sender said about its columns holds for later batches, after a change of source types, and after kill -9.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, test } from 'node:test';
import { startServer, waitUntil } from './lib.mjs';

let s;
after(() => s?.stop());
const config = 'syslog:\n  tcp: 127.0.0.1:0\n';
async function start(data) {
  const server = await startServer({ config, data });
  const api = server.token('admin');
  const port = (await api.get('/api/v1/health')).body.listeners.find((l) => l.name === 'syslog-tcp').port;
  return { server, api, send: (lines) => new Promise((resolve, reject) => {
    const c = net.connect(port, '127.0.0.1', () => c.end(lines.map((l) => l + '\n').join('')));
    c.on('close', resolve).on('error', reject);
  }) };
}
const day = new Date().toISOString().slice(0, 10), clock = new Date().toISOString().slice(11, 19);
const row = (code) => `${day} ${clock} 198.51.100.7 GET /a ${code}`;

test('rows find their header in later batches, after a reload and after kill -9', async () => {
  let x = await start();
  s = x.server;
  const count = async (q) => (await x.api.post('/api/v1/events:search', { query: q, from: 'now-2d', to: 'now+2d', limit: 1 })).body.total;
  const reads = (code) => waitUntil(`status ${code}`, async () => { const n = await count(`http.response.status_code:${code} http.request.method:GET`); return n === 1 || n; });
  await x.send(['#Software: Example', '#Fields: date time c-ip cs-method cs-uri-stem sc-status']);
  await x.send([row(501)]);
  await reads(501);
  const yaml = 'name: any-other\nprefix: any\nmatch:\n  - program: [neverseen]\n';
  assert.equal((await x.api.put('/api/v1/source-types/any-other', { yaml, lines: [] })).status, 201);
  await x.send([row(502)]);
  await reads(502);
  await x.server.kill();
  x = await start(x.server.data);
  s = x.server;
  await x.send([row(503)]);
  await reads(503);
});
