// SPDX-License-Identifier: Apache-2.0
// One event of each kind of indicator, over HTTP bulk and over syslog, meets its indicator and no neighbour does.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { startServer, waitUntil } from './lib.mjs';

let s, admin, tcp;
before(async () => {
  s = await startServer({ config: 'syslog:\n  tcp: 127.0.0.1:0\n' });
  admin = await s.signIn('admin');
  tcp = (await admin.get('/api/v1/health')).body.listeners.find((l) => l.name === 'syslog-tcp').port;
});
after(() => s?.stop());

async function until(what, fn) {
  let v;
  await waitUntil(what, async () => !!(v = await fn()) || v);
  return v;
}
const text = { 'content-type': 'text/plain' };
const loaded = (n) => until(`${n} indicators in the matcher`, async () => (await admin.get('/api/v1/intel/statistics?fresh=true')).body.matcher.indicators === n);
const search = async (query) => (await admin.post('/api/v1/events:search', { query, from: 'now-1d', to: 'now+1h', limit: 50 })).body.items ?? [];
const md5 = 'a1'.repeat(16), sha1 = 'b2'.repeat(20), sha256 = 'c3'.repeat(32), ja3 = 'd4'.repeat(16), ja4 = 't13d1516h2_8daaf6152771_b186095e22b6';
// indicator, type in the library, event that meets it, neighbour that must not
const kinds = [
  ['45.90.1.1', 'ipv4', { 'destination.ip': '45.90.1.1' }, { 'destination.ip': '45.90.1.11' }],
  ['2400:cb00:77::5', 'ipv6', { 'destination.ip': '2400:cb00:77:0:0::5' }, { 'destination.ip': '2400:cb00:77::6' }],
  ['45.91.0.0/22', 'cidr', { 'source.ip': '45.91.3.255' }, { 'source.ip': '45.91.4.0' }],
  ['2400:cb00:88::/48', 'cidr', { 'source.ip': '2400:cb00:88:ffff::1' }, { 'source.ip': '2400:cb00:89::1' }],
  ['kinds-evil.example', 'domain', { 'dns.question.name': 'a.b.KINDS-evil.example.' }, { 'dns.question.name': 'notkinds-evil.example' }],
  ['http://kinds-url.example/a/b?x=1', 'url', { 'url.full': 'https://kinds-url.example/a/b?x=1' }, { 'url.full': 'http://kinds-url.example/a/c' }],
  [md5, 'md5', { 'file.hash.md5': md5.toUpperCase() }, { 'file.hash.md5': 'a2'.repeat(16) }],
  [sha1, 'sha1', { 'process.hash.sha1': sha1 }, { 'process.hash.sha1': 'b3'.repeat(20) }],
  [sha256, 'sha256', { 'file.hash.sha256': sha256 }, { 'file.hash.sha256': 'c4'.repeat(32) }],
  ['phish@kinds-mail.example', 'email', { 'email.from.address': 'Phish@kinds-mail.example' }, { 'email.from.address': 'fish@kinds-mail.example' }],
  [ja3, 'ja3', { 'tls.client.ja3': ja3 }, { 'tls.client.ja3': 'd5'.repeat(16) }],
  [ja4, 'ja4', { 'tls.client.ja4': ja4 }, { 'tls.client.ja4': 't13d1516h2_8daaf6152771_000000000000' }],
];

test('one event of each kind gives a hit, its neighbour none', async () => {
  const r = await admin.call('POST', '/api/v1/indicators:import?columns=value,type', kinds.map((k) => `${k[0]},${k[1]}`).join('\n') + '\n', text);
  assert.equal(r.status, 200, r.text);
  assert.deepEqual([r.body.new, r.body.bad, r.body.conflicts], [kinds.length, 0, 0], JSON.stringify([r.body.bad_rows, r.body.conflict_rows]));
  await loaded(kinds.length);
  const lines = kinds.flatMap((k, i) => [[k[2], `meets${i}`], [k[3], `near${i}`]]).map(([f, host]) => JSON.stringify({ '@timestamp': new Date().toISOString(), 'event.kind': 'event', 'host.name': host, ...f }));
  const b = await admin.call('POST', '/api/v1/events:bulk?source=kinds', lines.join('\n') + '\n', { 'content-type': 'application/x-ndjson' });
  assert.equal(b.body.accepted, kinds.length * 2);
  const seen = await until('all events are there', async () => { const x = await search('host.name:meets* OR host.name:near*'); return x.length === kinds.length * 2 && x; });
  for (const [i, k] of kinds.entries()) {
    const one = (host) => seen.find((e) => e.host.name === host);
    assert.equal(one(`meets${i}`).threat?.indicator?.name, k[0].toLowerCase(), `${k[1]} ${k[0]}`);
    assert.equal(one(`near${i}`).threat, undefined, `beside ${k[1]} ${k[0]}`);
  }
  // what people see: hits on each indicator, and an alert of each group of kinds
  await until('each indicator has its hit', async () => (await admin.get('/api/v1/indicators?limit=50&filter=' + encodeURIComponent('hits>=1'))).body.total === kinds.length);
  const rules = await until('the alerts', async () => {
    const a = [...new Set((await admin.get('/api/v1/alerts?limit=100')).body.items.map((x) => x.rule_id).filter((x) => x.startsWith('ti-')))].sort();
    return a.length >= 6 && a;
  });
  assert.deepEqual(rules, ['ti-domain', 'ti-email', 'ti-file', 'ti-ip', 'ti-tls', 'ti-url']);
});

test('a line over syslog meets an indicator', async () => {
  const line = `<34>1 ${new Date().toISOString()} fw01 sshd 77 - - Failed password for root from 45.90.1.1 port 4711 ssh2`;
  await new Promise((ok, no) => {
    const c = net.connect(tcp, '127.0.0.1', () => c.end(line + '\n'));
    c.on('close', ok);
    c.on('error', no);
  });
  const hit = await until('the tagged line', async () => (await admin.post('/api/v1/events:search', { query: 'host.name:fw01', from: 'now-900d', to: 'now+900d', limit: 5 })).body.items?.[0]);
  assert.equal(hit.source.ip, '45.90.1.1');
  assert.equal(hit.threat?.indicator?.name, '45.90.1.1');
});
