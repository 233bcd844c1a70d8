// SPDX-License-Identifier: Apache-2.0
// Lists page by page, over both record stores: by whatever they are sorted, the pages together are the whole list, each row once, also where
// many rows have the same value or none; the total stays that of the filter.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startServer } from './lib.mjs';
import { startPostgres } from './postgres.mjs';

const N = 23;
for (const store of ['SQLite', 'PostgreSQL']) {
  describe(`lists over ${store}`, () => {
    let s, pg, admin, auditor;
    before(async () => {
      if (store === 'PostgreSQL') pg = await startPostgres();
      if (pg?.missing) return;
      s = await startServer({ config: `store:\n  events: none\n${pg ? `  records: "${pg.url}"\n` : ''}` });
      admin = await s.signIn('admin');
      const { password } = (await admin.post('/api/v1/users', { name: 'auditor', display_name: '审计员', org_id: 'root', roles: ['audit_admin'] })).body;
      auditor = await s.signIn('auditor', password);
      for (let i = 0; i < N; i++) {
        const some = i % 3 ? { system: `系统${i % 2}`, importance: 1 + (i % 4), mlps_level: 2 + (i % 2) } : {};
        const r = await admin.post('/api/v1/assets', { name: `主机${i % 5}`, kind: 'hardware', org_id: 'root', ip: `10.0.${i % 7}.${i}`, ...some });
        assert.equal(r.status, 201, r.text);
      }
    });
    after(async () => {
      await s?.stop();
      await pg?.stop?.();
    });
    const get = async (path, query) => {
      const r = await (path === 'audit' ? auditor : admin).get(`/api/v1/${path}?${new URLSearchParams(query)}`);
      assert.equal(r.status, 200, r.text);
      return r.body;
    };
    const skipped = (t) => pg?.missing && (t.skip(pg.missing), true);

    /** The rows' ids, `limit` at a time. */
    async function pages(path, query, limit) {
      const ids = [];
      let page = await get(path, { ...query, limit });
      for (const { total } = page; ; page = await get(path, { ...query, limit, cursor: page.next })) {
        assert.equal(page.total, total);
        assert.ok(page.items.length <= limit);
        ids.push(...page.items.map((x) => x.id));
        if (!page.next) return { ids, total };
      }
    }

    test('the pages together are the list, by every column that sorts', async (t) => {
      if (skipped(t)) return;
      for (const key of ['name', 'kind', 'type', 'ip', 'org.name', 'importance', 'system', 'owner', 'mlps_level', 'last_seen', 'created_at', 'updated_at'])
        for (const sort of [key, '-' + key]) {
          const whole = (await get('assets', { sort, limit: 1000 })).items.map((x) => x.id);
          assert.equal(new Set(whole).size, N);
          for (const limit of [1, 4, N]) assert.deepEqual(await pages('assets', { sort }, limit), { ids: whole, total: N }, `${sort}, ${limit} at a time`);
        }
      for (const [path, sort] of [['audit', '-seq'], ['audit', 'seq'], ['audit', '-time'], ['users', 'name'], ['roles', 'id'], ['intel-sources', 'name']]) {
        const whole = (await get(path, { sort, limit: 1000 })).items.map((x) => x.id);
        assert.deepEqual((await pages(path, { sort }, 3)).ids, whole, `${path} by ${sort}`);
      }
    });

    test('the total is that of the filter, also where a page is asked for with another one', async (t) => {
      if (skipped(t)) return;
      assert.deepEqual((await pages('assets', { filter: 'name:主机2', sort: '-ip' }, 2)).total, 5);
      const { next } = await get('assets', { filter: 'name:主机2', sort: 'ip', limit: 2 });
      const other = await get('assets', { filter: 'name:主机3', sort: 'ip', limit: 2, cursor: next });
      assert.equal(other.total, 4);
      assert.ok(other.items.every((x) => x.name === '主机3'));
      assert.equal((await get('assets', { filter: 'name:nobody', limit: 2 })).total, 0);
    });

    test('rows that come or go between two pages shift no other', async (t) => {
      if (skipped(t)) return;
      const first = await get('assets', { sort: 'ip', limit: 6 });
      const rest = (await pages('assets', { sort: 'ip' }, 1000)).ids.slice(6);
      assert.equal((await admin.delete('/api/v1/assets/' + first.items[0].id)).status, 204);
      const made = await admin.post('/api/v1/assets', { name: '新主机', kind: 'hardware', org_id: 'root', ip: '10.0.0.0' });
      assert.equal(made.status, 201, made.text);
      assert.deepEqual((await get('assets', { sort: 'ip', limit: 1000, cursor: first.next })).items.map((x) => x.id), rest);
    });

    test('a cursor of another sort, a broken one and an invented one are refused by name', async (t) => {
      if (skipped(t)) return;
      const { next } = await get('assets', { sort: 'ip', limit: 2 });
      for (const [sort, cursor] of [['name', next], ['ip', next.slice(0, -2)], ['ip', 'zz'], ['ip', Buffer.from('{"s":"ip","v":{},"i":"x","n":-5,"f":"y"}').toString('hex')]]) {
        const r = await admin.get(`/api/v1/assets?${new URLSearchParams({ sort, cursor })}`);
        assert.equal(r.status, 400, `${sort} ${cursor}: ${r.text}`);
        assert.equal(r.body.errors[0].field, 'cursor');
      }
    });
  });
}
