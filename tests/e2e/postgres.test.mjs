// SPDX-License-Identifier: Apache-2.0
// What writes most of the records, once more with PostgreSQL as the record store (the other files: CF_TEST_RECORDS=FOLDER ./cf test e2e web).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { root } from './lib.mjs';
import { startPostgres } from './postgres.mjs';

let pg;
before(async () => { pg = await startPostgres(); });
after(() => pg?.stop?.());

for (const name of ['directory', 'notice', 'incident', 'rule_approval', 'ti', 'security'])
  test(`${name} over PostgreSQL`, async (t) => {
    if (pg.missing) return t.skip(pg.missing);
    const env = { ...process.env, CF_TEST_RECORDS: /host=([^&]*)/.exec(pg.url)[1] };
    delete env.NODE_TEST_CONTEXT; // a run of its own, not a part of this one
    const child = spawn(process.execPath, ['--test', '--test-reporter=tap', path.join(root, `tests/e2e/${name}.test.mjs`)], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    child.stdout.on('data', (d) => { out += d; });
    const code = await new Promise((r) => child.on('close', r));
    const passed = Number(/^# pass (\d+)$/m.exec(out)?.[1] ?? 0);
    assert.ok(code === 0 && passed > 0, `exit ${code}, ${passed} passed\n${out.slice(out.search(/^ *not ok/m)).slice(0, 6000)}`);
    t.diagnostic(`${passed} passed`);
  });
