import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Drop } from '../../src/core/drop.ts';
import { FrameMemory } from '../../src/core/frame.ts';
import { locate } from '../../src/link/locate.ts';
import { VdeClient, type VdeClientOptions } from '../../src/link/vde-client.ts';
import { encodeReply, parseRequest } from '../../src/link/vde-protocol.ts';
import { type VdeEndpoint, VdeServer } from '../../src/link/vde-server.ts';
import { linkCompliance } from '../compliance/link.ts';
import { FakeTimers, fakeSwitch, numbered, Recorder, tempDir, turns, until } from './support.ts';

const listen = async (path: string, memory: FrameMemory, endpoints: VdeEndpoint[], mode = 0o600) =>
  VdeServer.listen({
    path,
    memory,
    mode,
    allocate: (endpoint) => {
      endpoints.push(endpoint);
      return Math.max(endpoint.requestedPort, 1);
    },
  });

async function setUp(t: ExecutionContext, options: Partial<VdeClientOptions> = {}) {
  const dir = tempDir(t);
  const path = join(dir, 'ctl.d');
  const memory = new FrameMemory(1 << 20);
  const endpoints: VdeEndpoint[] = [];
  const server = await listen(path, memory, endpoints);
  t.teardown(() => server.close());
  const timers = new FakeTimers();
  const client = await VdeClient.connect({ path, description: 'test:', memory, timers, ...options });
  t.teardown(() => client.close());
  return { dir, path, memory, endpoints, server, timers, client };
}

linkCompliance(test, 'VDE client', async (t) => {
  const { client, endpoints, memory } = await setUp(t);
  return { a: client, b: endpoints[0]!, memory };
});

linkCompliance(test, 'VDE endpoint', async (t) => {
  const { client, endpoints, memory } = await setUp(t);
  return { a: endpoints[0]!, b: client, memory };
});

test('after joining, only the sockets of the switch are there; after close, not even the data socket', async (t) => {
  const { dir, path, client, endpoints, server } = await setUp(t);
  t.true(client.up);
  t.like(endpoints[0]!, { requestedPort: -1, uid: process.getuid!() });
  t.regex(endpoints[0]!.description, new RegExp(`^test: user=\\S+ pid=${process.pid}`));
  const data = readdirSync(path).filter((name) => /^001\.\d+$/.test(name));
  t.deepEqual(readdirSync(path).sort(), ['.lock', ...data, 'ctl']);
  t.is(data.length, 1);
  await client.close();
  await until(() => server.endpoints.size === 0, 'end');
  t.deepEqual(readdirSync(path).sort(), ['.lock', 'ctl']);
  t.deepEqual(readdirSync(dir), ['ctl.d']);
});

test('port, and port in brackets', async (t) => {
  const { path, memory, endpoints } = await setUp(t, { port: 7 });
  t.is(endpoints[0]!.requestedPort, 7);
  const second = await VdeClient.connect({ path: `${path}[0]`, port: 7, description: 'test:', memory });
  t.is(endpoints[1]!.requestedPort, 0);
  await second.close();
});

/** A client of a stand-in switch, and what it is refused with. */
async function refusal(t: ExecutionContext, serve: (socket: Socket) => void, timers = new FakeTimers()) {
  const dir = tempDir(t);
  await fakeSwitch(t, join(dir, 'ctl'), serve);
  const memory = new FrameMemory(1 << 20);
  const error = VdeClient.connect({ path: dir, description: 'test:', memory, timers }).then(
    (client) => client.close().then(() => new Error('it joined')),
    (e) => e as Error,
  );
  return { dir, error, timers };
}

const answers: { name: string; serve: (socket: Socket) => void; want: RegExp }[] = [
  { name: 'closes', serve: (s) => void s.on('data', () => s.end()), want: /closed the connection/ },
  { name: 'closes at once', serve: (s) => void s.destroy(), want: /closed the connection|EPIPE|ECONNRESET/ },
  {
    name: 'closes after half a reply',
    serve: (s) => void s.on('data', () => s.end(encodeReply('/x').subarray(0, 50))),
    want: /closed the connection/,
  },
  {
    name: 'answers nonsense',
    serve: (s) => void s.on('data', () => s.write(Buffer.alloc(110))),
    want: /names no socket/,
  },
  {
    name: 'names a socket that is not there',
    serve: (s) => void s.on('data', () => s.write(encodeReply('/nonexistent/x'))),
    want: /cannot connect to \/nonexistent\/x: ENOENT/,
  },
];
for (const { name, serve, want } of answers) {
  test(`ERR_VDE_SWITCH_REFUSED: a switch that ${name}; no file stays`, async (t) => {
    const { dir, error } = await refusal(t, serve);
    t.like(await error, { code: 'ERR_VDE_SWITCH_REFUSED' });
    t.regex((await error).message, want);
    t.deepEqual(readdirSync(dir), ['ctl']);
  });
}

test('ERR_VDE_SWITCH_REFUSED: a switch that never answers, after 5 s', async (t) => {
  let asked: Buffer | null = null;
  const { dir, error, timers } = await refusal(t, (s) => void s.on('data', (data) => (asked = data)));
  await until(() => asked !== null, 'request');
  const request = parseRequest(asked!);
  t.like(request, { port: -1 });
  t.true(lstatSync((request as { path: string }).path).isSocket(), 'our socket is there while we wait');
  t.is(statSync((request as { path: string }).path).mode & 0o777, 0o700);
  timers.advance(4999);
  await turns();
  timers.advance(1);
  t.regex((await error).message, /no answer within 5 s/);
  t.deepEqual(readdirSync(dir), ['ctl']);
  t.deepEqual(timers.pending, []);
});

test('a reply in pieces is put together', async (t) => {
  const { dir, path, memory } = await setUp(t);
  const target = await VdeClient.connect({ path, description: 'x', memory });
  await target.close();
  const names: string[] = [];
  mkdirSync(join(dir, 'slow'));
  await fakeSwitch(t, join(dir, 'slow', 'ctl'), (socket) => {
    socket.on('data', (data) => {
      names.push((parseRequest(data) as { path: string }).path);
      const reply = encodeReply(names[0]!); // its own socket: connecting to it is allowed
      socket.write(reply.subarray(0, 60), () => setImmediate(() => socket.write(reply.subarray(60))));
    });
  });
  const client = await VdeClient.connect({ path: join(dir, 'slow'), description: 'x', memory });
  t.true(client.up);
  await client.close();
});

test('ERR_VDE_NO_SWITCH tells where was looked', async (t) => {
  const dir = tempDir(t);
  const memory = new FrameMemory(1 << 20);
  const options = { path: `${dir}[3]`, description: 'test:', memory };
  const error = await t.throwsAsync(() => VdeClient.connect(options), { code: 'ERR_VDE_NO_SWITCH' });
  t.true(error!.message.includes(`${dir}/3 (ENOENT), ${dir}/ctl (ENOENT)`), error!.message);
  const long = { ...options, path: `/tmp/${'x'.repeat(120)}` };
  await t.throwsAsync(() => VdeClient.connect(long), { code: 'ERR_VDE_NO_SWITCH', message: /ENAMETOOLONG/ });
});

test('the switch goes and comes back: down, back-off of 100 ms doubling to 5 s, up again', async (t) => {
  const { path, memory, endpoints, server, timers, client } = await setUp(t);
  const states: boolean[] = [];
  client.onState = (up) => states.push(up);
  const sink = new Recorder();
  client.attach(sink);
  await server.close();
  await until(() => states.length === 1, 'down');
  t.deepEqual(states, [false]);
  t.false(client.up);
  client.tx.frame(numbered(1), 0, 60);
  client.tx.flush();
  t.is(client.drops[Drop.LinkDown], 1);

  const delays: number[] = [];
  for (let i = 0; i < 9; i++) {
    await until(() => timers.pending.length === 1, 'the next attempt');
    delays.push(timers.pending[0]!.ms);
    if (i < 8) timers.advance(timers.pending[0]!.ms);
  }
  t.deepEqual(delays, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
  t.regex(client.lastError!.message, /none listens/);

  const again = await listen(path, memory, endpoints);
  t.teardown(() => again.close());
  timers.advance(5000);
  await until(() => states.length === 2, 'up');
  t.deepEqual(states, [false, true]);
  t.is(client.lastError, null);
  endpoints[1]!.tx.frame(numbered(9), 0, 60);
  endpoints[1]!.tx.flush();
  await until(() => sink.frames.length === 1, 'frame');

  // This connection lasts, so the next back-off starts over.
  timers.advance(5000);
  await again.close();
  await until(() => timers.pending.length === 1, 'the next attempt');
  t.is(timers.pending[0]!.ms, 100);
});

test('a switch that takes us and drops us at once is not asked ever faster', async (t) => {
  const { endpoints, timers } = await setUp(t);
  const delays: number[] = [];
  for (let i = 0; i < 4; i++) {
    await until(() => endpoints.length === i + 1, 'join');
    await turns(3);
    await endpoints[i]!.close();
    await until(() => timers.pending.length === 1, 'the next attempt');
    delays.push(timers.pending[0]!.ms);
    timers.advance(timers.pending[0]!.ms);
  }
  t.deepEqual(delays, [100, 200, 400, 800]);
});

test('close while waiting to join again, and during an attempt', async (t) => {
  const { dir, path, server, timers, client } = await setUp(t);
  await server.close();
  await until(() => timers.pending.length === 1, 'the next attempt');
  mkdirSync(path);
  await fakeSwitch(t, join(path, 'ctl'), () => {});
  timers.advance(100);
  await until(() => timers.pending.length === 1 && readdirSync(path).length === 2, 'the request');
  await client.close();
  t.deepEqual(timers.pending, []);
  t.deepEqual(readdirSync(path), ['ctl']);
  t.deepEqual(readdirSync(dir), ['ctl.d']);

  const second = await setUp(t);
  await second.server.close();
  await until(() => second.timers.pending.length === 1, 'the next attempt');
  await second.client.close();
  t.deepEqual(second.timers.pending, []);
});

test('mode and group of our own socket', async (t) => {
  const seen: { mode: number; gid: number }[] = [];
  const look = (socket: Socket) =>
    void socket.on('data', (data) => {
      const { mode, gid } = statSync((parseRequest(data) as { path: string }).path);
      seen.push({ mode: mode & 0o777, gid });
      socket.end();
    });
  const dir = tempDir(t);
  await fakeSwitch(t, join(dir, 'ctl'), look);
  const memory = new FrameMemory(1 << 20);
  const attempt = (options: Partial<VdeClientOptions>) =>
    t.throwsAsync(() => VdeClient.connect({ path: dir, description: 'test:', memory, ...options }));
  const gid = process.getgid!();
  await attempt({ mode: 0o640 });
  await attempt({ path: `${dir}[mode=0604]`, mode: 0o640 });
  await attempt({ group: String(gid) });
  t.deepEqual(seen, [
    { mode: 0o640, gid },
    { mode: 0o604, gid },
    { mode: 0o700, gid },
  ]);
  await t.throwsAsync(() => VdeClient.connect({ path: dir, description: 'x', memory, group: 'no such group' }), {
    code: 'ERR_VDE_BAD_OPTION',
  });
  if (process.getuid!() !== 0) return;
  // A switch of another user: its group gets access.
  chownSync(join(dir, 'ctl'), 12345, 23456);
  await attempt({});
  t.deepEqual(seen[3], { mode: 0o770, gid: 23456 });
  t.deepEqual(readdirSync(dir), ['ctl']);
});

// ---- where a switch is

const any = (...ctls: string[]) => ctls.map((ctl) => ({ ctl, port: -1 }));
const located = [
  { text: '/none/sw', want: { candidates: any('/none/sw/ctl'), group: null, mode: null } },
  { text: 'vde:///none/sw', want: { candidates: any('/none/sw/ctl'), group: null, mode: null } },
  { text: '', want: { candidates: any('/var/run/vde.ctl/ctl', '/tmp/vde.ctl/ctl'), group: null, mode: null } },
  {
    text: '/none/sw[7]',
    want: {
      candidates: [
        { ctl: '/none/sw/7', port: -1 },
        { ctl: '/none/sw/ctl', port: 7 },
      ],
      group: null,
      mode: null,
    },
  },
  { text: '/none/sw[0]', want: { candidates: [{ ctl: '/none/sw/ctl', port: 0 }], group: null, mode: null } },
  { text: '/none/sw[]', want: { candidates: any('/none/sw/ctl'), group: null, mode: null } },
  { text: '/none/sw[lab]', want: { candidates: any('/none/sw/lab', '/none/sw/ctl'), group: null, mode: null } },
  {
    text: '/none/sw[portgroup=7/group=wheel/mode=0770]',
    want: {
      candidates: [
        { ctl: '/none/sw/7', port: -1 },
        { ctl: '/none/sw/ctl', port: 7 },
      ],
      group: 'wheel',
      mode: 0o770,
    },
  },
  { text: `/none/sw[group='a/b'/mode=7]`, want: { candidates: any('/none/sw/ctl'), group: 'a/b', mode: 7 } },
  { text: '/none/sw[group=a%2fb\\/c]', want: { candidates: any('/none/sw/ctl'), group: 'a/b/c', mode: null } },
];
for (const { text, want } of located)
  test(`locate: ${text || '(nothing)'}`, (t) => t.deepEqual(locate(text, '', -1), want));

for (const text of ['slirp://', '/none/sw[mode=9]', '/none/sw[speed=1]', '/none/sw[99999999]', '/none/sw[port=..]'])
  test(`locate: ${text} is refused`, (t) => {
    t.throws(() => locate(text, '', -1), { code: 'ERR_VDE_BAD_ADDRESS' });
  });

test('locate: a regular file stands for its first line, a link for what it leads to', (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'sw'));
  writeFileSync(join(dir, 'name'), `${dir}/sw[3]\nsecond line\n`);
  t.deepEqual(locate(join(dir, 'name'), '', -1).candidates[1], { ctl: join(dir, 'sw', 'ctl'), port: 3 });
  symlinkSync(join(dir, 'sw'), join(dir, 'link'));
  t.deepEqual(locate(join(dir, 'link'), '', -1).candidates, any(join(dir, 'sw', 'ctl')));
  writeFileSync(join(dir, 'empty'), '');
  t.throws(() => locate(join(dir, 'empty'), '', -1), { code: 'ERR_VDE_BAD_ADDRESS' });
  chmodSync(dir, 0o755);
});

test('locate: without a name, the defaults of the home directory come first', (t) => {
  const home = tempDir(t);
  mkdirSync(join(home, '.vde2'));
  writeFileSync(join(home, '.vde2', 'default.switch'), '/none/two\n');
  t.deepEqual(locate('', home, -1).candidates, any('/none/two/ctl'));
  mkdirSync(join(home, '.vdeplug'));
  writeFileSync(join(home, '.vdeplug', 'default'), '/none/four[5]\n');
  t.deepEqual(locate('', home, -1).candidates[1], { ctl: '/none/four/ctl', port: 5 });
  t.is(locate('/none/sw', home, 4).candidates[1]!.port, 4, 'the default port');
});
