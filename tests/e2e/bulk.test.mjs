// SPDX-License-Identifier: Apache-2.0
// Bodies larger than any buffer: sent whole, chunked, compressed; every record arrives once. Broken ones are refused.
import assert from 'node:assert/strict';
import https from 'node:https';
import zlib from 'node:zlib';
import { after, before, test } from 'node:test';
import { slow, startServer } from './lib.mjs';

let s, token;
const n = 40000;
const body = (mark) => Buffer.from(Array.from({ length: n }, (_, i) => JSON.stringify({ '@timestamp': new Date().toISOString(), host: { name: mark }, user: { name: `u${i}` },
  message: `record ${i} of ${mark} ${'x'.repeat(i % 200)}` })).join('\n') + '\n');

before(async () => {
  s = await startServer();
  token = s.token('admin');
});
after(() => s?.stop());

/** Sends the bytes in pieces of the given size with chunked transfer encoding. */
function chunked(bytes, piece, headers = {}) {
  return new Promise((resolve, reject) => {
    const req = https.request(s.url + '/api/v1/events:bulk?source=bulk-test', { method: 'POST', rejectUnauthorized: false,
      headers: { authorization: `Bearer ${token.token}`, 'content-type': 'application/x-ndjson', ...headers } }, (res) => {
      let text = '';
      res.on('data', (d) => { text += d; });
      res.on('end', () => resolve({ status: res.statusCode, body: JSON.parse(text) }));
    });
    req.on('error', reject);
    let at = 0;
    const more = () => {
      while (at < bytes.length) {
        const ok = req.write(bytes.subarray(at, at += piece));
        if (!ok) return req.once('drain', more);
      }
      req.end();
    };
    more();
  });
}

async function stored(mark) {
  for (const end = Date.now() + 200000 * slow; Date.now() < end;) {
    const r = await token.post('/api/v1/events:search', { query: `host.name:${mark}`, from: 'now-1h', to: 'now+1h', limit: 1 });
    assert.equal(r.status, 200, r.text);
    if (r.body.total >= n) return r.body.total;
    await new Promise((res) => setTimeout(res, 100)); // polled condition, bounded by the loop
  }
  return -1;
}

test('large bodies: whole, chunked in small and big pieces, gzip', { timeout: 500000 * slow }, async () => {
  const cases = [
    ['whole', (b) => token.call('POST', '/api/v1/events:bulk?source=bulk-test', b, { 'content-type': 'application/x-ndjson' })],
    ['chunked', (b) => chunked(b, 7001)],
    ['bigpieces', (b) => chunked(b, 1 << 20)],
    ['gzip', (b) => chunked(zlib.gzipSync(b), 5003, { 'content-encoding': 'gzip' })],
  ];
  for (const [mark, send] of cases) {
    const r = await send(body(mark));
    assert.equal(r.status, 200, mark);
    assert.deepEqual([r.body.accepted, r.body.rejected], [n, 0], mark);
    assert.equal(await stored(mark), n, mark);
  }
});

test('damaged and cut-off compression is refused with a reason', async () => {
  const z = zlib.gzipSync(body('broken'));
  const cut = await chunked(z.subarray(0, z.length >> 1), 4096, { 'content-encoding': 'gzip' });
  assert.equal(cut.status, 400);
  assert.match(cut.body.detail, /cut off/);
  const bad = await chunked(Buffer.alloc(300000, 7), 4096, { 'content-encoding': 'gzip' });
  assert.equal(bad.status, 400);
  assert.match(bad.body.detail, /gzip body is damaged/);
  assert.equal((await chunked(Buffer.from('x'), 1, { 'content-encoding': 'br' })).status, 415);
});

test('without sign-in not a byte is processed', async () => {
  const r = await s.anonymous().call('POST', '/api/v1/events:bulk', body('anon'), { 'content-type': 'application/x-ndjson' });
  assert.equal(r.status, 401);
  const search = await token.post('/api/v1/events:search', { query: 'host.name:anon', from: 'now-1h', to: 'now+1h', limit: 1 });
  assert.equal(search.body.total, 0);
});

test('a client that goes away in the middle leaves the server well', async () => {
  const b = body('gone');
  await new Promise((resolve) => {
    const req = https.request(s.url + '/api/v1/events:bulk?source=bulk-test', { method: 'POST', rejectUnauthorized: false,
      headers: { authorization: `Bearer ${token.token}`, 'content-type': 'application/x-ndjson', 'content-length': b.length } });
    req.on('error', resolve);
    req.write(b.subarray(0, b.length >> 1), () => req.destroy(new Error('gone')));
  });
  assert.equal((await token.get('/api/v1/sessions')).status, 200);
  const again = await chunked(body('after'), 65536);
  assert.equal(again.body.accepted, n);
});
