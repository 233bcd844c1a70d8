// SPDX-License-Identifier: Apache-2.0
// A PostgreSQL server of the test's own, on a socket in a folder of its own.
//
//   const pg = await startPostgres();    // {url, stop()}, or {missing: 'why'}
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { waitUntil } from './lib.mjs';

export async function startPostgres() {
  const home = '/usr/lib/postgresql';
  const version = fs.existsSync(home) && fs.readdirSync(home).filter((v) => fs.existsSync(path.join(home, v, 'bin/initdb'))).sort((a, b) => a - b).pop();
  if (!version) return { missing: `no PostgreSQL server in ${home}` };
  const bin = (name) => path.join(home, version, 'bin', name);
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'cf-pg-'));
  const id = (what) => Number(spawnSync('id', [what, 'postgres'], { encoding: 'utf8' }).stdout.trim() || 65534);
  const who = process.getuid() === 0 ? { uid: id('-u'), gid: id('-g') } : {}; // it refuses root
  if (who.uid) fs.chownSync(dir, who.uid, who.gid);
  const data = path.join(dir, 'data');
  const made = spawnSync(bin('initdb'), ['-D', data, '-U', 'cf', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'], { ...who, cwd: dir, encoding: 'utf8' });
  if (made.status !== 0) {
    fs.rmSync(dir, { recursive: true, force: true });
    return { missing: `initdb: ${made.stderr || made.error}` };
  }
  const child = spawn(bin('postgres'), ['-D', data, '-k', dir, '-c', 'listen_addresses=', '-c', 'fsync=off', '-c', 'shared_buffers=16MB'], { ...who, cwd: dir, stdio: 'ignore' });
  const ended = new Promise((r) => child.on('close', r));
  await waitUntil('PostgreSQL takes connections', () => spawnSync(bin('pg_isready'), ['-h', dir, '-U', 'cf', '-d', 'postgres']).status === 0);
  return {
    url: `postgresql:///postgres?host=${dir}&user=cf`,
    async stop() {
      child.kill('SIGINT');
      await ended;
      fs.rmSync(dir, { recursive: true, force: true });
    },
  };
}
