// SPDX-License-Identifier: Apache-2.0
// Threat intelligence end to end: import beside the server, inline matching with tags and an alert, expiry and withdrawal, retro-hunt
// over stored events, drafts from an incident, feeds by token with quota, and a second server that pulls over TAXII 2.1.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { request, run, startServer, waitUntil } from './lib.mjs';

let s, admin, other;
before(async () => {
  s = await startServer();
  admin = await s.signIn('admin');
});
after(async () => {
  await s?.stop();
  await other?.stop();
});

async function until(what, fn) {
  let v;
  await waitUntil(what, async () => !!(v = await fn()) || v, 180);
  return v;
}
const ndjson = (list) => list.map((e) => JSON.stringify(e)).join('\n') + '\n';
const bulk = (list) => admin.call('POST', '/api/v1/events:bulk?source=ti-test', ndjson(list), { 'content-type': 'application/x-ndjson' });
const event = (fields) => ({ '@timestamp': new Date().toISOString(), 'event.kind': 'event', ...fields });
const search = async (query) => (await admin.post('/api/v1/events:search', { query, from: 'now-90d', to: 'now+1h', limit: 50 })).body.items ?? [];
const file = (name, text) => {
  const p = path.join(s.data, name);
  fs.writeFileSync(p, text);
  return p;
};
const stats = async () => (await admin.get('/api/v1/intel/statistics?fresh=true')).body;
async function loaded(n) { return until(`${n} indicators in the matcher`, async () => (await stats()).matcher.indicators === n); }

test('a file is imported beside the server; bad rows and conflicts are named', async () => {
  const out = run(['ti', 'import', '--data', s.data, '--family', 'TestBot',
    file('list.txt', '45.77.66.1\nc2[.]evil-zone[.]example\nhxxp://evil-zone.example/drop\n8.8.8.8\nthis is nothing\n45.77.99.0/24\n')]);
  assert.equal(out.status, 0, out.stderr);
  assert.match(out.stdout, /^list: read 5 new 5 .*bad 1 conflicts 1/m);
  assert.match(out.stderr, /line 5/);
  const items = (await admin.get('/api/v1/indicators?filter=' + encodeURIComponent('family:TestBot') + '&limit=50')).body.items;
  assert.equal(items.length, 5);
  const conflict = items.find((i) => i.value === '8.8.8.8');
  assert.equal(conflict.status, 'draft');
  assert.ok(conflict.conflict);
  await loaded(4);
  const l = (await admin.post('/api/v1/indicators:lookup', { value: 'www.C2.evil-zone.example.' })).body;
  assert.equal(l.match?.value, 'c2.evil-zone.example');
});

test('events that meet an indicator are tagged and raise an alert; a rule of severity decides the level', async () => {
  const r = await bulk([event({ 'source.ip': '10.1.1.9', 'destination.ip': '45.77.99.77', 'host.name': 'pc-9' }),
    event({ 'source.ip': '10.1.1.8', 'dns.question.name': 'x.y.c2.evil-zone.example', 'host.name': 'pc-8' }),
    event({ 'source.ip': '10.1.1.7', 'destination.ip': '45.77.98.1', 'host.name': 'pc-7' })]);
  assert.equal(r.status, 200, r.text);
  const hit = await until('the tagged event', async () => (await search('threat.indicator.name:"45.77.99.0/24"'))[0]);
  assert.equal(hit.threat.feed.name, 'upload');
  assert.equal(hit.threat.software.name, 'TestBot');
  const plain = await until('the untagged event', async () => (await search('source.ip:10.1.1.7'))[0]);
  assert.equal(plain.threat, undefined);
  const alerts = await until('the alerts', async () => {
    const a = (await admin.get('/api/v1/alerts?limit=50')).body.items.filter((x) => x.rule_id.startsWith('ti-'));
    return a.length >= 2 ? a : null;
  });
  assert.deepEqual(alerts.map((a) => a.rule_id).sort(), ['ti-domain', 'ti-ip']);
  const one = (await admin.get('/api/v1/alerts/' + alerts.find((a) => a.rule_id === 'ti-ip').id)).body;
  assert.ok(one.matched.some((m) => m.field === 'threat.indicator.name' && m.value === '45.77.99.0/24'));
  const ind = (await admin.get('/api/v1/indicators?filter=' + encodeURIComponent('value:45.77.99.0/24'))).body.items[0];
  await until('the counted hit', async () => (await admin.get('/api/v1/indicators/' + ind.id)).body.hits === 1);
  const detail = (await admin.get('/api/v1/indicators/' + ind.id)).body;
  assert.equal(detail.sightings[0].field, 'destination.ip');
});

test('a withdrawn indicator stops to match, an expired one too, both stay searchable', async () => {
  const find = async (v) => (await admin.get('/api/v1/indicators?filter=' + encodeURIComponent(`value:${v}`))).body.items[0];
  const a = await find('45.77.99.0/24');
  const r = await admin.post('/api/v1/indicators:review', { ids: [a.id, 'no-such'], action: 'withdraw', note: 'test' });
  assert.equal(r.body.changed, 1);
  assert.equal(r.body.errors.length, 1);
  await loaded(3);
  const b = await find('45.77.66.1');
  assert.equal((await admin.patch('/api/v1/indicators/' + b.id, { valid_until: '2020-01-01T00:00:00Z' })).status, 200);
  await loaded(2);
  assert.equal((await admin.post('/api/v1/indicators:lookup', { value: '45.77.99.5' })).body.match, undefined);
  await until('the expired state', async () => (await find('45.77.66.1')).status === 'expired');
  assert.equal((await find('45.77.99.0/24')).status, 'withdrawn');
  const c = await find('8.8.8.8'); // somebody decides that it is meant
  assert.equal((await admin.post('/api/v1/indicators:review', { ids: [c.id], action: 'activate' })).body.changed, 1);
  await loaded(3);
});

test('a retro-hunt finds new indicators in stored events, with progress, results and an alert', async () => {
  const old = new Date(Date.now() - 3 * 86400e3).toISOString(), hash = 'ab'.repeat(32);
  await bulk([event({ '@timestamp': old, 'source.ip': '10.2.2.2', 'destination.ip': '91.7.7.7', 'host.name': 'old-1' }), event({ '@timestamp': old, 'source.ip': '10.2.2.3', 'destination.ip': '91.7.7.7', 'host.name': 'old-2' }),
    event({ '@timestamp': old, 'host.name': 'old-3', 'file.hash.sha256': hash.toUpperCase() }), event({ '@timestamp': old, 'host.name': 'old-4', 'url.domain': 'deep.late-zone.example' }),
    event({ '@timestamp': old, 'host.name': 'old-5', 'file.hash.md5': 'cd'.repeat(16) })]);
  await until('the stored events', async () => (await search('host.name:old-*')).length === 5);
  for (const value of ['91.7.7.7', hash, 'late-zone.example', 'cd'.repeat(16)]) assert.equal((await admin.post('/api/v1/indicators', { value, family: 'Late', confidence: 90 })).status, 201);
  const ids = (await admin.get('/api/v1/indicators?filter=' + encodeURIComponent('family:Late'))).body.items.map((i) => i.id);
  const h = await admin.post('/api/v1/retro-hunts', { name: 'late', from: 'now-10d', filter: { ids } });
  assert.equal(h.status, 201, h.text);
  const done = await until('the end of the hunt', async () => {
    const x = (await admin.get('/api/v1/retro-hunts/' + h.body.id)).body;
    return ['done', 'failed', 'cancelled'].includes(x.status) ? x : null;
  });
  assert.equal(done.status, 'done', done.error);
  assert.equal(done.done, done.steps);
  const hits = (await admin.get(`/api/v1/retro-hunts/${h.body.id}/hits`)).body.items;
  assert.deepEqual(hits.map((x) => `${x.field} ${x.value} ${x.count}`).sort(), ['destination.ip 91.7.7.7 2', `file.hash.md5 ${'cd'.repeat(16)} 1`, `file.hash.sha256 ${hash.toUpperCase()} 1`, 'url.domain deep.late-zone.example 1']);
  assert.equal(hits.find((x) => x.field === 'destination.ip').events.length, 2);
  await until('the alert of the hunt', async () => (await admin.get('/api/v1/alerts?limit=100')).body.items.some((a) => a.rule_id === 'ti-file'));
  assert.equal((await admin.post(`/api/v1/retro-hunts/${h.body.id}/cancel`)).status, 409);
});

test('a source that is silent holds up no retro-hunt', async (t) => {
  let held;
  const web = http.createServer((req, res) => { held = res; });
  t.after(() => { web.closeAllConnections(); web.close(); });
  await new Promise((r) => web.listen(0, '127.0.0.1', r));
  const src = await admin.post('/api/v1/intel-sources', { kind: 'file', name: 'silent', url: `http://127.0.0.1:${web.address().port}/list.txt`, trusted: true });
  assert.equal(src.status, 201, src.text);
  assert.equal((await admin.post(`/api/v1/intel-sources/${src.body.id}/run`)).status, 202);
  await until('the source was asked', async () => held);
  const ids = (await admin.get('/api/v1/indicators?filter=' + encodeURIComponent('family:Late'))).body.items.map((i) => i.id);
  const h = await admin.post('/api/v1/retro-hunts', { name: 'beside a fetch', from: 'now-10d', filter: { ids } });
  assert.equal(h.status, 201, h.text);
  await until('the end of the hunt', async () => (await admin.get('/api/v1/retro-hunts/' + h.body.id)).body.status === 'done');
  const waits = (await admin.get('/api/v1/intel-sources/' + src.body.id)).body;
  assert.equal(waits.last_run ?? null, null, 'the fetch still waits');
  held.writeHead(200).end('# nothing today\n');
  await until('the fetch', async () => (await admin.get('/api/v1/intel-sources/' + src.body.id)).body.last_ok);
});

test('values of an incident become drafts, reviewed ones are served by feeds within their limits', async () => {
  const incidents = await until('an incident', async () => { const i = (await admin.get('/api/v1/incidents')).body.items; return i.length ? i : null; });
  const r = await admin.post(`/api/v1/incidents/${incidents[0].id}/indicators`, { values: ['77.88.1.1', 'not a value', '192.168.1.1'], family: 'FromHere' });
  assert.equal(r.status, 201, r.text);
  assert.equal(r.body.new, 2);
  assert.equal(r.body.bad, 1);
  assert.equal(r.body.conflicts, 1);
  const draft = (await admin.get('/api/v1/indicators?filter=' + encodeURIComponent('incident_id:' + incidents[0].id + ' -conflict:*'))).body.items[0];
  assert.equal(draft.status, 'draft');
  const made = await admin.post('/api/v1/intel-feeds', { name: 'firewall', types: 'ipv4,cidr', min_confidence: 10, tlp_max: 'green', per_hour: 4 });
  assert.equal(made.status, 201, made.text + (other ? other.log().slice(-1500) : ''));
  const feed = `${s.url}/feeds/${made.body.token}`;
  let t = await request(feed + '/txt');
  assert.equal(t.status, 200);
  assert.ok(!t.text.includes('77.88.1.1'), 'a draft is not shared');
  assert.equal((await admin.post('/api/v1/indicators:review', { ids: [draft.id], action: 'activate' })).body.changed, 1);
  t = await request(feed + '/txt');
  assert.ok(t.text.split('\n').includes('77.88.1.1'));
  assert.ok(!t.text.includes('example'), 'only the types of the feed');
  assert.match((await request(feed + '/csv')).text, /^value,type,/);
  const stix = JSON.parse((await request(feed + '/stix')).text);
  assert.ok(stix.objects.every((o) => o.type === 'indicator' && /^\[ipv[46]-addr:value = '/.test(o.pattern)));
  let asked = 4, last = 200;
  for (; last === 200 && asked < 12; asked++) last = (await request(feed + '/txt')).status; // four an hour of the clock, which may have begun meanwhile
  assert.equal(last, 429);
  assert.equal((await request(`${s.url}/feeds/${'0'.repeat(48)}/txt`)).status, 401);
  const use = (await admin.get(`/api/v1/intel-feeds/${made.body.id}/use`)).body.items, sum = (k) => use.reduce((n, d) => n + d[k], 0); // a row a day
  assert.equal(sum('requests'), asked);
  assert.equal(sum('refused'), 1);
  assert.equal((await admin.patch(`/api/v1/intel-feeds/${made.body.id}`, { active: false })).status, 200);
  assert.equal((await request(feed + '/txt')).status, 401);
  assert.ok(!JSON.stringify((await admin.get('/api/v1/intel-feeds')).body).includes(made.body.token), 'the token is shown once');
});

test('TAXII: discovery, pages, filters, submissions with status', async () => {
  const token = s.token('admin', ['ti.read', 'ti.write']);
  const get = (p) => token.get(p, { accept: 'application/taxii+json;version=2.1' });
  assert.equal((await request(s.url + '/taxii2/')).status, 401);
  const d = await get('/taxii2/');
  assert.match(d.headers['content-type'], /application\/taxii\+json;version=2.1/);
  for (const a of ['text/html', 'application/vnd.oasis.taxii+json; version=2.0', 'application/taxii+json;version=2.2']) assert.equal((await token.get('/taxii2/', { accept: a })).status, 406, a);
  assert.equal((await token.get('/taxii2/', { accept: 'application/taxii+json' })).status, 200);
  assert.equal((await token.get('/taxii2/', { accept: 'application/taxii+json;version=2.0, application/taxii+json;version=2.1' })).status, 200, 'a client of both versions');
  assert.equal((await s.withToken('wrong').get('/taxii2/')).status, 401);
  const basic = (password) => request(s.url + '/taxii2/', { headers: { authorization: 'Basic ' + Buffer.from('unit:' + password).toString('base64') } });
  assert.equal((await basic(token.token)).status, 200, 'the token as a password');
  assert.equal((await basic('wrong')).status, 401);
  const list = JSON.parse((await get('/taxii2/api/collections/')).text).collections;
  const active = list.find((c) => c.title === 'active'), inbox = list.find((c) => c.title === 'submissions');
  assert.equal(inbox.can_write, true);
  const base = `/taxii2/api/collections/${active.id}/`;
  const all = JSON.parse((await get(base + 'objects/?limit=1000')).text).objects;
  assert.ok(all.length >= 6);
  const seen = [];
  let next = '';
  for (let i = 0; i < 100; i++) {
    const r = await get(`${base}objects/?limit=2${next ? '&next=' + encodeURIComponent(next) : ''}`), b = JSON.parse(r.text);
    seen.push(...(b.objects ?? []).map((o) => o.id));
    assert.ok(r.headers['x-taxii-date-added-last']);
    if (!b.more) break;
    next = b.next;
  }
  assert.deepEqual(seen, all.map((o) => o.id));
  assert.deepEqual(JSON.parse((await get(`${base}objects/${all[0].id}/`)).text).objects.map((o) => o.id), [all[0].id]);
  assert.equal(JSON.parse((await get(`${base}objects/${all[0].id}/versions/`)).text).versions.length, 1);
  assert.equal(JSON.parse((await get(`${base}manifest/?match[type]=indicator&limit=3`)).text).objects.length, 3);
  assert.equal((await get(`${base}objects/?next=nonsense`)).status, 400);
  assert.equal((await get(`/taxii2/api/collections/unknown/objects/`)).status, 404);
  const objects = [{ type: 'indicator', spec_version: '2.1', id: 'indicator--11111111-1111-4111-8111-111111111111', created: '2026-01-01T00:00:00Z', modified: new Date().toISOString(), pattern: "[ipv4-addr:value = '62.1.1.1']", pattern_type: 'stix', valid_from: '2026-01-01T00:00:00Z' },
    { type: 'oops' }];
  const body = JSON.stringify({ objects }), h = { accept: 'application/taxii+json;version=2.1', 'content-type': 'application/taxii+json;version=2.1' };
  assert.equal((await token.call('POST', `/taxii2/api/collections/${inbox.id}/objects/`, body, { 'content-type': 'text/plain' })).status, 415);
  assert.match((await token.call('POST', `/taxii2/api/collections/${inbox.id}/objects/`, '{"objects":[', h)).text, /near end of file|expected/);
  const post = await token.call('POST', `/taxii2/api/collections/${inbox.id}/objects/`, body, h);
  assert.equal(post.status, 202, post.text);
  const st = JSON.parse(post.text);
  assert.deepEqual([st.success_count, st.failure_count], [1, 1]);
  assert.equal(JSON.parse((await get(`/taxii2/api/status/${st.id}/`)).text).status, 'complete');
  assert.equal((await token.call('POST', `${base}objects/`, body, h)).status, 403);
  assert.equal((await admin.get('/api/v1/indicators?filter=' + encodeURIComponent('value:62.1.1.1'))).body.items[0].status, 'draft');
});

test('a collection is made for units, its token opens it alone, and ends', async () => {
  const made = await admin.post('/api/v1/intel-collections', { title: '区县共享', types: 'ipv4,domain', min_confidence: 10, tlp_max: 'green', orgs: ['root'] });
  assert.equal(made.status, 201, made.text);
  const c = made.body;
  assert.equal(c.path, `/taxii2/api/collections/${c.id}/`);
  assert.ok(c.indicators >= 1);
  assert.equal((await admin.post('/api/v1/intel-collections', { title: 'x', types: 'nonsense' })).status, 400);
  assert.equal((await admin.post('/api/v1/intel-collections', { title: 'x', orgs: ['nobody'] })).status, 400);
  assert.equal((await admin.patch('/api/v1/intel-collections/' + c.id, { min_confidence: 101 })).status, 400);
  assert.equal((await admin.patch('/api/v1/intel-collections/' + c.id, { description: '每日更新' })).body.description, '每日更新');
  const t = await admin.post(`/api/v1/intel-collections/${c.id}/tokens`, { user: 'admin', name: '区县平台', days: 30 });
  assert.equal(t.status, 201, t.text);
  const who = s.withToken(t.body.token), accept = { accept: 'application/taxii+json;version=2.1' };
  const list = JSON.parse((await who.get('/taxii2/api/collections/', accept)).text).collections;
  assert.deepEqual(list.map((x) => x.id), [c.id], 'the token sees its own collection only');
  const got = JSON.parse((await who.get(c.path + 'objects/?match[type]=indicator', accept)).text).objects;
  assert.ok(got.length >= 1 && got.every((o) => !o.pattern || /ipv4-addr|domain-name/.test(o.pattern)));
  assert.equal((await who.get('/api/v1/alerts')).status, 403, 'and nothing else of the product');
  const one = (await admin.get('/api/v1/intel-collections/' + c.id)).body;
  assert.deepEqual(one.token_list.map((x) => x.name), ['区县平台']);
  assert.ok(!JSON.stringify(one).includes(t.body.token), 'the token is shown once');
  assert.equal((await admin.delete(`/api/v1/intel-collections/${c.id}/tokens/${t.body.id}`)).status, 204);
  assert.equal((await who.get(c.path, accept)).status, 401);
  const again = (await admin.post(`/api/v1/intel-collections/${c.id}/tokens`, { user: 'admin', name: 'again' })).body;
  assert.equal((await admin.delete('/api/v1/intel-collections/' + c.id)).status, 204);
  assert.equal((await s.withToken(again.token).get('/taxii2/', accept)).status, 401, 'a deleted collection ends its tokens');
  const audit = (await admin.get('/api/v1/audit?limit=200')).body;
  assert.ok(!audit.items || !JSON.stringify(audit).includes(again.token));
});

test('a second server pulls the collection over TAXII, keeps its place, and pulls a plain list', async () => {
  other = await startServer({ config: 'store:\n  events: none\n' });
  const a2 = await other.signIn('admin');
  const bearer = s.token('admin', ['ti.read']).token;
  const list = JSON.parse((await s.withToken(bearer).get('/taxii2/api/collections/')).text).collections;
  const active = list.find((c) => c.title === 'active');
  const made = await a2.post('/api/v1/intel-sources', { name: 'the city', kind: 'taxii', url: `${s.url}/taxii2/api/collections/${active.id}/`, secret: bearer, schedule_s: 3600, trusted: true, weight: 50,
    licence: 'for tests', options: { ca_pem: fs.readFileSync(path.join(s.data, 'tls/server.crt'), 'utf8') } });
  assert.equal(made.status, 201, made.text + (other ? other.log().slice(-1500) : ''));
  assert.ok(!made.text.includes(bearer), 'the secret never comes out');
  const source = () => a2.get('/api/v1/intel-sources/' + made.body.id).then((r) => r.body);
  const first = await until('the first pull', async () => { const x = await source(); return x.last_run ? x : null; });
  assert.equal(first.last_error, null, first.last_error);
  const got = (await a2.get('/api/v1/indicators?limit=200&filter=' + encodeURIComponent('source.name:"the city"'))).body.items;
  assert.ok(got.some((i) => i.value === '77.88.1.1' && i.status === 'active' && i.confidence === 80), JSON.stringify(got.map((g) => [g.value, g.confidence])));
  assert.equal(got.find((i) => i.value === '45.77.99.0/24').status, 'withdrawn', 'withdrawn ones are given as such');
  let last = first;
  const pull = async () => {
    assert.equal((await a2.post(`/api/v1/intel-sources/${made.body.id}/run`)).status, 202);
    last = await until('the next pull', async () => { const x = await source(); return x.last_run !== last.last_run ? x : null; });
    assert.equal(last.last_error, null);
    return last.last_result;
  };
  assert.equal((await admin.post('/api/v1/indicators', { value: 'after-the-pull.example' })).status, 201);
  assert.equal((await pull()).read, 1, 'only what was added since');
  assert.equal((await pull()).read, 0, 'and nothing twice');
  // changed, withdrawn, let in again: the second server follows, and so does a client that only reads
  const own = async (x) => (await admin.get('/api/v1/indicators?filter=' + encodeURIComponent(`value:${x}`))).body.items[0];
  const theirs = async (x) => (await a2.get('/api/v1/indicators?filter=' + encodeURIComponent(`value:${x}`))).body.items[0];
  const review = async (action) => assert.equal((await admin.post('/api/v1/indicators:review', { ids: [(await own('after-the-pull.example')).id], action })).body.changed, 1);
  const reader = s.withToken(bearer);
  const page = async (query) => { const r = await reader.get(`/taxii2/api/collections/${active.id}/objects/?${query}`); assert.equal(r.status, 200, r.text); return r; };
  let cursor = (await page('limit=5000')).headers['x-taxii-date-added-last'];
  assert.match(cursor, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  const news = async () => {
    const r = await page('limit=5000&added_after=' + encodeURIComponent(cursor));
    cursor = r.headers['x-taxii-date-added-last'] ?? cursor;
    return (JSON.parse(r.text).objects ?? []).map((o) => ({ id: o.id, revoked: !!o.revoked, confidence: o.confidence, modified: o.modified }));
  };
  assert.deepEqual(await news(), []);
  assert.equal((await admin.patch('/api/v1/indicators/' + (await own('after-the-pull.example')).id, { confidence: 71 })).status, 200);
  const changed = await news();
  assert.deepEqual(changed.map((o) => [o.revoked, o.confidence]), [[false, 71]]);
  assert.equal((await pull()).read, 1);
  assert.equal((await theirs('after-the-pull.example')).confidence, 71);
  await review('withdraw');
  const gone = await news();
  assert.deepEqual(gone.map((o) => [o.id, o.revoked]), [[changed[0].id, true]]);
  assert.ok(gone[0].modified > changed[0].modified);
  assert.equal((await pull()).read, 1);
  assert.equal((await theirs('after-the-pull.example')).status, 'withdrawn');
  const feed = await admin.post('/api/v1/intel-feeds', { name: 'all', per_hour: 100 });
  for (const f of ['txt', 'csv', 'stix']) assert.ok(!(await request(`${s.url}/feeds/${feed.body.token}/${f}`)).text.includes('after-the-pull'), 'a feed drops it: ' + f);
  await review('activate');
  for (const f of ['txt', 'csv', 'stix']) assert.ok((await request(`${s.url}/feeds/${feed.body.token}/${f}`)).text.includes('after-the-pull'), 'and has it again: ' + f);
  const back = await news();
  assert.deepEqual(back.map((o) => o.revoked), [false]);
  assert.notEqual(back[0].id, changed[0].id, 'revoking is for good: another id');
  assert.equal((await pull()).read, 1);
  assert.equal((await theirs('after-the-pull.example')).status, 'active');
  assert.deepEqual(await news(), []);
  const manifest = JSON.parse((await reader.get(`/taxii2/api/collections/${active.id}/manifest/?match[id]=${changed[0].id},${back[0].id}`)).text).objects;
  assert.deepEqual(manifest.map((o) => [o.id, o.version]), [[changed[0].id, gone[0].modified], [back[0].id, back[0].modified]]);
  const version = (q) => page(`match[id]=${back[0].id}&match[version]=${q}`).then((r) => (JSON.parse(r.text).objects ?? []).length);
  for (const q of ['last', 'first', 'all', back[0].modified]) assert.equal(await version(q), 1, q);
  assert.equal(await version(changed[0].modified), 0);
  assert.equal((await reader.get(`/taxii2/api/collections/${active.id}/objects/?match[version]=newest`)).status, 400);
  await a2.patch('/api/v1/intel-sources/' + made.body.id, { paused: true });
  assert.equal((await a2.post(`/api/v1/intel-sources/${made.body.id}/run`)).status, 404);
  const web = http.createServer((req, res) => {
    if (req.headers.authorization !== 'Basic ' + Buffer.from('me:pw').toString('base64')) { res.writeHead(401).end(); return; }
    res.end('ip,family\n66.1.2.3,Listed\nbroken,x\n');
  });
  await new Promise((r) => web.listen(0, '127.0.0.1', r));
  try {
    const l = await a2.post('/api/v1/intel-sources', { name: 'a list', kind: 'file', url: `http://127.0.0.1:${web.address().port}/x.csv`, user: 'me', secret: 'pw', schedule_s: 3600 });
    const one = await until('the list', async () => { const x = (await a2.get('/api/v1/intel-sources/' + l.body.id)).body; return x.last_run ? x : null; });
    assert.equal(one.last_error, null);
    assert.deepEqual([one.last_result.new, one.last_result.bad], [1, 1]);
    assert.equal((await a2.get('/api/v1/indicators?filter=' + encodeURIComponent('family:Listed'))).body.items[0].status, 'draft', 'not a trusted source');
  } finally {
    web.close();
  }
});
