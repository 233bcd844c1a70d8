// SPDX-License-Identifier: Apache-2.0
// Rules as edited content on the real server: created, changed, staged, imported, exported, tested, explained, back-tested; and what
// the running detector does with each change.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { run, startServer, waitUntil } from './lib.mjs';

let s, api;
const id = '0190c0de-0000-7000-8000-000000000001';
const rule = (extra = {}) => `title: ${extra.title ?? 'Harbour gate probe'}
id: ${extra.id ?? id}
status: test
description: a line that says it
tags:
  - attack.discovery
  - attack.t1046
logsource:
  product: linux
  service: sshd
detection:
  sel:
    user.name: ${extra.user ?? 'gatekeeper'}
  condition: sel
level: ${extra.level ?? 'high'}
`;
const yesterday = new Date(Date.now() - 86400e3).toUTCString(); // what is counted of the last 30 days holds on every day of the year
const line = (user, n) => `<38>${yesterday.slice(8, 11)} ${String(+yesterday.slice(5, 7)).padStart(2)} 06:0${n}:00 pier-1 sshd[77]: Failed password for ${user} from 198.51.100.${n} port 4000 ssh2`;

before(async () => {
  s = await startServer({ config: 'enrich:\n  geo: ""\n' });
  api = await s.signIn('admin');
});
after(() => s?.stop());

async function send(lines) {
  const body = lines.map((l) => `${Buffer.byteLength(l)} ${l}`).join('');
  const r = await api.call('POST', '/api/v1/records:bulk?source=sshd', body, { 'content-type': 'application/octet-stream' });
  assert.ok(r.status < 300, r.text);
}
/** A condition that events bring about: what it answered. */
async function until(what, fn, seconds) {
  let v;
  await waitUntil(what, async () => !!(v = await fn()) || v, seconds);
  return v;
}
const alerts = async () => (await api.get('/api/v1/alerts?limit=100&filter=' + encodeURIComponent('rule_id:' + id))).body;

test('a text is checked by the compiler: line, column, fields', async () => {
  const ok = (await api.post('/api/v1/rules:validate', { yaml: rule() })).body;
  assert.equal(ok.valid, true);
  assert.deepEqual(ok.rules.map((r) => r.id), [id]);
  assert.ok(ok.fields.some((f) => f.sigma === 'user.name'));
  const bad = (await api.post('/api/v1/rules:validate', { yaml: rule().replace('condition: sel', 'condition: sel and other') })).body;
  assert.equal(bad.valid, false);
  assert.equal(bad.errors[0].line, 14);
  assert.match(bad.errors[0].message, /other/);
  assert.ok(bad.errors[0].column > 1);
  // messages in the language that is asked for: lists of mistakes, problem documents, fields; English without a word about it
  const zh = { 'accept-language': 'zh-CN' };
  const told = (await api.post('/api/v1/rules:validate', { yaml: rule().replace('condition: sel', 'condition: sel and other') }, zh)).body;
  assert.match(told.errors[0].message, /没有名为“other”的检索项/);
  assert.match(bad.errors[0].message, /there is no search named "other"/);
  const none = await api.get('/api/v1/rules/no-such-rule', zh);
  assert.equal(none.status, 404);
  assert.equal(none.body.detail, '没有这条规则');
  assert.equal(none.body.title, '未找到');
  const field = (await api.post('/api/v1/rules:validate', { yaml: 7 }, zh)).body;
  assert.equal(field.errors[0].message, '应为文本');
  assert.equal((await api.post('/api/v1/rules:validate', { yaml: 7 })).body.errors[0].message, 'must be of type string');
  const broken = (await api.post('/api/v1/rules:validate', { yaml: 'title: [\n' })).body;
  assert.equal(broken.valid, false);
  const wrong = (await api.post('/api/v1/rules:validate', { yaml: rule().replace('user.name:', 'user.name|nosuch:') })).body;
  assert.equal(wrong.errors[0].line, 13);
});

test('created staged: hits are counted and listed, no alert; enabled: an alert', async () => {
  const r = await api.post('/api/v1/rules', { yaml: rule(), state: 'staged', note: 'first' });
  assert.equal(r.status, 201, r.text);
  assert.equal(r.body.origin, 'custom');
  assert.equal(r.body.state, 'staged');
  assert.equal((await api.post('/api/v1/rules', { yaml: rule() })).status, 409);
  await send([line('gatekeeper', 1), line('gatekeeper', 2)]);
  const st = await until('staged hits are not counted', async () => { const x = (await api.get(`/api/v1/rules/${id}/staged`)).body; return x.hits_30d >= 2 && x.samples.length >= 2 && x; });
  assert.equal(st.hits_30d, 2);
  assert.equal(st.samples.length, 2);
  assert.ok(st.samples.some((x) => x.entity === '198.51.100.1'));
  assert.equal((await alerts()).total, 0);
  assert.equal((await api.patch('/api/v1/rules/' + id, { state: 'enabled' })).status, 200);
  await send([line('gatekeeper', 3)]);
  await until('no alert of the enabled rule', async () => (await alerts()).total === 1);
});

test('changed, compared, restored; a stale change is refused', async () => {
  const r = await api.put('/api/v1/rules/' + id, { yaml: rule({ title: 'Harbour gate probe, new' }), version: 1 });
  assert.equal(r.status, 200, r.text);
  assert.equal(r.body.version, 2);
  assert.equal((await api.put('/api/v1/rules/' + id, { yaml: rule(), version: 1 })).status, 409);
  const bad = await api.put('/api/v1/rules/' + id, { yaml: rule().replace('condition: sel', 'condition: nothing') });
  assert.equal(bad.status, 400);
  assert.ok(bad.body.rule_errors[0].line);
  assert.equal((await api.put('/api/v1/rules/' + id, { yaml: rule({ id: id.replace(/1$/, '9') }) })).status, 400, 'the id must stay');
  const v = (await api.get(`/api/v1/rules/${id}/versions`)).body.items;
  assert.deepEqual(v.map((x) => [x.version, x.action]), [[2, 'edit'], [1, 'create']]);
  assert.equal(v[1].note, 'first');
  const back = await api.post(`/api/v1/rules/${id}/restore`, { version: 1 });
  assert.equal(back.status, 200, back.text);
  assert.equal(back.body.title, 'Harbour gate probe');
  assert.equal(back.body.version, 3);
});

test('a shipped rule is edited and goes back; it cannot be deleted', async () => {
  const shipped = (await api.get('/api/v1/rules?limit=1&filter=' + encodeURIComponent('origin:builtin'))).body.items[0];
  const text = (await api.get('/api/v1/rules/' + shipped.id)).body.yaml;
  const total = (await api.get('/api/v1/rules?limit=1')).body.total;
  const r = await api.put('/api/v1/rules/' + shipped.id, { yaml: text.replace(/^title: .*$/m, 'title: Changed by hand') });
  assert.equal(r.status, 200, r.text);
  assert.equal(r.body.origin, 'edited');
  assert.equal(r.body.title, 'Changed by hand');
  assert.equal((await api.get('/api/v1/rules?limit=1')).body.total, total, 'the shipped one must not stand beside it');
  assert.equal((await api.delete('/api/v1/rules/' + shipped.id)).status, 409);
  const versions = (await api.get(`/api/v1/rules/${shipped.id}/versions`)).body.items;
  assert.equal(versions.at(-1).version, 0);
  assert.equal(versions.at(-1).yaml, text);
  const back = await api.post(`/api/v1/rules/${shipped.id}/restore`, { version: 0 });
  assert.equal(back.body.origin, 'builtin');
  assert.equal(back.body.title, shipped.title);
});

test('many at once by tactic, by selection; dry run changes nothing', async () => {
  const filter = 'tactic:discovery';
  const n = (await api.get('/api/v1/rules?limit=1&filter=' + encodeURIComponent(filter))).body.total;
  assert.ok(n > 2);
  const dry = (await api.post('/api/v1/rules:batch', { filter, state: 'disabled', dry_run: true })).body;
  assert.equal(dry.rules, n);
  assert.equal((await api.get('/api/v1/rules?limit=1&filter=' + encodeURIComponent('state:disabled'))).body.total, 0);
  assert.equal((await api.post('/api/v1/rules:batch', { filter, state: 'disabled' })).body.changed, n);
  assert.equal((await api.get('/api/v1/rules?limit=1&filter=' + encodeURIComponent('state:disabled'))).body.total, n);
  await send([line('gatekeeper', 4)]);
  assert.equal((await api.post('/api/v1/rules:batch', { ids: [id], state: 'enabled' })).body.changed, 1);
  assert.equal((await api.post('/api/v1/rules:batch', { filter, state: 'enabled' })).body.changed, n - 1);
  assert.equal((await api.post('/api/v1/rules:batch', { state: 'enabled' })).status, 400);
});

test('exported as an archive and imported again, with a report per file', async () => {
  const zip = await new Promise((resolve, reject) => {
    import('node:https').then(({ default: https }) => https.get(s.url + `/api/v1/rules:export?ids=${id}`, { rejectUnauthorized: false, headers: { cookie: api.cookie } }, (res) => {
      const parts = [];
      res.on('data', (d) => parts.push(d)).on('end', () => resolve({ status: res.statusCode, body: Buffer.concat(parts), type: res.headers['content-type'] })).on('error', reject);
    }));
  });
  assert.equal(zip.status, 200);
  assert.equal(zip.type, 'application/zip');
  assert.equal(zip.body.subarray(0, 2).toString(), 'PK');
  const same = await api.call('POST', '/api/v1/rules:import?name=rules.zip', zip.body, { 'content-type': 'application/zip' });
  assert.equal(same.status, 200, same.text);
  assert.equal(same.body.unchanged, 1);
  const other = rule({ id: id.replace(/1$/, '2'), title: 'Second' });
  const files = { files: [{ name: 'good.yml', text: other }, { name: 'bad.yml', text: 'title: x\nlogsource: {}\ndetection:\n  a: 1\n' }, { name: 'no-id.yml', text: other.replace(/^id: .*\n/m, '') }] };
  const dry = (await api.post('/api/v1/rules:import?dry_run=true', files)).body;
  assert.deepEqual([dry.added, dry.refused], [1, 2]);
  assert.equal((await api.get('/api/v1/rules/' + id.replace(/1$/, '2'))).status, 404);
  const done = (await api.post('/api/v1/rules:import?state=staged', files)).body;
  assert.deepEqual(done.files.map((f) => f.result), ['added', 'refused', 'refused']);
  assert.ok(done.files[1].errors[0].message);
  assert.equal((await api.get('/api/v1/rules/' + id.replace(/1$/, '2'))).body.state, 'staged');
  assert.equal((await api.delete('/api/v1/rules/' + id.replace(/1$/, '2'))).status, 204);
  assert.equal((await api.get('/api/v1/rules/' + id.replace(/1$/, '2'))).status, 404);
  assert.equal((await api.call('POST', '/api/v1/rules:import?name=x.zip', Buffer.from('PK\u0003\u0004\0broken'), { 'content-type': 'application/zip' })).status, 400);
});

test('lists behind %name% change what rules match, at once', async () => {
  const yaml = rule({ id: id.replace(/1$/, '3'), user: "'%watched_people%'" }).replace('user.name:', 'user.name|expand:');
  const run = async () => (await api.post('/api/v1/rules:test', { yaml, lines: [line('nightporter', 5)] })).body.matches;
  assert.equal(await run(), 0);
  assert.equal((await api.put('/api/v1/rule-lists/watched_people', { items: ['nightporter', 'dayporter'] })).status, 200);
  assert.equal(await run(), 1);
  assert.ok((await api.get('/api/v1/rule-lists')).body.items.some((l) => l.name === 'watched_people' && l.items.length === 2));
  assert.equal((await api.delete('/api/v1/rule-lists/watched_people')).status, 204);
  assert.equal(await run(), 0);
});

test('no list and no text takes another rule out of use: it is refused and says which one; a list that is unknown is told', async () => {
  const nth = (i) => `0190c0de-0000-7000-8000-0000000d${String(i).padStart(4, '0')}`;
  const yaml = rule({ id: nth(1), user: "'%many_people%'" }).replace('user.name:', 'user.name|contains|expand:').replace(/^title: .*$/m, 'title: Uses a list');
  const check = (await api.post('/api/v1/rules:validate', { yaml })).body;
  assert.equal(check.valid, true);
  assert.match(check.warnings[0].message, /%many_people% is unknown/);
  assert.equal(yaml.split('\n')[check.warnings[0].line - 1].slice(check.warnings[0].column - 1).startsWith('%many_people%'), true);
  assert.equal((await api.put('/api/v1/rule-lists/many_people', { items: ['porter'] })).status, 200);
  assert.deepEqual((await api.post('/api/v1/rules:validate', { yaml })).body.warnings, []);
  assert.equal((await api.post('/api/v1/rules', { yaml, state: 'enabled' })).status, 201);
  const much = await api.put('/api/v1/rule-lists/many_people', { items: Array.from({ length: 9000 }, (_, i) => `p${i}`) });
  assert.equal(much.status, 409, much.text);
  assert.match(much.body.detail, /Uses a list.*too dear/);
  assert.deepEqual((await api.get('/api/v1/rule-lists')).body.items.find((l) => l.name === 'many_people').items, ['porter'], 'nothing was kept');
  assert.equal((await api.get('/api/v1/rules/' + nth(1))).body.state, 'enabled');
  assert.equal((await api.put('/api/v1/rule-lists/many_people', { items: ['%many_people%'] })).status, 409, 'a list that holds itself');
  assert.equal((await api.put('/api/v1/rule-lists/many_people', { items: [] })).status, 200);
  const never = (await api.get('/api/v1/rules/reachability?limit=1000')).body.items.find((x) => x.id === nth(1));
  assert.equal(never.reachable, false, 'loudly: it can never fire');
  assert.match(never.reason, /%many_people% is empty/);
  // what a correlation counts
  const base = rule({ id: nth(2), user: 'porter' }).replace(/^title: .*$/m, 'title: Counted\nname: counted_one');
  assert.equal((await api.post('/api/v1/rules', { yaml: base, state: 'staged' })).status, 201);
  const corr = `title: Counts it\nid: ${nth(3)}\ncorrelation:\n  type: event_count\n  rules: [counted_one]\n  timespan: 5m\n  condition: {gte: 3}\nlevel: high\n`;
  assert.equal((await api.post('/api/v1/rules', { yaml: corr, state: 'staged' })).status, 201);
  const gone = await api.delete('/api/v1/rules/' + nth(2));
  assert.equal(gone.status, 409, gone.text);
  assert.match(gone.body.detail, /Counts it.*counted_one/);
  assert.equal((await api.put('/api/v1/rules/' + nth(2), { yaml: base.replace('name: counted_one', 'name: another') })).status, 409);
  const files = [{ name: 'counted.yml', text: base.replace('name: counted_one', 'name: another') }];
  assert.equal((await api.post('/api/v1/rules:import', { files })).status, 409, 'nor does an import');
  assert.match((await api.get('/api/v1/rules/' + nth(2))).body.yaml, /name: counted_one/);
  files.push({ name: 'counts.yml', text: corr.replace('[counted_one]', '[another]') });
  assert.equal((await api.post('/api/v1/rules:import', { files })).body.updated, 2, 'unless the other rule goes along');
  assert.equal((await api.delete('/api/v1/rules/' + nth(3))).status, 204);
  assert.equal((await api.delete('/api/v1/rules/' + nth(2))).status, 204);
  assert.equal((await api.delete('/api/v1/rules/' + nth(1))).status, 204);
  assert.equal((await api.delete('/api/v1/rule-lists/many_people')).status, 204);
});

test('tried on pasted records: how each was read, matched or why not', async () => {
  const r = (await api.post('/api/v1/rules:test', { yaml: rule(), lines: [line('gatekeeper', 6), line('someone', 6)], events: [{ user: { name: 'gatekeeper' } }] })).body;
  assert.equal(r.events, 3);
  assert.equal(r.items[0].source, 'sshd');
  assert.equal(r.items[0].hits.length, 1);
  assert.ok(r.items[0].fields.some((f) => f.field === 'source.ip' && f.value === '198.51.100.6'));
  assert.equal(r.items[1].hits.length, 0);
  assert.match(r.items[1].explain[0].reason, /user\.name/);
  assert.equal(r.items[1].explain[0].searches[0].tests[0].found[0].value, 'someone');
  const bad = await api.post('/api/v1/rules:test', { yaml: 'title: x', lines: ['x'] });
  assert.equal(bad.status, 400);
});

test('explained on a stored event, from the record to the alert', async (t) => {
  const a = (await alerts()).items[0];
  const one = await until('the event of the alert is not stored', async () => { const x = (await api.get('/api/v1/alerts/' + a.id)).body; return x.events.length > 0 && x; });
  const eid = one.events[0]._id ?? one.events[0].id;
  const t0 = Date.now();
  const x = (await api.post(`/api/v1/events/${eid}:explain`, { rule_id: id })).body;
  t.diagnostic(`explained in ${Date.now() - t0} ms`); // told, not judged: a test does not depend on the machine's load
  assert.equal(x.reading.source, 'sshd');
  assert.equal(x.explain.fired, true);
  assert.equal(x.after.outcome, 'alert');
  assert.equal(x.after.alert.id, a.id);
  const all = (await api.post(`/api/v1/events/${eid}:explain`, {})).body;
  assert.ok(all.fired.some((f) => f.id === id && f.alert));
  assert.ok(all.tried >= 1 && all.other_log_source > 10);
  await api.patch('/api/v1/rules/' + id, { state: 'disabled' });
  assert.equal((await api.post(`/api/v1/rules/${id}:explain`, { event_id: eid })).body.after.outcome, 'disabled');
  await api.patch('/api/v1/rules/' + id, { state: 'enabled' });
  assert.equal((await api.post(`/api/v1/rules/${id}:explain`, { raw: line('gatekeeper', 7) })).body.after.outcome, 'would_alert');
  assert.equal((await api.post(`/api/v1/rules/${id}:explain`, { raw: line('nobody', 7) })).body.after.outcome, 'condition_false');
  assert.equal((await api.post(`/api/v1/events/0190c0de-0000-7000-8000-00000000ffff:explain`, {})).status, 404);
});

test('back-tested over stored events: days, entities, what people had decided', async () => {
  const a = (await alerts()).items[0];
  await api.post(`/api/v1/alerts/${a.id}/actions`, { action: 'confirm', note: 'real' });
  await until('four events are not stored', async () => (await api.post('/api/v1/events:search', { query: 'user.name:gatekeeper', from: 'now-400d', to: 'now+400d', limit: 0 })).body.total === 4);
  const r = await api.post('/api/v1/rules:backtest', { yaml: rule(), from: 'now-400d', to: 'now+400d' });
  assert.equal(r.status, 202, r.text);
  const job = await until('the back-test does not end', async () => { const j = (await api.get('/api/v1/backtests/' + r.body.id)).body; return ['done', 'failed', 'cancelled'].includes(j.state) && j; }, 240);
  assert.equal(job.state, 'done', job.error);
  assert.equal(job.result.matches, 4);
  assert.equal(job.result.events, 4);
  assert.equal(job.done, job.total);
  assert.equal(job.result.days.reduce((n, d) => n + d.count, 0), 4);
  assert.ok(job.result.entities['source.ip'].top.some((x) => x.value === '198.51.100.3'));
  assert.equal(job.result.alerts.confirmed, 1);
  assert.ok(job.result.samples.every((x) => x.event_id && x.original.includes('gatekeeper')));
  const scoped = await api.post('/api/v1/rules:backtest', { id, query: 'source.ip:198.51.100.2', from: 'now-400d', to: 'now+400d' });
  const one = await until('the second back-test does not end', async () => { const j = (await api.get('/api/v1/backtests/' + scoped.body.id)).body; return j.state === 'done' && j; }, 240);
  assert.equal(one.result.matches, 1);
  assert.equal((await api.post(`/api/v1/backtests/${scoped.body.id}/cancel`)).status, 409);
  assert.equal((await api.post('/api/v1/rules:backtest', { id, query: 'a:(' })).status, 400);
  assert.equal((await api.post('/api/v1/rules:backtest', { yaml: 'title: x' })).status, 400);
});

test('coverage, history, proposals that never hide a confirmed alert', async () => {
  const c = (await api.get('/api/v1/rules/coverage')).body;
  assert.equal(c.matrix.length, 14);
  const t = c.matrix.find((x) => x.tactic === 'discovery').techniques.find((x) => x.id === 'T1046');
  assert.ok(t.rules >= 1 && t.hits >= 1);
  assert.ok(c.logsources.some((x) => x.logsource === 'linux//sshd'));
  const h = (await api.get('/api/v1/rules/history')).body.items.find((x) => x.id === id);
  assert.equal(h.confirmed, 1);
  const p = (await api.get(`/api/v1/rules/${id}/proposals`)).body;
  assert.equal(p.confirmed, 1);
  for (const x of p.proposals) if (x.confirmed || x.confirmed_events) assert.equal(x.safe, false);
});

test('a unit officer sees no rules, changes none and sees no alert of the city', async () => {
  const unit = await api.post('/api/v1/organisations', { name: 'Pier hospital', kind: 'unit', parent_id: 'root' });
  assert.equal(unit.status, 201, unit.text);
  const made = await api.post('/api/v1/users', { name: 'officer', display_name: 'Officer', org_id: unit.body.id, roles: ['unit_officer'] });
  assert.equal(made.status, 201, made.text);
  const officer = await s.signIn('officer', made.body.password);
  assert.deepEqual([officer.user.scope, officer.user.permissions.some((p) => p.startsWith('rule.'))], ['subtree', false]);
  for (const where of ['', '/' + id, '/coverage', '/history', '/statistics', `/${id}/versions`, `/${id}/staged`, ':export?ids=' + id])
    assert.equal((await officer.get('/api/v1/rules' + where)).status, 403, where);
  for (const [where, body] of [[':validate', { yaml: rule() }], [':test', { yaml: rule(), records: line('x', 1) }], [':backtest', { yaml: rule() }], ['', { yaml: rule() }]])
    assert.equal((await officer.post('/api/v1/rules' + where, body)).status, 403, where);
  assert.equal((await officer.patch('/api/v1/rules/' + id, { enabled: false })).status, 403);
  assert.equal((await api.get('/api/v1/rules/' + id)).body.enabled, true);
  const city = (await alerts()).items[0]; // its events are of no unit
  assert.deepEqual((await officer.get('/api/v1/alerts')).body.items, []);
  assert.equal((await officer.get('/api/v1/alerts/' + city.id)).status, 404);
});

test('refused rules are summed up by what they have in common, names included', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'cf-refused-'));
  for (const [name, cond] of [['a', 'sel | near x'], ['b', 'sel | near y'], ['c', 'sel and gone'], ['d', 'sel and gone']]) fs.writeFileSync(path.join(dir, `${name}.yml`), rule().replace('condition: sel', `condition: ${cond}`).replace(id, `${id.slice(0, -1)}${name}`));
  fs.writeFileSync(path.join(dir, 'e.yml'), rule({ user: "'%no_such_list%'" }).replace('user.name:', 'user.name|expand:'));
  const r = run(['rules', 'check', dir]);
  fs.rmSync(dir, { recursive: true });
  assert.match(r.stdout, /warning .*e\.yml: ".*": the list %no_such_list% is unknown/);
  assert.match(r.stdout, /2 refused: .*"…": "near" is not part of Sigma any more/);
  assert.match(r.stdout, /2 refused: condition "sel and gone": there is no search named "gone"/);
});

test('explain says how far the group of a correlation is', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'cf-explain-'));
  const corr = `---\ntitle: Many\nid: 0190c0de-0000-7000-8000-0000000000c1\ncorrelation:\n  type: event_count\n  rules: [${id}]\n  group-by: [user.name]\n  timespan: 5m\n  condition: {gte: 5}\n`;
  fs.writeFileSync(path.join(dir, 'r.yml'), rule() + corr);
  const r = run(['explain', '--rules', dir, '--rule', 'Many'], { input: [1, 2, 3].map((n) => line('gatekeeper', n)).join('\n') + '\n' });
  fs.rmSync(dir, { recursive: true });
  const last = JSON.parse(r.stdout.trim().split('\n').at(-1)).rules[0];
  assert.equal(last.reason, '3 of 5 within 5 minutes, group user.name=gatekeeper');
  assert.equal(last.correlation.window.entries, 3);
});

test('the open window of a running correlation is told', async () => {
  const brute = '047d8760-a72f-4d53-875b-0fd80b28c55f';
  const stamp = new Date(Date.now() + 8 * 3600e3).toUTCString(); // the default zone of sources without one
  const at = `${stamp.slice(8, 11)} ${String(+stamp.slice(5, 7)).padStart(2)} ${stamp.slice(17, 25)}`;
  const refused = `<38>${at} pier-1 sshd[77]: Failed password for someone from 198.51.100.77 port 4000 ssh2`;
  const told = async () => (await api.post(`/api/v1/rules/${brute}:explain`, { raw: refused })).body.explain;
  assert.match((await told()).reason, /^0 of 20 within 5 minutes, group source\.ip=198\.51\.100\.77 \(no window/);
  await send([refused, refused, refused]);
  await until('three are counted', async () => (await told()).reason === '3 of 20 within 5 minutes, group source.ip=198.51.100.77');
  assert.equal((await told()).correlation.window.value, 3);
});
