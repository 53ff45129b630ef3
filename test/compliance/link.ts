// What every Link promises, as tests. A link's own test file calls `linkCompliance` with a function that makes a pair of
// joined ends.

import type { ExecutionContext, TestFn } from 'ava';
import { Drop } from '../../src/core/drop.ts';
import type { FrameMemory, Link } from '../../src/core/frame.ts';
import { numbered, Recorder, turns, until } from '../link/support.ts';

export interface LinkPair {
  /** The end under test, and the one at the other side. */
  a: Link;
  b: Link;
  memory: FrameMemory;
}

export function linkCompliance(test: TestFn, name: string, make: (t: ExecutionContext) => Promise<LinkPair>): void {
  const pair = async (t: ExecutionContext) => {
    const made = await make(t);
    const sink = new Recorder();
    made.b.attach(sink);
    t.teardown(async () => {
      await made.a.close();
      await made.b.close();
    });
    return { ...made, sink };
  };
  const send = (link: Link, frame: Uint8Array) => link.tx.frame(frame, 0, frame.length);

  test(`${name}: frames arrive in order and unchanged, then flush is called`, async (t) => {
    const { a, sink } = await pair(t);
    const frames = [14, 15, 42, 60, 61, 600, 1514].map((len, i) => numbered(i, Math.max(len, 18)).subarray(0, len));
    for (const frame of frames) send(a, frame);
    a.tx.flush();
    await until(() => sink.flushes > 0 && sink.frames.length === frames.length, 'frames');
    t.deepEqual(
      sink.frames,
      frames.map((frame) => frame.slice()),
    );
  });

  test(`${name}: both directions`, async (t) => {
    const { a, b, sink } = await pair(t);
    const back = new Recorder();
    a.attach(back);
    send(a, numbered(1));
    a.tx.flush();
    send(b, numbered(2));
    b.tx.flush();
    await until(() => sink.frames.length === 1 && back.frames.length === 1, 'frames');
    t.deepEqual([sink.numbers, back.numbers], [[1], [2]]);
  });

  test(`${name}: bytes that are not of the frame memory may change after frame()`, async (t) => {
    const { a, sink } = await pair(t);
    const frame = numbered(7);
    send(a, frame);
    frame.fill(0);
    a.tx.flush();
    await until(() => sink.frames.length === 1, 'frame');
    t.deepEqual(sink.frames[0], numbered(7));
  });

  test(`${name}: frames of the frame memory and others keep their order, and may change after flush()`, async (t) => {
    const { a, sink, memory } = await pair(t);
    const base = memory.region(4096);
    for (let i = 0; i < 40; i++) {
      const frame = numbered(i);
      if (i % 3 === 0) send(a, frame);
      else {
        memory.bytes.set(frame, base + i * 64 + 2);
        a.tx.frame(memory.bytes, base + i * 64 + 2, frame.length);
      }
    }
    a.tx.flush();
    memory.bytes.fill(0, base, base + 4096);
    await until(() => sink.frames.length === 40, 'frames');
    t.deepEqual(
      sink.numbers,
      Array.from({ length: 40 }, (_, i) => i),
    );
  });

  test(`${name}: frames that are too short or too long are dropped and counted, never cut`, async (t) => {
    const { a, sink } = await pair(t);
    const most = a.mtu + 18;
    send(a, numbered(1, 18).subarray(0, 13));
    send(a, numbered(2, most + 1));
    send(a, numbered(3, most));
    a.tx.flush();
    await until(() => sink.frames.length > 0, 'frame');
    await turns();
    t.deepEqual(sink.numbers, [3]);
    t.is(sink.frames[0]!.length, most);
    t.is(a.drops[Drop.FrameTooShort], 1);
    t.is(a.drops[Drop.FrameTooLong], 1);
  });

  test(`${name}: counters`, async (t) => {
    const { a, b, sink } = await pair(t);
    send(a, numbered(1, 60));
    send(a, numbered(2, 100));
    a.tx.flush();
    await until(() => sink.frames.length === 2, 'frames');
    t.like(a.stats, { txFrames: 2, txBytes: 160, rxFrames: 0 });
    t.like(b.stats, { rxFrames: 2, rxBytes: 160, txFrames: 0 });
  });

  test(`${name}: a later attach replaces the sink`, async (t) => {
    const { a, b, sink } = await pair(t);
    const other = new Recorder();
    b.attach(other);
    send(a, numbered(1));
    a.tx.flush();
    await until(() => other.frames.length === 1, 'frame');
    t.is(sink.frames.length, 0);
  });

  test(`${name}: a flood is bounded: what arrives is in order, the rest is counted`, async (t) => {
    const { a, sink } = await pair(t);
    const sent = 6000;
    for (let i = 0; i < sent; i++) {
      send(a, numbered(i));
      if (i % 50 === 49) a.tx.flush();
    }
    const dropped = a.drops[Drop.TxQueueFull]!;
    await until(() => sink.frames.length === sent - dropped, 'frames');
    await turns();
    const { numbers } = sink;
    t.is(numbers.length, sent - dropped);
    t.true(numbers.every((n, i) => i === 0 || n > numbers[i - 1]!));
    t.is(a.stats.txFrames, sent - dropped);
  });

  test(`${name}: close ends both ends, twice is allowed, and later frames are counted`, async (t) => {
    const { a, b, sink } = await pair(t);
    const states: boolean[] = [];
    b.onState = (up) => states.push(up);
    await a.close();
    await a.close();
    await until(() => states.length > 0, 'state');
    t.deepEqual(states, [false]);
    send(a, numbered(1));
    a.tx.flush();
    await turns();
    t.is(sink.frames.length, 0);
    t.is(a.drops[Drop.LinkDown]! + a.drops[Drop.TxError]!, 1);
    send(b, numbered(1));
    b.tx.flush();
    t.is(b.drops[Drop.LinkDown]! + b.drops[Drop.TxError]!, 1);
  });
}
