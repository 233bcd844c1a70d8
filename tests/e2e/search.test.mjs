// SPDX-License-Identifier: Apache-2.0
// Searching beside the plain case: exports read back, searches stopped by name and by leaving, the command line beside a server.
import assert from 'node:assert/strict';
import https from 'node:https';
import { after, before, test } from 'node:test';
import { run, slow, startServer, waitUntil } from './lib.mjs';
import { sheetRows, unzip } from './zip.mjs';

let s, token;
const range = { from: 'now-1h', to: 'now+1h' };
const odd = ['=1+2', '+SUM(A1)', '-2+3', '@cmd', 'plain', '=HYPERLINK("http://x")', 'a,"b"\nc', '<tag> & 中文'];

before(async () => {
  s = await startServer();
  token = s.token('admin');
  const lines = odd.map((m, i) => JSON.stringify({ '@timestamp': new Date(Date.now() - i * 1000).toISOString(), host: { name: 'odd' }, source: { port: 1000 + i }, message: m }));
  const many = Array.from({ length: 3000 }, (_, i) => JSON.stringify({ '@timestamp': new Date(Date.now() - i).toISOString(), host: { name: 'many' }, source: { port: i }, message: `row ${i}` }));
  const r = await token.call('POST', '/api/v1/events:bulk?source=export', [...lines, ...many].join('\n') + '\n', { 'content-type': 'application/x-ndjson' });
  assert.equal(r.body.accepted, odd.length + many.length);
  await until(async () => (await token.post('/api/v1/events:search', { query: 'host.name:many OR host.name:odd', ...range, limit: 1 })).body.total === odd.length + many.length);
});
after(() => s?.stop());

const until = (ok) => waitUntil(String(ok), async () => !!(await ok()));

/** A POST whose answer is bytes; abort() closes the connection. */
function raw(path, body, method = 'POST') {
  let req;
  const done = new Promise((resolve, reject) => {
    req = https.request(s.url + path, { method, rejectUnauthorized: false, agent: false, headers: { authorization: `Bearer ${token.token}`, 'content-type': 'application/json' } }, (res) => {
      const parts = [];
      res.on('data', (d) => parts.push(d));
      res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, bytes: Buffer.concat(parts) }));
    });
    req.on('error', reject);
    req.end(body === undefined ? undefined : JSON.stringify(body));
  });
  return { done, abort: () => req.destroy() };
}

test('XLSX export: text stays text, numbers are numbers, cells come back as they were', async () => {
  const r = await raw('/api/v1/events:export', { query: 'host.name:odd', ...range, format: 'xlsx', sort: '-@timestamp', fields: ['message', 'source.port', 'user.name'] }).done;
  assert.equal(r.status, 200);
  assert.equal(r.headers['content-type'], 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet');
  const rows = sheetRows(r.bytes);
  assert.deepEqual(rows[0], ['message', 'source.port', 'user.name']);
  assert.deepEqual(rows.slice(1).map((c) => c[0]), odd);
  assert.deepEqual(rows.slice(1).map((c) => c[1]), odd.map((_, i) => 1000 + i));
  assert.ok(!Object.values(unzip(r.bytes)).some((x) => x.includes('<f>')), 'no formula anywhere');
});

test('an export of many pages is whole; one that ends at its limit says so', async () => {
  const all = sheetRows((await raw('/api/v1/events:export', { query: 'host.name:many', ...range, format: 'xlsx', fields: ['source.port'] }).done).bytes);
  assert.equal(all.length, 3001);
  assert.equal(new Set(all.slice(1).map((c) => c[0])).size, 3000);
  const part = await raw('/api/v1/events:export', { query: 'host.name:many', ...range, format: 'xlsx', limit: 1200, fields: ['source.port'] }).done;
  const rows = sheetRows(part.bytes);
  assert.equal(part.headers['x-export-rows'], '1200 of 3000');
  assert.equal(rows.length, 1202);
  assert.match(rows[1201][0], /^1200 rows of 3000/);
  const csv = await raw('/api/v1/events:export', { query: 'host.name:many', ...range, format: 'csv', fields: ['source.port'] }).done;
  assert.equal(csv.bytes.toString().trim().split('\r\n').length, 3001);
});

test('a table sent to the server comes back as XLSX', async () => {
  const r = await raw('/api/v1/sheets', { name: '告警', columns: ['名称', 'n'], rows: [['=cmd()', 5], [null, 2.5], ['x', true], ['很长'.repeat(20000), 0]] }).done;
  assert.equal(r.status, 200);
  const rows = sheetRows(r.bytes);
  assert.deepEqual(rows[0], ['名称', 'n']);
  assert.deepEqual(rows[1], ['=cmd()', 5]);
  assert.equal(rows[2][1], 2.5);
  assert.match(rows[4][0], /^很长.*\[cut: a cell holds 32,767 characters\]$/);
  assert.ok(rows[4][0].length <= 32767);
  assert.equal((await token.post('/api/v1/sheets', { columns: [], rows: [] })).status, 400);
});

test('the same table as CSV: RFC 4180, a mark for spreadsheets, no formula; the audit log has it', async () => {
  const rows = [['=cmd()', 5], ['+1 86', -2.5], ['@SUM(1)', true], ['\tx', null], ['\rx', '-7.5'], ['-rm', '-'], ['a "b", c\r\nd', '中文']];
  const r = await raw('/api/v1/sheets', { name: '台账', format: 'csv', columns: ['=名称', 'n'], rows }).done;
  assert.equal(r.status, 200);
  assert.match(r.headers['content-type'], /^text\/csv; charset=utf-8/);
  assert.match(r.headers['content-disposition'], /filename="table\.csv"/);
  assert.equal(r.bytes.toString('utf8'), '\ufeff\'=名称,n\r\n\'=cmd(),5\r\n\'+1 86,-2.5\r\n\'@SUM(1),true\r\n\'\tx,\r\n"\'\rx",-7.5\r\n\'-rm,\'-\r\n"a ""b"", c\r\nd",中文\r\n');
  assert.equal((await token.post('/api/v1/sheets', { format: 'pdf', columns: ['a'], rows: [] })).status, 400);
  const made = await token.post('/api/v1/users', { name: 'csv_auditor', display_name: 'Auditor', org_id: 'root', roles: ['audit_admin'] });
  const auditor = await s.signIn('csv_auditor', made.body.password);
  const seen = (await auditor.get('/api/v1/audit?filter=' + encodeURIComponent('object:台账'))).body.items;
  assert.equal(seen.length, 1);
  assert.deepEqual(seen[0].after, { format: 'csv', rows: 7 });
});

// three tables crossed: runs until somebody stops it, or for the ten seconds a query may take; on a machine where those pass before
// anybody could stop it, it is tried again
const slowQuery = 'SELECT max(cityHash64(a.id, b.id, c.id)) FROM events AS a CROSS JOIN events AS b CROSS JOIN events AS c';
const running = async (id) => (await token.get('/api/v1/events:progress?query_id=' + id)).body;

test('a long query is stopped by its name, and only by its owner', { timeout: 500000 * slow }, async () => {
  let r;
  for (let stopped = 0; !stopped;) {
    let over = false;
    const q = raw('/api/v1/sql', { sql: slowQuery, query_id: 'stop-me' });
    q.done.then(() => { over = true; });
    await until(async () => over || (await running('stop-me')).running);
    assert.equal((await token.post('/api/v1/events:cancel', { query_id: 'another' })).body.cancelled, 0);
    stopped = (await token.post('/api/v1/events:cancel', { query_id: 'stop-me' })).body.cancelled;
    r = await q.done;
  }
  assert.equal(r.status, 409);
  assert.match(r.bytes.toString(), /stopped/);
  assert.equal((await running('stop-me')).running, false);
});

test('a query whose caller has gone is stopped', { timeout: 500000 * slow }, async () => {
  for (let tries = 0; ; tries++) {
    const t0 = Date.now();
    let over = false;
    const q = raw('/api/v1/sql', { sql: slowQuery, query_id: 'left-alone' });
    const gone = q.done.catch(() => {}).then(() => { over = true; });
    await until(async () => over || (await running('left-alone')).running);
    q.abort();
    await gone;
    await until(async () => !(await running('left-alone')).running);
    if (Date.now() - t0 < 10000) break; // before the time limit, which would end it too
    assert.ok(tries < 5, 'never stopped before the time limit');
  }
});

test('chengfang query beside the running server', async () => {
  const out = run(['query', '--data', s.data, '--format', 'json', 'host.name:odd message:plain']);
  assert.equal(out.status, 0, out.stderr);
  assert.match(out.stdout, /"plain"/);
  const sql = run(['query', '--data', s.data, '--format', 'csv', "SELECT count() AS n FROM events WHERE host_name = 'many'"]);
  assert.equal(sql.status, 0, sql.stderr);
  assert.match(sql.stdout, /3000/);
  const bad = run(['query', '--data', s.data, 'host.name:(']);
  assert.notEqual(bad.status, 0);
  assert.match(bad.stderr, /position/);
});

test('a long table goes to the server in pieces, CSV and XLSX: of one person, fetched once, audited once, and a cut is said', async () => {
  const made = await token.post('/api/v1/users', { name: 'table_auditor', display_name: 'Auditor', org_id: 'root', roles: ['audit_admin'] });
  const auditor = await s.signIn('table_auditor', made.body.password);
  for (const format of ['csv', 'xlsx']) {
    const opened = await token.post('/api/v1/tables', { name: '长表' + format, format, columns: ['n', '名称'] });
    assert.equal(opened.status, 201, opened.text);
    const at = '/api/v1/tables/' + opened.body.id;
    assert.ok(opened.body.max_rows >= 1000000);
    for (let i = 0; i < 3; i++) {
      const r = await token.post(at + '/rows', { rows: Array.from({ length: 4000 }, (_, k) => [i * 4000 + k, '=x']) });
      assert.deepEqual([r.status, r.body.rows], [200, (i + 1) * 4000], r.text);
    }
    assert.equal((await token.get(at)).status, 409, 'not finished');
    assert.equal((await auditor.post(at + '/rows', { rows: [[1, 'y']] })).status, 404, "another person's");
    assert.deepEqual((await token.post(at + '/finish', { total: 12345 })).body, { format, rows: 12000, of: 12345 });
    assert.equal((await token.post(at + '/rows', { rows: [[1, 'y']] })).status, 409);
  }
  for (const format of ['csv', 'xlsx']) {
    const { id } = (await token.post('/api/v1/tables', { name: '长表', format, columns: ['n', '名称'] })).body;
    for (let i = 0; i < 3; i++) await token.post(`/api/v1/tables/${id}/rows`, { rows: Array.from({ length: 4000 }, (_, k) => [i * 4000 + k, '=x']) });
    assert.equal((await token.post(`/api/v1/tables/${id}/finish`, format === 'csv' ? {} : { total: 12345 })).status, 200);
    const r = await raw(`/api/v1/tables/${id}?file=${encodeURIComponent('我的表.' + format)}`, undefined, 'GET').done;
    assert.equal(r.status, 200);
    assert.ok(r.headers['content-disposition'].includes(encodeURIComponent('我的表')));
    if (format === 'csv') {
      const rows = r.bytes.toString('utf8').trimEnd().split('\r\n');
      assert.equal(rows.length, 12001, 'nothing is cut, nothing is said');
      assert.deepEqual([rows[0], rows[1], rows[12000]], ['\ufeffn,名称', "0,'=x", "11999,'=x"]);
    } else {
      const rows = sheetRows(r.bytes);
      assert.equal(rows.length, 12002);
      assert.deepEqual(rows[12000], [11999, '=x']);
      assert.match(rows[12001][0], /^12000 rows of 12345/);
    }
    assert.equal((await token.get('/api/v1/tables/' + id)).status, 404, 'once');
  }
  const seen = (await auditor.get('/api/v1/audit?filter=' + encodeURIComponent('object:长表'))).body.items;
  assert.deepEqual(seen.map((x) => x.after), [{ format: 'xlsx', rows: 12000, of: 12345 }, { format: 'csv', rows: 12000 }]);
});

test('tables: a few of one person at a time; one that is given up makes room', async () => {
  const other = await s.signIn('admin');
  const open = () => other.post('/api/v1/tables', { name: 'x', format: 'csv', columns: ['a'] });
  const ids = [];
  let r;
  while ((r = await open()).status === 201 && ids.length < 40) ids.push(r.body.id);
  assert.equal(r.status, 429, r.text);
  assert.equal((await other.call('DELETE', '/api/v1/tables/' + ids[0])).status, 204);
  assert.equal((await open()).status, 201);
});
