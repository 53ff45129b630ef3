// A bad cable between two links: what wirefilter is.
//
//   left.rx --> mtu, loss, dup, capacity, speed, bandwidth, delay --> [queue by time] --> noise --> right.tx
//   left.tx <-- noise <-- [queue by time] <-- (the same with its own numbers) <------------------ right.rx
//
// Each frame, in this order (lengths count 2 bytes more than the frame has, as the stream header of the original does):
//
//   mtu          dropped when longer
//   loss         dropped with that percentage; with lostburst L > 0 by Gilbert's model: the bad state, in which all is lost,
//                is entered with p / (L (1 - p)) and left with 1 / L, so that bursts of L frames lose the fraction p
//   dup          one more copy with that percentage, and again, COPIES at most
//   chanbufsize  dropped when what waits would be more bytes than that
//   speed        the time the frame takes to get into the wire; meanwhile none other is let in (see below)
//   bandwidth    the same for the wire; others wait in its queue
//   delay        added; with fifo never so short that the frame overtakes another
//   noise        bits flipped in the 2^20 bytes, when the frame comes out
//
// Speed brakes. While a frame gets into the wire the link that it came from is not read (`Paced.hold`), so the frames
// behind it wait with their sender: in the kernel's socket or pipe, and then in a program that blocks. Frames that had
// been read already, one batch, wait in front of the wire and have met none of the parameters yet. A link that cannot be
// held has a waiting room of what a socket would hold. A link whose peer is slow brakes the other way round: nothing is
// sent, and nothing read, until it has room.
//
// A frame that is due at once goes straight on, inside the call that brought it, and is flushed with it. Others are copied
// and sent by one timer. It is set for half a millisecond early and frames leave up to half a millisecond early or late,
// because timers of the host have whole milliseconds: the mean is true. TimerWheel's 4 ms would be too coarse, so the
// cable has a clock of its own.
//
// Each direction, and the chain of states, has a stream of random numbers of its own under one seed: what happens to the
// frames of one direction depends on their number and lengths, not on the other direction.
//
// Bounds: MAX_FRAMES and MAX_BYTES in each direction, whatever the parameters say; the newest frame is dropped and counted.

import type { Clock } from '../core/clock.ts';
import { copyInto } from '../core/copy.ts';
import { Drop, newDropCounters } from '../core/drop.ts';
import type { FrameSink, Link } from '../core/frame.ts';
import { Prng } from '../core/prng.ts';
import { type Paced, pacedOf } from './cable.ts';
import { DelayQueue } from './delay-queue.ts';
import { type Direction, type ImpairModel, LR, RL, sample } from './impair-model.ts';
import { MAX_RX_FRAME } from './limits.ts';

/** Of the stream header that the original counts. */
export const HEADER = 2;
const MAX_FRAMES = 1 << 16;
const MAX_BYTES = 64 << 20;
/** What waits in front of the wire for a link that cannot be held is what a socket would hold, bytes. */
const INTERFACE_BYTES = 212_992;
/** Copies of one frame at most. */
const COPIES = 64;
const EARLY_MS = 0.5;
/** A frame that comes so soon after the wire was free had waited for it outside: its time begins where the last one ended. */
const WAITED_MS = 3;
/** Frames sent in one turn of the loop. */
const BURST = 1024;
const MEGA = 1 << 20;
/** Steps of the chain that are caught up with after a pause of the process. */
const MAX_STEPS = 1000;

export interface ImpairOptions {
  readonly model: ImpairModel;
  /** Not shared with anybody: the cable keeps the one wake-up that a clock has. */
  readonly clock: Clock;
  readonly seed: number;
  /** A frame of `len` bytes has left. */
  readonly delivered?: (direction: Direction, len: number) => void;
  /** The chain has gone from one state to another. */
  readonly stepped?: (from: number, to: number) => void;
}

/** Counters of one direction. */
export interface ImpairStats {
  framesIn: number;
  framesOut: number;
  /** Copies made. */
  duplicates: number;
  flippedBits: number;
}

export class Impair {
  readonly model: ImpairModel;
  readonly drops = newDropCounters();
  private readonly options: ImpairOptions;
  private readonly channels: readonly [Channel, Channel];
  private readonly chain: Prng;
  private nextStepMs = Number.POSITIVE_INFINITY;
  private wakeMs = Number.POSITIVE_INFINITY;
  private readonly runBound = (): void => this.run();
  private closed = false;

  constructor(options: ImpairOptions) {
    this.options = options;
    this.model = options.model;
    this.channels = [this.channel(LR), this.channel(RL)];
    this.chain = new Prng(options.seed, 3);
    this.chainChanged();
  }

  /** Lets what comes in at `from` go out at `to`, in one direction. */
  connect(direction: Direction, from: Link, to: Link): void {
    const channel = this.channels[direction];
    channel.between(from, to);
    from.attach(channel);
  }

  stats(direction: Direction): ImpairStats {
    return this.channels[direction].stats;
  }

  /** Bytes that wait in one direction, headers counted. */
  queuedBytes(direction: Direction): number {
    return this.channels[direction].waiting;
  }

  /** Frames that wait in both directions. */
  get queuedFrames(): number {
    return this.channels[LR].queue.count + this.channels[RL].queue.count;
  }

  /** The number of states or the time of a step was changed: the next step is a whole period away. */
  chainChanged(): void {
    const { model, options } = this;
    this.nextStepMs = model.nodeCount > 1 ? options.clock.now() + model.timeMs : Number.POSITIVE_INFINITY;
    this.wakeMs = Number.POSITIVE_INFINITY;
    options.clock.wake(Number.POSITIVE_INFINITY, this.runBound);
    this.schedule();
  }

  /** Frames that wait are dropped, and those that come in. */
  close(): void {
    this.closed = true;
    this.options.clock.wake(Number.POSITIVE_INFINITY, this.runBound);
    for (const channel of this.channels) channel.end();
  }

  /** Used by the channels: one has something to do earlier than before. */
  schedule(): void {
    const [lr, rl] = this.channels;
    const next = Math.min(lr.nextMs, rl.nextMs, this.nextStepMs) - EARLY_MS;
    if (next >= this.wakeMs || this.closed) return;
    this.wakeMs = next;
    this.options.clock.wake(next, this.runBound);
  }

  private channel(direction: Direction): Channel {
    const { model, clock, seed, delivered } = this.options;
    const told = delivered === undefined ? null : (len: number) => delivered(direction, len);
    return new Channel(this, direction, model, clock, new Prng(seed, direction + 1), this.drops, told);
  }

  private run(): void {
    this.wakeMs = Number.POSITIVE_INFINITY;
    if (this.closed) return;
    const now = this.options.clock.now() + EARLY_MS;
    for (const channel of this.channels) channel.release(now);
    this.walk(now);
    this.schedule();
  }

  /** Takes the steps of the chain that are due. */
  private walk(now: number): void {
    const { model } = this;
    for (let steps = 0; this.nextStepMs <= now; steps++) {
      this.nextStepMs = steps < MAX_STEPS ? this.nextStepMs + model.timeMs : now + model.timeMs;
      const from = model.step(this.chain);
      if (from >= 0) this.options.stepped?.(from, model.current);
    }
  }
}

class Channel implements FrameSink {
  readonly stats: ImpairStats = { framesIn: 0, framesOut: 0, duplicates: 0, flippedBits: 0 };
  readonly queue = new DelayQueue(MAX_FRAMES, MAX_BYTES);
  /** Bytes in the queue, headers counted. */
  waiting = 0;
  private to: FrameSink | null = null;
  private source: Paced | null = null;
  private target: Paced | null = null;
  /** Frames in front of the wire, in order, and their bytes with headers. */
  private readonly outside = new DelayQueue(MAX_FRAMES, MAX_BYTES);
  private outsideBytes = 0;
  /** The source is not read. */
  private braked = false;
  private readonly owner: Impair;
  private readonly direction: Direction;
  private readonly model: ImpairModel;
  private readonly clock: Clock;
  private readonly random: Prng;
  private readonly drops: Float64Array;
  private readonly told: ((len: number) => void) | null;
  private readonly scratch = new Uint8Array(MAX_RX_FRAME);
  /** Gilbert's bad state. */
  private bad = false;
  /** When the next frame may get into the wire, when the line is free again, and when the last frame leaves, monotonic ms. */
  private wireFreeMs = 0;
  private lineFreeMs = 0;
  private lastMs = 0;
  /** Something was handed on that was not flushed. */
  private unflushed = false;

  constructor(
    owner: Impair,
    direction: Direction,
    model: ImpairModel,
    clock: Clock,
    random: Prng,
    drops: Float64Array,
    told: ((len: number) => void) | null,
  ) {
    this.owner = owner;
    this.direction = direction;
    this.model = model;
    this.clock = clock;
    this.random = random;
    this.drops = drops;
    this.told = told;
  }

  between(from: Link, to: Link): void {
    this.to = to.tx;
    this.source = pacedOf(from);
    this.target = pacedOf(to);
    // Maybe inside of a flush: not from here.
    if (this.target !== null) this.target.onRoom = () => this.owner.schedule();
  }

  end(): void {
    this.to = null;
    if (this.target !== null) this.target.onRoom = null;
  }

  /** When there is something to do next, monotonic ms. */
  get nextMs(): number {
    if (this.target?.congested === true) return Number.POSITIVE_INFINITY; // until it has room
    const waits = this.braked || this.outside.count > 0;
    return waits ? Math.min(this.queue.nextMs, this.wireFreeMs) : this.queue.nextMs;
  }

  frame(b: Uint8Array, off: number, len: number): void {
    this.stats.framesIn++;
    if (len > MAX_RX_FRAME || this.to === null) {
      this.drops[this.to === null ? Drop.LinkDown : Drop.FrameTooLong]!++;
      return;
    }
    const now = this.clock.now();
    if (this.outside.count === 0 && this.wireFreeMs <= now + EARLY_MS) {
      this.admit(b, off, len, now - this.wireFreeMs < WAITED_MS ? this.wireFreeMs : now);
      return;
    }
    const size = len + HEADER;
    const full = this.source === null && this.outsideBytes + size > INTERFACE_BYTES;
    if (full || !this.outside.push(b, off, len, 0)) this.drops[Drop.ImpairQueueFull]!++;
    else this.outsideBytes += size;
  }

  /** Hands on what has been delivered at once, and brakes the source when no more can be taken. */
  flush(): void {
    this.flushOut();
    if (this.braked || this.source === null) return;
    const free = this.wireFreeMs <= this.clock.now() + EARLY_MS && this.outside.count === 0;
    if (free && this.target?.congested !== true) return;
    this.braked = true;
    this.source.hold(true);
    this.owner.schedule();
  }

  /** One frame gets into the wire, at `start` at the earliest. */
  private admit(b: Uint8Array, off: number, len: number, start: number): void {
    const { mtu, dup } = this.model.values(this.direction);
    const limit = sample(mtu, this.random);
    if (limit > 0 && len + HEADER > limit) {
      this.drops[Drop.ImpairMtu]!++;
      return;
    }
    if (this.isLost()) {
      this.drops[Drop.ImpairLoss]!++;
      return;
    }
    const again = dup.value === 0 && dup.plus === 0 ? 0 : sample(dup, this.random);
    for (let copies = 1; copies <= COPIES; copies++) {
      this.transmit(b, off, len, start);
      if (again <= 0 || this.random.uniform() * 100 >= again) break;
      this.stats.duplicates++;
    }
  }

  private flushOut(): void {
    if (!this.unflushed) return;
    this.unflushed = false;
    this.to?.flush();
  }

  /** Lets in what has waited for the wire, hands on what is due at `now`, and releases the brake. */
  release(now: number): void {
    const { queue, outside, target } = this;
    for (let i = 0; i < BURST && queue.nextMs <= now && target?.congested !== true; i++) queue.shift(this.releaseBound);
    for (let i = 0; i < BURST && outside.count > 0 && this.wireFreeMs <= now; i++) outside.shift(this.admitBound);
    this.flushOut();
    if (!this.braked || this.wireFreeMs > now || outside.count > 0 || target?.congested === true) return;
    this.braked = false;
    this.source!.hold(false);
  }

  private readonly releaseBound = (b: Uint8Array, off: number, len: number): void => {
    this.waiting -= len + HEADER;
    this.deliver(b, off, len);
  };

  private readonly admitBound = (b: Uint8Array, off: number, len: number): void => {
    this.outsideBytes -= len + HEADER;
    this.admit(b, off, len, this.wireFreeMs);
  };

  private isLost(): boolean {
    const { loss, lostburst } = this.model.values(this.direction);
    const p = sample(loss, this.random) / 100;
    const burst = sample(lostburst, this.random);
    if (p >= 1) return true;
    if (burst <= 0) {
      this.bad = false;
      return p > 0 && this.random.uniform() < p;
    }
    const change = this.bad ? 1 / burst : p / (burst * (1 - p));
    if (this.random.uniform() < change) this.bad = !this.bad;
    return this.bad;
  }

  /** Sends one copy, now or later; it gets into the wire at `start` at the earliest. */
  private transmit(b: Uint8Array, off: number, len: number, start: number): void {
    const { speed, bandwidth, delay, chanbufsize } = this.model.values(this.direction);
    const size = len + HEADER;
    const now = this.clock.now();
    const capacity = sample(chanbufsize, this.random);
    if (capacity > 0 && this.waiting + size > capacity) {
      this.drops[Drop.ImpairBuffer]!++;
      return;
    }
    let at = now;
    if (speed.value !== 0 || speed.plus !== 0) {
      const rate = sample(speed, this.random);
      if (rate <= 0) {
        this.drops[Drop.ImpairLoss]!++;
        return;
      }
      at = this.wireFreeMs = Math.max(start, this.wireFreeMs) + (size * 1000) / rate;
    }
    if (bandwidth.value !== 0 || bandwidth.plus !== 0) {
      const rate = sample(bandwidth, this.random);
      if (rate <= 0) {
        this.drops[Drop.ImpairLoss]!++;
        return;
      }
      at = Math.max(at, this.lineFreeMs) + (size * 1000) / rate;
    }
    const ready = at;
    at += Math.max(0, sample(delay, this.random));
    if (this.model.fifo) at = Math.max(at, this.lastMs);
    if (at <= now && (this.queue.count === 0 || !this.model.fifo)) {
      this.deliver(b, off, len);
      return;
    }
    if (!this.queue.push(b, off, len, at)) {
      this.drops[Drop.ImpairQueueFull]!++;
      return;
    }
    if (bandwidth.value !== 0 || bandwidth.plus !== 0) this.lineFreeMs = ready;
    this.lastMs = Math.max(this.lastMs, at);
    this.waiting += size;
    this.owner.schedule();
  }

  private deliver(b: Uint8Array, off: number, len: number): void {
    const { to } = this;
    if (to === null) return;
    this.unflushed = true;
    this.stats.framesOut++;
    const { noise } = this.model.values(this.direction);
    const density = noise.value === 0 && noise.plus === 0 ? 0 : sample(noise, this.random);
    const flips = density <= 0 ? 0 : this.random.poisson((len * density) / MEGA, len * 8);
    if (flips === 0) to.frame(b, off, len);
    else {
      copyInto(b, off, len, this.scratch, 0);
      for (let i = 0; i < flips; i++) {
        const bit = Math.floor(this.random.uniform() * len * 8);
        this.scratch[bit >> 3]! ^= 1 << (bit & 7);
      }
      this.stats.flippedBits += flips;
      to.frame(this.scratch, 0, len);
    }
    this.told?.(len);
  }
}
