// SPDX-License-Identifier: Apache-2.0
// rules.approval: a correlation is back-tested with the rules it counts while these wait as proposals; the result says so.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startServer, waitUntil } from './lib.mjs';

let s, api;
const base = '0190c0de-0000-7000-8000-00000000bb01', corr = '0190c0de-0000-7000-8000-00000000bb02', over = '0190c0de-0000-7000-8000-00000000bb03';
const plain = `title: Harbour login\nid: ${base}\nname: harbour_login\nlogsource:\n  product: linux\n  service: sshd\ndetection:\n  sel:\n    user.name: gatekeeper\n  condition: sel\nlevel: low\n`;
const counts = (id, name, of, n) => `title: ${name}\nid: ${id}\nname: ${name}\ncorrelation:\n  type: event_count\n  rules: [${of}]\n  group-by: [user.name]\n  timespan: 1h\n  condition: {gte: ${n}}\nlevel: high\n`;
const range = { from: 'now-400d', to: 'now+400d' };
async function until(what, fn, seconds) {
  let v;
  await waitUntil(what, async () => !!(v = await fn()) || v, seconds);
  return v;
}
async function backtest(yaml) {
  const r = await api.post('/api/v1/rules:backtest', { yaml, ...range });
  assert.equal(r.status, 202, r.text);
  const job = await until('the back-test does not end', async () => { const j = (await api.get('/api/v1/backtests/' + r.body.id)).body; return ['done', 'failed', 'cancelled'].includes(j.state) && j; }, 240);
  assert.equal(job.state, 'done', job.error);
  return job.result;
}

before(async () => {
  s = await startServer({ config: 'rules:\n  approval: true\nenrich:\n  geo: ""\n' });
  api = await s.signIn('admin');
  const day = new Date(Date.now() - 86400e3).toUTCString();
  const lines = [1, 2, 3].map((n) => `<38>${day.slice(8, 11)} ${String(+day.slice(5, 7)).padStart(2)} 06:0${n}:00 pier-1 sshd[77]: Failed password for gatekeeper from 198.51.100.${n} port 4000 ssh2`);
  const r = await api.call('POST', '/api/v1/records:bulk?source=sshd', lines.map((l) => `${Buffer.byteLength(l)} ${l}`).join(''), { 'content-type': 'application/octet-stream' });
  assert.ok(r.status < 300, r.text);
  await until('three events are not stored', async () => (await api.post('/api/v1/events:search', { query: 'user.name:gatekeeper', ...range, limit: 0 })).body.total === 3);
});
after(() => s?.stop());

test('what a correlation counts is looked for among the proposals that wait', async () => {
  const yaml = counts(corr, 'harbour_many', 'harbour_login', 3);
  assert.equal((await api.post('/api/v1/rules:backtest', { yaml, ...range })).status, 400, 'nobody has proposed what it counts');
  const p = await api.post('/api/v1/rule-proposals', { yaml: plain, submit: true });
  assert.equal(p.status, 201, p.text);
  const one = await backtest(yaml);
  assert.equal(one.matches, 1);
  assert.deepEqual(one.waiting, [{ id: base, title: 'Harbour login' }]);
  // one that counts a waiting correlation needs both; a text that counts nothing takes none
  assert.equal((await api.post('/api/v1/rule-proposals', { yaml })).status, 201);
  const two = await backtest(counts(over, 'harbour_over', 'harbour_many', 1));
  assert.equal(two.matches, 1);
  assert.deepEqual(two.waiting.map((x) => x.id).sort(), [base, corr]);
  assert.deepEqual((await backtest(plain.replace(base, over))).waiting, []);
  // withdrawn: not there any more
  assert.equal((await api.post(`/api/v1/rule-proposals/${p.body.id}/actions`, { action: 'withdraw' })).status, 200);
  assert.equal((await api.post('/api/v1/rules:backtest', { yaml, ...range })).status, 400);
});
