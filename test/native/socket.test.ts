import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { constants } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  IP_TTL,
  IPPROTO_ICMP,
  IPPROTO_IP,
  READABLE,
  SO_SNDBUF,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../../src/native/native.ts';
import { api, cannotRun, closing, directory, pair, wakeUp } from './support.ts';

const { EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EBADF, ECONNREFUSED, EINVAL, ENAMETOOLONG, ENOENT } =
  constants.errno;
const { ENOTSOCK, EPERM, EPROTONOSUPPORT, EPROTOTYPE, EWOULDBLOCK } = constants.errno;

/** A path of exactly `bytes` bytes in a directory of the test, ending in `end`. */
const pathOf = (dir: string, bytes: number, end = ''): string =>
  `${dir}/${'p'.repeat(bytes - Buffer.byteLength(dir) - 1 - Buffer.byteLength(end))}${end}`;

test('socket: kinds that are there have CLOEXEC and NONBLOCK, others give -errno', (t) => {
  for (const type of [SOCK_DGRAM, SOCK_STREAM, SOCK_SEQPACKET]) {
    const fd = closing(t, api.socket(AF_UNIX, type, 0));
    const flags = Number.parseInt(/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))![1]!, 8);
    t.is(flags & 0o2004000, 0o2004000);
  }
  t.is(api.socket(AF_UNIX, SOCK_DGRAM, 99), -EPROTONOSUPPORT);
  t.is(api.socket(200, SOCK_DGRAM, 0), -EAFNOSUPPORT);
});

test('close: 0, then -EBADF', (t) => {
  const fd = api.socket(AF_UNIX, SOCK_DGRAM, 0);
  t.is(api.close(fd), 0);
  t.is(api.close(-1), -EBADF);
});

test('Unix paths: 107 bytes are taken, 108 are too long, and bytes count, not letters', (t) => {
  const dir = directory(t);
  const socket = () => closing(t, api.socket(AF_UNIX, SOCK_DGRAM, 0));
  for (const end of ['', 'ä', '€', '😀']) {
    const path = pathOf(dir, 107, end);
    const fd = socket();
    t.is(api.bindUnix(fd, path), 0);
    t.true(existsSync(path));
    t.is(api.connectUnix(socket(), path), 0);
    const long = pathOf(dir, 108, end);
    t.is(api.bindUnix(socket(), long), -ENAMETOOLONG);
    t.is(api.connectUnix(socket(), long), -ENAMETOOLONG);
  }
  t.is(readdirSync(dir).length, 4, 'nothing was cut short');
  t.is(api.bindUnix(socket(), 'x'.repeat(100_000)), -ENAMETOOLONG);
});

test('Unix paths: empty ones and those with a NUL inside are refused', (t) => {
  const dir = directory(t);
  const fd = closing(t, api.socket(AF_UNIX, SOCK_DGRAM, 0));
  for (const path of ['', `${dir}/a\0b`, `${dir}/a\0`]) {
    t.is(api.bindUnix(fd, path), -EINVAL);
    t.is(api.connectUnix(fd, path), -EINVAL);
  }
  t.false(existsSync(join(dir, 'a')));
});

test('Unix paths: what the kernel says is returned', (t) => {
  const { a, pathA, pathB } = pair(t);
  const dir = directory(t);
  const socket = (type = SOCK_DGRAM) => closing(t, api.socket(AF_UNIX, type, 0));
  t.is(api.bindUnix(socket(), pathA), -EADDRINUSE);
  t.is(api.bindUnix(a, join(dir, 'second name')), -EINVAL);
  t.is(api.bindUnix(socket(), join(dir, 'no/where')), -ENOENT);
  t.is(api.connectUnix(socket(), join(dir, 'nobody')), -ENOENT);
  t.is(api.connectUnix(socket(SOCK_STREAM), pathB), -EPROTOTYPE);
  t.is(api.connectUnix(socket(), pathB), -EPERM, 'connected to its peer only');
  t.is(api.bindUnix(-1, join(dir, 'x')), -EBADF);
});

test('abstract names have an exact length, and no file', (t) => {
  const socket = () => closing(t, api.socket(AF_UNIX, SOCK_DGRAM, 0));
  const name = `\0vdenet-test-${process.pid}`;
  t.is(api.bindUnix(socket(), name), 0);
  t.is(api.bindUnix(socket(), name), -EADDRINUSE);
  t.is(api.bindUnix(socket(), `${name}\0x`), 0, 'a NUL inside is part of it');
  t.is(api.connectUnix(socket(), name), 0);
  t.is(api.connectUnix(socket(), `${name}\0`), -ECONNREFUSED);
  t.is(api.connectUnix(socket(), name.slice(0, -1)), -ECONNREFUSED);
  t.true(readFileSync('/proc/net/unix', 'latin1').includes(`@${name.slice(1)}\n`));
  t.is(api.bindUnix(socket(), `\0${'x'.repeat(107)}`), -ENAMETOOLONG);
});

test('socket options', (t) => {
  const fd = closing(t, api.socket(AF_UNIX, SOCK_DGRAM, 0));
  t.is(api.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, 50_000), 0);
  t.is(api.getsockopt(fd, SOL_SOCKET, SO_SNDBUF), 100_000, 'Linux doubles it, socket(7)');
  const udp = closing(t, api.socket(AF_INET, SOCK_DGRAM, 0));
  t.is(api.setsockopt(udp, IPPROTO_IP, IP_TTL, 3), 0);
  t.is(api.getsockopt(udp, IPPROTO_IP, IP_TTL), 3);
  t.is(api.setsockopt(udp, IPPROTO_IP, IP_TTL, 300), -EINVAL);
  t.is(api.getsockopt(-1, SOL_SOCKET, SO_SNDBUF), -EBADF);
  const file = openSync(join(directory(t), 'file'), 'w');
  t.is(api.setsockopt(file, SOL_SOCKET, SO_SNDBUF, 50_000), -ENOTSOCK);
  closeSync(file);
});

const loopbacks = [
  { family: 'IPv4', domain: AF_INET, address: Uint8Array.of(127, 0, 0, 1) },
  { family: 'IPv6', domain: AF_INET6, address: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1) },
];

for (const { family, domain, address } of loopbacks) {
  test(`${family}: bind, port, connect, and a datagram over loopback`, async (t) => {
    const a = api.socket(domain, SOCK_DGRAM, 0);
    const b = api.socket(domain, SOCK_DGRAM, 0);
    t.teardown(() => [a, b].map((fd) => api.close(fd)));
    const bound = a < 0 ? a : api.bindInet(a, address, 0);
    if (bound === -EAFNOSUPPORT || bound === -EADDRNOTAVAIL) {
      cannotRun(t, `this machine has no ${family}`);
      return;
    }
    t.is(bound, 0);
    const port = api.localPort(a);
    t.true(port > 0 && port <= 65_535);
    t.is(api.bindInet(b, address, port), -EADDRINUSE);
    t.is(api.connectInet(b, address, port), 0);
    const memory = Buffer.from('hello................');
    const batch = api.newBatch(memory, 1);
    batch.lens[0] = 5;
    const woken = wakeUp(a, READABLE);
    t.is(api.send(b, batch, 0, 1), 1);
    await woken;
    t.is(api.recv(a, batch, 10, 8, 1), 1);
    t.is(memory.toString('latin1', 10, 10 + batch.lens[0]!), 'hello');
  });
}

test('localPort of other sockets gives -errno', (t) => {
  t.is(api.localPort(closing(t, api.socket(AF_UNIX, SOCK_DGRAM, 0))), -EAFNOSUPPORT);
  t.is(api.localPort(-1), -EBADF);
});

test("peerCred of a Node socket is the peer's process, user and group", async (t) => {
  const path = join(directory(t), 'control');
  const server = createServer();
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(() => server.close());
  const client = createConnection(path);
  t.teardown(() => client.destroy());
  const socket = await accepted;
  t.teardown(() => socket.destroy());
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  t.deepEqual(api.peerCred(fd), { pid: process.pid, uid: process.getuid!(), gid: process.getgid!() });
});

test('peerCred of what has no peer is null', (t) => {
  t.is(api.peerCred(closing(t, api.socket(AF_UNIX, SOCK_STREAM, 0))), null);
  t.is(api.peerCred(-1), null);
});

test('flock: one holder at a time, until it closes', (t) => {
  const path = join(directory(t), 'lock');
  const first = openSync(path, 'w');
  const second = openSync(path, 'w');
  t.teardown(() => closeSync(second));
  t.is(api.flock(first), 0);
  t.is(api.flock(first), 0);
  t.is(api.flock(second), -EWOULDBLOCK);
  closeSync(first);
  t.is(api.flock(second), 0);
  t.is(api.flock(-1), -EBADF);
});

test('a ping socket is a descriptor, or -EACCES where the machine forbids it', (t) => {
  const fd = api.socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
  if (fd < 0) t.is(fd, -EACCES);
  else t.is(api.close(fd), 0);
});
