// SPDX-License-Identifier: Apache-2.0
// verify, backup, restore, doctor, print-config: real program, real damage.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { noRecordsFile, run, startServer } from './lib.mjs';

const config = 'store:\n  events: none\n';
const top = fs.mkdtempSync(path.join(os.tmpdir(), 'cf-admin-'));
const dir = (n) => path.join(top, n);
let s;

before(async () => {
  fs.mkdirSync(dir('data'));
  s = await startServer({ config, data: dir('data') });
  const admin = await s.signIn('admin');
  for (let i = 0; i < 10; i++) assert.equal((await admin.post('/api/v1/organisations', { name: `unit ${i}`, address: 'Marker-Street-1' })).status, 201);
});
after(async () => {
  await s?.stop();
  fs.rmSync(top, { recursive: true, force: true });
});

test('a backup taken beside the running server is complete and restores', { skip: noRecordsFile }, async () => {
  let r = run(['backup', '--data', dir('data'), '--to', dir('backup')]);
  assert.equal(r.status, 0, r.stderr);
  r = run(['verify', '--data', dir('data'), '--backup', dir('backup')]);
  assert.equal(r.status, 0, r.stdout);
  r = run(['restore', '--data', dir('again'), '--from', dir('backup')]);
  assert.equal(r.status, 0, r.stderr);
  assert.equal(run(['restore', '--data', dir('again'), '--from', dir('backup')]).status, 1, 'never over something that is there');
  const t = await startServer({ config, data: dir('again') });
  try {
    const admin = await t.signIn('admin', s.passwords.admin);
    assert.equal((await admin.get('/api/v1/organisations')).body.total, 11);
  } finally {
    await t.stop();
  }
  assert.equal(run(['verify', '--data', dir('again')]).status, 0);
});

test('a damaged backup is named and not restored', { skip: noRecordsFile }, () => {
  const f = path.join(dir('backup'), 'records.db'), b = fs.readFileSync(f);
  b[b.length >> 1] ^= 1;
  fs.writeFileSync(f, b);
  const v = run(['verify', '--data', dir('data'), '--backup', dir('backup')]);
  assert.equal(v.status, 1);
  assert.match(v.stdout, /DAMAGED\s+backup .*records\.db differs from the manifest/);
  assert.equal(run(['restore', '--data', dir('never'), '--from', dir('backup')]).status, 1);
  assert.equal(fs.existsSync(dir('never')), false);
});

test('a changed audit entry is found', { skip: noRecordsFile }, async () => {
  await s.stop();
  assert.equal(run(['verify', '--data', dir('data')]).status, 0);
  const f = path.join(dir('data'), 'records.db'), b = fs.readFileSync(f);
  let n = 0;
  // same length, so the database stays whole: who changes "unit 3" in the log must not get away with it
  for (let k = b.indexOf('"name":"unit 3"'); k >= 0; k = b.indexOf('"name":"unit 3"', k + 1), n++) b.write('"name":"unit X"', k);
  assert.ok(n > 0);
  fs.writeFileSync(f, b);
  const v = run(['verify', '--data', dir('data')]);
  assert.equal(v.status, 1);
  assert.match(v.stdout, /DAMAGED\s+audit chain .*does not match its hash/);
  assert.match(v.stdout, /ok\s+record store/);
});

test('doctor', () => {
  assert.equal(run(['doctor', '--data', dir('data')]).status, 0);
  fs.writeFileSync(path.join(dir('data'), 'chengfang.yaml'), 'htp:\n  listen: x\n');
  const r = run(['doctor', '--data', dir('data')]);
  assert.equal(r.status, 1);
  assert.match(r.stdout, /FAILED\s+configuration .*line 2.*htp/);
  fs.writeFileSync(path.join(dir('data'), 'chengfang.yaml'), config);
  assert.equal(run(['doctor']).status, 2);
});

test('every option is documented; unknown ones are refused with their line', () => {
  const r = run(['serve', '--print-config']);
  assert.equal(r.status, 0);
  const lines = r.stdout.split('\n');
  const keys = lines.filter((l) => /^\s+[a-z_0-9]+:/.test(l) && !/^\s*#/.test(l));
  assert.ok(keys.length > 30, `${keys.length} options`);
  const f = path.join(top, 'bad.yaml');
  fs.writeFileSync(f, 'http:\n  listen: 127.0.0.1:0\n  workerz: 3\n');
  const bad = run(['serve', '--data', dir('data2'), '--config', f]);
  assert.equal(bad.status, 1);
  assert.match(bad.stderr, /^chengfang: serve: .*line 3.*workerz/m);
  fs.writeFileSync(f, r.stdout);
  assert.equal(run(['serve', '--print-config', '--config', f]).stdout, r.stdout, 'what is printed can be read');
});

test('one process a data directory', async () => {
  fs.mkdirSync(dir('one'));
  const a = await startServer({ config, data: dir('one') });
  try {
    const r = run(['serve', '--data', dir('one'), '--listen', '127.0.0.1:0']);
    assert.equal(r.status, 1);
    assert.match(r.stderr, /in use by another chengfang process/);
    assert.equal((await a.anonymous().get('/readyz')).status, 200, 'the first one goes on');
  } finally {
    assert.deepEqual(await a.stop(), { code: 0, signal: null });
  }
});
