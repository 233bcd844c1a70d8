// SPDX-License-Identifier: Apache-2.0
// From log lines to work: real events through the real pipeline and rules become alerts and incidents; people triage them,
// convert them to a notice, except false positives, merge and split. A unit sees only its own.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startServer } from './lib.mjs';

let s, admin, officer, orgA, orgB, live;

before(async () => {
  s = await startServer({ config: 'store:\n  events: none\n' });
  admin = await s.signIn('admin');
  orgA = (await admin.post('/api/v1/organisations', { name: '市水务局' })).body.id;
  orgB = (await admin.post('/api/v1/organisations', { name: '市交通局' })).body.id;
  for (const [name, ip, org, importance] of [['门户网站', '10.20.0.5', orgA, 5], ['调度系统', '10.30.0.5', orgB, 3]]) {
    const r = await admin.post('/api/v1/assets', { name, ip, org_id: org, importance, kind: 'hardware' });
    assert.equal(r.status, 201, r.text);
  }
  const u = await admin.post('/api/v1/users', { name: 'officer', display_name: '安全员', org_id: orgA, roles: ['unit_officer'] });
  officer = await s.signIn('officer', u.body.password);
  live = admin.stream();
  await live.opened;
});
after(async () => {
  live?.close();
  await s?.stop();
});

const web = (src, dst, url, host, extra = {}) => ({ '@timestamp': new Date().toISOString(), event: { module: 'nginx', dataset: 'nginx.access', category: ['web'], kind: 'event' },
  source: { ip: src }, destination: { ip: dst }, host: { name: host }, url: { original: url }, http: { request: { method: 'GET' }, response: { status_code: 200 } }, ...extra });
async function send(events) {
  const r = await admin.call('POST', '/api/v1/events:bulk?source=ecs', events.map((e) => JSON.stringify(e)).join('\n') + '\n', { 'content-type': 'application/x-ndjson' });
  assert.equal(r.status, 200, r.text);
  assert.equal(r.body.accepted, events.length, r.text);
}
async function must(promise, status = 200) {
  const r = await promise;
  assert.equal(r.status, status, r.text);
  return r.body;
}
async function alertLike(want) {
  for (;;) {
    const a = await live.next('alert');
    if (want(a)) return a;
  }
}
const act = (who, id, action, extra = {}) => who.post(`/api/v1/alerts/${id}/actions`, { action, ...extra });

let sqli, shell, incident;

test('hits fold into one alert per rule and entity, and join one incident', async () => {
  await send([1, 2, 3].map((i) => web('203.0.113.45', '10.20.0.5', `/item?id=${i}%20AND%201=1`, 'portal1')));
  sqli = await alertLike((a) => a.source_ip === '203.0.113.45' && a.count >= 3);
  assert.equal(sqli.level, 'high');
  assert.equal(sqli.org.id, orgA);
  assert.deepEqual(sqli.entity, { type: 'ip', value: '203.0.113.45' });
  await send([web('203.0.113.45', '10.20.0.5', '/upload/shell.php?c=id', 'portal1')]);
  shell = await alertLike((a) => a.source_ip === '203.0.113.45' && a.rule_id !== sqli.rule_id);
  const d = await must(admin.get(`/api/v1/alerts/${shell.id}`));
  assert.equal(d.asset.name, '门户网站');
  assert.ok(d.score > 50 && d.score <= 100);
  assert.ok(d.matched.length > 0 && d.advice.length > 0 && d.history[0].action === 'raised');
  assert.ok(d.related.some((x) => x.id === sqli.id));
  assert.ok(d.events.length >= 1);
  incident = d.incident_id;
  assert.ok(incident);
  const i = await must(admin.get(`/api/v1/incidents/${incident}`));
  assert.equal(i.org.id, orgA);
  assert.ok(i.alerts.some((x) => x.id === sqli.id) && i.alerts.some((x) => x.id === shell.id));
  assert.ok(i.tactics.length >= 1 && i.graph.nodes.length >= 3 && i.graph.edges.length >= 1);
  assert.ok(i.timeline.filter((x) => x.kind === 'alert').length >= 2);
  assert.ok(i.entities.some((e) => e.type === 'ip' && e.value === '203.0.113.45'));
});

test('triage follows its states and wants reasons', async () => {
  assert.equal((await act(admin, sqli.id, 'close', { note: 'x' })).status, 409);
  assert.equal((await act(admin, sqli.id, 'fly')).status, 400);
  assert.equal((await act(officer, sqli.id, 'take')).status, 403);
  assert.equal((await must(act(admin, sqli.id, 'take'))).status, 'handling');
  assert.equal((await act(admin, sqli.id, 'take')).status, 409);
  assert.equal((await act(admin, sqli.id, 'confirm')).status, 400);
  assert.equal((await must(act(admin, sqli.id, 'confirm', { note: '已复现' }))).status, 'confirmed');
  const c = await must(act(admin, sqli.id, 'convert_notice'));
  assert.equal(c.status, 'converted');
  const n = await must(admin.get(`/api/v1/notices/${c.notice_id}`));
  assert.deepEqual(n.form.data.receivers, [orgA]);
  assert.equal(n.level, 'high');
  assert.equal(n.source.id, sqli.id);
  const d = await must(act(admin, sqli.id, 'close', { note: '已发通报' }));
  assert.deepEqual(d.history.map((h) => h.action), ['raised', 'take', 'confirm', 'convert_notice', 'close']);
  await send([web('203.0.113.45', '10.20.0.5', '/item?id=9%20AND%201=1', 'portal1')]); // it goes on: the closed alert comes back
  const again = await alertLike((a) => a.id === sqli.id && a.count > 3);
  assert.equal(again.status, 'handling');
});

test('bulk actions report each failure', async () => {
  const r = await must(admin.post('/api/v1/alerts:batch', { ids: [shell.id, 'no-such-alert', sqli.id], action: 'assign', owner: admin.user.id }));
  assert.equal(r.changed, 2);
  assert.equal(r.errors[0].id, 'no-such-alert');
  assert.equal((await admin.post('/api/v1/alerts:batch', { ids: [], action: 'take' })).status, 400);
  const list = await must(admin.get('/api/v1/alerts?filter=' + encodeURIComponent(`level:high|critical status:handling`) + '&sort=-score'));
  assert.equal(list.total, 2);
  assert.equal(list.items[0].owner.id, admin.user.id);
  assert.equal((await admin.get('/api/v1/alerts?filter=nonsense:1')).status, 400);
});

test('a false positive becomes a filter that hides, counts and ends', async () => {
  await send([web('198.51.100.9', '10.30.0.5', '/images/cmd.jsp', 'bus1')]);
  const a = await alertLike((x) => x.source_ip === '198.51.100.9');
  const p = await must(admin.post('/api/v1/exceptions:preview', { rule_id: a.rule_id, fields: { 'source.ip': { op: 'cidr', value: '198.51.100.0/24' } } }));
  assert.equal(p.hidden, 1);
  assert.ok(p.checked >= 2);
  assert.equal((await act(admin, a.id, 'false_positive', { note: '扫描器', exception: { fields: { 'source.ip': { op: 'cidr', value: 'not-a-range' } } } })).status, 400);
  assert.equal((await must(admin.get(`/api/v1/alerts/${a.id}`))).status, 'new'); // nothing half done
  await must(act(admin, a.id, 'false_positive', { note: '授权扫描器', exception: { fields: { 'source.ip': '198.51.100.9' }, expires_at: '2099-01-01T00:00:00Z' } }));
  await send([web('198.51.100.9', '10.30.0.5', '/images/cmd.jsp', 'bus1'), web('198.51.100.10', '10.30.0.5', '/images/cmd.jsp', 'bus2')]);
  await alertLike((x) => x.source_ip === '198.51.100.10');
  assert.equal((await must(admin.get(`/api/v1/alerts/${a.id}`))).count, 1); // hidden
  const ex = (await must(admin.get('/api/v1/exceptions'))).items[0];
  assert.equal(ex.hits, 1);
  assert.equal(ex.state, 'active');
  assert.ok(ex.rule_title.length > 0);
  assert.equal((await officer.patch(`/api/v1/exceptions/${ex.id}`, { enabled: false })).status, 403);
  assert.equal((await admin.patch(`/api/v1/exceptions/${ex.id}`, { expires_at: '2001-01-01T00:00:00Z' })).status, 400);
  assert.equal((await must(admin.patch(`/api/v1/exceptions/${ex.id}`, { enabled: false }))).state, 'paused');
  await send([web('198.51.100.9', '10.30.0.5', '/images/cmd.jsp', 'bus1'), web('198.51.100.11', '10.30.0.5', '/images/cmd.jsp', 'bus2')]);
  await alertLike((x) => x.source_ip === '198.51.100.11');
  assert.equal((await must(admin.get(`/api/v1/alerts/${a.id}`))).count, 2); // paused: counted again
  assert.equal((await must(admin.get('/api/v1/exceptions?filter=state:paused'))).total, 1);
  assert.equal((await must(admin.patch(`/api/v1/exceptions/${ex.id}`, { enabled: true, expires_at: null }))).expires_at, null);
  await must(admin.delete(`/api/v1/exceptions/${ex.id}`), 204);
  assert.equal((await must(admin.get('/api/v1/exceptions'))).total, 0);
  assert.equal((await admin.post('/api/v1/exceptions', { fields: {} })).status, 400); // would hide everything
  assert.equal((await admin.post('/api/v1/exceptions', { fields: { 'source.ip': '1.1.1.1' } })).status, 400); // one condition for all rules
});

test('incidents: own, comment, split, merge, close, reopen', async () => {
  const on = (id, action, extra = {}) => admin.post(`/api/v1/incidents/${id}/actions`, { action, ...extra });
  let i = await must(on(incident, 'take'));
  assert.equal(i.status, 'investigating');
  i = await must(on(incident, 'comment', { note: '正在排查' }));
  assert.equal(i.comments[0].text, '正在排查');
  const sp = await must(on(incident, 'split', { alert_ids: [shell.id] }));
  const other = sp.new_incident_id;
  assert.equal((await must(admin.get(`/api/v1/incidents/${other}`))).alert_count, 1);
  assert.equal(sp.alerts.length, i.alerts.length - 1);
  const foreign = (await must(admin.get('/api/v1/incidents?filter=org:' + orgB))).items[0].id;
  assert.equal((await on(incident, 'merge', { incident_ids: [foreign] })).status, 400); // two organisations are never mixed
  i = await must(on(incident, 'merge', { incident_ids: [other] }));
  assert.ok(i.alerts.some((x) => x.id === shell.id));
  const gone = await must(admin.get(`/api/v1/incidents/${other}`));
  assert.equal(gone.status, 'merged');
  assert.equal(gone.merged_into, incident);
  assert.equal((await on(other, 'status', { status: 'closed', note: 'x' })).status, 409);
  assert.equal((await on(incident, 'close')).status, 400);
  assert.equal((await must(on(incident, 'status', { status: 'contained' }))).status, 'contained');
  assert.equal((await must(on(incident, 'close', { note: '已加固' }))).conclusion, '已加固');
  assert.equal((await must(on(incident, 'reopen', { note: '再次出现' }))).status, 'investigating');
  const n = await must(on(incident, 'convert_notice'));
  assert.equal(n.notices.length, 1); // the alert's notice on the same problem took it
});

test('a security event: judged, classified by three elements, an order carried out by the unit, times measured', async () => {
  const on = (action, extra = {}, who = admin) => who.post(`/api/v1/incidents/${incident}/actions`, { action, ...extra }, { 'accept-language': 'en' });
  const level = (q) => admin.get('/api/v1/incidents:level?' + q).then((r) => r.body.level);
  assert.deepEqual([await level('importance=1&loss=1&harm=4'), await level('importance=2&loss=2&harm=4'), await level('importance=3&loss=4&harm=4'), await level('importance=3&loss=4&harm=2')], [1, 3, 4, 2]);
  assert.equal((await admin.get('/api/v1/incidents:level?importance=9&loss=1&harm=1')).status, 400);
  let r = await on('opinion', { form: { verdict: 'maybe' } });
  assert.equal(r.status, 400);
  assert.deepEqual(r.body.errors.map((e) => e.field).sort(), ['confidence', 'opinion', 'verdict']);
  for (const [verdict, opinion] of [['unclear', '需要主机日志'], ['event', '确认被植入后门']]) // several may be collected
    await must(on('opinion', { form: { verdict, opinion, confidence: 'high', level: '2' } }));
  const elements = { subcategory: 'attack.05', importance: '2', loss: '2', harm: '4' };
  r = await on('classify', { form: { ...elements, level: '1' } });
  assert.equal(r.status, 400, 'another level wants a reason');
  assert.equal(r.body.errors[0].field, 'reason');
  r = await on('classify', { form: { ...elements, subcategory: 'attack.99' } });
  assert.equal(r.status, 400);
  let i = await must(on('classify', { form: elements }));
  assert.equal(i.category, 'attack');
  assert.equal(i.event_level, 3);
  i = await must(on('classify', { form: { ...elements, level: '2', reason: '涉及政务云核心业务' } }));
  assert.equal(i.event_level, 2);
  assert.equal(i.process.classification.proposed, 3);
  assert.equal(i.process.classification.subcategory_label, 'Network attack · Backdoor implanted');
  assert.equal(i.process.opinions.length, 2);
  assert.equal((await must(admin.get('/api/v1/incidents?filter=category:attack'))).total, 1);
  const o = await must(on('order', { form: { title: '隔离门户服务器并溯源', kind: 'tracing', level: 'high', receivers: [orgA], content: '立即隔离主机，保留镜像。' } }));
  const step = (who, id, transition, extra = {}) => who.post(`/api/v1/work-items/${id}/transitions`, { transition, ...extra });
  await must(step(admin, o.order_id, 'submit'));
  const issued = await must(step(admin, o.order_id, 'approve'));
  assert.match(issued.number, /^处置〔20\d\d〕1号$/);
  const part = issued.children[0].id;
  assert.equal((await on('close', { note: '完成' })).status, 409, 'an order is open');
  await must(step(admin, o.order_id, 'supervise', { note: '请于今日完成' }));
  await must(step(officer, part, 'accept'));
  const result = { progress: '已隔离并完成溯源', measures: '断网、重装', person: '李四' };
  await must(step(officer, part, 'progress', { form: { ...result, progress: '正在取证' } }));
  await must(step(officer, part, 'submit', { form: result }));
  assert.equal((await step(officer, part, 'approve')).status, 403);
  await must(step(admin, part, 'approve'));
  i = await must(admin.get(`/api/v1/incidents/${incident}`));
  assert.equal(i.process.orders[0].state, 'done'); // by itself
  assert.deepEqual([i.process.orders[0].total, i.process.orders[0].closed], [1, 1]);
  const early = Object.fromEntries(i.process.early.map((e) => [e.step, e.seconds]));
  assert.deepEqual(Object.keys(early), ['found', 'responded', 'judged', 'notified', 'disposed', 'recovered']);
  for (const [k, v] of Object.entries(early)) assert.ok(v >= 0, k);
  assert.ok(early.notified <= early.disposed);
  await must(on('close', { note: '已完成处置' }));
  assert.equal((await on('opinion', { form: { verdict: 'event', opinion: 'x', confidence: 'high' } }, officer)).status, 403);
});

test('a unit sees only its own alerts', async () => {
  const list = await must(officer.get('/api/v1/alerts'));
  assert.ok(list.total >= 2);
  assert.ok(list.items.every((a) => a.org.id === orgA));
  const foreign = (await must(admin.get('/api/v1/alerts?filter=org:' + orgB))).items[0];
  assert.equal((await officer.get(`/api/v1/alerts/${foreign.id}`)).status, 404);
  const d = await must(officer.get(`/api/v1/alerts/${shell.id}`));
  assert.ok(!JSON.stringify(d).includes(orgB));
  assert.equal((await officer.get('/api/v1/incidents')).status, 403);
});
