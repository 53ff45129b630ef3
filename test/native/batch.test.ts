import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { constants } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import {
  AF_UNIX,
  type Batch,
  READABLE,
  SO_SNDBUF,
  SOCK_STREAM,
  SOL_SOCKET,
  WRITABLE,
} from '../../src/native/native.ts';
import { api, close, closing, directory, pair, STRIDE, wakeUp } from './support.ts';

const { EMSGSIZE, ECONNREFUSED, ENOTCONN, EBADF, EPIPE } = constants.errno;

// The types of Node leave it to the DOM's.
interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}
const { WebAssembly } = globalThis as unknown as {
  WebAssembly: { Memory: new (options: { initial: number }) => WasmMemory };
};

/** Fills frames 0 to count - 1 of a batch, one a slot, with bytes that tell frame and place. */
function fill(batch: Batch, memory: Uint8Array, count: number, lengthOf: (i: number) => number): void {
  for (let i = 0; i < count; i++) {
    batch.offs[i] = i * STRIDE;
    batch.lens[i] = lengthOf(i);
    for (let j = 0; j < lengthOf(i); j++) memory[i * STRIDE + j] = (i * 31 + j) & 0xff;
  }
}

test('64 frames leave and arrive by one call each, in order and whole', (t) => {
  const { a, b } = pair(t);
  const out = new Uint8Array(64 * STRIDE);
  const into = new Uint8Array(64 * STRIDE);
  const send = api.newBatch(out, 64);
  const recv = api.newBatch(into, 64);
  fill(send, out, 64, (i) => 60 + i * 22);
  t.is(api.send(a, send, 0, 64), 64);
  t.is(api.recv(b, recv, 0, STRIDE, 64), 64);
  for (let i = 0; i < 64; i++) {
    t.is(recv.offs[i], i * STRIDE);
    t.is(recv.lens[i], 60 + i * 22);
  }
  t.deepEqual(into, out);
});

test('recv: none waiting is 0, and offs and lens stay', (t) => {
  const { b } = pair(t);
  const batch = api.newBatch(new Uint8Array(STRIDE), 1);
  batch.offs[0] = 7;
  batch.lens[0] = 9;
  t.is(api.recv(b, batch, 0, STRIDE, 1), 0);
  t.deepEqual([batch.offs[0], batch.lens[0]], [7, 9]);
});

test('recv: base, stride and max are kept, also when they change between calls', (t) => {
  const { a, b } = pair(t);
  const out = new Uint8Array(5 * STRIDE);
  const send = api.newBatch(out, 5);
  fill(send, out, 5, () => 10);
  t.is(api.send(a, send, 0, 5), 5);
  const into = new Uint8Array(1000);
  const recv = api.newBatch(into, 4);
  t.is(api.recv(b, recv, 100, 50, 2), 2);
  t.deepEqual([...recv.offs.subarray(0, 2)], [100, 150]);
  t.is(api.recv(b, recv, 500, 20, 4), 3);
  t.deepEqual([...recv.offs.subarray(0, 3)], [500, 520, 540]);
  const at = (off: number) => into.subarray(off, off + 10);
  [100, 150, 500, 520, 540].forEach((off, i) => {
    t.deepEqual(at(off), out.subarray(i * STRIDE, i * STRIDE + 10));
  });
  t.is(into.filter((byte, i) => byte !== 0 && (i < 100 || (i >= 160 && i < 500) || i >= 550)).length, 0);
});

test('recv: a longer datagram has its true length, and does not touch the next slot', (t) => {
  const { a, b } = pair(t);
  const out = new Uint8Array(2 * STRIDE).fill(0xaa);
  const send = api.newBatch(out, 2);
  fill(send, out, 2, () => 300);
  t.is(api.send(a, send, 0, 2), 2);
  const into = new Uint8Array(300);
  const recv = api.newBatch(into, 3);
  t.is(api.recv(b, recv, 0, 100, 2), 2);
  t.deepEqual([...recv.lens.subarray(0, 2)], [300, 300]);
  t.deepEqual(into.subarray(0, 100), out.subarray(0, 100));
  t.deepEqual(into.subarray(100, 200), out.subarray(STRIDE, STRIDE + 100));
  t.deepEqual(into.subarray(200), new Uint8Array(100));
});

test('an empty datagram counts, with length 0', (t) => {
  const { a, b } = pair(t);
  const batch = api.newBatch(new Uint8Array(10), 2);
  batch.lens[1] = 1;
  t.is(api.send(a, batch, 0, 2), 2);
  batch.lens.fill(99);
  t.is(api.recv(b, batch, 0, 5, 2), 2);
  t.deepEqual([...batch.lens], [0, 1]);
});

test('send: any part of a batch, frames anywhere, one frame many times', (t) => {
  const { a, b } = pair(t);
  const memory = Uint8Array.from({ length: 200 }, (_, i) => i);
  const batch = api.newBatch(memory, 8);
  batch.offs.set([0, 0, 150, 150, 7, 199, 200, 0]);
  batch.lens.set([0, 0, 50, 50, 3, 1, 0, 0]);
  t.is(api.send(a, batch, 2, 5), 5);
  const into = new Uint8Array(8 * 64);
  const recv = api.newBatch(into, 8);
  t.is(api.recv(b, recv, 0, 64, 8), 5);
  t.deepEqual([...recv.lens.subarray(0, 5)], [50, 50, 3, 1, 0]);
  t.deepEqual(into.subarray(64, 64 + 50), memory.subarray(150));
  t.deepEqual([...into.subarray(128, 131)], [7, 8, 9]);
  t.is(into[192], 199);
});

test('the memory may be a view in the middle of a buffer, shared, or of WebAssembly', (t) => {
  const { a, b } = pair(t);
  const buffers = [
    new ArrayBuffer(65_536),
    new SharedArrayBuffer(65_536),
    new WebAssembly.Memory({ initial: 1 }).buffer,
    Buffer.allocUnsafeSlow(65_536).buffer,
  ];
  for (const buffer of buffers) {
    const all = new Uint8Array(buffer).fill(0);
    const batch = api.newBatch(new Uint8Array(buffer, 1001, 100), 1);
    all.set([1, 2, 3], 1001 + 40);
    batch.offs[0] = 40;
    batch.lens[0] = 3;
    t.is(api.send(a, batch, 0, 1), 1);
    t.is(api.recv(b, batch, 97, 3, 1), 1);
    t.deepEqual([...all.subarray(1001 + 97, 1001 + 101)], [1, 2, 3, 0]);
    t.throws(() => api.recv(b, batch, 98, 3, 1), { instanceOf: RangeError });
  }
});

test('memory that was detached is refused', (t) => {
  const { b } = pair(t);
  const memory = new Uint8Array(100);
  const batch = api.newBatch(memory, 1);
  structuredClone(memory.buffer, { transfer: [memory.buffer] });
  t.throws(() => api.recv(b, batch, 0, 100, 1), { instanceOf: TypeError, message: /detached/ });
  t.throws(() => api.send(b, batch, 0, 1), { instanceOf: TypeError });
  t.throws(() => api.sum(batch, 0, 1, 0), { instanceOf: TypeError });

  const wasm = new WebAssembly.Memory({ initial: 1 });
  const inWasm = api.newBatch(new Uint8Array(wasm.buffer), 1);
  t.is(api.recv(b, inWasm, 0, 100, 1), 0);
  wasm.grow(1);
  t.throws(() => api.recv(b, inWasm, 0, 100, 1), { instanceOf: TypeError });
});

test('memory whose size may change is refused', (t) => {
  const Resizable = ArrayBuffer as unknown as new (length: number, options: { maxByteLength: number }) => ArrayBuffer;
  const Growable = SharedArrayBuffer as unknown as typeof Resizable;
  for (const buffer of [new Resizable(10, { maxByteLength: 20 }), new Growable(10, { maxByteLength: 20 })])
    t.throws(() => api.newBatch(new Uint8Array(buffer), 1), { instanceOf: TypeError, message: /fixed size/ });
});

test('offs and lens cannot be detached', (t) => {
  const batch = api.newBatch(new Uint8Array(10), 4);
  t.throws(() => structuredClone(batch.offs.buffer, { transfer: [batch.offs.buffer as ArrayBuffer] }));
  t.is(batch.offs.length, 4);
  t.is(batch.lens.length, 4);
});

test('send: a frame above SO_SNDBUF stops the batch before it, then gives -EMSGSIZE', (t) => {
  const { a } = pair(t);
  t.is(api.setsockopt(a, SOL_SOCKET, SO_SNDBUF, 8192), 0);
  const batch = api.newBatch(new Uint8Array(60_000), 2);
  batch.lens.set([10, 60_000]);
  t.is(api.send(a, batch, 0, 2), 1);
  t.is(api.send(a, batch, 1, 1), -EMSGSIZE);
});

test('peer gone: ECONNREFUSED once, then ENOTCONN', (t) => {
  const { a, b } = pair(t);
  const batch = api.newBatch(new Uint8Array(10), 2);
  batch.lens.fill(1);
  t.is(api.send(a, batch, 0, 2), 2);
  close(b);
  t.is(api.send(a, batch, 0, 2), -ECONNREFUSED);
  t.is(api.send(a, batch, 0, 2), -ENOTCONN);
});

test('a descriptor that is none gives -EBADF', (t) => {
  const batch = api.newBatch(new Uint8Array(10), 1);
  t.is(api.recv(-1, batch, 0, 10, 1), -EBADF);
  t.is(api.send(-1, batch, 0, 1), -EBADF);
  t.is(api.readFrames(-1, batch, 0, 10, 1), -EBADF);
  t.is(api.writeFrames(-1, batch, 0, 1), -EBADF);
  t.is(api.writeStream(-1, batch, 0, 1), -EBADF);
});

test('readFrames and writeFrames keep borders; a longer frame has a length above the stride', (t) => {
  const { a, b } = pair(t);
  const out = new Uint8Array(3 * STRIDE);
  const send = api.newBatch(out, 3);
  fill(send, out, 3, (i) => 50 + i);
  t.is(api.writeFrames(a, send, 0, 3), 3);
  const into = new Uint8Array(4 * 51);
  const recv = api.newBatch(into, 4);
  t.is(api.readFrames(b, recv, 0, 51, 4), 3);
  t.deepEqual([...recv.offs.subarray(0, 3)], [0, 51, 102]);
  t.deepEqual([...recv.lens.subarray(0, 2)], [50, 51]);
  t.true(recv.lens[2]! > 51);
  t.deepEqual(into.subarray(102, 153), out.subarray(2 * STRIDE, 2 * STRIDE + 51));
  t.is(api.readFrames(b, recv, 0, 51, 4), 0);
  close(b);
  t.is(api.writeFrames(a, send, 0, 3), -ECONNREFUSED);
});

test('writeFrames: a full queue gives a short count, then 0', (t) => {
  const { a } = pair(t);
  const batch = api.newBatch(new Uint8Array(1000), 1024);
  batch.lens.fill(1000);
  const taken = api.writeFrames(a, batch, 0, 1024);
  t.true(taken > 0 && taken < 1024, `${taken} taken`);
  t.is(api.writeFrames(a, batch, 0, 1), 0);
});

test('writeStream gathers frames into a stream socket, and says how far it came', async (t) => {
  const path = join(directory(t), 'stream');
  const server = createServer();
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(() => server.close());
  const fd = closing(t, api.socket(AF_UNIX, SOCK_STREAM, 0));
  t.is(api.connectUnix(fd, path), 0);
  const socket = await accepted;
  socket.pause();
  t.teardown(() => socket.destroy());

  const memory = Uint8Array.from({ length: 65_536 }, (_, i) => i * 7);
  const batch = api.newBatch(memory, 3);
  batch.offs.set([0, 20_000, 100]);
  batch.lens.set([20_000, 45_536, 0]);
  let sent = 0;
  for (let n = 1; n > 0; sent += n) n = api.writeStream(fd, batch, 0, 3);
  t.is(api.writeStream(fd, batch, 0, 3), 0, 'the socket is full');
  t.true(sent > 65_536);

  let got = 0;
  let wrong = 0;
  socket.on('data', (bytes) => {
    for (const byte of bytes) if (byte !== memory[got++ % 65_536]) wrong++;
  });
  socket.resume();
  t.is(await wakeUp(fd, WRITABLE), WRITABLE);
  while (got < sent) await new Promise((resolve) => socket.once('data', resolve));
  t.is(got, sent);
  t.is(wrong, 0);

  socket.destroy();
  await wakeUp(fd, READABLE);
  t.is(api.writeStream(fd, batch, 0, 3), -EPIPE, 'and no SIGPIPE');
});

test('writeStream writes to what is no socket', (t) => {
  const path = join(directory(t), 'file');
  const fd = openSync(path, 'w');
  const batch = api.newBatch(Buffer.from('hello, world'), 2);
  batch.offs.set([7, 0]);
  batch.lens.set([5, 5]);
  t.is(api.writeStream(fd, batch, 0, 2), 10);
  closeSync(fd);
  t.is(readFileSync(path, 'latin1'), 'worldhello');
});
