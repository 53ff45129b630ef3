import test, { type ExecutionContext } from 'ava';
import { Drop } from '../../src/core/drop.ts';
import { FrameMemory } from '../../src/core/frame.ts';
import { PipePlug } from '../../src/link/pipe-plug.ts';
import { native, READABLE } from '../../src/native/native.ts';
import { linkCompliance } from '../compliance/link.ts';
import { numbered, Recorder, turns, until } from './support.ts';

const api = native();

function pipe(): [number, number] {
  const ends = new Int32Array(2);
  if (api.pipe(ends) < 0) throw new Error('no pipe');
  return [ends[0]!, ends[1]!];
}

const plug = (memory: FrameMemory, input: number, output: number): PipePlug =>
  new PipePlug({ name: 'test', memory, mtu: 1500, input, output });

linkCompliance(test, 'pipe plug', async () => {
  const memory = new FrameMemory();
  const [inA, outB] = pipe();
  const [inB, outA] = pipe();
  return { a: plug(memory, inA, outA), b: plug(memory, inB, outB), memory };
});

/** A plug with bare pipe ends at its other side. */
function bare(t: ExecutionContext): { link: PipePlug; sink: Recorder; read: number; write: number } {
  const [input, write] = pipe();
  const [read, output] = pipe();
  const link = plug(new FrameMemory(), input, output);
  const sink = new Recorder();
  link.attach(sink);
  t.teardown(() => link.close());
  return { link, sink, read, write };
}

const memory = new Uint8Array(1 << 20);
const batch = api.newBatch(memory, 1);

/** What waits in a pipe, up to `len` bytes, as a program with a buffer of that size reads it. */
function read(fd: number, len: number): Buffer {
  const n = api.readStream(fd, batch, 0, len);
  return Buffer.from(memory.slice(0, Math.max(n, 0)));
}

function write(fd: number, ...parts: Uint8Array[]): void {
  const bytes = Buffer.concat(parts);
  memory.set(bytes);
  batch.offs[0] = 0;
  batch.lens[0] = bytes.length;
  if (api.writeStream(fd, batch, 0, 1) !== bytes.length) throw new Error('not written');
}

/** Waits until there is something to read. */
const readable = (fd: number): Promise<void> =>
  new Promise((resolve) => {
    const poll = api.poll(fd, READABLE, () => {
      api.pollClose(poll);
      resolve();
    });
  });

const framed = (frame: Uint8Array): Buffer => Buffer.concat([Buffer.of(frame.length >> 8, frame.length), frame]);

/** Lengths of frames that nothing divides. */
const lengths = Array.from({ length: 400 }, (_, i) => 14 + ((i * 7919) % 1500));

for (const size of [4096, 9234])
  test(`a foreign reader of ${size} bytes never sees a length or a frame cut, however slow it is`, async (t) => {
    const { link, read: fd } = bare(t);
    lengths.forEach((len, i) => {
      link.tx.frame(numbered(i, Math.max(len, 18)), 0, Math.max(len, 18));
    });
    link.tx.flush();
    let next = 0;
    while (next < lengths.length) {
      await readable(fd);
      await turns(3); // all that will come without our reading has come
      const bytes = read(fd, size);
      let at = 0;
      while (at < bytes.length) {
        const len = bytes.readUInt16BE(at);
        t.true(at + 2 + len <= bytes.length);
        t.is(bytes.readUInt32BE(at + 16), next++);
        at += 2 + len;
      }
    }
    await turns();
    api.close(fd);
  });

test('a frame that is longer than a pipe comes whole, the next one after it', async (t) => {
  const [input, w] = pipe();
  const [r, output] = pipe();
  const link = new PipePlug({ name: 'test', memory: new FrameMemory(), mtu: 9216, input, output });
  link.attach(new Recorder());
  t.teardown(() => link.close());
  const long = numbered(1, 9234);
  link.tx.frame(long, 0, long.length);
  link.tx.frame(numbered(2), 0, 60);
  link.tx.flush();
  const parts: Buffer[] = [];
  while (Buffer.concat(parts).length < 9236 + 62) {
    await readable(r);
    parts.push(read(r, 9234));
  }
  t.deepEqual(Buffer.concat(parts), Buffer.concat([framed(long), framed(numbered(2))]));
  t.is(parts.at(-1)!.length, 62);
  api.close(r);
  api.close(w);
});

test('a reader of ours is noticed, before the first frame or later, and gets all at once', async (t) => {
  const { link, read: fd } = bare(t);
  for (let i = 0; i < 30; i++) link.tx.frame(numbered(i, 1000), 0, 1000);
  link.tx.flush();
  await readable(fd);
  t.is(read(fd, 65_536).length, 3 * 1002);
  api.pipeSize(fd, 256 << 10);
  await readable(fd);
  await turns();
  t.is(read(fd, 65_536).length, 27 * 1002);
  api.close(fd);
});

test('input: any cut, lengths of zero, frames below 14 bytes', async (t) => {
  const { link, sink, write: fd } = bare(t);
  const bytes = Buffer.concat([
    framed(numbered(1)),
    Buffer.of(0, 0),
    framed(new Uint8Array(13)),
    framed(numbered(2, 1514)),
    framed(numbered(3)),
  ]);
  for (const cut of [1, 2, 3, 61, 62, 63, 64, 65, 80, 81, 700, 1594]) {
    const before = sink.frames.length;
    write(fd, bytes.subarray(0, cut));
    await turns();
    write(fd, bytes.subarray(cut));
    await until(() => sink.frames.length === before + 3, `cut at ${cut}`);
  }
  t.deepEqual(
    sink.numbers,
    Array.from({ length: 36 }, (_, i) => (i % 3) + 1),
  );
  t.is(link.drops[Drop.FrameTooShort], 12);
  api.close(fd);
});

test('a length over the limit ends the link', async (t) => {
  const { link, sink, write: fd } = bare(t);
  const why: unknown[] = [];
  link.onEnd = (end) => why.push(end);
  write(fd, framed(numbered(1)), Buffer.of(0x24, 0x15), framed(numbered(2)));
  await until(() => why.length > 0);
  t.deepEqual([why, sink.numbers, link.drops[Drop.StreamBadLength]], [['out of step'], [1], 1]);
  api.close(fd);
});

test('the end of the input ends the link', async (t) => {
  const { link, write: fd } = bare(t);
  const why: unknown[] = [];
  link.onEnd = (end) => why.push(end);
  api.close(fd);
  await until(() => why.length > 0);
  t.deepEqual([why, link.up], [['ended'], false]);
});

for (const waits of [true, false])
  test(`nobody reads any more, frames ${waits ? 'wait' : 'do not wait'}: the link ends, not inside flush`, async (t) => {
    const { link, read: fd } = bare(t);
    const why: unknown[] = [];
    link.onEnd = (end) => why.push(end);
    if (waits) {
      for (let i = 0; i < 100; i++) link.tx.frame(numbered(i, 1000), 0, 1000);
      link.tx.flush();
    }
    api.close(fd);
    link.tx.frame(numbered(1), 0, 60);
    link.tx.flush();
    t.deepEqual(why, []);
    await until(() => why.length > 0);
    t.deepEqual(why, ['ended']);
  });

test('a link whose reader ends while nothing is sent ends, too', async (t) => {
  const { link, read: fd } = bare(t);
  const why: unknown[] = [];
  link.onEnd = (end) => why.push(end);
  await turns();
  api.close(fd);
  await until(() => why.length > 0);
  t.deepEqual(why, ['ended']);
});
