import { existsSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Drop } from '../../src/core/drop.ts';
import { FrameMemory } from '../../src/core/frame.ts';
import { MAX_STREAM_MTU, QemuStreamDialer, QemuStreamLink, QemuStreamServer } from '../../src/link/qemu-stream.ts';
import { linkCompliance } from '../compliance/link.ts';
import { FakeTimers, fakeSwitch, numbered, Recorder, rawClient, tempDir, turns, until } from './support.ts';

/** A server at a path of its own that keeps its links and the last refusal. */
async function serve(t: ExecutionContext, options: { mtu?: number; refuse?: string } = {}) {
  const path = join(tempDir(t), 'qemu');
  const links: QemuStreamLink[] = [];
  const reports: string[] = [];
  const server = await QemuStreamServer.listen({
    path,
    ...(options.mtu === undefined ? {} : { mtu: options.mtu }),
    allocate: (link) => {
      if (options.refuse !== undefined) return options.refuse;
      links.push(link);
      return links.length;
    },
    report: (text) => reports.push(text),
  });
  t.teardown(() => server.close());
  return { path, server, links, reports };
}

linkCompliance(test, 'QEMU stream, server side', async (t) => {
  const { path, links } = await serve(t);
  const b = new QemuStreamLink(connect(path), 'guest', 1500);
  await until(() => links.length === 1, 'link');
  return { a: links[0]!, b, memory: new FrameMemory(1 << 20) };
});

linkCompliance(test, 'QEMU stream, client side', async (t) => {
  const { path, links } = await serve(t);
  const dialed: QemuStreamLink[] = [];
  const dialer = new QemuStreamDialer({ path, allocate: (link) => dialed.push(link), timers: new FakeTimers() });
  t.teardown(() => dialer.close());
  await until(() => links.length === 1 && dialed.length === 1, 'links');
  return { a: dialed[0]!, b: links[0]!, memory: new FrameMemory(1 << 20) };
});

test('several guests; each is a link, and one that ends leaves the others alone', async (t) => {
  const { path, server, links } = await serve(t);
  const guests = [await rawClient(t, path), await rawClient(t, path), await rawClient(t, path)];
  await until(() => links.length === 3, 'links');
  const states: number[] = [];
  links.forEach((link, i) => {
    link.attach(new Recorder());
    link.onState = () => states.push(i);
  });
  guests[1]!.socket.destroy();
  await until(() => server.size === 2, 'one less');
  t.is(states.length, 1);
  const frame = numbered(7);
  const left = links.filter((_, i) => i !== states[0]);
  for (const link of left) {
    link.tx.frame(frame, 0, frame.length);
    link.tx.flush();
  }
  await until(() => guests[0]!.heard.length === 64 && guests[2]!.heard.length === 64, 'frames');
  t.deepEqual(guests[0]!.heard, Buffer.concat([Buffer.of(0, 0, 0, 60), frame]));
});

test('frames of 65,550 bytes through the kernel, both ways', async (t) => {
  const { path, links } = await serve(t, { mtu: MAX_STREAM_MTU });
  const guest = new QemuStreamLink(connect(path), 'guest', MAX_STREAM_MTU);
  t.teardown(() => guest.close());
  await until(() => links.length === 1, 'link');
  const sinks = [new Recorder(), new Recorder()];
  guest.attach(sinks[0]!);
  links[0]!.attach(sinks[1]!);
  for (const link of [guest, links[0]!]) {
    for (let i = 0; i < 10; i++) link.tx.frame(numbered(i, 65_550 - i), 0, 65_550 - i);
    link.tx.flush();
  }
  await until(() => sinks.every((s) => s.frames.length === 10), 'frames');
  const want = Array.from({ length: 10 }, (_, i) => numbered(i, 65_550 - i));
  for (const sink of sinks) t.deepEqual(sink.frames, want);
});

test('the socket is 0600, and gone after close()', async (t) => {
  const { path, server, links } = await serve(t);
  t.is(statSync(path).mode & 0o777, 0o600);
  const guest = await rawClient(t, path);
  await until(() => links.length === 1, 'link');
  await server.close();
  await server.close();
  await until(() => guest.ended, 'the guest hears');
  t.false(existsSync(path));
});

test('a guest that gets no port is told by the end of its connection', async (t) => {
  const { path, server, reports } = await serve(t, { refuse: 'no free port' });
  const guest = await rawClient(t, path);
  await until(() => guest.ended, 'end');
  t.deepEqual(reports, [`qemu-stream: ${path}: guest refused: no free port`]);
  t.is(server.size, 0);
});

test('a length that is none ends that guest, counted and reported', async (t) => {
  const { path, links, reports } = await serve(t);
  const guest = await rawClient(t, path);
  await until(() => links.length === 1, 'link');
  links[0]!.attach(new Recorder());
  guest.socket.write('GET / HTTP/1.1\r\n');
  await until(() => guest.ended, 'end');
  t.is(links[0]!.drops[Drop.StreamBadLength], 1);
  t.deepEqual(reports, [`qemu-stream: ${path}: guest lost: out of step`]);
});

test('the dialer tries until somebody listens, with back-off, and again after the end', async (t) => {
  const path = join(tempDir(t), 'qemu');
  const timers = new FakeTimers();
  const made: QemuStreamLink[] = [];
  const dialer = new QemuStreamDialer({ path, allocate: (link) => made.push(link), timers });
  t.teardown(() => dialer.close());
  const waits: number[] = [];
  for (let i = 0; i < 8; i++) {
    await until(() => timers.pending.length === 1, 'a retry is planned');
    waits.push(timers.pending[0]!.ms);
    timers.advance(timers.pending[0]!.ms);
  }
  t.deepEqual(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
  await until(() => timers.pending.length === 1, 'a retry is planned');
  let hangUp = (): void => {};
  await fakeSwitch(t, path, (socket) => {
    hangUp = () => socket.destroy();
  });
  timers.advance(5000);
  await until(() => dialer.connected, 'connected');
  made[0]!.attach(new Recorder());
  hangUp();
  await until(() => timers.pending.length === 1, 'a retry is planned');
  t.is(timers.pending[0]!.ms, 100);
  timers.advance(100);
  await until(() => made.length === 2, 'connected again');
  await dialer.close();
  await turns();
  t.deepEqual([timers.pending.length, dialer.connected], [0, false]);
});
