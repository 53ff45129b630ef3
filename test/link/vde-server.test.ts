import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { basename, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { FrameMemory } from '../../src/core/frame.ts';
import { modes } from '../../src/link/control-dir.ts';
import { encodeRequest, parseReply } from '../../src/link/vde-protocol.ts';
import { type VdeEndpoint, VdeServer, type VdeServerOptions } from '../../src/link/vde-server.ts';
import { AF_UNIX, native, SOCK_STREAM } from '../../src/native/native.ts';
import {
  datagramSocket,
  FakeTimers,
  numbered,
  Recorder,
  rawClient,
  receiveAll,
  tempDir,
  turns,
  until,
} from './support.ts';

interface Bench {
  dir: string;
  server: VdeServer;
  endpoints: VdeEndpoint[];
  reports: string[];
  timers: FakeTimers;
}

/** A server in a directory of its own. Port n is given to who asks, 1 else; port 66 to nobody. */
async function serve(t: ExecutionContext, options: Partial<VdeServerOptions> = {}): Promise<Bench> {
  const dir = tempDir(t);
  const endpoints: VdeEndpoint[] = [];
  const reports: string[] = [];
  const timers = new FakeTimers();
  const server = await VdeServer.listen({
    path: join(dir, 'ctl.d'),
    memory: new FrameMemory(1 << 20),
    allocate: (endpoint) => {
      if (endpoint.requestedPort === 66) return 'no such port';
      endpoints.push(endpoint);
      return Math.max(endpoint.requestedPort, 1);
    },
    report: (text) => reports.push(text),
    timers,
    ...options,
  });
  t.teardown(() => server.close());
  return { dir, server, endpoints, reports, timers };
}

const fixture = (name: string) => readFileSync(new URL(`../../fixtures/vde/ctl-request-${name}.bin`, import.meta.url));

/** The recorded request with the path of another socket. */
function redirected(request: Buffer, path: string): Buffer {
  const message = Buffer.from(request);
  message.fill(0, 14, 122);
  message.write(path, 14);
  return message;
}

const programs = [
  { name: 'vde_plug', port: -1, data: '001' },
  { name: 'vde_plug-port5', port: 5, data: '005' },
  { name: 'vde_plug-port0', port: 0, data: '001' },
  { name: 'vde_plug-portgroup', port: -1, data: '001' },
  { name: 'vde_plug-descr-ssh', port: -1, data: '001' },
  { name: 'slirpvde', port: -1, data: '001' },
  { name: 'wirefilter', port: -1, data: '001' },
  { name: 'qemu', port: -1, data: '001' },
  { name: 'qemu-port9', port: 9, data: '009' },
];
for (const { name, port, data } of programs) {
  test(`the request of ${name} is answered, frames pass, and the end of ctl ends it`, async (t) => {
    const { dir, server, endpoints } = await serve(t);
    const own = join(dir, 'own');
    const fd = datagramSocket(own);
    const request = fixture(name);
    const client = await rawClient(t, join(server.path, 'ctl'));
    client.socket.write(redirected(request, own));
    await until(() => client.heard.length === 110, 'reply');
    const path = parseReply(client.heard)!;
    t.regex(path, new RegExp(`^${server.path}/${data}\\.\\d+$`));
    t.true(lstatSync(path).isSocket());
    const endpoint = endpoints[0]!;
    t.like(endpoint, { requestedPort: port, uid: process.getuid!(), pid: process.pid });
    t.is(endpoint.description, request.toString('utf8', 122));

    native().connectUnix(fd, path);
    const sink = new Recorder();
    endpoint.attach(sink);
    const bytes = numbered(7);
    const batch = native().newBatch(bytes, 1);
    batch.lens[0] = 60;
    native().send(fd, batch, 0, 1);
    await until(() => sink.frames.length === 1, 'frame');
    endpoint.tx.frame(numbered(8), 0, 60);
    endpoint.tx.flush();
    t.deepEqual(receiveAll(fd), [numbered(8)]);

    const states: boolean[] = [];
    endpoint.onState = (up) => states.push(up);
    client.socket.end();
    await until(() => states.length > 0, 'state');
    t.deepEqual(states, [false]);
    t.false(existsSync(path));
    t.is(server.endpoints.size, 0);
    native().close(fd);
  });
}

test('a request that comes byte by byte is answered when the 122 are there', async (t) => {
  const { dir, server } = await serve(t);
  const own = join(dir, 'own');
  const fd = datagramSocket(own);
  const client = await rawClient(t, join(server.path, 'ctl'));
  const request = encodeRequest(3, own, '');
  for (const byte of request.subarray(0, -1)) {
    client.socket.write(Buffer.of(byte));
    await turns(1);
  }
  await turns();
  t.is(client.heard.length, 0);
  client.socket.write(request.subarray(-1));
  await until(() => client.heard.length === 110, 'reply');
  native().close(fd);
});

test('what a client sends after its request is ignored', async (t) => {
  const { dir, server } = await serve(t);
  const fd = datagramSocket(join(dir, 'own'));
  const client = await rawClient(t, join(server.path, 'ctl'));
  client.socket.write(encodeRequest(-1, join(dir, 'own'), 'me'));
  await until(() => client.heard.length === 110, 'reply');
  client.socket.write(Buffer.alloc(5000, 0xff));
  await turns();
  t.false(client.ended);
  t.is(client.heard.length, 110);
  t.is(server.endpoints.size, 1);
  native().close(fd);
});

test('an endpoint whose data socket is gone ends, and its client is told by the end of ctl', async (t) => {
  const { dir, server, endpoints } = await serve(t);
  const fd = datagramSocket(join(dir, 'own'));
  const client = await rawClient(t, join(server.path, 'ctl'));
  client.socket.write(encodeRequest(-1, join(dir, 'own'), 'me'));
  await until(() => client.heard.length === 110, 'reply');
  native().connectUnix(fd, parseReply(client.heard)!);
  native().close(fd);
  endpoints[0]!.tx.frame(numbered(1), 0, 60);
  endpoints[0]!.tx.flush();
  await until(() => client.ended, 'end');
  t.is(server.endpoints.size, 0);
});

// ---- what is refused: the connection ends without a reply, and nothing is left

const bad = [
  { name: 'a regular file', make: (dir: string) => writeFileSync(join(dir, 'x'), ''), why: /is not a socket/ },
  { name: 'a directory', make: (dir: string) => mkdirSync(join(dir, 'x')), why: /is not a socket/ },
  { name: 'nothing', make: () => {}, why: /ENOENT/ },
  {
    name: 'a symbolic link to a datagram socket',
    make: (dir: string, t: ExecutionContext) => {
      const fd = datagramSocket(join(dir, 'real'));
      t.teardown(() => native().close(fd));
      symlinkSync(join(dir, 'real'), join(dir, 'x'));
    },
    why: /is not a socket/,
  },
  {
    name: 'a stream socket',
    make: (dir: string, t: ExecutionContext) => {
      const other = createServer().listen(join(dir, 'x'));
      t.teardown(() => other.close());
    },
    why: /EPROTOTYPE/,
  },
  {
    name: 'a datagram socket that nobody has open',
    make: (dir: string) => void native().close(datagramSocket(join(dir, 'x'))),
    why: /ECONNREFUSED/,
  },
];
for (const { name, make, why } of bad) {
  test(`refused: a path to ${name}`, async (t) => {
    const { dir, server, reports } = await serve(t);
    make(dir, t);
    const client = await rawClient(t, join(server.path, 'ctl'));
    client.socket.write(encodeRequest(-1, join(dir, 'x'), 'me'));
    await until(() => client.ended, 'end');
    t.is(client.heard.length, 0);
    t.regex(reports[0]!, why);
    t.is(server.refused, 1);
    t.is(server.endpoints.size, 0);
    t.deepEqual(readdirSync(server.path).sort(), ['.lock', 'ctl']);
  });
}

test('refused: requests that are none, and those the switch has no port for', async (t) => {
  const { dir, server } = await serve(t);
  const fd = datagramSocket(join(dir, 'own'));
  const relative = encodeRequest(-1, '/own', 'me');
  relative.write('o', 14);
  for (const message of [Buffer.from('GET / HTTP/1.1\r\n'), encodeRequest(66, join(dir, 'own'), 'me'), relative]) {
    const client = await rawClient(t, join(server.path, 'ctl'));
    client.socket.write(message);
    await until(() => client.ended, 'end');
    t.is(client.heard.length, 0);
  }
  t.is(server.refused, 3);
  t.deepEqual(readdirSync(server.path).sort(), ['.lock', 'ctl']);
  native().close(fd);
});

test('refused: a client of another user that names our socket', async (t) => {
  if (process.getuid!() !== 0) {
    t.pass('only root can be another user');
    return;
  }
  const { dir, server, reports } = await serve(t, { mode: 0o666 });
  chmodSync(dir, 0o755);
  const fd = datagramSocket(join(dir, 'own'));
  chmodSync(join(dir, 'own'), 0o777);
  const request = encodeRequest(-1, join(dir, 'own'), 'me').toString('base64');
  const script = `const s = require('net').connect(${JSON.stringify(join(server.path, 'ctl'))});
    s.write(Buffer.from('${request}', 'base64')); let n = 0;
    s.on('data', (d) => (n += d.length)); s.on('close', () => process.exit(n)); s.on('error', () => process.exit(200));`;
  const child = spawn(process.execPath, ['-e', script], { uid: 12345, gid: 12345, cwd: '/', stdio: 'ignore' });
  const codes: (number | null)[] = [];
  child.on('exit', (code) => codes.push(code));
  await until(() => codes.length > 0, 'child');
  t.deepEqual(codes, [0], 'the number of bytes it heard');
  t.regex(reports[0]!, /belongs to uid 0/);
  native().close(fd);
});

test('a connection without a request is closed after 5 s; 64 may wait, the next is closed at once', async (t) => {
  const { server, timers } = await serve(t);
  const clients = await Promise.all(Array.from({ length: 64 }, () => rawClient(t, join(server.path, 'ctl'))));
  await until(() => timers.pending.length === 64, 'accept');
  const late = await rawClient(t, join(server.path, 'ctl'));
  await until(() => late.ended, 'the 65th to be closed');
  timers.advance(4999);
  await turns();
  t.false(clients.some((c) => c.ended));
  timers.advance(1);
  await until(() => clients.every((c) => c.ended), 'all to be closed');
  const next = await rawClient(t, join(server.path, 'ctl'));
  await turns();
  t.false(next.ended);
});

test('reports come once a second and tell how many there were', async (t) => {
  const { server, reports, timers } = await serve(t);
  const knock = async () => {
    const client = await rawClient(t, join(server.path, 'ctl'));
    client.socket.write('12345678');
    await until(() => client.ended, 'end');
  };
  await knock();
  await knock();
  await knock();
  t.is(reports.length, 1);
  timers.advance(1000);
  await knock();
  t.is(reports.length, 2);
  t.regex(reports[1]!, /not a VDE request \(and 2 more\)$/);
});

// ---- the directory

test('modes as vde_switch derives them from -m and --dirmode', (t) => {
  t.deepEqual(modes(undefined, undefined), { socket: 0o600, dir: 0o2700 });
  t.deepEqual(modes(0o660, undefined), { socket: 0o660, dir: 0o2770 });
  t.deepEqual(modes(0o666, undefined), { socket: 0o666, dir: 0o2777 });
  t.deepEqual(modes(0o640, undefined), { socket: 0o640, dir: 0o2750 });
  t.deepEqual(modes(0o620, undefined), { socket: 0o620, dir: 0o2730 });
  t.deepEqual(modes(0o004, undefined), { socket: 0o004, dir: 0o2005 });
  t.deepEqual(modes(undefined, 0o777), { socket: 0o666, dir: 0o777 });
  t.deepEqual(modes(0o600, 0o755), { socket: 0o600, dir: 0o755 });
});

test('directory and sockets get the modes that were asked for, whatever the umask', async (t) => {
  const { dir, server } = await serve(t, { mode: 0o660 });
  t.is(statSync(server.path).mode & 0o7777, 0o2770);
  t.is(statSync(join(server.path, 'ctl')).mode & 0o7777, 0o660);
  const fd = datagramSocket(join(dir, 'own'));
  const client = await rawClient(t, join(server.path, 'ctl'));
  client.socket.write(encodeRequest(-1, join(dir, 'own'), 'me'));
  await until(() => client.heard.length === 110, 'reply');
  const root = process.getuid!() === 0;
  t.is(statSync(parseReply(client.heard)!).mode & 0o7777, root ? 0o600 : 0o660);
  native().close(fd);
});

test('a group is given to directory and sockets', async (t) => {
  const gid = process.getgroups!().find((g) => g !== process.getgid!()) ?? process.getgid!();
  const { server } = await serve(t, { gid });
  t.is(statSync(server.path).gid, gid);
  t.is(statSync(join(server.path, 'ctl')).gid, gid);
});

test('close leaves nothing: endpoints are ended, sockets and directory removed', async (t) => {
  const { dir, server, endpoints } = await serve(t);
  const fd = datagramSocket(join(dir, 'own'));
  const client = await rawClient(t, join(server.path, 'ctl'));
  const silent = await rawClient(t, join(server.path, 'ctl'));
  client.socket.write(encodeRequest(-1, join(dir, 'own'), 'me'));
  await until(() => client.heard.length === 110, 'reply');
  const states: boolean[] = [];
  endpoints[0]!.onState = (up) => states.push(up);
  await server.close();
  await server.close();
  t.deepEqual(states, [false]);
  await until(() => client.ended && silent.ended, 'clients');
  t.deepEqual(readdirSync(dir), ['own']);
  native().close(fd);
});

test('a directory that was there before stays, with what others put into it', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'note'), '');
  const { server } = await serve(t, { path: dir });
  t.deepEqual(readdirSync(dir).sort(), ['.lock', 'ctl', 'note']);
  await server.close();
  t.deepEqual(readdirSync(dir), ['note']);
});

const listen = (path: string) =>
  VdeServer.listen({ path, memory: new FrameMemory(1 << 20), allocate: () => 1, timers: new FakeTimers() });
const fails = (t: ExecutionContext, path: string, code: string, message?: RegExp) =>
  t.throwsAsync(() => listen(path), message === undefined ? { code } : { code, message });

test('ERR_VDE_SWITCH_RUNNING: another server of ours, and it is not disturbed', async (t) => {
  const { server } = await serve(t);
  await fails(t, server.path, 'ERR_VDE_SWITCH_RUNNING');
  const client = await rawClient(t, join(server.path, 'ctl'));
  await turns();
  t.false(client.ended);
});

test('ERR_VDE_SWITCH_RUNNING: a switch that knows no lock', async (t) => {
  const dir = tempDir(t);
  const other = createServer().listen(join(dir, 'ctl'));
  t.teardown(() => other.close());
  await fails(t, dir, 'ERR_VDE_SWITCH_RUNNING');
  t.deepEqual(readdirSync(dir), ['ctl']);
});

test('of several servers started at once, one wins', async (t) => {
  const path = join(tempDir(t), 'ctl.d');
  const results = await Promise.allSettled(Array.from({ length: 5 }, () => listen(path)));
  const servers = results.flatMap((r) => (r.status === 'fulfilled' ? [r.value] : []));
  t.is(servers.length, 1);
  for (const r of results) if (r.status === 'rejected') t.is(r.reason.code, 'ERR_VDE_SWITCH_RUNNING');
  await servers[0]!.close();
  t.false(existsSync(path));
});

test('what a killed server left is taken over: dead sockets go, other files and modes are as they should be', async (t) => {
  const dir = tempDir(t);
  const path = join(dir, 'ctl.d');
  const first = await listen(path);
  const lock = readFileSync(join(path, '.lock'));
  await first.close();
  // A killed server's lock is released and its sockets are closed, but all files are there.
  mkdirSync(path);
  writeFileSync(join(path, '.lock'), lock);
  const ctl = native().socket(AF_UNIX, SOCK_STREAM, 0);
  native().bindUnix(ctl, join(path, 'ctl'));
  native().close(ctl);
  native().close(datagramSocket(join(path, '003.17')));
  const second = await listen(path);
  t.deepEqual(readdirSync(path).sort(), ['.lock', 'ctl']);
  t.is(statSync(path).mode & 0o7777, 0o2700);
  await second.close();
  t.deepEqual(readdirSync(dir), [], 'the directory was ours');
});

test('ERR_VDE_UNSAFE_DIRECTORY: what is in the way is not removed', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'real'));
  symlinkSync(join(dir, 'real'), join(dir, 'link'));
  await fails(t, join(dir, 'link'), 'ERR_VDE_UNSAFE_DIRECTORY', /symbolic link/);
  writeFileSync(join(dir, 'file'), '');
  await fails(t, join(dir, 'file'), 'ERR_VDE_UNSAFE_DIRECTORY', /not a directory/);
  writeFileSync(join(dir, 'real', 'ctl'), 'mine');
  await fails(t, join(dir, 'real'), 'ERR_VDE_UNSAFE_DIRECTORY', /not a socket/);
  t.is(readFileSync(join(dir, 'real', 'ctl'), 'utf8'), 'mine');
  t.deepEqual(readdirSync(join(dir, 'real')), ['ctl']);
  mkdirSync(join(dir, 'open'));
  chmodSync(join(dir, 'open'), 0o777);
  await fails(t, join(dir, 'open'), 'ERR_VDE_UNSAFE_DIRECTORY', /written by others/);
  chmodSync(join(dir, 'open'), 0o1777);
  await (await listen(join(dir, 'open'))).close();
  symlinkSync('/etc/hostname', join(dir, 'open', '.lock'));
  await t.throwsAsync(() => listen(join(dir, 'open')));
});

test('ERR_VDE_PATH_TOO_LONG: room for the longest name is needed', async (t) => {
  const dir = tempDir(t);
  const most = 107 - '/NNN.FFFFF'.length;
  const path = join(dir, 'x'.repeat(most - dir.length - 1));
  t.is(path.length, most);
  await (await listen(path)).close();
  await fails(t, `${path}x`, 'ERR_VDE_PATH_TOO_LONG');
  t.deepEqual(readdirSync(dir), []);
});

test('ERR_VDE_SYSTEM: no such parent directory, and nothing is made', async (t) => {
  const dir = tempDir(t);
  await fails(t, join(dir, 'none', basename(dir)), 'ERR_VDE_SYSTEM', /ENOENT/);
  t.deepEqual(readdirSync(dir), []);
  rmdirSync(dir);
});

test('held clients wait, and are served from `serve` on; close ends those that still wait', async (t) => {
  const { dir, server } = await serve(t, { held: true });
  const fd = datagramSocket(join(dir, 'own'));
  const client = await rawClient(t, join(server.path, 'ctl'));
  client.socket.write(encodeRequest(-1, join(dir, 'own'), 'early'));
  await turns();
  t.is(client.heard.length, 0);
  server.serve();
  await until(() => client.heard.length === 110, 'reply');
  native().close(fd);
  const other = await serve(t, { held: true });
  const waiting = await rawClient(t, join(other.server.path, 'ctl'));
  await turns();
  await other.server.close();
  await until(() => waiting.ended, 'the end');
});

test('there are maxEndpoints clients with a port', async (t) => {
  const { dir, server, reports } = await serve(t, { maxEndpoints: 1 });
  const fd = datagramSocket(join(dir, 'own'));
  const first = await rawClient(t, join(server.path, 'ctl'));
  first.socket.write(encodeRequest(-1, join(dir, 'own'), 'first'));
  await until(() => first.heard.length === 110, 'reply');
  const second = await rawClient(t, join(server.path, 'ctl'));
  await until(() => second.ended, 'the end');
  t.regex(reports[0]!, /too many clients/);
  native().close(fd);
});
