// SPDX-License-Identifier: Apache-2.0
// A door before Kafka brokers that know neither TLS nor sign-in (librdkafka's mock cluster): ends TLS, asks for SASL as a broker
// does (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512), then hands bytes on. Addresses in the brokers' answers become the door's.
//
//   client --TLS--> ApiVersions (+ SaslHandshake, SaslAuthenticate) -> SaslHandshake -> SaslAuthenticate... -> everything else --> broker
//
//   const door = await openDoor({ brokers: '127.0.0.1:1,127.0.0.1:2', tls: { cert, key, ca, requestCert }, users: { ann: 'secret' } });
//   door.brokers; door.users.ann = 'other'; door.cut(); door.seen.signedIn; door.close();
import crypto from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';

const METADATA = 3, FIND_COORDINATOR = 10, HANDSHAKE = 17, API_VERSIONS = 18, AUTHENTICATE = 36;
const MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'];

const i16 = (n) => { const b = Buffer.alloc(2); b.writeInt16BE(n); return b; };
const i32 = (n) => { const b = Buffer.alloc(4); b.writeInt32BE(n); return b; };
const string = (s) => Buffer.concat([i16(Buffer.byteLength(s)), Buffer.from(s)]);
const bytes = (b) => Buffer.concat([i32(b.length), b]);
const frame = (...parts) => { const b = Buffer.concat(parts); return Buffer.concat([i32(b.length), b]); };

/** Calls take(frame without its length) for each complete frame of a stream. */
function frames(socket, take) {
  let have = Buffer.alloc(0);
  socket.on('data', (d) => {
    have = have.length ? Buffer.concat([have, d]) : d;
    while (have.length >= 4 && have.length >= 4 + have.readInt32BE(0)) {
      const n = have.readInt32BE(0);
      take(have.subarray(4, 4 + n));
      have = have.subarray(4 + n);
    }
  });
}

/** One sign-in: step(bytes of the client) -> {reply, done} or {error}. */
function exchange(mechanism, users, strict) {
  const no = { error: 'Authentication failed during authentication due to invalid credentials' };
  if (mechanism === 'PLAIN')
    return (b) => {
      const [, user, password] = b.toString().split('\0');
      return users[user] !== undefined && users[user] === password ? { reply: Buffer.alloc(0), done: user } : no;
    };
  const hash = mechanism.endsWith('512') ? 'sha512' : 'sha256', rounds = 4096, salt = crypto.randomBytes(16);
  const hmac = (key, text) => crypto.createHmac(hash, key).update(text).digest();
  let first, server, user, nonce;
  return (b) => {
    const text = b.toString();
    if (!first) {
      const m = /^n,,(n=([^,]*),r=([^,]+))$/.exec(text);
      if (!m) return no;
      [, first, user] = m;
      nonce = m[3] + crypto.randomBytes(18).toString('base64');
      server = `r=${nonce},s=${salt.toString('base64')},i=${rounds}`;
      return { reply: Buffer.from(server) };
    }
    const m = /^(c=biws,r=([^,]+)),p=(.+)$/.exec(text);
    // librdkafka before 2.6.1 puts its own part once more before the nonce: Kafka 3 looks at the end only, Kafka 4 at all of it
    if (!m || !(strict ? m[2] === nonce : m[2].endsWith(nonce)) || users[user] === undefined) return no;
    const salted = crypto.pbkdf2Sync(users[user], salt, rounds, hash === 'sha512' ? 64 : 32, hash);
    const stored = crypto.createHash(hash).update(hmac(salted, 'Client Key')).digest();
    const all = `${first},${server},${m[1]}`, signature = hmac(stored, all), proof = Buffer.from(m[3], 'base64');
    const key = Buffer.from(proof.map((x, i) => x ^ signature[i]));
    if (!crypto.createHash(hash).update(key).digest().equals(stored)) return no;
    return { reply: Buffer.from('v=' + hmac(hmac(salted, 'Server Key'), all).toString('base64')), done: user };
  };
}

/** Adds the two requests of the sign-in to what the broker says it can. */
function announce(version, b) {
  const flexible = version >= 3 && b.readInt16BE(4) === 0;
  const one = (key, max) => Buffer.concat([i16(key), i16(0), i16(max), Buffer.alloc(flexible ? 1 : 0)]);
  const more = Buffer.concat([one(HANDSHAKE, 1), one(AUTHENTICATE, 1)]);
  if (!flexible) return Buffer.concat([b.subarray(0, 6), i32(b.readInt32BE(6) + 2), more, b.subarray(10)]);
  if (b[6] + 2 > 127) throw new Error('more requests than one byte counts');
  return Buffer.concat([b.subarray(0, 6), Buffer.from([b[6] + 2]), more, b.subarray(7)]);
}

/** Puts the door's ports where the brokers' stand. */
function readdress(key, version, b, ports) {
  let at = 4;
  const skip = () => { const n = b.readInt16BE(at); at += 2 + Math.max(n, 0); };
  const address = () => {
    at += 4; // id
    skip();
    const port = b.readInt32BE(at);
    if (port > 0 && !ports.has(port)) throw new Error(`a broker at port ${port} has no door`);
    if (port > 0) b.writeInt32BE(ports.get(port), at);
    at += 4;
  };
  if (version >= (key === METADATA ? 9 : 3)) throw new Error(`answer ${key} in version ${version} is not known here`);
  if (key === METADATA) {
    if (version >= 3) at += 4;
    const n = b.readInt32BE(at);
    at += 4;
    for (let i = 0; i < n; i++) {
      address();
      if (version >= 1) skip(); // rack
    }
  } else {
    if (version >= 1) at += 4;
    const error = b.readInt16BE(at);
    at += 2;
    if (version >= 1) skip();
    if (error === 0) address();
  }
  return b;
}

function serve(client, upstream, door, ports) {
  const asked = new Map(); // correlation id -> [request, version]
  let signedIn = !door.users, step;
  const broker = net.connect(upstream);
  for (const [a, b] of [[client, broker], [broker, client]]) {
    a.on('error', () => {});
    a.on('close', () => b.destroy());
  }
  door.open.add(client);
  client.on('close', () => door.open.delete(client));
  frames(client, (f) => {
    const key = f.readInt16BE(0), version = f.readInt16BE(2), id = f.subarray(4, 8);
    if (key !== HANDSHAKE && key !== AUTHENTICATE) {
      if (!signedIn && key !== API_VERSIONS) { // as a broker does
        door.seen.tooEarly++;
        client.destroy();
        return;
      }
      asked.set(id.readInt32BE(0), [key, version]);
      broker.write(frame(f));
      return;
    }
    const body = f.subarray(10 + Math.max(f.readInt16BE(8), 0));
    if (key === HANDSHAKE) {
      const mechanism = body.subarray(2, 2 + body.readInt16BE(0)).toString(), known = door.mechanisms.includes(mechanism);
      step = known ? exchange(mechanism, door.users, door.strict) : null;
      client.write(frame(id, i16(known ? 0 : 33), i32(door.mechanisms.length), ...door.mechanisms.map(string)));
      return;
    }
    const r = step(body.subarray(4, 4 + body.readInt32BE(0)));
    const life = Buffer.alloc(version >= 1 ? 8 : 0);
    if (r.error) {
      door.seen.refused++;
      client.end(frame(id, i16(58), string(r.error), bytes(Buffer.alloc(0)), life));
      return;
    }
    if (r.done) {
      signedIn = true;
      door.seen.signedIn++;
    }
    client.write(frame(id, i16(0), i16(-1), bytes(r.reply), life));
  });
  frames(broker, (f) => {
    const id = f.readInt32BE(0), [key, version] = asked.get(id) ?? [];
    asked.delete(id);
    const mine = Buffer.from(f);
    if (key === API_VERSIONS && door.users) client.write(frame(announce(version, mine)));
    else if (key === METADATA || key === FIND_COORDINATOR) client.write(frame(readdress(key, version, mine, ports)));
    else client.write(frame(mine));
  });
}

/** One door before each broker. users: none: nobody is asked who he is. tls: none: plain sockets. strict: the nonce as Kafka 4 checks it. */
export async function openDoor({ brokers, tls: secure, users, mechanisms = MECHANISMS, strict = false }) {
  const door = { users, mechanisms, strict, open: new Set(), seen: { signedIn: 0, refused: 0, tooEarly: 0, connections: 0 } };
  const ports = new Map(), servers = [];
  for (const b of brokers.split(',')) {
    const [host, port] = [b.slice(0, b.lastIndexOf(':')), Number(b.slice(b.lastIndexOf(':') + 1))];
    const take = (c) => { door.seen.connections++; serve(c, { host, port }, door, ports); };
    const s = secure ? tls.createServer({ rejectUnauthorized: !!secure.requestCert, ...secure }, take) : net.createServer(take);
    s.on('tlsClientError', () => {});
    await new Promise((r) => s.listen(0, '127.0.0.1', r));
    ports.set(port, s.address().port);
    servers.push(s);
  }
  door.brokers = [...ports.values()].map((p) => `127.0.0.1:${p}`).join(',');
  door.cut = () => door.open.forEach((c) => c.destroy()); // all connections, the doors stay open
  door.close = () => { servers.forEach((s) => s.close()); door.cut(); };
  return door;
}
