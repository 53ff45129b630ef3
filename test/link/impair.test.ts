import { join } from 'node:path';
import test from 'ava';
import { Drop, dropSnapshot } from '../../src/core/drop.ts';
import type { FrameSink, Link } from '../../src/core/frame.ts';
import { Prng } from '../../src/core/prng.ts';
import { Blink } from '../../src/link/blink.ts';
import type { Paced } from '../../src/link/cable.ts';
import { DelayQueue } from '../../src/link/delay-queue.ts';
import { Impair } from '../../src/link/impair.ts';
import { ImpairModel, LR, type Parameter, RL } from '../../src/link/impair-model.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { native } from '../../src/native/native.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { datagramSocket, numbered, receiveAll, tempDir } from './support.ts';

interface Arrival {
  readonly n: number;
  readonly at: number;
  readonly bytes: Uint8Array;
}

type Settings = Partial<Record<Parameter, number | { value: number; plus: number; normal?: boolean }>>;

/** A cable between two memory links; frames put into the left one, arrivals at the right one with their times. */
function cable(settings: Settings, seed = 1) {
  const clock = new FakeClock();
  const model = new ImpairModel();
  const set = (parameter: Parameter, value: number | { value: number; plus: number; normal?: boolean }): void => {
    const full = typeof value === 'number' ? { value, plus: 0 } : value;
    for (const direction of [LR, RL] as const) model.set(0, direction, parameter, { normal: false, ...full });
  };
  for (const [parameter, value] of Object.entries(settings)) set(parameter as Parameter, value);
  const steps: [number, number][] = [];
  const impair = new Impair({ model, clock, seed, stepped: (from, to) => steps.push([from, to]) });
  const [far, left] = memoryPair('left', { delivery: 'direct', mtu: 9216 });
  const [near, right] = memoryPair('right', { delivery: 'direct', mtu: 9216 });
  impair.connect(LR, left, right);
  impair.connect(RL, right, left);
  const start = clock.now();
  const arrivals: Arrival[] = [];
  let flushes = 0;
  const sink = (list: Arrival[]) => ({
    frame: (b: Uint8Array, off: number, len: number) => {
      const bytes = b.slice(off, off + len);
      const n = ((bytes[14]! << 24) | (bytes[15]! << 16) | (bytes[16]! << 8) | bytes[17]!) >>> 0;
      list.push({ n, at: clock.now() - start, bytes });
    },
    flush: () => flushes++,
  });
  near.attach(sink(arrivals));
  const back: Arrival[] = [];
  far.attach(sink(back));
  const send = (n: number, len = 60): void => {
    far.tx.frame(numbered(n, len), 0, len);
    far.tx.flush();
  };
  return { clock, model, impair, arrivals, back, send, near, steps, flushes: () => flushes };
}

const mean = (list: readonly number[]): number => list.reduce((sum, x) => sum + x, 0) / list.length;

/** How often what has probability `p` may happen in `n` tries: the mean and five deviations. */
function near(t: { true(value: boolean, message?: string): void }, count: number, n: number, p: number): void {
  const deviation = Math.sqrt(n * p * (1 - p));
  t.true(Math.abs(count - n * p) <= 5 * deviation, `${count} of ${n}, expected ${n * p} +- ${5 * deviation}`);
}

test('without parameters frames pass inside the call, both ways, and are flushed', (t) => {
  const { send, arrivals, back, near: right, flushes } = cable({});
  send(1);
  right.tx.frame(numbered(2), 0, 60);
  right.tx.flush();
  t.deepEqual([arrivals.map((a) => a.n), back.map((a) => a.n)], [[1], [2]]);
  t.is(flushes(), 2);
});

test('mtu counts two bytes more than the frame has', (t) => {
  const { send, arrivals, impair } = cable({ mtu: 100 });
  send(1, 98);
  send(2, 99);
  t.deepEqual(
    arrivals.map((a) => a.n),
    [1],
  );
  t.is(impair.drops[Drop.ImpairMtu], 1);
});

test('loss: its percentage, and always at 100', (t) => {
  const { send, arrivals, impair, model } = cable({ loss: 20 });
  for (let i = 0; i < 20_000; i++) send(i);
  near(t, 20_000 - arrivals.length, 20_000, 0.2);
  t.is(impair.drops[Drop.ImpairLoss], 20_000 - arrivals.length);
  model.set(0, LR, 'loss', { value: 100, plus: 0, normal: false });
  const before = arrivals.length;
  for (let i = 0; i < 100; i++) send(i);
  t.is(arrivals.length, before);
});

test('lostburst: the loss comes in bursts of the mean length, and is the same in all', (t) => {
  const { send, arrivals } = cable({ loss: 10, lostburst: 5 });
  const total = 100_000;
  for (let i = 0; i < total; i++) send(i);
  const bursts: number[] = [];
  for (let i = 1; i < arrivals.length; i++) {
    const gap = arrivals[i]!.n - arrivals[i - 1]!.n - 1;
    if (gap > 0) bursts.push(gap);
  }
  const lost = (total - arrivals.length) / total;
  t.true(Math.abs(lost - 0.1) < 0.015, `lost ${lost}`);
  t.true(Math.abs(mean(bursts) - 5) < 0.5, `bursts of ${mean(bursts)}`);
});

test('dup: copies follow a geometric law; 100 percent is bounded', (t) => {
  const { send, arrivals, impair, model } = cable({ dup: 25 });
  for (let i = 0; i < 20_000; i++) send(i);
  const copies = arrivals.length - 20_000;
  t.is(impair.stats(LR).duplicates, copies);
  t.true(Math.abs(copies / 20_000 - 1 / 3) < 0.02, `${copies / 20_000} copies a frame`); // p / (1 - p)
  model.set(0, LR, 'dup', { value: 100, plus: 0, normal: false });
  const before = arrivals.length;
  send(1);
  t.is(arrivals.length - before, 64);
});

test('delay: uniform and normal spreads, in order; negative draws are none', (t) => {
  for (const normal of [false, true]) {
    const { send, arrivals, clock } = cable({ delay: { value: 50, plus: 12, normal } });
    const times: number[] = [];
    for (let i = 0; i < 2000; i++) {
      const before = clock.now();
      send(i);
      clock.advance(100);
      times.push(arrivals[i]!.at - (before - 1_000_000));
    }
    const m = mean(times);
    const deviation = Math.sqrt(mean(times.map((x) => (x - m) ** 2)));
    t.true(Math.abs(m - 50) < 1.2, `mean ${m}`);
    const wanted = normal ? 4 : 12 / Math.sqrt(3);
    t.true(Math.abs(deviation - wanted) < 0.5, `deviation ${deviation}, expected ${wanted}`);
    if (!normal) t.true(Math.min(...times) >= 37.4 && Math.max(...times) <= 62.5);
  }
  const { send, arrivals } = cable({ delay: -5 });
  send(1);
  t.is(arrivals.length, 1);
});

test('fifo: no frame overtakes another; without it they do', (t) => {
  for (const fifo of [true, false]) {
    const { send, arrivals, clock, model } = cable({ delay: { value: 20, plus: 20 } });
    model.fifo = fifo;
    for (let i = 0; i < 200; i++) {
      send(i);
      clock.advance(1);
    }
    clock.advance(100);
    const order = arrivals.map((a) => a.n);
    t.is(order.length, 200);
    t.is(
      order.every((n, i) => n === i),
      fifo,
    );
  }
});

test('bandwidth: ten frames of 998 bytes at 10000 bytes/s leave each tenth of a second', (t) => {
  const { send, arrivals, clock } = cable({ bandwidth: 10_000 });
  for (let i = 0; i < 10; i++) send(i, 998);
  clock.advance(1100);
  for (const [i, { at }] of arrivals.entries()) t.true(Math.abs(at - (i + 1) * 100) <= 0.5, `frame ${i} at ${at}`);
  t.is(arrivals.length, 10);
});

test('speed: the same for the interface; a link that cannot be held has a bounded waiting room', (t) => {
  const { send, arrivals, clock, impair } = cable({ speed: 100_000 });
  for (let i = 0; i < 300; i++) send(i, 998);
  t.is(impair.drops[Drop.ImpairQueueFull], 300 - 213); // 212 of 1000 bytes outside, one in the wire
  clock.advance(3000);
  t.is(arrivals.length, 213);
  for (const [i, { at }] of arrivals.entries()) t.true(Math.abs(at - (i + 1) * 10) <= 0.5, `frame ${i} at ${at}`);
});

/** A link that can be held: what the test offers comes in batches while it is read. */
class PacedLink implements Paced {
  readonly link: Link & Paced;
  /** Frames that wait with the sender. */
  readonly offered: number[] = [];
  readonly sent: number[] = [];
  readonly batch: number;
  congested = false;
  onRoom: (() => void) | null = null;
  private held = false;
  private sink: FrameSink | null = null;

  constructor(batch: number) {
    this.batch = batch;
    const [, end] = memoryPair('paced', { delivery: 'direct' });
    const tx: FrameSink = {
      frame: (b, off) => this.sent.push(((b[off + 16]! << 8) | b[off + 17]!) >>> 0),
      flush: () => {},
    };
    this.link = Object.defineProperties(Object.create(end), {
      tx: { value: tx },
      attach: { value: (sink: FrameSink) => (this.sink = sink) },
      hold: { value: (on: boolean) => this.hold(on) },
      congested: { get: () => this.congested },
      onRoom: { set: (f) => (this.onRoom = f), get: () => this.onRoom },
    });
  }

  hold(on: boolean): void {
    this.held = on;
  }

  /** Takes what the sender offers, as an event loop would. */
  read(len: number): void {
    while (!this.held && this.offered.length > 0) {
      for (const n of this.offered.splice(0, this.batch)) this.sink!.frame(numbered(n, len), 0, len);
      this.sink!.flush();
    }
  }
}

function pacedCable(settings: Settings, batch = 1) {
  const clock = new FakeClock();
  const model = new ImpairModel();
  for (const [parameter, value] of Object.entries(settings))
    model.set(0, LR, parameter as Parameter, { value: value as number, plus: 0, normal: false });
  const impair = new Impair({ model, clock, seed: 1 });
  const [from, to] = [new PacedLink(batch), new PacedLink(batch)];
  impair.connect(LR, from.link, to.link);
  impair.connect(RL, to.link, from.link);
  /** Time goes by in steps of a millisecond, in each of which the sender is looked at. */
  const run = (ms: number, len: number): void => {
    for (let i = 0; i < ms; i++) {
      from.read(len);
      clock.advance(1);
    }
  };
  return { clock, model, impair, from, to, run };
}

for (const batch of [1, 64])
  test(`speed brakes the sender: nothing is lost, and the rate is kept, in batches of ${batch}`, (t) => {
    const { from, to, run, impair } = pacedCable({ speed: 100_000, chanbufsize: 5000 }, batch);
    for (let i = 0; i < 1000; i++) from.offered.push(i);
    run(1000, 998); // one second: 100,000 bytes are 100 frames of 1000
    t.true(Math.abs(to.sent.length - 100) <= 1, `${to.sent.length} frames in one second`);
    t.true(from.offered.length >= 1000 - 101 - batch, `${from.offered.length} wait with the sender`);
    run(9100, 998);
    t.deepEqual(to.sent, [...Array(1000).keys()]);
    t.deepEqual(dropSnapshot(impair.drops), {});
    t.is(impair.queuedFrames, 0);
  });

test('speed: short frames keep the rate too, though timers have whole milliseconds', (t) => {
  const { from, to, run } = pacedCable({ speed: 1_000_000 }, 16); // 100 bytes in 0.1 ms
  for (let i = 0; i < 5000; i++) from.offered.push(i);
  run(400, 98);
  t.true(Math.abs(to.sent.length - 4000) <= 40, `${to.sent.length} frames in 0.4 s`);
});

test('speed that is taken away lets the sender go on', (t) => {
  const { from, to, run, model } = pacedCable({ speed: 1000 });
  for (let i = 0; i < 10; i++) from.offered.push(i);
  run(500, 998);
  t.is(to.sent.length, 0);
  model.set(0, LR, 'speed', { value: 0, plus: 0, normal: false });
  run(600, 998); // the frame that is in the wire takes its second
  t.is(to.sent.length, 10);
});

test('a receiver that has no room brakes the sender, and what waits goes on when it has', (t) => {
  const { from, to, run, impair, clock } = pacedCable({ delay: 5 }, 4);
  to.congested = true;
  for (let i = 0; i < 100; i++) from.offered.push(i);
  run(100, 98);
  t.deepEqual([to.sent.length, from.offered.length, impair.queuedFrames], [0, 96, 4]);
  t.is(clock.next, Number.POSITIVE_INFINITY, 'nothing turns meanwhile');
  to.congested = false;
  to.onRoom!();
  run(200, 98);
  t.deepEqual(to.sent, [...Array(100).keys()]);
});

test('a rate whose draw is nothing carries nothing', (t) => {
  const { send, arrivals, impair } = cable({ bandwidth: -1 });
  send(1);
  t.deepEqual([arrivals.length, impair.drops[Drop.ImpairLoss]], [0, 1]);
});

test('chanbufsize bounds the bytes that wait', (t) => {
  const { send, arrivals, clock, impair } = cable({ delay: 10, chanbufsize: 250 });
  for (let i = 0; i < 10; i++) send(i, 98);
  t.is(impair.queuedBytes(LR), 200);
  t.is(impair.queuedFrames, 2);
  t.is(impair.drops[Drop.ImpairBuffer], 8);
  clock.advance(20);
  t.is(arrivals.length, 2);
  t.is(impair.queuedBytes(LR), 0);
});

test('noise flips as many bits as it says, inside the frame, and not in the sender’s bytes', (t) => {
  const { send, arrivals, impair } = cable({ noise: 100 });
  const frames = 2000;
  for (let i = 0; i < frames; i++) send(i, 1000);
  const original = numbered(0, 1000);
  let flipped = 0;
  for (const { bytes } of arrivals) {
    t.is(bytes.length, 1000);
    for (let i = 18; i < 1000; i++) for (let x = bytes[i]! ^ original[i]!; x !== 0; x &= x - 1) flipped++;
  }
  const expected = (frames * 982 * 100) / 2 ** 20;
  t.true(Math.abs(flipped - expected) < 5 * Math.sqrt(expected), `${flipped}, expected ${expected}`);
  t.true(impair.stats(LR).flippedBits >= flipped);
});

test('one seed, one fate; each direction has its own', (t) => {
  const run = (seed: number, between: boolean): number[] => {
    const { send, arrivals, near: right, clock } = cable({ loss: 30, dup: 10, delay: { value: 5, plus: 5 } }, seed);
    for (let i = 0; i < 300; i++) {
      send(i);
      if (between) right.tx.frame(numbered(i), 0, 60);
    }
    clock.advance(50);
    return arrivals.map((a) => a.n);
  };
  t.deepEqual(run(7, false), run(7, false));
  t.deepEqual(run(7, true), run(7, false), 'what comes the other way does not matter');
  t.notDeepEqual(run(8, false), run(7, false));
});

test('Markov chain: a step each period, with the percentages of the edges', (t) => {
  const { clock, model, impair, steps, send, arrivals } = cable({});
  model.setNodeCount(2);
  model.setEdge(0, 1, 20);
  model.setEdge(1, 0, 50);
  model.set(1, LR, 'loss', { value: 100, plus: 0, normal: false });
  model.timeMs = 10;
  impair.chainChanged();
  let inOne = 0;
  for (let i = 0; i < 20_000; i++) {
    clock.advance(10);
    if (model.current === 1) inOne++;
    send(i);
  }
  t.true(Math.abs(inOne / 20_000 - 2 / 7) < 0.02, `${inOne / 20_000} of the time in the second state`);
  t.is(arrivals.length, 20_000 - inOne);
  t.true(Math.abs(steps.length - 20_000 * (2 / 7)) < 600);
  model.setNodeCount(1);
  impair.chainChanged();
  t.is(clock.next, Number.POSITIVE_INFINITY, 'nothing to wait for');
});

test('what waits is bounded in frames and bytes, and closing forgets it', (t) => {
  const { send, impair, clock, arrivals } = cable({ delay: 1e6 });
  for (let i = 0; i < 8000; i++) send(i, 9000);
  t.true(impair.queuedFrames <= (64 << 20) / 9000 && impair.queuedFrames > 7000);
  t.is(impair.drops[Drop.ImpairQueueFull], 8000 - impair.queuedFrames);
  impair.close();
  clock.advance(2e6);
  t.is(arrivals.length, 0);
  send(1);
  t.is(impair.drops[Drop.LinkDown], 1);
});

test('a queue of frames comes out by time, then by age, unchanged', (t) => {
  const queue = new DelayQueue(5000, 1 << 24);
  const random = new Prng(3);
  const expected: { n: number; at: number }[] = [];
  const out: number[] = [];
  const shift = (): void => {
    queue.shift((b, off, len) => {
      const n = (b[off + 16]! << 8) | b[off + 17]!;
      t.is(len, 60 + (n % 1500));
      out.push(n);
    });
  };
  for (let n = 0; n < 4000; n++) {
    const at = Math.floor(random.uniform() * 50);
    t.true(queue.push(numbered(n, 60 + (n % 1500)), 0, 60 + (n % 1500), at));
    expected.push({ n, at });
  }
  expected.sort((a, b) => a.at - b.at || a.n - b.n);
  while (queue.count > 0) shift();
  t.deepEqual(
    out,
    expected.map((e) => e.n),
  );
  t.is(queue.nextMs, Number.POSITIVE_INFINITY);
});

test('random numbers: uniform, normal and Poisson laws', (t) => {
  const random = new Prng(11);
  const uniform = Array.from({ length: 50_000 }, () => random.uniform());
  t.true(Math.abs(mean(uniform) - 0.5) < 0.01 && Math.min(...uniform.slice(0, 1000)) >= 0);
  const normal = Array.from({ length: 50_000 }, () => random.normal());
  t.true(Math.abs(mean(normal)) < 0.02);
  t.true(Math.abs(mean(normal.map((x) => x * x)) - 1) < 0.03);
  const poisson = Array.from({ length: 50_000 }, () => random.poisson(1.5, 100));
  t.true(Math.abs(mean(poisson) - 1.5) < 0.03);
  t.is(new Prng(1).poisson(1e9, 10), 10);
});

test('blink: a datagram for each frame, and none needs to listen', (t) => {
  const path = join(tempDir(t), 'lights');
  const blink = new Blink(path, 'lab', false);
  blink.frame(LR, 60);
  const fd = datagramSocket(path);
  t.teardown(() => {
    blink.close();
    native().close(fd);
  });
  for (let i = 0; i < 101; i++) blink.frame(LR, 60);
  blink.frame(RL, 9998);
  const heard = receiveAll(fd).map((bytes) => new TextDecoder().decode(bytes));
  t.deepEqual(heard.slice(-2), ['lab LR 62\n', 'lab RL 10000\n']);
  const oneWay = new Blink(path, 'x', true);
  oneWay.frame(LR, 7);
  oneWay.close();
  t.deepEqual(
    receiveAll(fd).map((bytes) => new TextDecoder().decode(bytes)),
    ['x -- 9\n'],
  );
});
