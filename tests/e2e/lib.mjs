// SPDX-License-Identifier: Apache-2.0
// Shared by the end-to-end tests: starts the real program on a free port with a data directory of its own, signs in,
// calls the API. Everything waits for events (output lines, replies), never for time.
//
//   const s = await startServer();            // {url, data, adminPassword, stop(), kill(), log()}
//   const admin = await s.signIn('admin');    // first password already changed: Session
//   const r = await admin.get('/api/v1/users');   // {status, body, headers}
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const binary = process.env.CF_BINARY || path.join(root, 'build/chengfang');
export const shared = process.env.CF_SHARED || path.resolve(root, '../shared');
/** CF_TEST_SLOW: how many times slower than usual the program is (sanitizers); times allowed are as many times longer. */
export const slow = Number(process.env.CF_TEST_SLOW || 1);
/** Seconds that something may take before a test gives it up: what comes, comes soon; only a failure waits this long. */
const PATIENCE = 240;
const agent = new https.Agent({ rejectUnauthorized: false, keepAlive: true, maxSockets: 64 });

/** One HTTP request. body: object (JSON), string or Buffer. Resolves to {status, headers, body, text}. */
export async function request(url, options = {}) {
  try {
    return await ask(url, options);
  } catch (e) {
    // a kept connection that the server had closed as idle while this process was busy elsewhere: nothing was read of the request
    if (!e.reused || !['ECONNRESET', 'EPIPE'].includes(e.code)) throw e;
    return ask(url, options);
  }
}
function ask(url, { method = 'GET', headers = {}, body, cookie, timeout = PATIENCE * 1000 * slow, agent: ag } = {}) {
  return new Promise((resolve, reject) => {
    const h = { ...headers };
    let data = body;
    if (body !== undefined && typeof body === 'object' && !Buffer.isBuffer(body)) {
      data = JSON.stringify(body);
      h['content-type'] ??= 'application/json';
    }
    if (data !== undefined) h['content-length'] = Buffer.byteLength(data);
    if (cookie) h.cookie = cookie;
    const lib = url.startsWith('https') ? https : http;
    const req = lib.request(url, { method, headers: h, agent: ag ?? (lib === https ? agent : undefined), timeout }, (res) => {
      const parts = [];
      res.on('data', (d) => parts.push(d));
      res.on('end', () => {
        const text = Buffer.concat(parts).toString('utf8');
        let json = null;
        if (/json/.test(res.headers['content-type'] || '')) try { json = JSON.parse(text); } catch { json = null; }
        resolve({ status: res.statusCode, headers: res.headers, body: json, text });
      });
      res.on('error', reject);
    });
    req.on('timeout', () => req.destroy(new Error(`no reply within ${timeout} ms: ${method} ${url}`)));
    req.on('error', (e) => reject(Object.assign(e, { reused: req.reusedSocket })));
    if (data !== undefined) req.write(data);
    req.end();
  });
}

export class Session {
  constructor(server, { cookie, csrf, token, user } = {}) {
    Object.assign(this, { server, cookie, csrf, token, user });
  }
  call(method, p, body, headers = {}) {
    const h = { ...headers };
    if (this.token) h.authorization = `Bearer ${this.token}`;
    if (this.csrf && method !== 'GET') h['x-csrf-token'] = this.csrf;
    return request(this.server.url + p, { method, body, headers: h, cookie: this.cookie });
  }
  get(p, headers) { return this.call('GET', p, undefined, headers); }
  post(p, body = {}, headers) { return this.call('POST', p, body, headers); }
  patch(p, body = {}, headers) { return this.call('PATCH', p, body, headers); }
  put(p, body = {}, headers) { return this.call('PUT', p, body, headers); }
  delete(p) { return this.call('DELETE', p); }
  /** Server-sent events: {next(name) -> Promise<data>, closed: Promise, close()}. */
  stream(p = '/api/v1/stream') {
    const waiting = [], seen = [];
    let ended, started;
    const closed = new Promise((r) => { ended = r; });
    const opened = new Promise((r) => { started = r; }); // the server counts this reader from its first bytes on
    const h = { cookie: this.cookie || '' };
    if (this.token) h.authorization = `Bearer ${this.token}`;
    const req = https.request(this.server.url + p, { headers: h, rejectUnauthorized: false }, (res) => {
      let text = '';
      res.setEncoding('utf8');
      res.on('data', (d) => {
        started();
        text += d;
        let k;
        while ((k = text.indexOf('\n\n')) >= 0) {
          const block = text.slice(0, k);
          text = text.slice(k + 2);
          const name = /^event: (.*)$/m.exec(block)?.[1];
          if (!name) continue;
          const ev = { name, data: JSON.parse(/^data: (.*)$/m.exec(block)?.[1] ?? 'null') };
          const w = waiting.findIndex((x) => x.name === name);
          if (w >= 0) waiting.splice(w, 1)[0].resolve(ev.data); else seen.push(ev);
        }
      });
      res.on('error', () => {});
      res.on('close', ended);
    });
    req.on('error', (e) => waiting.forEach((w) => w.reject(e)));
    req.end();
    return {
      opened,
      next(name) {
        const k = seen.findIndex((e) => e.name === name);
        if (k >= 0) return Promise.resolve(seen.splice(k, 1)[0].data);
        return new Promise((resolve, reject) => {
          const late = setTimeout(() => reject(new Error(`no ${name} event within ${PATIENCE} s`)), PATIENCE * 1000 * slow);
          waiting.push({ name, resolve: (v) => { clearTimeout(late); resolve(v); }, reject: (e) => { clearTimeout(late); reject(e); } });
        });
      },
      closed,
      close() { req.destroy(); },
    };
  }
}

/** Runs a subcommand; resolves to {status, stdout, stderr}. */
export function run(args, { input, env } = {}) {
  const p = spawnSync(binary, args, { input, env: { ...process.env, ...env }, maxBuffer: 256 << 20, timeout: 2 * PATIENCE * 1000 * slow });
  keepReports(String(p.stderr));
  return { status: p.status, stdout: String(p.stdout), stderr: String(p.stderr) };
}

/** CF_TEST_REPORTS: a folder for what the undefined-behaviour sanitizer wrote (beside another sanitizer it knows no log file). */
function keepReports(log) {
  if (process.env.CF_TEST_REPORTS && log.includes('runtime error:')) fs.writeFileSync(path.join(process.env.CF_TEST_REPORTS, `ubsan.${randomUUID()}`), log);
}

/** CF_TEST_EVENTS_URL: events go to that ClickHouse, as a sanitizer process cannot hold the embedded engine; a database for each data folder. */
function withEventsElsewhere(config, data) {
  const url = process.env.CF_TEST_EVENTS_URL;
  const file = path.join(data, 'chengfang.yaml');
  const before = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined;
  if (!url || (before !== undefined && config === undefined) || /^ {2}events:/m.test(config ?? '')) return config;
  const database = /^ {2}events_database: (\w+)$/m.exec(before ?? '')?.[1] ?? `t_${randomUUID().replaceAll('-', '')}`;
  const store = `store:\n  events: clickhouse\n  events_urls: ${url}\n  events_database: ${database}\n`;
  return /^store:\n/m.test(config ?? '') ? config.replace(/^store:\n/m, store) : (config ?? '') + store;
}

// The last servers of this file: what they said is told once, at the end, when something failed.
const started = [];
process.on('exit', (code) => {
  if (code === 0) return;
  for (const s of started)
    console.log(s.text().trimEnd().split('\n').slice(-25).map((l) => `server ${s.n}: ${l.slice(0, 300)}`).join('\n'));
});
function remember(text) {
  started.push({ n: (started.at(-1)?.n ?? 0) + 1, text });
  if (started.length > 3) started.shift();
}

/** Why what looks into the file of the record store cannot, or false. */
export const noRecordsFile = process.env.CF_TEST_RECORDS ? 'the records are in PostgreSQL' : false;
/** CF_TEST_RECORDS: the folder of a PostgreSQL server's socket (user cf); records go there, a database for each data folder. */
function withRecordsElsewhere(config, data) {
  const host = process.env.CF_TEST_RECORDS;
  const file = path.join(data, 'chengfang.yaml');
  const before = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined;
  if (!host || (before !== undefined && config === undefined) || /^ {2}records:/m.test(config ?? '')) return config;
  let url = /^ {2}records: (.*)$/m.exec(before ?? '')?.[1];
  if (!url) {
    const database = `t_${randomUUID().replaceAll('-', '')}`;
    const made = spawnSync('psql', ['-h', host, '-U', 'cf', '-d', 'postgres', '-c', `CREATE DATABASE ${database}`], { encoding: 'utf8' });
    assert.equal(made.status, 0, made.stderr);
    url = `"postgresql:///${database}?host=${host}&user=cf"`;
  }
  return /^store:\n/m.test(config ?? '') ? config.replace(/^store:\n/m, `store:\n  records: ${url}\n`) : (config ?? '') + `store:\n  records: ${url}\n`;
}

/** Starts `chengfang serve`. config: text of chengfang.yaml. data: keep an existing directory (restart). */
export async function startServer({ config, data, args = [], env = {} } = {}) {
  const own = !data;
  data ??= fs.mkdtempSync(path.join(os.tmpdir(), 'cf-e2e-'));
  config = withRecordsElsewhere(withEventsElsewhere(config, data), data);
  if (config !== undefined) fs.writeFileSync(path.join(data, 'chengfang.yaml'), config);
  const child = spawn(binary, ['serve', '--data', data, '--listen', '127.0.0.1:0', ...args], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '', out = '';
  const exited = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal }))); // all that it wrote is read
  const early = exited.then((e) => { throw new Error(`server ended with ${e.code ?? e.signal} before it was ready\n${out}${log}`); });
  early.catch(() => {}); // only a server that is waited for is missed
  remember(() => out + log);
  const listens = new Promise((resolve) => {
    child.stdout.on('data', (d) => {
      out += d;
      const m = /listens on (https?) port (\d+)/.exec(out);
      if (m) resolve({ scheme: m[1], port: Number(m[2]) });
    });
    child.stderr.on('data', (d) => { log += d; });
  });
  exited.then(() => keepReports(log));
  const port = await Promise.race([listens, early]);
  const s = {
    data, child, exited, url: `${port.scheme}://127.0.0.1:${port.port}`,
    adminPassword: /one-time password (\S+)/.exec(out)?.[1],
    passwords: {},
    log: () => out + log,
    /** Signs in; changes a first password to `change` (default a fixed one) when that is demanded. */
    async signIn(user, password, { change = 'Harbour-Lantern-58' } = {}) {
      password ??= s.passwords[user] ?? (user === 'admin' ? s.adminPassword : undefined);
      const r = await request(s.url + '/api/v1/session', { method: 'POST', body: { user, password } });
      if (r.status !== 200) throw new Error(`sign-in of ${user}: ${r.status} ${r.text}`);
      const session = new Session(s, { cookie: r.headers['set-cookie'][0].split(';')[0], csrf: r.body.csrf, user: r.body.user });
      s.passwords[user] = password;
      if (r.body.user.must_change_password && change) {
        const c = await session.post('/api/v1/session/password', { old: password, new: change });
        if (c.status !== 204) throw new Error(`password change of ${user}: ${c.status} ${c.text}`);
        s.passwords[user] = change;
      }
      return session;
    },
    anonymous: () => new Session(s),
    withToken: (token) => new Session(s, { token }),
    /** A bearer session made by `chengfang token create` beside the running server. */
    token(user = 'admin', scopes = []) {
      const r = run(['token', 'create', '--data', data, '--user', user, ...scopes.flatMap((x) => ['--scope', x])]);
      if (r.status !== 0) throw new Error(`token create: ${r.stderr}`);
      return new Session(s, { token: r.stdout.trim().split('\n').pop() });
    },
    /** A line of the log that has come to its end: it is written before the reply that shows the same, and may be read after it. */
    logged: (line) => waitUntil(`log line ${line}`, () => s.log().split('\n').slice(0, -1).some((l) => line.test(l))),
    async kill(signal = 'SIGKILL') { child.kill(signal); return exited; },
    /** SIGTERM; removes a temporary data directory; resolves to {code, signal}. */
    async stop({ keep = false } = {}) {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      const e = await exited;
      if (own && !keep) fs.rmSync(data, { recursive: true, force: true });
      return e;
    },
  };
  const gone = () => child.exitCode !== null || child.signalCode !== null;
  await waitUntil('server is ready', async () => gone() || (await request(s.url + '/readyz').catch((e) => e)).status === 200);
  if (gone()) await early;
  return s;
}

/** A server that is to be killed at a named step (CF_CRASH_AT), perhaps before it is ready: then undefined. */
export async function startCrashing(options) {
  return startServer(options).catch((e) => { assert.match(e.message, /ended with SIGKILL before it was ready/); });
}

/** librdkafka's mock cluster (tests/tools/kafka_mock.c): ask(command) -> its answer. */
export async function startKafka(nodes) {
  const child = spawn(path.join(path.dirname(binary), 'kafka_mock'), [String(nodes)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const waiting = [];
  readline.createInterface({ input: child.stdout }).on('line', (l) => waiting.shift()(l));
  const next = () => new Promise((r) => waiting.push(r));
  const brokers = (await next()).replace(/^brokers /, '');
  const ask = async (line) => { const p = next(); child.stdin.write(line + '\n'); return p; };
  return {
    brokers, ask,
    ok: async (line) => assert.equal(await ask(line), 'ok', line),
    /** Sum of the offsets that a group has committed of a topic's partitions. */
    committed: async (group, topic, parts) => (await ask(`committed ${group} ${topic} ${parts}`)).split(' ').reduce((a, x) => a + Math.max(0, Number(x)), 0),
    stop: () => child.stdin.end(),
  };
}

/** Asks `fn` every 50 ms until it answers true; what it answered last is in the failure. Patient: a shorter time judges the machine. */
export async function waitUntil(what, fn, seconds = PATIENCE) {
  let last;
  seconds = Math.max(seconds, PATIENCE);
  for (const end = Date.now() + seconds * 1000 * slow; Date.now() < end; await new Promise((r) => setTimeout(r, 50))) {
    last = await fn();
    if (last === true) return;
  }
  assert.fail(`${what}: not within ${seconds} s, last ${JSON.stringify(last)}`);
}

/** `seen` (name -> how often) holds every u<k>, 0 <= k < n, exactly once and nothing else. */
export function assertEachOnce(seen, n) {
  const missing = [], twice = [];
  for (let k = 0; k < n; k++) {
    const c = seen.get(`u${k}`) || 0;
    if (c === 0) missing.push(k);
    if (c > 1) twice.push(k);
  }
  assert.deepEqual({ missing: missing.slice(0, 5), nMissing: missing.length, twice: twice.slice(0, 5), nTwice: twice.length, size: seen.size },
    { missing: [], nMissing: 0, twice: [], nTwice: 0, size: n });
}
