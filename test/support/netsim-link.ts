// Two TcpEngines and a link between them that loses, delays, duplicates and reorders segments, all from one seed.
//
// Time is a FakeClock that jumps from event to event. Each direction has a rate, a queue bounded in bytes (drop tail), a
// propagation delay with jitter, and probabilities of loss, duplication and of being held back (reordering). Segments that
// are due at the same time arrive in one batch, as frames of one wake-up do.

import { type Endpoint, endpointIpv4, MAPPED } from '../../src/core/address.ts';
import { newDropCounters } from '../../src/core/drop.ts';
import { Packet } from '../../src/core/packet.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { type SegmentPath, type TcpConnection, type TcpEnd, TcpEngine, type TcpLimits } from '../../src/tcp/index.ts';
import { pseudoIpv4 } from '../../src/wire/checksum.ts';
import * as tcp from '../../src/wire/tcp.ts';
import { FakeClock } from './fake-clock.ts';

const ADDRESS_A = 0x0a000001;
const ADDRESS_B = 0x0a000002;

/** Numbers in [0, 1) from a 32-bit seed (mulberry32). */
export function random(seed: number): () => number {
  let a = seed | 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface LinkOptions {
  seed: number;
  /** Probabilities, 0 to 1. */
  loss?: number;
  duplicate?: number;
  /** Probability of being held back by up to `holdMs`. */
  reorder?: number;
  holdMs?: number;
  /** One way, ms, and what may be added. */
  delayMs?: number;
  jitterMs?: number;
  /** Mbit/s of each direction; 0: no limit. */
  rate?: number;
  /** Bytes that may wait for the rate; further segments are dropped. */
  queue?: number;
  mtu?: number;
  limits?: Partial<TcpLimits>;
  limitsB?: Partial<TcpLimits>;
}

interface Flight {
  at: number;
  order: number;
  bytes: Uint8Array;
}

class Direction implements SegmentPath {
  readonly bytes = new Uint8Array(1 << 17);
  readonly maxSegment: number;
  readonly pseudoSum: number;
  readonly flights: Flight[] = [];
  sent = 0;
  lost = 0;
  private freeAt = 0;
  private order = 0;
  private readonly sim: Netsim;

  constructor(sim: Netsim, from: number, to: number) {
    this.sim = sim;
    this.maxSegment = (sim.options.mtu ?? 1500) - 20;
    this.pseudoSum = pseudoIpv4(from, to, 6);
  }

  reserve(_len: number): number {
    return 64;
  }

  commit(off: number, len: number): void {
    const { loss = 0, duplicate = 0, reorder = 0, holdMs = 0, delayMs = 0, jitterMs = 0 } = this.sim.options;
    const { rate = 0, queue = Number.POSITIVE_INFINITY } = this.sim.options;
    const { rnd, clock } = this.sim;
    this.sent++;
    const now = clock.now();
    const perByteMs = rate > 0 ? 8 / (rate * 1000) : 0;
    const start = Math.max(now, this.freeAt);
    if (rnd() < loss || (perByteMs > 0 && (start - now) / perByteMs > queue)) {
      this.lost++;
      return;
    }
    this.freeAt = start + len * perByteMs;
    const copies = rnd() < duplicate ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      let at = this.freeAt + delayMs + rnd() * jitterMs;
      if (rnd() < reorder) at += rnd() * holdMs;
      this.flights.push({ at, order: this.order++, bytes: this.bytes.slice(off, off + len) });
    }
  }

  get next(): number {
    let at = Number.POSITIVE_INFINITY;
    for (const f of this.flights) if (f.at < at) at = f.at;
    return at;
  }

  /** Takes what is due. */
  due(now: number): Flight[] {
    const due = this.flights.filter((f) => f.at <= now).sort((x, y) => x.at - y.at || x.order - y.order);
    if (due.length > 0) {
      const rest = this.flights.filter((f) => f.at > now);
      this.flights.length = 0;
      this.flights.push(...rest);
    }
    return due;
  }
}

/** Sends `total` bytes of a seeded stream, checks those of the other side, and remembers what happened. */
export class Transfer {
  c: TcpConnection | null = null;
  received = 0;
  wrong = -1;
  peerClosedAt = -1;
  end: TcpEnd | null = null;
  private written = 0;
  private readonly total: number;
  private readonly sendSeed: number;
  private readonly receiveSeed: number;
  private readonly readLimit: number;
  /** Bytes taken per flush when the reader is slow; 0: all. */
  private backlog = 0;

  constructor(total: number, sendSeed: number, receiveSeed: number, readLimit = 0) {
    this.total = total;
    this.sendSeed = sendSeed;
    this.receiveSeed = receiveSeed;
    this.readLimit = readLimit;
  }

  static byte(seed: number, at: number): number {
    return (Math.imul(at + 1, 0x9e3779b1) >>> 24) ^ (at & 0xff) ^ seed;
  }

  pump(): void {
    const { c } = this;
    if (c === null || c.over) return;
    const piece = new Uint8Array(8192);
    while (this.written < this.total) {
      const n = Math.min(piece.length, this.total - this.written);
      for (let i = 0; i < n; i++) piece[i] = Transfer.byte(this.sendSeed, this.written + i);
      const took = c.write(piece, 0, n);
      this.written += took;
      if (took < n) return;
    }
    c.end();
  }

  /** Slow reader: takes some of what waits, and says so. */
  read(): void {
    if (this.readLimit === 0 || this.c === null) return;
    this.backlog = Math.max(0, this.backlog - this.readLimit);
    this.c.setReceiveRoom(Math.max(0, 16 * 1024 - this.backlog));
  }

  established(): void {
    this.pump();
  }
  data(b: Uint8Array, off: number, len: number): void {
    for (let i = 0; i < len; i++) {
      if (b[off + i] !== (Transfer.byte(this.receiveSeed, this.received + i) & 0xff) && this.wrong < 0) {
        this.wrong = this.received + i;
      }
    }
    this.received += len;
    this.backlog += len;
  }
  flush(): void {
    if (this.readLimit > 0) this.c?.setReceiveRoom(Math.max(0, 16 * 1024 - this.backlog));
  }
  peerClosed(): void {
    this.peerClosedAt = this.received;
  }
  writable(): void {
    this.pump();
  }
  ended(why: TcpEnd): void {
    this.end = why;
  }
}

export class Netsim {
  readonly options: LinkOptions;
  readonly clock = new FakeClock(1_000_000);
  readonly wheel = new TimerWheel(this.clock);
  readonly rnd: () => number;
  readonly a: TcpEngine;
  readonly b: TcpEngine;
  readonly toB: Direction;
  readonly toA: Direction;
  readonly drops = newDropCounters();
  private readonly packet = new Packet();
  private readonly accepting = new Map<number, Transfer>();

  constructor(options: LinkOptions) {
    this.options = options;
    this.rnd = random(options.seed);
    this.toB = new Direction(this, ADDRESS_A, ADDRESS_B);
    this.toA = new Direction(this, ADDRESS_B, ADDRESS_A);
    const secret = Uint8Array.from({ length: 32 }, (_, i) => (options.seed >> (i & 7)) + i);
    const common = { wheel: this.wheel, drops: this.drops, secret };
    const limits = options.limits ?? {};
    this.a = new TcpEngine({ ...common, replyPath: () => this.toB, limits });
    this.b = new TcpEngine({ ...common, replyPath: () => this.toA, limits: options.limitsB ?? limits });
  }

  /** Opens a connection from A to B; both sides run a transfer. */
  open(a: Transfer, b: Transfer, port = 1234): void {
    this.accepting.set(port, b);
    this.b.onIncoming = (c) => {
      const user = this.accepting.get(c.remote.port)!;
      c.path = this.toA;
      user.c = c;
      c.accept(user);
    };
    const local: Endpoint = endpointIpv4(ADDRESS_A, port);
    a.c = this.a.connect(local, endpointIpv4(ADDRESS_B, 80), this.toB, a);
    this.a.flush();
  }

  private deliver(engine: TcpEngine, flights: Flight[], from: number, to: number): void {
    if (flights.length === 0) return;
    const p = this.packet;
    for (const { bytes } of flights) {
      p.b = bytes;
      p.l4 = 0;
      p.end = bytes.length;
      p.src2 = p.dst2 = MAPPED;
      p.src3 = from;
      p.dst3 = to;
      engine.input(p);
    }
    engine.flush();
  }

  /** Runs until `done`, or `maxMs` of simulated time have passed; gives the ms it took, or -1. */
  run(done: () => boolean, maxMs: number, every?: { ms: number; run: () => void }): number {
    const start = this.clock.now();
    let tick = every === undefined ? Number.POSITIVE_INFINITY : start + every.ms;
    while (!done()) {
      const at = Math.min(this.toA.next, this.toB.next, this.clock.next, tick);
      if (at - start > maxMs) return -1;
      this.clock.advance(Math.max(0, at - this.clock.now()));
      const now = this.clock.now();
      this.deliver(this.b, this.toB.due(now), ADDRESS_A, ADDRESS_B);
      this.deliver(this.a, this.toA.due(now), ADDRESS_B, ADDRESS_A);
      if (now >= tick) {
        every!.run();
        this.a.flush();
        this.b.flush();
        tick = now + every!.ms;
      }
    }
    return this.clock.now() - start;
  }

  /** Segments under way, for failing tests. */
  summary(): string {
    const show = (f: Flight): string => `${f.at.toFixed(2)} ${tcp.summary(f.bytes, 0, f.bytes.length)}`;
    return [...this.toB.flights.map((f) => `A>B ${show(f)}`), ...this.toA.flights.map((f) => `B>A ${show(f)}`)].join(
      '\n',
    );
  }
}
