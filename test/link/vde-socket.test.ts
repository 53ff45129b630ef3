import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Drop, newDropCounters } from '../../src/core/drop.ts';
import { FrameMemory, newLinkStats } from '../../src/core/frame.ts';
import { VdeSocket } from '../../src/link/vde-socket.ts';
import { native } from '../../src/native/native.ts';
import { datagramPair, datagramSocket, numbered, Recorder, receiveAll, tempDir, turns, until } from './support.ts';

/** A VdeSocket whose peer is a bare descriptor. */
function setUp(t: ExecutionContext, size = 4 << 20) {
  const dir = tempDir(t);
  const [fd, peer] = datagramPair(dir);
  const memory = new FrameMemory(size);
  const stats = newLinkStats();
  const drops = newDropCounters();
  let gone = 0;
  const socket = new VdeSocket(fd, { memory, maxTxFrame: 1518, stats, drops, onGone: () => gone++ });
  let peerOpen = true;
  const closePeer = () => {
    if (peerOpen) native().close(peer);
    peerOpen = false;
  };
  t.teardown(() => {
    socket.close();
    closePeer();
  });
  return { dir, socket, peer, memory, stats, drops, closePeer, gone: () => gone };
}

const number = (f: Uint8Array) => (f[14]! << 24) | (f[15]! << 16) | (f[16]! << 8) | f[17]!;
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

test('nothing is sent before flush, and one flush sends all', (t) => {
  const { socket, peer, memory, stats } = setUp(t);
  const base = memory.region(8192);
  for (let i = 0; i < 100; i++) {
    memory.bytes.set(numbered(i), base + i * 64);
    socket.frame(memory.bytes, base + i * 64, 60);
  }
  t.is(receiveAll(peer).length, 0);
  socket.flush();
  t.deepEqual(receiveAll(peer).map(number), upTo(100));
  t.like(stats, { txFrames: 100, txBytes: 6000 });
});

test('more frames than the queue holds are sent early', (t) => {
  const { socket, peer, memory } = setUp(t);
  const base = memory.region(64);
  memory.bytes.set(numbered(5), base);
  for (let i = 0; i < 257; i++) socket.frame(memory.bytes, base, 60);
  t.is(receiveAll(peer).length, 256);
  socket.flush();
  t.is(receiveAll(peer).length, 1);
});

for (const kind of ['of the frame memory', 'in foreign memory', 'of both kinds in turn'] as const) {
  test(`a slow peer: frames ${kind} wait in the backlog, in order, and leave when it reads`, async (t) => {
    const { socket, peer, memory, stats, drops } = setUp(t);
    const base = memory.region(2048);
    let sent = 0;
    while (drops[Drop.TxQueueFull] === 0) {
      const frame = numbered(sent, 60);
      if (kind === 'in foreign memory' || (kind !== 'of the frame memory' && sent % 7 < 3)) socket.frame(frame, 0, 60);
      else {
        memory.bytes.set(frame, base);
        socket.frame(memory.bytes, base, 60);
      }
      sent++;
      socket.flush();
    }
    memory.bytes.fill(0, base, base + 2048);
    t.is(socket.backlogged, 1024);
    const got: Uint8Array[] = [];
    await until(() => {
      got.push(...receiveAll(peer));
      return socket.backlogged === 0;
    }, 'the backlog to drain');
    got.push(...receiveAll(peer));
    t.deepEqual(got.map(number), upTo(sent - 1));
    t.is(stats.txFrames, sent - 1);
    socket.frame(numbered(4711), 0, 60);
    socket.flush();
    t.deepEqual(receiveAll(peer).map(number), [4711], 'the way is free again');
  });
}

test('the backlog is bounded in bytes, too: 2 MiB hold fewer than 1024 of the longest frames', (t) => {
  const dir = tempDir(t);
  const [fd, peer] = datagramPair(dir);
  const drops = newDropCounters();
  const options = {
    memory: new FrameMemory(1 << 20),
    maxTxFrame: 9234,
    stats: newLinkStats(),
    drops,
    onGone: () => {},
  };
  const socket = new VdeSocket(fd, options);
  const frame = numbered(1, 9000);
  while (drops[Drop.TxQueueFull] === 0) {
    socket.frame(frame, 0, frame.length);
    socket.flush();
  }
  const waiting = socket.backlogged;
  t.true(waiting > 200 && waiting * 9000 <= 2 << 20, `${waiting}`);
  socket.close();
  t.is(socket.backlogged, 0);
  t.is(drops[Drop.LinkDown], waiting, 'what was queued is counted');
  native().close(peer);
});

test('receiving: batches, in order, one flush for each', async (t) => {
  const { socket, peer } = setUp(t);
  const bytes = new Uint8Array(200 * 64);
  const batch = native().newBatch(bytes, 200);
  for (let i = 0; i < 200; i++) {
    bytes.set(numbered(i), i * 64);
    batch.offs[i] = i * 64;
    batch.lens[i] = 60;
  }
  t.is(native().send(peer, batch, 0, 200), 200);
  const sink = new Recorder();
  socket.attach(sink);
  await until(() => sink.frames.length === 200, 'frames');
  t.deepEqual(sink.numbers, upTo(200));
  t.is(sink.flushes, 4);
});

test('receiving: lengths 0, 13, 14, 9234, 9235, 9300', async (t) => {
  const { socket, peer, stats, drops } = setUp(t);
  const sink = new Recorder();
  socket.attach(sink);
  const bytes = new Uint8Array(9300);
  const batch = native().newBatch(bytes, 6);
  [0, 13, 14, 9234, 9235, 9300].forEach((len, i) => {
    batch.offs[i] = 0;
    batch.lens[i] = len;
  });
  t.is(native().send(peer, batch, 0, 6), 6);
  await until(() => sink.frames.length === 2 && drops[Drop.FrameTooLong] === 2, 'frames');
  t.deepEqual(
    sink.frames.map((f) => f.length),
    [14, 9234],
  );
  t.is(drops[Drop.FrameTooShort], 1);
  t.is(stats.rxFrames, 2);
});

test('a peer that is gone is told once, not from inside frame or flush; later frames are counted', async (t) => {
  const { socket, memory, drops, closePeer, gone } = setUp(t);
  const base = memory.region(64);
  memory.bytes.set(numbered(1), base);
  closePeer();
  for (let i = 0; i < 3; i++) socket.frame(memory.bytes, base, 60);
  socket.flush();
  t.is(gone(), 0);
  t.is(drops[Drop.TxError], 3);
  socket.frame(numbered(2), 0, 60);
  socket.flush();
  await turns();
  t.is(gone(), 1);
  t.is(drops[Drop.TxError], 4);
});

test('a peer that goes while frames wait for it: they are counted, and no wake-ups follow', async (t) => {
  const { socket, drops, closePeer, gone } = setUp(t);
  socket.attach(new Recorder());
  let sent = 0;
  while (drops[Drop.TxQueueFull] === 0) {
    socket.frame(numbered(sent++), 0, 60);
    socket.flush();
  }
  const waiting = socket.backlogged;
  closePeer();
  await until(() => gone() === 1, 'gone');
  t.is(socket.backlogged, 0);
  t.is(drops[Drop.TxError], waiting);
});

test('a frame that the kernel refuses costs only itself', (t) => {
  // A peer that is connected to somebody else answers EPERM to each frame.
  const { dir, socket, peer, drops } = setUp(t);
  const third = datagramSocket(join(dir, 'three'));
  native().connectUnix(peer, join(dir, 'three'));
  socket.frame(numbered(1), 0, 60);
  socket.frame(numbered(2), 0, 60);
  socket.flush();
  t.is(drops[Drop.TxError], 2);
  native().close(third);
});

test('closing inside a frame ends the batch', async (t) => {
  const { socket, peer } = setUp(t);
  let got = 0;
  let flushes = 0;
  socket.attach({
    frame: () => {
      got++;
      socket.close();
    },
    flush: () => flushes++,
  });
  const bytes = new Uint8Array(64);
  bytes.set(numbered(1));
  const batch = native().newBatch(bytes, 3);
  batch.lens.fill(60);
  native().send(peer, batch, 0, 3);
  await until(() => got > 0, 'frame');
  await turns();
  t.is(got, 1);
  t.is(flushes, 1);
});
