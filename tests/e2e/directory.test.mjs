// SPDX-License-Identifier: Apache-2.0
// Organisations, people, and that nobody sees another unit (ORG-018).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { run, startServer } from './lib.mjs';

let s, admin;
const people = {};

before(async () => {
  s = await startServer({ config: 'store:\n  events: none\n' });
  admin = await s.signIn('admin');
  for (const [code, name, level] of [['330100', '临江市', 2], ['330102', '东城区', 3], ['330106', '西城区', 3]])
    assert.equal((await admin.post('/api/v1/regions', { code, name, level, parent: level === 3 ? '330100' : null })).status, 201);
  for (const o of [{ id: 'a', name: '甲局', region_code: '330102' }, { id: 'a1', name: '甲局下属', parent_id: 'a', region_code: '330102' }, { id: 'b', name: '乙局', region_code: '330106' }])
    assert.equal((await admin.post('/api/v1/organisations', o)).status, 201);
  for (const [name, org_id, role] of [['ann', 'a', 'unit_officer'], ['sub', 'a1', 'unit_officer'], ['bob', 'b', 'unit_officer'], ['dis', 'a', 'district_coordinator']]) {
    const r = await admin.post('/api/v1/users', { name, org_id, roles: [role] });
    assert.equal(r.status, 201, r.text);
    people[name] = await s.signIn(name, r.body.password, { change: 'Crimson-Walnut-77' });
    people[name].id = r.body.id;
  }
});
after(() => s?.stop());

const names = async (who, p) => (await who.get(p)).body.items.map((x) => x.name).sort();

test('a unit sees itself and what is below', async () => {
  assert.deepEqual(await names(people.ann, '/api/v1/organisations'), ['甲局', '甲局下属']);
  assert.deepEqual(await names(people.sub, '/api/v1/organisations'), ['甲局下属']);
  assert.deepEqual(await names(people.bob, '/api/v1/organisations'), ['乙局']);
  assert.deepEqual(await names(people.dis, '/api/v1/organisations'), ['甲局', '甲局下属']);
  assert.deepEqual(await names(people.ann, '/api/v1/users'), ['ann', 'dis', 'sub']);
  assert.deepEqual(await names(people.bob, '/api/v1/users'), ['bob']);
});

test('ids of another unit look as if they did not exist, and counts do not tell', async () => {
  for (const p of ['/api/v1/organisations/b', `/api/v1/users/${people.bob.id}`]) {
    const other = await people.ann.get(p), none = await people.ann.get(p.replace(/[^/]+$/, 'no-such-id'));
    assert.equal(other.status, 404);
    assert.equal(other.body.detail, none.body.detail);
  }
  assert.equal((await people.ann.get('/api/v1/users?filter=org.id:b')).body.total, 0);
  assert.equal((await people.ann.get('/api/v1/users?filter=-org.id:a')).body.items.every((u) => u.org.id === 'a1'), true);
  assert.deepEqual((await people.ann.get('/api/v1/search?q=bob')).body.groups, []);
  assert.equal((await people.ann.get('/api/v1/search?q=sub')).body.groups[0].items[0].title, 'sub');
});

test('a session list and a token list hold the own ones only', async () => {
  assert.deepEqual([...new Set((await people.ann.get('/api/v1/sessions')).body.items.map((x) => x.user.name))], ['ann']);
  const t = (await people.bob.post('/api/v1/tokens', { name: 'of bob' })).body;
  assert.equal((await people.ann.get('/api/v1/tokens')).body.total, 0);
  assert.equal((await people.ann.delete(`/api/v1/tokens/${t.id}`)).status, 404);
  assert.equal((await people.ann.post('/api/v1/tokens', { user: 'bob' })).status, 403);
});

test('moving a unit moves the view of it', async () => {
  assert.equal((await admin.patch('/api/v1/organisations/a1', { parent_id: 'b' })).status, 200);
  assert.deepEqual(await names(people.ann, '/api/v1/organisations'), ['甲局']);
  assert.deepEqual(await names(people.bob, '/api/v1/organisations'), ['乙局', '甲局下属'].sort());
  assert.equal((await admin.patch('/api/v1/organisations/b', { parent_id: 'a1' })).status, 400, 'no circles');
  assert.equal((await admin.patch('/api/v1/organisations/a1', { parent_id: 'a' })).status, 200);
});

test('a role change counts at once', async () => {
  assert.equal((await people.sub.get('/api/v1/rules')).status, 403);
  assert.equal((await admin.patch(`/api/v1/users/${people.sub.id}`, { roles: ['analyst'] })).status, 200);
  assert.equal((await people.sub.get('/api/v1/rules')).status, 200);
  assert.equal((await admin.patch(`/api/v1/users/${people.sub.id}`, { active: false })).status, 200);
  assert.equal((await people.sub.get('/api/v1/rules')).status, 401);
});

test('nobody holds two of the three administrators, nobody changes his own roles', async () => {
  const r = await admin.post('/api/v1/users', { name: 'two', org_id: 'root', roles: ['security_admin', 'audit_admin'] });
  assert.equal(r.status, 400);
  assert.equal(r.body.errors[0].field, 'roles');
  const me = (await admin.get('/api/v1/session')).body.user;
  assert.equal((await admin.patch(`/api/v1/users/${me.id}`, { roles: ['audit_admin'] })).status, 409);
});

test('lists page without gaps or doubles in both directions', async () => {
  for (let i = 0; i < 25; i++) assert.equal((await admin.post('/api/v1/organisations', { name: `单位 ${i % 5}`, parent_id: 'b', level: i % 3 })).status, 201);
  for (const sort of ['name', '-name', 'level', '-created_at', 'region_code']) {
    const seen = [];
    let cursor = '', pages = 0;
    do {
      const r = await admin.get(`/api/v1/organisations?limit=7&sort=${sort}${cursor && '&cursor=' + cursor}`);
      assert.equal(r.status, 200, r.text);
      assert.equal(r.body.total, 29);
      seen.push(...r.body.items.map((x) => x.id));
      cursor = r.body.next;
      pages++;
    } while (cursor);
    assert.equal(new Set(seen).size, 29, sort);
    assert.equal(seen.length, 29, sort);
    assert.equal(pages, 5);
  }
});

test('user and token commands beside the server and without one', async () => {
  assert.equal(run(['user', 'list', '--data', s.data]).stdout.trim().split('\n').length, 5);
  assert.match(run(['user', 'reset', 'bob', '--data', s.data]).stdout, /one-time password of bob: \S{20}/);
  assert.equal((await people.bob.get('/api/v1/organisations')).status, 401, 'a reset ends sessions');
  const bad = run(['user', 'add', 'x y', '--data', s.data, '--role', 'analyst']);
  assert.equal(bad.status, 1);
  assert.match(bad.stderr, /^chengfang: user: /);
  assert.equal(run(['user', 'add', '--data', s.data]).status, 2);
  const e = await s.stop({ keep: true });
  assert.equal(e.code, 0);
  assert.match(run(['token', 'create', '--data', s.data, '--user', 'ann']).stdout, /^cft_[0-9a-f]{64}\n$/);
  const gone = run(['token', 'create', '--data', s.data, '--user', 'nobody']);
  assert.equal(gone.status, 1);
  assert.match(gone.stderr, /no active user/);
  run(['user', 'disable', 'ann', '--data', s.data]);
  assert.equal(run(['token', 'create', '--data', s.data, '--user', 'ann']).status, 1);
  await (await import('node:fs/promises')).rm(s.data, { recursive: true, force: true });
});
