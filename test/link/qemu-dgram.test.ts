import { existsSync, lstatSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Drop } from '../../src/core/drop.ts';
import { FrameMemory } from '../../src/core/frame.ts';
import { QemuDgramLink } from '../../src/link/qemu-dgram.ts';
import { AF_UNIX, native, SOCK_DGRAM } from '../../src/native/native.ts';
import { linkCompliance } from '../compliance/link.ts';
import { datagramSocket, FakeTimers, numbered, Recorder, receiveAll, tempDir, until } from './support.ts';

linkCompliance(test, 'QEMU dgram', async (t) => {
  const dir = tempDir(t);
  const memory = new FrameMemory();
  const a = new QemuDgramLink({ local: join(dir, 'a'), remote: join(dir, 'b'), memory });
  const b = new QemuDgramLink({ local: join(dir, 'b'), remote: join(dir, 'a'), memory });
  const settled = new Recorder();
  b.attach(settled);
  a.attach(settled);
  await until(() => a.up && b.up, 'both are up');
  return { a, b, memory };
});

function setup(t: ExecutionContext) {
  const dir = tempDir(t);
  const timers = new FakeTimers();
  const [local, remote] = [join(dir, 'local'), join(dir, 'remote')];
  const link = new QemuDgramLink({ local, remote, memory: new FrameMemory(), timers });
  t.teardown(() => link.close());
  const states: boolean[] = [];
  link.onState = (up) => states.push(up);
  const sink = new Recorder();
  link.attach(sink);
  const send = (n: number) => {
    link.tx.frame(numbered(n), 0, 60);
    link.tx.flush();
  };
  /** A QEMU: a bound socket that sends without being connected. */
  const qemu = () => {
    const fd = datagramSocket(remote);
    t.teardown(() => native().close(fd));
    return fd;
  };
  /** Sends as QEMU does, from a socket that is not connected to ours; another socket is the same to the receiver. */
  const fromQemu = (n: number) => {
    const fd = native().socket(AF_UNIX, SOCK_DGRAM, 0);
    t.teardown(() => native().close(fd));
    native().connectUnix(fd, local);
    const bytes = numbered(n);
    const batch = native().newBatch(bytes, 1);
    batch.offs[0] = 0;
    batch.lens[0] = bytes.length;
    return native().send(fd, batch, 0, 1);
  };
  return { local, remote, link, timers, states, sink, send, qemu, fromQemu };
}

test('down until there is a peer: frames are counted, attempts back off', (t) => {
  const { link, timers, states, send, qemu } = setup(t);
  send(1);
  t.is(link.drops[Drop.LinkDown], 1);
  const waits: number[] = [];
  for (let i = 0; i < 8; i++) {
    waits.push(timers.pending[0]!.ms);
    timers.advance(timers.pending[0]!.ms);
  }
  t.deepEqual(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
  const fd = qemu();
  timers.advance(5000);
  t.deepEqual(states, [true]);
  send(2);
  t.deepEqual(receiveAll(fd), [numbered(2)]);
});

test('a frame that comes in brings the link up at once', async (t) => {
  const { link, states, sink, qemu, fromQemu, send } = setup(t);
  const fd = qemu();
  t.false(link.up);
  t.is(fromQemu(5), 1);
  await until(() => sink.frames.length === 1, 'frame');
  t.deepEqual([sink.numbers, states], [[5], [true]]);
  send(6);
  t.deepEqual(receiveAll(fd), [numbered(6)]);
});

test('a QEMU that is started again: its frames come in, and it is sent to within a second', async (t) => {
  const { link, timers, states, sink, send, remote, qemu, fromQemu } = setup(t);
  const first = qemu();
  timers.advance(5000);
  t.true(link.up);
  native().close(first);
  t.true(lstatSync(remote).isSocket(), 'a killed QEMU leaves its file');
  unlinkSync(remote); // as QEMU does before it binds
  const second = qemu();
  t.is(fromQemu(8), 1);
  await until(() => sink.frames.length === 1, 'frame');
  timers.advance(1000);
  timers.advance(100);
  t.deepEqual(states, [true, false, true]);
  send(9);
  t.deepEqual(receiveAll(second), [numbered(9)]);
});

test('a peer that is gone is noticed by the next frame', async (t) => {
  const { link, timers, states, send, qemu } = setup(t);
  const fd = qemu();
  timers.advance(5000);
  native().close(fd);
  send(1);
  await until(() => !link.up, 'down');
  t.deepEqual(states, [true, false]);
  t.is(link.drops[Drop.TxError], 1);
});

test('the socket is 0600, taken over when nobody uses it, removed at close', async (t) => {
  const dir = tempDir(t);
  const memory = new FrameMemory();
  const [local, remote] = [join(dir, 'l'), join(dir, 'r')];
  native().close(datagramSocket(local));
  const link = new QemuDgramLink({ local, remote, memory });
  t.is(statSync(local).mode & 0o777, 0o600);
  const error = t.throws(() => new QemuDgramLink({ local, remote, memory }), { code: 'ERR_VDE_LISTEN' });
  t.regex(error.message, /another process uses it/);
  await link.close();
  t.false(existsSync(local));
  writeFileSync(local, 'text');
  t.throws(() => new QemuDgramLink({ local, remote, memory }), { code: 'ERR_VDE_LISTEN' });
  t.true(existsSync(local));
  const long = join(dir, 'x'.repeat(108));
  t.throws(() => new QemuDgramLink({ local: long, remote, memory }), { code: 'ERR_VDE_PATH_TOO_LONG' });
});
