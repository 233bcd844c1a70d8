// SPDX-License-Identifier: Apache-2.0
// A mail server and a robot endpoint that keep what they get. Real sockets; the mail server speaks SMTP with STARTTLS and AUTH.
import { spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';

/** A self-signed certificate for 127.0.0.1 in dir. */
export function certificate(dir) {
  const key = path.join(dir, 'mail.key'), cert = path.join(dir, 'mail.crt');
  const r = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1',
    '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert]);
  if (r.status !== 0) throw new Error(String(r.stderr));
  return { key, cert };
}

function waiter() {
  const items = [], waiting = [];
  return {
    items,
    push(x) { items.push(x); waiting.filter((w) => w.want(x)).forEach((w) => w.resolve(x)); },
    /** The first item that fits; waits for it. */
    first(want) {
      const have = items.find(want);
      return have ? Promise.resolve(have) : new Promise((resolve) => waiting.push({ want, resolve }));
    },
  };
}

/** refuse: how many deliveries are answered with a temporary error first. */
export async function mailSink({ key, cert, user, password, refuse = 0 }) {
  const mails = waiter();
  let refused = 0;
  const talk = (socket, secure) => {
    let text = '', mode = 'cmd', mail = { to: [], secure, auth: null };
    const say = (s) => socket.write(s + '\r\n');
    const onData = (d) => {
      text += d.toString('latin1');
      for (let k; (k = text.indexOf('\r\n')) >= 0;) {
        const line = text.slice(0, k);
        text = text.slice(k + 2);
        if (mode === 'data') {
          if (line !== '.') { mail.lines.push(line.startsWith('.') ? line.slice(1) : line); continue; }
          mode = 'cmd';
          if (refused < refuse) { refused++; say('451 try again later'); } else { mails.push(parse(mail)); say('250 kept'); }
          mail = { to: [], secure, auth: mail.auth };
          continue;
        }
        const cmd = mode === 'auth' ? `AUTH PLAIN ${line}` : line.toUpperCase();
        if (cmd === 'AUTH PLAIN') { mode = 'auth'; say('334 '); continue; }
        if (cmd.startsWith('EHLO')) { socket.write(`250-sink\r\n${secure ? '' : '250-STARTTLS\r\n'}250 AUTH PLAIN\r\n`); }
        else if (cmd === 'STARTTLS') {
          say('220 go');
          socket.removeListener('data', onData);
          const s = new tls.TLSSocket(socket, { isServer: true, key: fs.readFileSync(key), cert: fs.readFileSync(cert) });
          s.on('error', () => {});
          talk(s, true);
          return;
        } else if (cmd.startsWith('AUTH PLAIN')) {
          const [, u, p] = Buffer.from(mode === 'auth' ? line : line.slice(11), 'base64').toString().split('\0');
          mode = 'cmd';
          if (u === user && p === password) { mail.auth = u; say('235 welcome'); } else say('535 no');
        } else if (cmd.startsWith('MAIL FROM')) { if (!mail.auth) { say('530 sign in first'); } else { mail.from = line; say('250 ok'); } }
        else if (cmd.startsWith('RCPT TO')) { mail.to.push(/<(.*)>/.exec(line)[1]); say('250 ok'); }
        else if (cmd === 'DATA') { mode = 'data'; mail.lines = []; say('354 go'); }
        else if (cmd === 'QUIT') { say('221 bye'); socket.end(); }
        else say('250 ok');
      }
    };
    socket.on('data', onData);
    socket.on('error', () => {});
    if (!secure) say('220 sink ESMTP');
  };
  const parse = (m) => {
    const at = m.lines.indexOf('');
    const head = m.lines.slice(0, at).join('\n').replace(/\n[ \t]/g, ' ');
    const subject = /^Subject: (.*)$/m.exec(head)[1].replace(/=\?UTF-8\?B\?([^?]*)\?= ?/g, (_, b) => Buffer.from(b, 'base64').toString('latin1'));
    return { ...m, head, subject: Buffer.from(subject, 'latin1').toString('utf8'), body: Buffer.from(m.lines.slice(at).join(''), 'base64').toString('utf8') };
  };
  const server = net.createServer((s) => talk(s, false));
  await new Promise((r) => server.listen(0, '127.0.0.1', r));
  return { port: server.address().port, mails, refused: () => refused, close: () => server.close() };
}

/** A DingTalk-style robot: checks the signature, answers errcode 0. */
export async function robotSink(secret) {
  const calls = waiter();
  const server = http.createServer((req, res) => {
    let body = '';
    req.on('data', (d) => { body += d; });
    req.on('end', () => {
      const q = new URL(req.url, 'http://x').searchParams, t = q.get('timestamp');
      const sign = crypto.createHmac('sha256', secret).update(`${t}\n${secret}`).digest('base64');
      const ok = q.get('sign') === sign && Math.abs(Date.now() - Number(t)) < 3600e3;
      res.setHeader('content-type', 'application/json');
      res.end(JSON.stringify(ok ? { errcode: 0 } : { errcode: 310000, errmsg: 'sign not match' }));
      if (ok) calls.push(JSON.parse(body));
    });
  });
  await new Promise((r) => server.listen(0, '127.0.0.1', r));
  return { port: server.address().port, calls, close: () => server.close() };
}
