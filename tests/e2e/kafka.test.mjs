// SPDX-License-Identifier: Apache-2.0
// A Kafka consumer group with real servers against real sockets: librdkafka's mock cluster runs in a process of its own
// (tests/tools/kafka_mock.c). Offsets after durability, kill -9, rebalances between two servers, a full spool, an
// administrator's reset, brokers that go away. COL-001, COL-032, COL-033, COL-034.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { assertEachOnce, run, slow, startCrashing, startKafka, startServer, waitUntil } from './lib.mjs';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'cf-kafka-'));
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
let s, api, mock, brokers;
const data = path.join(dir, 'data');
// Long enough that no busy machine makes a member fall silent: it would hand over later than it has stored. The same for a group from
// start to start: the mock's brokers never answer a member that comes with another one.
const config = (more = '') => `kafka:
  brokers: "${brokers}"
  group: city
  topics: ["logs source=kafka-logs parser=sshd", "^audit-.* source=kafka-audit", other]
  session_timeout: 8s
  commit_interval: 200ms
${more}`;

const until = (what, fn, seconds = 40) => waitUntil(what, fn, seconds);
const start = async (cfg = config()) => {
  s = await startServer({ config: cfg, data });
  api = s.token('admin');
};
const search = async (a, query, extra = {}) => (await a.post('/api/v1/events:search', { query, from: 'now-1d', to: 'now+1d', limit: 1, ...extra })).body;
const kafka = async (a = api) => (await a.get('/api/v1/health')).body.listeners.find((l) => l.name === 'kafka');

async function usersOf(a, host) {
  const seen = new Map();
  for (let cursor; ;) {
    const r = await search(a, `host.name:${host}`, { limit: 1000, cursor, fields: ['user.name'] });
    for (const e of r.items) seen.set(e.user.name, (seen.get(e.user.name) || 0) + 1);
    cursor = r.next;
    if (!cursor) return seen;
  }
}
/** Every u<k>, 0 <= k < n, exactly once over all servers. */
async function exactlyOnce(servers, host, n, seconds = 60) {
  await until(`${host}: ${n} records stored`, async () => {
    let t = 0;
    for (const a of servers) t += (await search(a, `host.name:${host}`)).total;
    return t >= n || t;
  }, seconds);
  for (const a of servers) await until('drained', async () => { const h = (await a.get('/api/v1/health')).body; return h.pipeline.queue_bytes === 0 || h.pipeline.queue_bytes; });
  const seen = new Map();
  for (const a of servers) for (const [u, c] of await usersOf(a, host)) seen.set(u, (seen.get(u) || 0) + c);
  assertEachOnce(seen, n);
}
const committed = (topic, parts) => mock.committed('city', topic, parts);

before(async () => {
  mock = await startKafka(2);
  brokers = mock.brokers;
  await mock.ok('topic logs 4');
  await mock.ok('topic audit-a 2');
  await mock.ok('topic other 1');
  fs.mkdirSync(data);
  await start();
});
after(async () => {
  await s?.stop();
  mock?.stop();
  fs.rmSync(dir, { recursive: true, force: true });
});

test('records of several topics arrive, each with its data source; offsets are committed; lag goes to 0', async () => {
  await mock.ok('lines logs 4 k-first 0 5000');
  await mock.ok('lines audit-a 2 k-audit 0 100');
  await exactlyOnce([api], 'k-first', 5000);
  await exactlyOnce([api], 'k-audit', 100);
  await until('committed', async () => { const c = await committed('logs', 4); return c === 5000 || c; });
  let k;
  await until('lag 0', async () => { k = await kafka(); return (k.lag === 0 && k.status === 'ok' && k.partitions === 7) || k; });
  assert.equal(k.group, 'city');
  assert.deepEqual(k.topics.find((t) => t.topic === 'logs'), { topic: 'logs', source: 'kafka-logs', parser: 'sshd', org: '', partitions: 4, lag: 0, received: 5000, off: false });
  assert.equal(k.topics.find((t) => t.topic === 'audit-a').source, 'kafka-audit');
  await until('data sources', async () => {
    const names = (await api.get('/api/v1/sources?limit=100')).body.items.map((x) => x.name);
    return (names.includes('kafka-logs') && names.includes('kafka-audit')) || names;
  });
});

test('messages without a value and with odd bytes', async () => {
  await mock.ok('null other 0');
  await mock.ok(`value other 0 <38>1 ${new Date().toISOString()} k-odd app 1 - - before \u0001\u0002 after`);
  await mock.ok('null other 0');
  await until('stored', async () => { const t = (await search(api, 'host.name:k-odd')).total; return t === 1 || t; });
  await until('all three committed', async () => { const c = await committed('other', 1); return c === 3 || c; });
  await until('counted, no lag', async () => { const k = await kafka(); return (k.empty === 2 && k.lag === 0) || k; });
});

for (const point of ['kafka.appended:3', 'kafka.before_save:2', 'kafka.saved:2', 'kafka.before_commit:2', 'kafka.committed:2', 'spool.synced:4', 'spool.half_write:3'])
  test(`killed at ${point}: nothing lost, nothing twice`, { timeout: 500000 * slow }, async () => {
    const host = `k-${point.replace(/[^a-z]/g, '-')}`;
    await s.stop();
    const doomed = await startCrashing({ config: config(), data, env: { CF_CRASH_AT: point } });
    let k = 0, over = !doomed;
    doomed?.exited.then(() => { over = true; });
    for (let round = 0; !over; round++, k += 200) { // ends with the test's time
      await mock.ok(`lines logs 4 ${host} ${k} 200`);
      await sleep((round < 200 ? 20 : 500) * slow);
    }
    if (doomed) assert.equal((await doomed.exited).signal, 'SIGKILL');
    await mock.ok(`lines logs 4 ${host} ${k} 100`);
    await start();
    await exactlyOnce([api], host, k + 100);
  });

test('killed before positions were ever saved, then again when the spool has forgotten them', { timeout: 500000 * slow }, async () => {
  await mock.ok('topic again 2');
  const cfg = config().replace('group: city', 'group: again').replace(/topics: .*/, 'topics: ["again parser=sshd"]');
  const own = path.join(dir, 'again');
  fs.mkdirSync(own);
  await mock.ok('lines again 2 k-again 0 400');
  let one = await startCrashing({ config: cfg, data: own, env: { CF_CRASH_AT: 'kafka.before_save:1' } });
  if (one) assert.equal((await one.exited).signal, 'SIGKILL');
  one = await startServer({ config: cfg, data: own });
  await until('positions saved', async () => fs.existsSync(path.join(own, 'kafka.state')));
  await one.kill();
  await mock.ok('lines again 2 k-again 400 200');
  one = await startServer({ config: cfg, data: own });
  await exactlyOnce([one.token('admin')], 'k-again', 600);
  await one.stop();
});

test('killed at any moment, three times', { timeout: 500000 * slow }, async () => {
  let k = 0;
  for (let round = 0; round < 3; round++) {
    await until('partitions', async () => (await kafka()).partitions === 7 || kafka());
    for (let n = 0; n < 10 + round * 5; n++, k += 200) {
      await mock.ok(`lines logs 4 k-any ${k} 200`);
      await sleep(10);
    }
    await s.kill();
    await start();
  }
  await exactlyOnce([api], 'k-any', k);
});

test('a second server of the group takes partitions and gives them back: each record once', { timeout: 500000 * slow }, async () => {
  // a group of its own, which ends with this test
  await mock.ok('topic pair 4');
  const cfg = config().replace('group: city', 'group: pair').replace(/topics: .*/, 'topics: ["pair parser=sshd"]');
  const one = await startServer({ config: cfg }), two = await startServer({ config: cfg });
  const a = one.token('admin'), b = two.token('admin');
  await until('shared', async () => { const x = await kafka(a), y = await kafka(b); return (x.partitions > 0 && y.partitions > 0 && x.partitions + y.partitions === 4) || [x.partitions, y.partitions]; });
  await mock.ok('lines pair 4 k-two 0 4000');
  await exactlyOnce([a, b], 'k-two', 4000);
  assert.ok((await kafka(b)).received > 0, 'the second one had its share');
  const p = two.stop({ keep: true });
  for (let k = 4000; k < 8000; k += 200) await mock.ok(`lines pair 4 k-two ${k} 200`);
  await p;
  await until('all partitions back', async () => (await kafka(a)).partitions === 4 || kafka(a));
  const read = await startServer({ config: 'log:\n  level: warn\n', data: two.data }); // what it had taken is in its own store
  await exactlyOnce([a, read.token('admin')], 'k-two', 8000);
  await read.stop();
  fs.rmSync(two.data, { recursive: true, force: true });
  await one.stop();
});

test('a disabled data source: its topics wait, others go on; nothing is lost', async () => {
  const src = (await api.get('/api/v1/sources?limit=100')).body.items.find((x) => x.name === 'kafka-audit');
  assert.equal((await api.patch(`/api/v1/sources/${src.id}`, { enabled: false })).status, 200);
  await until('seen', async () => { // the table of sources is loaded again a moment later: records before that are taken
    await mock.ok('lines audit-a 2 k-look 0 2');
    const k = await kafka();
    return k.topics.find((t) => t.topic === 'audit-a')?.off === true || k;
  });
  await mock.ok('lines audit-a 2 k-wait 0 300');
  await mock.ok('lines logs 4 k-goon 0 300');
  await exactlyOnce([api], 'k-goon', 300);
  await until('lag', async () => { const k = await kafka(); return (k.lag >= 300 && k.topics.find((t) => t.topic === 'audit-a')?.off === true) || k; });
  assert.equal((await search(api, 'host.name:k-wait')).total, 0);
  assert.equal((await api.patch(`/api/v1/sources/${src.id}`, { enabled: true })).status, 200);
  await exactlyOnce([api], 'k-wait', 300);
});

test('the spool is full: partitions are paused, the membership is kept, everything comes afterwards', { timeout: 500000 * slow }, async () => {
  await s.stop();
  await start(config('spool:\n  min_free: 900000G\n')); // no disk has that
  await mock.ok('lines other 1 k-full 0 6000 600');
  await until('paused', async () => { const k = await kafka(); return (k.status === 'paused' && k.partitions === 7) || k; }, 60);
  const before = await kafka();
  await sleep(12000); // longer than the session timeout
  const later = await kafka();
  assert.equal(later.partitions, 7);
  assert.equal(later.rebalances, before.rebalances);
  await until('what is not taken shows as lag', async () => { const k = await kafka(); return k.lag > 0 || k; });
  await s.stop();
  await start();
  await exactlyOnce([api], 'k-full', 6000);
});

test('an administrator resets the group: the records come again, and only then', async () => {
  await until('committed', async () => { const k = await kafka(); return (k.lag === 0 && k.partitions === 7) || k; });
  await s.stop(); // commits what it has taken
  const [end] = (await mock.ask('committed city audit-a 2')).split(' ').map(Number);
  assert.ok(end >= 200, `${end} records of the first partition`);
  await until('reset taken', async () => (await mock.ask(`commit city audit-a 0 ${end - 10}`)) === 'ok');
  await start();
  await until('ten records again', async () => {
    const n = [...(await usersOf(api, 'k-wait')).values()].filter((c) => c === 2).length;
    return n === 10 || n;
  });
  assert.equal((await kafka()).rewinds, 1);
});

test('brokers go away and come back', { timeout: 500000 * slow }, async () => {
  await mock.ok('down 1');
  await mock.ok('down 2');
  await until('said so', async () => { const k = await kafka(); return (k.status === 'error' && /broker|refused/i.test(k.error)) || k; });
  await mock.ok('up 1');
  await mock.ok('up 2');
  await mock.ok('lines logs 4 k-back 0 400');
  await exactlyOnce([api], 'k-back', 400);
  await until('ok again', async () => { const k = await kafka(); return k.status === 'ok' || k; });
});

test('configuration: wrong values are errors that name the key, secrets stay unsaid', async () => {
  const secret = path.join(dir, 'password');
  fs.writeFileSync(secret, 'harbour-secret-77\n');
  const bad = (text) => {
    const d = fs.mkdtempSync(path.join(dir, 'bad-'));
    fs.writeFileSync(path.join(d, 'chengfang.yaml'), text + 'store:\n  events: none\n');
    const r = run(['serve', '--data', d, '--listen', '127.0.0.1:0']);
    assert.notEqual(r.status, 0);
    assert.ok(!r.stderr.includes('harbour-secret-77') && !r.stdout.includes('harbour-secret-77'));
    return r.stderr;
  };
  assert.match(bad(`kafka:\n  brokers: "${brokers}"\n`), /kafka\.topics/);
  assert.match(bad(`kafka:\n  brokers: "${brokers}"\n  topics: ["a colour=red"]\n`), /kafka\.topics.*colour=red/s);
  assert.match(bad(`kafka:\n  brokers: "${brokers}"\n  topics: ["^a("]\n`), /regular expression/);
  assert.match(bad(`kafka:\n  brokers: "${brokers}"\n  topics: [a]\n  from: middle\n`), /kafka\.from/);
  assert.match(bad(`kafka:\n  brokers: "${brokers}"\n  topics: [a]\n  security: loud\n`), /security\.protocol/);
  assert.match(bad(`kafka:\n  brokers: "${brokers}"\n  topics: [a]\n  security: sasl_plaintext\n  sasl_mechanism: LOUD\n  sasl_user: u\n  sasl_password_file: ${secret}\n`), /sasl/i);
  assert.match(bad(`kafka:\n  brokers: "${brokers}"\n  topics: [a]\n  security: ssl\n  tls_ca: ${dir}/none.pem\n`), /none\.pem|ssl\.ca/);
  assert.match(run(['serve', '--print-config']).stdout, /kafka:[\s\S]*sasl_password_file/);
});
