// SPDX-License-Identifier: Apache-2.0
// rules.approval: a change of a rule is a proposal; who wrote it can neither approve it nor take it live; each step is in the audit.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startServer } from './lib.mjs';

let s, author, approver;
const id = '0190c0de-0000-7000-8000-00000000ab01';
const yaml = (user) => `title: Two people\nid: ${id}\nstatus: test\nlogsource:\n  product: linux\n  service: sshd\ndetection:\n  sel:\n    user.name: ${user}\n  condition: sel\nlevel: high\n`;

before(async () => {
  s = await startServer({ config: 'rules:\n  approval: true\nstore:\n  events: none\n' });
  author = await s.signIn('admin');
  const made = await author.post('/api/v1/users', { name: 'second', display_name: '值班领导', org_id: 'root', roles: ['leader'] });
  assert.equal(made.status, 201, made.text);
  approver = await s.signIn('second', made.body.password);
});
after(() => s?.stop());
const act = (who, p, body) => who.post(`/api/v1/rule-proposals/${p}/actions`, body);

test('texts change by proposals only', async () => {
  assert.deepEqual((await author.get('/api/v1/rule-approval')).body, { required: true, may_approve: true });
  assert.equal((await author.post('/api/v1/rules', { yaml: yaml('a') })).status, 409);
  const builtin = (await author.get('/api/v1/rules?limit=1')).body.items[0];
  const full = (await author.get('/api/v1/rules/' + builtin.id)).body;
  assert.equal((await author.put('/api/v1/rules/' + builtin.id, { yaml: full.yaml + '\n' })).status, 409);
  assert.equal((await author.post('/api/v1/rule-proposals', { yaml: 'title: x\n' })).status, 400, 'a text with mistakes is not proposed');
});

test('draft, submitted, returned with a note, changed, approved by another person, staged, then live', async () => {
  const made = await author.post('/api/v1/rule-proposals', { yaml: yaml('a'), note: 'first' });
  assert.equal(made.status, 201, made.text);
  const p = made.body.id;
  assert.equal(made.body.state, 'draft');
  assert.equal((await act(approver, p, { action: 'approve' })).status, 409, 'a draft is not approved');
  assert.equal((await act(approver, p, { action: 'submit' })).status, 403, 'another person does not submit it');
  assert.equal((await act(author, p, { action: 'submit' })).body.state, 'submitted');
  assert.equal((await author.put('/api/v1/rule-proposals/' + p, { yaml: yaml('b') })).status, 409, 'what is submitted changes no more');
  assert.equal((await act(author, p, { action: 'approve' })).status, 403, 'nobody approves what he wrote himself');
  assert.equal((await act(approver, p, { action: 'return' })).status, 400, 'a return says why');
  assert.equal((await act(approver, p, { action: 'return', note: 'narrower' })).body.state, 'returned');
  assert.equal((await author.put('/api/v1/rule-proposals/' + p, { yaml: yaml('b') })).status, 200);
  assert.equal((await act(author, p, { action: 'submit' })).status, 200);
  assert.equal((await author.get('/api/v1/rules/' + id)).status, 404, 'nothing is in use before the approval');
  const done = await act(approver, p, { action: 'approve', state: 'staged', note: 'fine' });
  assert.equal(done.status, 200, done.text);
  assert.deepEqual([done.body.state, done.body.went, done.body.rule_id, done.body.decided_by], ['approved', 'staged', id, '值班领导']);
  assert.equal((await act(approver, p, { action: 'approve' })).status, 409, 'once');
  const rule = (await author.get('/api/v1/rules/' + id)).body;
  assert.deepEqual([rule.state, rule.version], ['staged', 1]);
  assert.match(rule.yaml, /user.name: b/);
  assert.equal((await author.get(`/api/v1/rules/${id}/versions`)).body.items[0].user, '管理员', 'the version is its author\'s');
  assert.equal((await author.patch('/api/v1/rules/' + id, { state: 'enabled' })).status, 403, 'the author does not take it live');
  assert.equal((await author.post('/api/v1/rules:batch', { ids: [id], state: 'enabled' })).status, 403);
  assert.equal((await approver.patch('/api/v1/rules/' + id, { state: 'enabled' })).body.state, 'enabled');
});

test('a change of a rule names its version; two at a time, the later one is refused', async () => {
  const one = (await author.post('/api/v1/rule-proposals', { rule_id: id, yaml: yaml('c'), version: 1, submit: true })).body;
  const two = (await author.post('/api/v1/rule-proposals', { rule_id: id, yaml: yaml('d'), version: 1, submit: true })).body;
  assert.equal(one.state, 'submitted');
  assert.equal((await act(approver, one.id, { action: 'approve', state: 'enabled' })).status, 200);
  assert.equal((await act(approver, two.id, { action: 'approve', state: 'enabled' })).status, 409, 'made from an older text');
  assert.equal((await approver.get('/api/v1/rule-proposals/' + two.id)).body.state, 'submitted', 'it waits on');
  assert.match((await author.get('/api/v1/rules/' + id)).body.yaml, /user.name: c/);
  assert.equal((await act(author, two.id, { action: 'withdraw' })).body.state, 'withdrawn');
  assert.equal((await approver.get('/api/v1/rule-proposals?filter=state:submitted')).body.total, 0);
});

test('an import becomes proposals, one a file, that another person approves', async () => {
  const other = id.replace('ab01', 'ab02');
  const builtin = (await author.get('/api/v1/rules?limit=1&filter=' + encodeURIComponent('origin:builtin'))).body.items[0];
  const old = (await author.get('/api/v1/rules/' + builtin.id)).body;
  const files = [
    { name: 'new.yml', text: yaml('e').replace(id, other) },
    { name: 'builtin.yml', text: old.yaml + '# ours\n' },
    { name: 'again.yml', text: old.yaml },
    { name: 'bad.yml', text: 'title: x\n' }
  ];
  const dry = await author.post('/api/v1/rules:import?dry_run=true', { files });
  assert.deepEqual([dry.body.added, dry.body.updated, dry.body.unchanged, dry.body.refused, dry.body.proposed], [1, 1, 1, 1, 0], dry.text);
  assert.equal((await approver.get('/api/v1/rule-proposals?filter=state:submitted')).body.total, 0, 'a look proposes nothing');
  const done = await author.post('/api/v1/rules:import?state=enabled', { files });
  assert.equal(done.status, 200, done.text);
  assert.deepEqual([done.body.added, done.body.updated, done.body.unchanged, done.body.refused, done.body.proposed], [0, 0, 1, 1, 2], done.text);
  assert.equal((await author.get('/api/v1/rules/' + other)).status, 404, 'nothing is in use before the approval');
  assert.equal((await author.get('/api/v1/rules/' + builtin.id)).body.yaml, old.yaml);
  const [made, changed] = ['new.yml', 'builtin.yml'].map((n) => done.body.files.find((f) => f.file === n).proposal);
  const seen = (await approver.get('/api/v1/rule-proposals/' + made)).body;
  assert.deepEqual([seen.state, seen.author.name, seen.note, seen.yaml], ['submitted', '管理员', 'new.yml', files[0].text]);
  for (const p of [made, changed]) assert.equal((await act(author, p, { action: 'approve' })).status, 403, 'nobody approves what he imported himself');
  for (const p of [made, changed]) {
    const r = await act(approver, p, { action: 'approve', state: 'staged' });
    assert.equal(r.body.state, 'approved', r.text);
  }
  const rule = (await author.get('/api/v1/rules/' + other)).body;
  assert.deepEqual([rule.state, rule.version, rule.yaml], ['staged', 1, files[0].text]);
  const now = (await author.get('/api/v1/rules/' + builtin.id)).body;
  assert.deepEqual([now.origin, now.yaml], ['edited', files[1].text]);
  const next = await author.post('/api/v1/rules:import', { files: [{ name: 'builtin.yml', text: old.yaml + '# ours, second\n' }] });
  assert.equal((await act(approver, next.body.files[0].proposal, { action: 'approve' })).body.state, 'approved', 'made from the version in use');
});

test('many at once: those that may be approved are, with one reload; the others are refused one by one, with the reason', async (t) => {
  const nth = (i) => `0190c0de-0000-7000-8000-0000000b${String(i).padStart(4, '0')}`;
  const files = Array.from({ length: 500 }, (_, i) => ({ name: `r${i}.yml`, text: yaml(`many${i}`).replace(id, nth(i)) }));
  const ids = (await author.post('/api/v1/rules:import', { files })).body.files.map((f) => f.proposal);
  assert.equal(ids.length, 500);
  const made = async (who, body) => (await who.post('/api/v1/rule-proposals', { submit: true, ...body })).body.id;
  const version = (await author.get('/api/v1/rules/' + id)).body.version;
  const [one, stale] = [await made(author, { rule_id: id, yaml: yaml('e'), version }), await made(author, { rule_id: id, yaml: yaml('f'), version })];
  const twice = await made(author, { yaml: yaml('twice').replace(id, nth(0)) });
  const withdrawn = await made(author, { yaml: yaml('back').replace(id, nth(900)) });
  await act(author, withdrawn, { action: 'withdraw' });
  const added = await author.post('/api/v1/users', { name: 'writer', display_name: '规则员', org_id: 'root', roles: ['leader', 'security_admin'] });
  const writer = await s.signIn('writer', added.body.password);
  const own = await made(writer, { yaml: yaml('own').replace(id, nth(901)) });
  assert.ok(own, 'a person who may do both writes one');
  assert.equal((await author.post('/api/v1/rule-proposals:batch', { ids: [], action: 'approve' })).status, 400);
  assert.equal((await writer.post('/api/v1/rule-proposals:batch', { ids: [one], action: 'return' })).status, 400, 'a return says why');
  const loads = async () => Number(/^cf_rule_loads_total (\d+)$/m.exec((await author.get('/metrics')).text)[1]);
  const before = await loads(), begun = Date.now();
  const r = await writer.post('/api/v1/rule-proposals:batch', { ids: [...ids, one, stale, twice, withdrawn, own, 'no-such'], action: 'approve', state: 'staged', note: 'all read' });
  t.diagnostic(`500 proposals: ${Date.now() - begun} ms`);
  assert.equal(r.status, 200, r.text);
  assert.equal(r.body.changed, 501, JSON.stringify(r.body.errors));
  assert.equal(await loads() - before, 1, 'one reload');
  assert.deepEqual(r.body.errors.map((e) => [e.id, e.why]), [[stale, 'stale'], [twice, 'exists'], [withdrawn, 'state'], [own, 'own'], ['no-such', 'gone']]);
  assert.match(r.body.errors[0].message, /changed in the meantime/);
  assert.equal((await author.get('/api/v1/rules?limit=1&filter=' + encodeURIComponent('title:"Two people" state:staged'))).body.total, 502, 'these and one of the test before');
  assert.match((await author.get('/api/v1/rules/' + nth(0))).body.yaml, /many0/);
  const p = (await author.get('/api/v1/rule-proposals/' + ids[499])).body;
  assert.deepEqual([p.state, p.decided_by, p.decision_note, p.went, p.rule_id], ['approved', '规则员', 'all read', 'staged', nth(499)]);
  assert.equal((await author.get('/api/v1/rule-proposals/' + stale)).body.state, 'submitted', 'it waits on');
  const back = await writer.post('/api/v1/rule-proposals:batch', { ids: [stale, twice, one], action: 'return', note: 'older text' });
  assert.deepEqual([back.body.changed, back.body.errors.map((e) => e.why)], [2, ['state']]);
  assert.equal((await author.get('/api/v1/rule-proposals/' + stale)).body.decision_note, 'older text');
});

test('each step is in the audit', async () => {
  const auditor = await author.post('/api/v1/users', { name: 'auditor', display_name: '审计员', org_id: 'root', roles: ['audit_admin'] });
  const who = await s.signIn('auditor', auditor.body.password);
  const items = (await who.get('/api/v1/audit?limit=1000&filter=' + encodeURIComponent('proposals'))).body.items;
  const steps = items.filter((x) => /rule-proposals/.test(x.action + x.object)).length;
  assert.ok(steps >= 8, `${steps} steps`);
  const entries = async (action) => (await who.get('/api/v1/audit?limit=1000&filter=' + encodeURIComponent(`action:${action}`))).body;
  const approved = await entries('rule_proposal.approve');
  assert.equal(approved.total, 501, 'an entry for each');
  assert.deepEqual([approved.items[0].user.name, approved.items[0].after.note, approved.items[0].after.state], ['writer', 'all read', 'staged']);
  assert.equal((await entries('rule_proposal.return')).total, 2);
  assert.equal((await who.post('/api/v1/audit:verify')).body.ok, true);
});

const counts = (cid, base, name) => `title: ${name}\nid: ${cid}\nname: ${name}\ncorrelation:\n  type: event_count\n  rules: [${base}]\n  group-by: [user.name]\n  timespan: 5m\n  condition: {gte: 3}\nlevel: high\n`;

test('a correlation finds the rules it counts among what waits with it', async () => {
  const nth = (i) => `0190c0de-0000-7000-8000-0000000c${String(i).padStart(4, '0')}`;
  const make = async (body) => await author.post('/api/v1/rule-proposals', { submit: true, ...body });
  const lonely = counts(nth(1), nth(0), 'lonely_corr');
  assert.equal((await make({ yaml: lonely })).status, 400, 'nobody has proposed what it counts');
  const base = (await make({ yaml: yaml('basis').replace(id, nth(0)) })).body.id;
  assert.equal((await author.post('/api/v1/rules:validate', { yaml: lonely })).body.valid, true, 'the studio says the same');
  const one = (await make({ yaml: lonely })).body.id, two = (await make({ yaml: counts(nth(2), 'lonely_corr', 'chain_corr') })).body.id;
  assert.ok(one && two);
  const alone = await approver.post('/api/v1/rule-proposals:batch', { ids: [one, two], action: 'approve', state: 'staged' });
  assert.deepEqual([alone.body.changed, alone.body.errors.map((e) => e.why)], [0, ['text', 'text']], 'not without what they count');
  assert.match(alone.body.errors[1].message, /lonely_corr|refused/);
  const all = await approver.post('/api/v1/rule-proposals:batch', { ids: [two, one, base], action: 'approve', state: 'staged' });
  assert.equal(all.body.changed, 3, all.text);
  for (const i of [0, 1, 2]) assert.equal((await author.get('/api/v1/rules/' + nth(i))).body.state, 'staged');
  // a new text that takes another rule out of use is not approved, whoever reads it
  const { version } = (await author.get('/api/v1/rules/' + nth(1))).body;
  const renamed = await make({ rule_id: nth(1), version, yaml: counts(nth(1), nth(0), 'renamed_corr') });
  assert.equal(renamed.status, 201, renamed.text);
  const lost = await approver.post('/api/v1/rule-proposals:batch', { ids: [renamed.body.id], action: 'approve', state: 'staged' });
  assert.deepEqual([lost.status, /chain_corr/.test(lost.text)], [409, true], lost.text);
  assert.match((await author.get('/api/v1/rules/' + nth(1))).body.yaml, /lonely_corr/);
  // one import: files refer to each other in any order; what counts a refused one is refused with it
  const files = [{ name: 'c.yml', text: counts(nth(11), nth(10), 'imp_corr') }, { name: 'd.yml', text: counts(nth(12), nth(13), 'imp_corr2') },
    { name: 'b.yml', text: yaml('imp').replace(id, nth(10)) }, { name: 'bad.yml', text: yaml('imp').replace(id, nth(13)).replace('condition: sel', 'condition: nothing') }];
  const dry = (await author.post('/api/v1/rules:import?dry_run=true', { files })).body;
  assert.deepEqual(dry.files.map((f) => f.result), ['added', 'refused', 'added', 'refused']);
  const done = (await author.post('/api/v1/rules:import', { files })).body;
  assert.deepEqual([done.proposed, done.refused], [2, 2]);
  const r = await approver.post('/api/v1/rule-proposals:batch', { ids: done.files.filter((f) => f.proposal).map((f) => f.proposal), action: 'approve', state: 'staged' });
  assert.equal(r.body.changed, 2, r.text);
});
