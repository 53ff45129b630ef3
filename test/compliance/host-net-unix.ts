// HostNet compliance: Unix stream sockets, both ways.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { TcpRecorder } from '../support/host-users.ts';
import { bytesOf, FLOOD_LEN, type OpenHost, sha } from './host-net-peers.ts';

/** A path in a directory of this test. */
function freePath(t: ExecutionContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-unix-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 's');
}

async function serveUnix(t: ExecutionContext, onSocket: (socket: net.Socket) => void): Promise<string> {
  const path = freePath(t);
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    t.teardown(() => socket.destroy());
    onSocket(socket);
  });
  server.listen(path);
  await once(server, 'listening');
  t.teardown(() => server.close());
  return path;
}

export function unixTests(name: string, open: OpenHost): void {
  test(`${name}: Unix: connected, no addresses, echo, orderly end`, async (t) => {
    const path = await serveUnix(t, (socket) => socket.pipe(socket));
    const user = new TcpRecorder();
    const tcp = open(t).connectUnix(path, user);
    t.deepEqual(user.events, [], 'nothing is called within connectUnix');
    await user.until('connected');
    t.deepEqual([tcp.remote.port, tcp.local.port, tcp.remote.isIpv4], [0, 0, false]);
    tcp.write(bytesOf('hello'), 1, 3);
    tcp.flush();
    await user.untilReceived(3);
    t.is(user.text(), 'ell');
    tcp.end();
    await user.until('closed');
    t.deepEqual(user.events, ['connected', 'data', 'end', 'closed']);
  });

  test(`${name}: Unix: a peer that answers and closes has ended, not failed`, async (t) => {
    const path = await serveUnix(t, (socket) => socket.end('answer', () => socket.destroy()));
    const user = new TcpRecorder();
    const tcp = open(t).connectUnix(path, user);
    await user.until('end');
    t.is(user.text(), 'answer');
    tcp.end();
    await user.until('closed');
    t.is(user.failure, '');
  });

  test(`${name}: Unix: half-closed, the other way goes on`, async (t) => {
    const path = await serveUnix(t, (socket) => {
      let got = '';
      socket.on('data', (b) => (got += b)).on('end', () => socket.end(`got ${got}`));
    });
    const user = new TcpRecorder();
    const tcp = open(t).connectUnix(path, user);
    await user.until('connected');
    tcp.write(bytesOf('question'), 0, 8);
    tcp.end();
    await user.until('closed');
    t.is(user.text(), 'got question');
  });

  test(`${name}: Unix: nobody there is ENOENT, nobody any more ECONNREFUSED; both after the call`, async (t) => {
    const host = open(t);
    const path = freePath(t);
    const absent = new TcpRecorder();
    host.connectUnix(path, absent);
    t.deepEqual(absent.events, []);
    await absent.until('failed');
    t.deepEqual(absent.events, ['failed ENOENT']);
    writeFileSync(path, '');
    const file = new TcpRecorder();
    host.connectUnix(path, file);
    await file.until('failed');
    t.deepEqual(file.events, ['failed ECONNREFUSED']);
  });

  test(`${name}: Unix: reset of a connect under way and of a socket in use; nothing is called`, async (t) => {
    const ends: string[] = [];
    const path = await serveUnix(t, (socket) => {
      socket.resume();
      socket.on('end', () => ends.push('end')).on('close', () => ends.push('close'));
      socket.end();
    });
    const host = open(t);
    const users = [new TcpRecorder(), new TcpRecorder()];
    host.connectUnix(path, users[0]!).reset();
    const tcp = host.connectUnix(path, users[1]!);
    await users[1]!.until('connected');
    tcp.reset();
    while (!ends.includes('close')) await new Promise(setImmediate);
    await users[0]!.settle();
    t.deepEqual(users[0]!.events, []);
    t.false(users[1]!.events.some((e) => e.startsWith('failed') || e === 'closed'));
  });

  test(`${name}: Unix: bytes pile up in the backlog when the peer does not read, and arrive unchanged`, async (t) => {
    const sockets: net.Socket[] = [];
    const path = await serveUnix(t, (socket) => sockets.push(socket.pause()));
    const user = new TcpRecorder();
    const tcp = open(t).connectUnix(path, user);
    await user.until('connected');
    const bytes = randomBytes(FLOOD_LEN);
    tcp.write(bytes, 0, bytes.length);
    tcp.flush();
    t.true(tcp.backlog > FLOOD_LEN / 2);
    while (sockets.length === 0) await new Promise(setImmediate);
    const parts: Buffer[] = [];
    sockets[0]!.on('data', (b) => parts.push(b));
    sockets[0]!.resume();
    tcp.end();
    await once(sockets[0]!, 'end');
    t.is(sha(Buffer.concat(parts)), sha(bytes));
    t.true(user.events.includes('drained'));
  });

  test(`${name}: Unix: a listener is 0600, gives paused sockets, and leaves nothing behind`, async (t) => {
    const host = open(t);
    const path = freePath(t);
    const users: TcpRecorder[] = [];
    const listener = await host.listenUnix(path, (tcp) => {
      const user = new TcpRecorder();
      user.tcp = tcp;
      tcp.user = user;
      users.push(user);
    });
    t.is(statSync(path).mode & 0o777, 0o600);
    const client = net.connect({ path, allowHalfOpen: true });
    t.teardown(() => client.destroy());
    let got = '';
    client.on('data', (b) => (got += b));
    client.end('from the client');
    while (users.length === 0) await new Promise(setImmediate);
    const user = users[0]!;
    await user.pass(30);
    t.deepEqual(user.events, []);
    user.tcp!.resume();
    await user.until('end');
    t.is(user.text(), 'from the client');
    user.tcp!.write(bytesOf('answer'), 0, 6);
    user.tcp!.end();
    await user.until('closed');
    await (client.readableEnded || once(client, 'end'));
    t.is(got, 'answer');
    listener.close();
    listener.close();
    t.false(existsSync(path));
  });

  test(`${name}: Unix: a path in use is ERR_VDE_LISTEN, one that is too long ERR_VDE_PATH_TOO_LONG`, async (t) => {
    const host = open(t);
    const path = await serveUnix(t, () => {});
    await t.throwsAsync(
      host.listenUnix(path, () => {}),
      { code: 'ERR_VDE_LISTEN' },
    );
    t.true(existsSync(path));
    await t.throwsAsync(
      host.listenUnix(`/tmp/${'x'.repeat(120)}`, () => {}),
      { code: 'ERR_VDE_PATH_TOO_LONG' },
    );
  });

  test(`${name}: Unix: close() of the HostNet removes the socket and refuses what follows`, async (t) => {
    const host = open(t);
    const path = freePath(t);
    await host.listenUnix(path, () => {});
    host.close();
    t.false(existsSync(path));
    await t.throwsAsync(
      host.listenUnix(path, () => {}),
      { code: 'ERR_VDE_LISTEN' },
    );
    const user = new TcpRecorder();
    host.connectUnix(path, user);
    await user.until('failed');
    t.is(user.failure, 'ECANCELED');
  });
}
