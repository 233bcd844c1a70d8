// SPDX-License-Identifier: Apache-2.0
// Sources fetched on schedule are taken as a whole or not at all: a server that breaks off in the middle changes nothing, the next run
// asks again from the old position; a server of ours that ends in the middle fetches at its next start.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { startServer, waitUntil } from './lib.mjs';

let s, admin, web, port;
let answer; // (path and query, response) => void
const asked = [];
before(async () => {
  s = await startServer({ config: 'store:\n  events: none\n' });
  admin = await s.signIn('admin');
  web = http.createServer((req, res) => { asked.push(req.url); answer(req.url, res); });
  await new Promise((r) => web.listen(0, '127.0.0.1', r));
  port = web.address().port;
});
after(async () => {
  await s?.stop();
  web?.closeAllConnections();
  web?.close();
});

async function until(what, fn) {
  let v;
  await waitUntil(what, async () => !!(v = await fn()) || v);
  return v;
}
const count = async (filter) => (await admin.get('/api/v1/indicators?limit=1&filter=' + encodeURIComponent(filter))).body.total;
const make = async (kind, name, path) => {
  const r = await admin.post('/api/v1/intel-sources', { kind, name, url: `http://127.0.0.1:${port}${path}`, trusted: true });
  assert.equal(r.status, 201, r.text);
  return r.body.id;
};
const source = async (id) => (await admin.get('/api/v1/intel-sources/' + id)).body;
async function run(id) {
  const before = (await source(id)).last_run;
  assert.equal((await admin.post(`/api/v1/intel-sources/${id}/run`)).status, 202);
  return until('the fetch is over', async () => { const x = await source(id); return x.last_run && x.last_run !== before ? x : null; });
}
const indicator = (n, value) => ({ type: 'indicator', spec_version: '2.1', id: `indicator--11111111-1111-4111-8111-11111111111${n}`, created: '2026-01-01T00:00:00.000Z', modified: '2026-01-01T00:00:00.000Z',
  pattern: `[domain-name:value = '${value}']`, pattern_type: 'stix', valid_from: '2026-01-01T00:00:00Z', valid_until: '2099-01-01T00:00:00Z' });
const json = (res, o, headers = {}) => res.writeHead(200, { 'content-type': 'application/taxii+json;version=2.1', ...headers }).end(JSON.stringify(o));

test('TAXII: a page that fails takes the pages before it back, and the position stays', async () => {
  let good = false;
  answer = (url, res) => {
    if (!url.includes('next=')) json(res, { more: true, next: 'two', objects: [indicator(1, 'first.fetched.example')] }, { 'x-taxii-date-added-last': '2026-01-01T00:00:01.000000Z' });
    else if (!good) res.writeHead(500).end();
    else json(res, { objects: [indicator(2, 'second.fetched.example')] }, { 'x-taxii-date-added-last': '2026-01-01T00:00:02.000000Z' });
  };
  const id = await make('taxii', 'partner', '/c/');
  const bad = await run(id);
  assert.match(bad.last_error, /500/);
  assert.equal(await count('value:*.fetched.example'), 0);
  good = true;
  asked.length = 0;
  const done = await run(id);
  assert.equal(done.last_error, null);
  assert.equal(done.last_result.new, 2);
  assert.ok(!asked[0].includes('added_after'), 'from the old position: ' + asked[0]);
  assert.equal(await count('value:*.fetched.example status:active'), 2);
  answer = (url, res) => json(res, {});
  asked.length = 0;
  assert.equal((await run(id)).last_result.read, 0);
  assert.match(asked[0], /added_after=2026-01-01T00%3A00%3A02/);
  // what the partner revokes is withdrawn here, by its id alone
  answer = (url, res) => json(res, { objects: [{ ...indicator(1, 'first.fetched.example'), modified: '2026-02-01T00:00:00.000Z', revoked: true }] });
  assert.equal((await run(id)).last_error, null);
  assert.equal(await count('value:first.fetched.example status:withdrawn'), 1);
});

test('a list that breaks off, and a MISP feed with an event that is missing, leave nothing', async () => {
  let good = false;
  const text = '66.1.2.3\n66.1.2.4\n', misp = (n) => ({ Event: { uuid: 'e' + n, info: 'x', Attribute: [{ type: 'domain', value: `misp${n}.fetched.example`, uuid: 'a' + n, to_ids: true }] } });
  answer = (url, res) => {
    if (url === '/list.txt') {
      res.writeHead(200, { 'content-length': text.length + (good ? 0 : 10) });
      if (good) res.end(text);
      else res.write(text, () => res.destroy());
    } else if (url.endsWith('/manifest.json')) {
      json(res, { e1: { timestamp: '100' }, e2: { timestamp: '200' } });
    } else if (url.endsWith('/e1.json') || good) {
      json(res, misp(url.endsWith('/e1.json') ? 1 : 2));
    } else {
      res.writeHead(404).end();
    }
  };
  const list = await make('file', 'a list', '/list.txt'), feed = await make('misp_feed', 'a feed', '/feed');
  assert.ok((await run(list)).last_error);
  assert.match((await run(feed)).last_error, /404/);
  assert.equal(await count('value:66.1.2.*'), 0);
  assert.equal(await count('value:misp*.fetched.example'), 0);
  good = true;
  assert.equal((await run(list)).last_result.new, 2);
  assert.equal((await run(feed)).last_result.new, 2);
  asked.length = 0;
  assert.equal((await run(feed)).last_result.read, 0);
  assert.deepEqual(asked, ['/feed/manifest.json'], 'both are known');
  assert.deepEqual((await admin.get('/api/v1/intel-imports')).body.items, [], 'a fetch is listed while it is there; its result stands at the source');
});

test('a server that ends while a source is silent does not wait for it, and fetches at its next start', async () => {
  let held;
  answer = (url, res) => { held = res; res.writeHead(200, { 'content-length': 100 }); res.write('66.7.7.1\n'); };
  const id = await make('file', 'a silent one', '/silent.txt');
  assert.equal((await admin.post(`/api/v1/intel-sources/${id}/run`)).status, 202);
  await until('the source was asked', async () => held);
  const data = s.data;
  await s.stop({ keep: true });
  held.destroy();
  answer = (url, res) => res.end('66.7.7.1\n66.7.7.2\n');
  s = await startServer({ data });
  admin = await s.signIn('admin', 'Harbour-Lantern-58');
  await until('it was fetched', async () => (await count('value:66.7.7.*')) === 2);
});
