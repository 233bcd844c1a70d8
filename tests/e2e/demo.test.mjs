// SPDX-License-Identifier: Apache-2.0
// The demo city: each attack chain fires the rules it promises, ordinary work fires none; in a running server the chains
// become incidents of the attacked units, notices wait for people, and removal leaves nothing behind.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { root, run, startServer } from './lib.mjs';

const rules = path.join(root, 'content/rules');
const env = { CF_CONTENT: path.join(root, 'content') };
const scenarios = () => {
  const r = run(['demo', 'list'], { env });
  assert.equal(r.status, 0, r.stderr);
  return r.stdout.trim().split('\n').slice(1).map((l) => ({ id: l.split(' ')[0], expects: l.split(' expects ')[1].split(' ') }));
};
/** Ids of the rules that fire on the lines `demo lines` prints. */
const fired = (args) => {
  const lines = run(['demo', 'lines', '--seed', '11', ...args], { env });
  assert.equal(lines.status, 0, lines.stderr);
  const d = run(['detect', '--rules', rules, '-'], { input: lines.stdout, env });
  assert.equal(d.status, 0, d.stderr);
  return { lines: lines.stdout, ids: new Set(d.stdout.split('\n').filter(Boolean).map((l) => JSON.parse(l).rule.id)) };
};
/** Polls a condition until it holds; bounded. */
async function until(what, fn, seconds = 240 * Number(process.env.CF_TEST_SLOW || 1)) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const v = await fn();
    if (v) return v;
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((r) => setTimeout(r, 250));
  }
}

test('six chains, each fires every rule it promises', async (t) => {
  const all = scenarios();
  assert.equal(all.length, 6);
  for (const s of all) {
    await t.test(s.id, () => {
      const { ids } = fired(['--scenario', s.id, '--at', 'now-1h']);
      assert.deepEqual(s.expects.filter((id) => !ids.has(id)), []);
    });
  }
});

test('ordinary work: every line is understood and no rule fires', () => {
  for (const at of ['2026-11-20T10:00:00+08:00', '2026-11-20T03:00:00+08:00']) {
    const { lines, ids } = fired(['--background', '20000', '--at', at]);
    assert.ok(lines.split('\n').length > 2000);
    assert.deepEqual([...ids], []);
    const n = run(['normalise', '-'], { input: lines, env });
    assert.equal(n.stdout.split('\n').filter((l) => l.includes('"kind":"pipeline_error"')).length, 0);
  }
});

test('the demo in a server: incidents, notices, people, removal', async (t) => {
  // each unit has a head who looks at its answers: chance decides which units get notices, and only three have one
  const content = fs.mkdtempSync(path.join(os.tmpdir(), 'cf-demo-')), city = path.join(content, 'demo/city.yaml');
  t.after(() => fs.rmSync(content, { recursive: true, force: true }));
  fs.cpSync(path.join(root, 'content'), content, { recursive: true });
  const heads = fs.readFileSync(city, 'utf8').replace(/^ {2}- \{login: l\..*\n/gm, '');
  const units = [...heads.matchAll(/^ {2}- \{code: (\w+),/gm)].map((m) => m[1]);
  assert.ok(units.length >= 40);
  fs.writeFileSync(city, heads.replace(/^people:\n/m, `people:\n${units.map((u) => `  - {login: l.${u}, name: 负责人, role: unit_leader, position: 分管领导, unit: ${u}}\n`).join('')}`));

  const s = await startServer({ args: ['--demo'], env: { CF_CONTENT: content }, config: 'demo: {rate: 20, backfill_lines: 8000, chain_every: 0s}\n' });
  t.after(() => s.stop());
  const accounts = path.join(s.data, 'demo-accounts.txt');
  assert.equal(fs.statSync(accounts).mode & 0o777, 0o600);
  const password = /password of all accounts: (\S+)/.exec(fs.readFileSync(accounts, 'utf8'))[1];

  const analyst = await s.signIn('analyst1', password);
  const wanted = new Set(scenarios().flatMap((x) => x.expects));
  await until('all promised rules have an alert', async () => {
    const r = await analyst.get('/api/v1/alerts?limit=500');
    assert.equal(r.status, 200, r.text);
    for (const a of r.body.items) wanted.delete(a.rule_id);
    return wanted.size === 0;
  }).catch((e) => { throw new Error(`${e.message}: ${[...wanted].join(' ')}`); });
  const one = (await analyst.get('/api/v1/alerts?limit=1&filter=rule_id:' + scenarios()[2].expects[0])).body.items[0];
  const detail = (await analyst.get(`/api/v1/alerts/${one.id}`)).body;
  assert.match(detail.title, /[\u4e00-\u9fff]/, 'a rule with Chinese words is shown in Chinese');
  assert.match(detail.rule.title, /^[\x20-\x7e]+$/);
  assert.match(detail.advice, /[\u4e00-\u9fff]{4}/);
  const inc = (await analyst.get('/api/v1/incidents?limit=200')).body;
  assert.ok(inc.total >= 6 && inc.total <= 24, `6 chains became ${inc.total} incidents`);
  assert.ok(inc.items.every((i) => i.org.id.startsWith('demo-org-')));
  assert.ok(inc.items.every((i) => Date.parse(i.last_seen) <= Date.now() + 1000), 'nothing lies in the future');
  assert.ok(new Set(inc.items.map((i) => i.org.id)).size >= 3); // chance chooses; fewer of six is one in a hundred thousand

  await s.logged(/past day written/);
  // hours of the past are no sender's wrong clock (before, most sources showed half a day)
  const clocks = (await analyst.get('/api/v1/quality/sources?limit=500')).body.items.filter((x) => Math.abs(x.skew_seconds ?? 0) > 600);
  assert.deepEqual(clocks.map((x) => `${x.name} ${x.skew_seconds}`), []);

  const coordinator = await s.signIn('coordinator', password);
  const notices = await until('five notices', async () => {
    const r = await coordinator.get('/api/v1/work-items?filter=mine:started&limit=100');
    const all = r.body.items?.filter((x) => x.kind === 'notice');
    return all?.length >= 5 && new Set(all.map((n) => n.state)).size === 4 && all; // they are made, then taken on step by step
  });
  assert.deepEqual(new Set(notices.map((n) => n.state)), new Set(['draft', 'pending_approval', 'issued', 'archived']));
  const codes = [...fs.readFileSync(accounts, 'utf8').matchAll(/^u\.(\S+)/gm)].map((m) => m[1]);
  const attacked = inc.items.map((i) => i.org.id.replace('demo-org-', '')).filter((c, i, l) => codes.includes(c) && l.indexOf(c) === i);
  const officers = [];
  for (const c of attacked) officers.push([c, await s.signIn(`u.${c}`, password)]);
  await until('one notice waits to be signed for', async () => {
    let waiting = 0;
    for (const [c, officer] of officers) {
      const r = await officer.get('/api/v1/work-items?filter=mine:todo&limit=100');
      assert.equal(r.status, 200, r.text);
      waiting += r.body.items.filter((x) => x.kind === 'notice-receipt' && x.state === 'issued').length;
      assert.ok(r.body.items.every((x) => x.org.id === `demo-org-${c}`), 'an officer sees only the own unit');
    }
    return waiting === 1;
  });

  const gone = run(['demo', 'remove', '--data', s.data], { env });
  assert.equal(gone.status, 0, gone.stderr);
  assert.match(gone.stdout, /removed \d{4,} records and \d{4,} events/);
  assert.equal(fs.existsSync(accounts), false);
  const token = s.token('admin');
  assert.equal((await token.get('/api/v1/incidents')).body.total, 0);
  assert.equal((await token.get('/api/v1/assets')).body.total, 0);
  const left = await token.post('/api/v1/events:search', { query: '*', from: 'now-2d', to: 'now', limit: 5 });
  assert.equal(left.body.total, 0, left.text);
});
