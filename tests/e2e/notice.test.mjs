// SPDX-License-Identifier: Apache-2.0
// A notice from draft to archive on the real server, by the people who do it: city coordinator, leader, two unit officers.
// Bad input, missing permission, stale state, isolation between units, attachments, mail and robot.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { startServer } from './lib.mjs';
import { certificate, mailSink, robotSink } from './sinks.mjs';

let s, admin, coord, lead, officer, other, orgA, orgB, mail, robot, dir;

async function person(name, org, roles, email) {
  const r = await admin.post('/api/v1/users', { name, display_name: name, org_id: org, roles, email, phone: '13800000001' });
  assert.equal(r.status, 201, r.text);
  return s.signIn(name, r.body.password);
}

before(async () => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'cf-sinks-'));
  const tlsFiles = certificate(dir);
  fs.writeFileSync(path.join(dir, 'smtp.pass'), 'mail-secret\n');
  fs.writeFileSync(path.join(dir, 'robot.secret'), 'SECrobot\n');
  mail = await mailSink({ ...tlsFiles, user: 'soc', password: 'mail-secret', refuse: 1 });
  robot = await robotSink('SECrobot');
  s = await startServer({
    config: `store:\n  events: none\nsmtp:\n  url: smtp://127.0.0.1:${mail.port}\n  from: soc@city.example\n  user: soc\n  password_file: ${dir}/smtp.pass\n  tls: require\n  ca_file: ${tlsFiles.cert}\n`
      + `webhook:\n  url: http://127.0.0.1:${robot.port}/robot/send?access_token=t\n  secret_file: ${dir}/robot.secret\nmessage:\n  retry: 1s\nhttp:\n  public_url: https://soc.city.example\nattachment:\n  max: 100k\n`,
  });
  admin = await s.signIn('admin');
  orgA = (await admin.post('/api/v1/organisations', { name: '市第一医院' })).body.id;
  orgB = (await admin.post('/api/v1/organisations', { name: '市图书馆' })).body.id;
  assert.ok(orgA && orgB);
  coord = await person('coord', 'root', ['coordinator'], 'coord@city.example');
  lead = await person('leader', 'root', ['leader']);
  officer = await person('officer', orgA, ['unit_officer'], 'officer@hospital.example');
  other = await person('other', orgB, ['unit_officer']);
});
after(async () => {
  await s?.stop();
  mail?.close();
  robot?.close();
  fs.rmSync(dir, { recursive: true, force: true });
});

const form = (over = {}) => ({ title: '门户网站存在 SQL 注入漏洞', kind: 'vulnerability', level: 'high', receivers: [orgA], content: '首页查询参数 id 可被注入，已验证。',
  problem: 'sqli-portal', requirements: '三日内完成修复并反馈。', remark: '内部线索', ...over });
const step = (who, id, transition, extra = {}) => who.post(`/api/v1/work-items/${id}/transitions`, { transition, ...extra });
async function must(promise, status = 200) {
  const r = await promise;
  assert.equal(r.status, status, r.text);
  return r.body;
}

let noticeId, receiptId, sharedFile;

test('forms, dictionaries and workflows describe themselves', async () => {
  const f = await must(officer.get('/api/v1/forms/notice-feedback'));
  assert.ok(f.sections[0].fields.find((x) => x.name === 'result').dictionary);
  const d = await must(officer.get('/api/v1/dictionaries/feedback-result'));
  assert.equal(d.items[0].label.en, 'Fixed');
  const w = await must(officer.get('/api/v1/workflows/notice'));
  assert.ok(w.states.some((x) => x.id === 'pending_approval'));
  assert.equal((await officer.get('/api/v1/forms/nothing')).status, 404);
  assert.equal((await must(officer.get('/api/v1/forms'))).items.length >= 3, true);
});

test('bad input is refused field by field', async () => {
  const r = await coord.post('/api/v1/notices', { form: form({ level: 'apocalypse', receivers: ['no-such-unit'], surprise: 1 }) }, { 'accept-language': 'en' });
  assert.equal(r.status, 400, r.text);
  assert.deepEqual(r.body.errors.map((e) => e.field).sort(), ['level', 'receivers', 'surprise']);
  assert.equal((await coord.post('/api/v1/notices', {})).status, 400);
  assert.equal((await officer.post('/api/v1/notices', { form: form() })).status, 403);
  assert.equal((await s.anonymous().post('/api/v1/notices', { form: form() })).status, 401);
});

test('draft, edit, judge, submit, approve, issue', async () => {
  const n = await must(coord.post('/api/v1/notices', { form: form({ requirements: '' }) }), 201);
  noticeId = n.id;
  assert.equal(n.state, 'draft');
  let r = await step(coord, noticeId, 'judge');
  assert.equal(r.status, 400, r.text); // requirements are missing
  assert.equal(r.body.errors[0].field, 'requirements');
  await must(coord.patch(`/api/v1/work-items/${noticeId}`, { form: form({ receivers: [orgA, orgB] }) }));
  r = await coord.call('POST', `/api/v1/work-items/${noticeId}/attachments?name=${encodeURIComponent('../验证截图.png')}`, Buffer.from('PNG-bytes'), { 'content-type': 'image/png' });
  assert.equal(r.status, 201, r.text);
  sharedFile = r.body.id;
  const dup = await coord.post('/api/v1/notices', { form: form() });
  assert.equal(dup.status, 409, dup.text); // the same problem of the same unit
  assert.equal(dup.body.duplicate_of, noticeId);
  const joined = await must(coord.post(`/api/v1/notices/${noticeId}/join`, { form: { content: '登录接口同样可注入。', receivers: [orgA] } })); // into the draft
  assert.equal(joined.joined, 'draft');
  assert.match(joined.content.content, /首页查询参数[^]*登录接口/);
  assert.deepEqual(joined.content.receivers, [orgA, orgB]);
  assert.equal((await coord.post(`/api/v1/notices/${noticeId}/join`, { form: {} })).status, 400);
  const draftPage = await coord.get(`/api/v1/notices/${noticeId}/document`);
  assert.equal(draftPage.status, 200, draftPage.text);
  assert.match(draftPage.text, /未 签 发/);
  await must(step(coord, noticeId, 'judge'));
  assert.equal((await step(coord, noticeId, 'judge')).status, 409);
  await must(step(coord, noticeId, 'submit'));
  assert.equal((await step(officer, noticeId, 'approve')).status, 404); // not even visible
  const todo = await must(lead.get('/api/v1/work-items?filter=mine:todo'));
  assert.equal(todo.total, 1);
  assert.ok(todo.items[0].actions.some((a) => a.transition === 'approve'));
  assert.equal(todo.items[0].state_name, '待审批');
  assert.ok(todo.items[0].clock.percent >= 0);
  r = await step(lead, noticeId, 'reject');
  assert.equal(r.status, 400);
  assert.equal(r.body.errors[0].field, 'note');
  await must(step(lead, noticeId, 'approve', { state: 'pending_approval' }));
  assert.equal((await step(lead, noticeId, 'approve', { state: 'pending_approval' })).status, 409); // another tab
  const live = officer.stream();
  await live.opened;
  const issued = await must(step(coord, noticeId, 'issue'));
  assert.match(issued.number, /^通报〔20\d\d〕1号$/);
  assert.equal(issued.children.length, 2);
  receiptId = issued.children.find((c) => c.org.id === orgA).id;
  const m = await live.next('message');
  assert.match(m.title, /新通报待签收/);
  live.close();
});

test('mail goes out over STARTTLS after a refused first try, the robot gets a signed call', async () => {
  const m = await mail.mails.first((x) => x.to.includes('officer@hospital.example'));
  assert.equal(mail.refused(), 1);
  assert.equal(m.secure, true);
  assert.equal(m.auth, 'soc');
  assert.match(m.subject, /^新通报待签收：门户网站存在 SQL 注入漏洞$/);
  assert.match(m.body, /https:\/\/soc\.city\.example\/work-items\//);
  const c = await robot.calls.first((x) => /新通报/.test(x.markdown.title));
  assert.ok(c.at.atMobiles.includes('13800000001'));
  const log = await must(admin.get('/api/v1/outbox?filter=channel:email state:sent'));
  assert.ok(log.total >= 1);
});

test('the unit sees its own copy and nothing else', async () => {
  const list = await must(officer.get('/api/v1/notices'));
  assert.equal(list.total, 1);
  assert.equal(list.items[0].id, receiptId);
  assert.equal(list.items[0].kind, 'vulnerability');
  const d = await must(officer.get(`/api/v1/notices/${receiptId}`));
  assert.match(d.parent.form.data.content, /^首页查询参数 id 可被注入/);
  assert.equal(d.parent.form.data.receivers, undefined);
  assert.equal(d.parent.form.data.remark, undefined);
  assert.ok(d.attachments.some((a) => a.id === sharedFile && a.name === '验证截图.png'));
  const text = JSON.stringify(d);
  assert.ok(!text.includes(orgB) && !text.includes('市图书馆')); // who else got it stays unknown
  assert.equal((await officer.get(`/api/v1/work-items/${noticeId}`)).status, 404);
  assert.equal((await other.get(`/api/v1/work-items/${receiptId}`)).status, 404);
  assert.equal((await step(other, receiptId, 'sign')).status, 404);
  assert.equal((await step(coord, receiptId, 'sign')).status, 403); // nobody signs for the unit
  const file = await officer.get(`/api/v1/attachments/${sharedFile}`);
  assert.equal(file.text, 'PNG-bytes');
  assert.match(file.headers['content-disposition'], /attachment/);
});

test('printed as an official document: the unit reads its own name only, text never becomes markup', async () => {
  const page = await coord.get(`/api/v1/notices/${noticeId}/document`);
  assert.equal(page.status, 200);
  assert.match(page.headers['content-type'], /^text\/html/);
  assert.match(page.headers['content-security-policy'], /default-src 'none'; style-src 'unsafe-inline'/);
  for (const t of ['文件</div>', '通报〔20', '门户网站存在 SQL 注入漏洞', '市第一医院、市图书馆：', '三日内完成修复并反馈。', '1. 验证截图.png', '（印章）', '印发'])
    assert.ok(page.text.includes(t), t);
  assert.ok(!page.text.includes('内部线索') && !page.text.includes('未 签 发'));
  const own = await officer.get(`/api/v1/notices/${receiptId}/document`);
  assert.ok(own.text.includes('市第一医院：') && !own.text.includes('市图书馆'));
  assert.equal((await other.get(`/api/v1/notices/${receiptId}/document`)).status, 404);
  assert.equal((await officer.get(`/api/v1/notices/${noticeId}/document`)).status, 404);
  const evil = await must(coord.post('/api/v1/notices', { form: form({ problem: 'evil', title: '标题<img src=x onerror=alert(1)>', content: '第一段\n<script>alert(1)</script>' }) }), 201);
  const t = (await coord.get(`/api/v1/notices/${evil.id}/document`)).text;
  assert.ok(!/<script|<img/.test(t) && t.includes('<p>第一段</p>'));
  await must(step(coord, evil.id, 'cancel', { note: '测试' }));
});

test('the same problem found again becomes a supplement of the issued notice', async () => {
  const dup = await coord.post('/api/v1/notices', { form: form({ content: '又发现后台接口可注入。' }) });
  assert.equal(dup.status, 409);
  const orgC = (await admin.post('/api/v1/organisations', { name: '市体育馆' })).body.id;
  const j = await must(coord.post(`/api/v1/notices/${dup.body.duplicate_of}/join`, { form: { content: '又发现后台接口可注入。', receivers: [orgA, orgC] } }));
  assert.equal(j.joined, 'supplement');
  assert.deepEqual(j.not_covered, [orgC]); // needs a notice of its own: said, not dropped
  const d = await must(officer.get(`/api/v1/work-items/${receiptId}`));
  assert.equal(d.state, 'issued');
  assert.ok(d.history.some((h) => h.action === 'supplemented' && h.note === '又发现后台接口可注入。'));
  const m = await must(officer.get('/api/v1/messages'));
  assert.ok(m.items.some((x) => /通报补充/.test(x.title)));
  assert.equal((await officer.post(`/api/v1/notices/${receiptId}/join`, { form: { content: 'x' } })).status, 403);
});

test('sign, feed back with an attachment, be asked again, be approved', async () => {
  await must(step(officer, receiptId, 'sign'));
  assert.equal((await step(officer, receiptId, 'sign')).status, 409);
  let r = await step(officer, receiptId, 'submit', { form: { result: 'in-progress', cause: '待查' } });
  assert.equal(r.status, 400, r.text);
  assert.deepEqual(r.body.errors.map((e) => e.field).sort(), ['measures', 'next_steps', 'person']);
  const boundary = 'xx-boundary';
  const body = Buffer.concat([Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="note"\r\n\r\nhi\r\n--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="整改报告.pdf"\r\nContent-Type: application/pdf\r\n\r\n`),
    Buffer.from('%PDF-1.7 report\r\n--not a boundary'), Buffer.from(`\r\n--${boundary}--\r\n`)]);
  r = await officer.call('POST', `/api/v1/work-items/${receiptId}/attachments`, body, { 'content-type': `multipart/form-data; boundary=${boundary}` });
  assert.equal(r.status, 201, r.text);
  const report = r.body.id;
  assert.equal((await coord.get(`/api/v1/attachments/${report}`)).text, '%PDF-1.7 report\r\n--not a boundary');
  assert.equal((await other.get(`/api/v1/attachments/${report}`)).status, 404); // ORG-018
  for (const [name, size, status] of [['a.exe', 10, 400], ['big.txt', 200 << 10, 400], ['empty.txt', 0, 400]]) {
    r = await officer.call('POST', `/api/v1/work-items/${receiptId}/attachments?name=${name}`, Buffer.alloc(size, 65), { 'content-type': 'application/octet-stream' });
    assert.equal(r.status, status, `${name}: ${r.text}`);
  }
  const answer = { result: 'fixed', cause: '参数未过滤', measures: '改用预编译语句并复测通过', person: '李四', phone: '010-88886666' };
  await must(step(officer, receiptId, 'feedback', { form: { result: 'fixed' } })); // saved half way
  await must(step(officer, receiptId, 'submit', { form: answer }));
  assert.equal((await officer.get('/api/v1/work-items/counters')).body.todo, 0);
  assert.equal((await step(officer, receiptId, 'approve')).status, 403);
  r = await step(coord, receiptId, 'continue');
  assert.equal(r.status, 400); // say why
  await must(step(coord, receiptId, 'continue', { note: '请补充复测记录' }));
  await must(step(officer, receiptId, 'submit', { form: { ...answer, measures: '改用预编译语句，附复测记录' } }));
  const done = await must(step(coord, receiptId, 'approve'));
  assert.equal(done.state, 'closed');
  const actions = done.history.map((h) => h.action);
  assert.deepEqual(actions, ['deliver', 'supplemented', 'sign', 'feedback', 'submit', 'continue', 'submit', 'approve']);
  assert.equal(done.history[5].note, '请补充复测记录');
  assert.equal((await officer.call('POST', `/api/v1/work-items/${receiptId}/attachments?name=late.txt`, Buffer.from('x'), { 'content-type': 'text/plain' })).status, 409);
});

test('the ledger counts, the notice is archived when all have answered', async () => {
  let st = await must(coord.get('/api/v1/notices/statistics'));
  assert.equal(st.sent, 2);
  assert.equal(st.signed, 1);
  assert.equal(st.closed, 1);
  assert.equal(st.rectification_rate, 0.5);
  assert.equal(st.units[0].org.id, orgA);
  const own = await must(other.get('/api/v1/notices/statistics')); // a unit counts only its own
  assert.equal(own.sent, 1);
  assert.equal(own.closed, 0);
  assert.equal(own.units.length, 1);
  const sent = (await must(coord.get('/api/v1/notices'))).items.find((x) => x.id === noticeId);
  assert.deepEqual(sent.progress, { total: 2, signed: 1, fed_back: 1, closed: 1 });
  await must(step(coord, noticeId, 'urge'));
  const b = sent.receivers.find((x) => x.org.id === orgB).id;
  await must(step(other, b, 'sign'));
  await must(step(other, b, 'submit', { form: { result: 'false-positive', cause: '无此系统', measures: '经核查本单位无该系统', person: '王五' } }));
  assert.equal((await coord.get(`/api/v1/notices/${noticeId}`)).body.state, 'issued');
  await must(step(coord, b, 'approve'));
  const n = await must(coord.get(`/api/v1/notices/${noticeId}`));
  assert.equal(n.state, 'archived');
  st = await must(coord.get('/api/v1/notices/statistics?from=now-1d'));
  assert.equal(st.rectification_rate, 1);
  for (const u of st.units) { // a figure and the list behind it never disagree
    const of = (more) => coord.get('/api/v1/notices?view=received&limit=1&filter=' + encodeURIComponent(`receiver:${u.org.id}${more}`)).then((x) => x.body.total);
    assert.equal(await of(''), u.sent);
    assert.equal(await of(' state:closed'), u.closed);
  }
  assert.equal((await coord.get('/api/v1/notices/statistics?from=yesterdayish')).status, 400);
});

test('messages belong to their reader', async () => {
  const mine = await must(officer.get('/api/v1/messages'));
  assert.ok(mine.total >= 3);
  const unread = (await must(officer.get('/api/v1/messages/unread'))).count;
  assert.equal((await other.post(`/api/v1/messages/${mine.items[0].id}/read`)).status, 404);
  await must(officer.post(`/api/v1/messages/${mine.items[0].id}/read`), 204);
  assert.equal((await must(officer.get('/api/v1/messages/unread'))).count, unread - 1);
  await must(officer.post('/api/v1/messages:read-all'), 204);
  assert.equal((await must(officer.get('/api/v1/messages/unread'))).count, 0);
  assert.equal((await officer.get('/api/v1/outbox')).status, 403);
});

test('everything is in the audit chain, which verifies, and survives kill -9', async () => {
  const auditor = await person('auditor', 'root', ['audit_admin']);
  const entries = async (filter) => (await must(auditor.get('/api/v1/audit?limit=1000&filter=' + encodeURIComponent(filter)))).items;
  const steps = await entries('action:"POST /api/v1/work-items/{id}/transitions" result:ok');
  for (const user of ['coord', 'leader', 'officer']) assert.ok(steps.some((x) => x.user.name === user && x.object), `no step of ${user} among ${steps.length}`);
  assert.ok((await entries('action:"POST /api/v1/notices" result:ok')).length >= 1);
  const n = await must(coord.post('/api/v1/notices', { form: form({ problem: 'second', title: '第二份通报' }) }), 201);
  await s.kill();
  const passwords = s.passwords, old = s;
  s = await startServer({ data: old.data });
  const again = await s.signIn('coord', passwords.coord);
  assert.equal((await must(again.get(`/api/v1/work-items/${n.id}`))).state, 'draft');
  const kept = await s.signIn('auditor', passwords.auditor);
  assert.deepEqual((({ ok, first_bad }) => [ok, first_bad ?? null])(await must(kept.post('/api/v1/audit:verify'))), [true, null]);
  await must(step(again, n.id, 'judge'));
  await s.stop();
  fs.rmSync(old.data, { recursive: true, force: true });
});
