import test from 'ava';
import { Drop } from '../../src/core/drop.ts';
import { FrameMemory } from '../../src/core/frame.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { linkCompliance } from '../compliance/link.ts';
import { numbered, Recorder, turns } from './support.ts';

for (const delivery of ['direct', 'loop'] as const) {
  linkCompliance(test, `memory link, ${delivery}`, async () => {
    const [a, b] = memoryPair('test', { delivery });
    return { a, b, memory: new FrameMemory(1 << 20) };
  });
}

const send = (link: { tx: { frame: (b: Uint8Array, o: number, l: number) => void } }, frame: Uint8Array) =>
  link.tx.frame(frame, 0, frame.length);

test('direct: a frame is at the other sink when frame() returns, in the same memory', (t) => {
  const [a, b] = memoryPair('test', { delivery: 'direct' });
  const frame = numbered(1);
  const seen: Uint8Array[] = [];
  let flushes = 0;
  b.attach({ frame: (bytes) => seen.push(bytes), flush: () => flushes++ });
  send(a, frame);
  t.is(seen[0], frame);
  a.tx.flush();
  t.is(flushes, 1);
});

test('manual: nothing comes before pump, and what is sent meanwhile waits for the next one', async (t) => {
  const [a, b] = memoryPair('test', { delivery: 'manual' });
  const got: number[] = [];
  b.attach({
    frame: (bytes, off) => {
      got.push(bytes[off + 17]!);
      if (got.length < 3) send(a, numbered(10 + got.length));
    },
    flush: () => got.push(-1),
  });
  send(a, numbered(1));
  send(a, numbered(2));
  a.tx.flush();
  await turns();
  t.deepEqual(got, []);
  t.is(b.pump(), 2);
  t.deepEqual(got, [1, 2, -1]);
  t.is(b.pump(), 2);
  t.deepEqual(got, [1, 2, -1, 11, 12, -1]);
  t.is(b.pump(), 0);
});

test('manual: the newest frames are dropped when the queue is full', (t) => {
  const [a, b] = memoryPair('test', { delivery: 'manual' });
  const sink = new Recorder();
  b.attach(sink);
  for (let i = 0; i < 1100; i++) send(a, numbered(i));
  t.is(a.drops[Drop.TxQueueFull], 76);
  b.pump();
  t.deepEqual(
    sink.numbers,
    Array.from({ length: 1024 }, (_, i) => i),
  );
});

test('a link nobody listens to is down', (t) => {
  const [a] = memoryPair('test', { delivery: 'direct' });
  send(a, numbered(1));
  t.is(a.drops[Drop.LinkDown], 1);
});

test('closing inside a delivery ends it', (t) => {
  const [a, b] = memoryPair('test', { delivery: 'manual' });
  let got = 0;
  b.attach({
    frame: () => {
      got++;
      void b.close();
    },
    flush: () => {},
  });
  send(a, numbered(1));
  send(a, numbered(2));
  b.pump();
  t.is(got, 1);
});
