// Two TCP engines in memory over a perfect link, for what a segment costs in the engine. Data is handed over as a link does
// it, in batches of up to 64 segments with a flush behind each.

import { endpointIpv4, MAPPED } from '../../src/core/address.ts';
import { SystemClock } from '../../src/core/clock.ts';
import { newDropCounters } from '../../src/core/drop.ts';
import { Packet } from '../../src/core/packet.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { type SegmentPath, type TcpConnection, TcpEngine, type TcpUser } from '../../src/tcp/index.ts';
import { pseudoIpv4 } from '../../src/wire/checksum.ts';

const BATCH = 64;
const A = 0x0a000001;
const B = 0x0a000002;

export class Wire implements SegmentPath {
  readonly bytes = new Uint8Array(new ArrayBuffer(1 << 20));
  readonly maxSegment: number;
  readonly pseudoSum: number;
  private readonly offs = new Int32Array(1 << 14);
  private readonly lens = new Int32Array(1 << 14);
  private head = 0;
  private tail = 0;
  private at = 64;
  private readonly packet = new Packet();
  segments = 0;
  payloadSegments = 0;

  constructor(from: number, to: number, mtu: number) {
    this.maxSegment = mtu - 20;
    this.pseudoSum = pseudoIpv4(from, to, 6);
    this.packet.src2 = this.packet.dst2 = MAPPED;
    this.packet.src3 = from;
    this.packet.dst3 = to;
    this.packet.b = this.bytes;
  }

  reserve(len: number): number {
    if (this.at + len + 64 > this.bytes.length) this.at = 64;
    return this.at;
  }

  commit(off: number, len: number): void {
    this.at = (off + len + 40 + 3) & ~3;
    this.offs[this.tail & 0x3fff] = off;
    this.lens[this.tail & 0x3fff] = len;
    this.tail++;
    this.segments++;
    if (len > 100) this.payloadSegments++;
  }

  /** Up to one batch into `engine`; false when there was none. */
  deliver(engine: TcpEngine): boolean {
    if (this.head === this.tail) return false;
    const p = this.packet;
    for (let n = 0; n < BATCH && this.head !== this.tail; n++) {
      const i = this.head++ & 0x3fff;
      p.l4 = this.offs[i]!;
      p.end = p.l4 + this.lens[i]!;
      engine.input(p);
    }
    engine.flush();
    return true;
  }
}

/** Takes everything. */
export class Sink implements TcpUser {
  bytes = 0;
  established(): void {}
  data(_b: Uint8Array, _off: number, len: number): void {
    this.bytes += len;
  }
  flush(): void {}
  peerClosed(): void {}
  writable(): void {}
  ended(): void {}
}

/** Engine `a` connects to engine `b`. */
export class TcpPair {
  readonly toB: Wire;
  readonly toA: Wire;
  readonly a: TcpEngine;
  readonly b: TcpEngine;

  constructor(mtu: number, timestamps = false) {
    const wheel = new TimerWheel(new SystemClock());
    const secret = Uint8Array.from({ length: 32 }, (_, i) => i);
    const drops = newDropCounters();
    this.toB = new Wire(A, B, mtu);
    this.toA = new Wire(B, A, mtu);
    const limits = { offerTimestamps: timestamps };
    this.a = new TcpEngine({ wheel, drops, secret, replyPath: () => this.toB, limits });
    this.b = new TcpEngine({ wheel, drops, secret, replyPath: () => this.toA, limits });
  }

  connect(port: number, user: TcpUser): TcpConnection {
    return this.a.connect(endpointIpv4(A, port), endpointIpv4(B, 80), this.toB, user)!;
  }

  /** Delivers until nothing is under way. */
  settle(): void {
    while (this.toB.deliver(this.b) || this.toA.deliver(this.a));
  }
}

/** One bulk stream over a pair. */
export class Bulk {
  readonly pair: TcpPair;
  readonly sink = new Sink();
  private readonly piece = new Uint8Array(65536).fill(7);
  private readonly connection: TcpConnection;

  constructor(pair: TcpPair) {
    this.pair = pair;
    pair.b.onIncoming = (c) => {
      c.path = pair.toA;
      c.accept(this.sink);
    };
    this.connection = pair.connect(1000, new Sink());
    pair.settle();
  }

  /** The sender: from write() to commit(), and its handling of ACKs. */
  send(): void {
    const { connection: c, piece, pair } = this;
    while (c.writeRoom >= piece.length && c.write(piece, 0, piece.length) === piece.length);
    pair.a.flush();
    pair.toA.deliver(pair.a);
  }

  /** The receiver: checks, checksum, look-up, state machine, delivery, and the ACK it sends. */
  receive(): void {
    while (this.pair.toB.deliver(this.pair.b));
  }
}

/** Connections one after another: handshake, 100 bytes and an answer of 100 bytes, both FINs. */
export class Exchanges {
  private readonly pair: TcpPair;
  private readonly question = new Question();
  private port = 2000;

  constructor(pair: TcpPair) {
    this.pair = pair;
    const answer = new Answer();
    pair.b.onIncoming = (incoming) => {
      incoming.path = pair.toA;
      answer.c = incoming;
      incoming.accept(answer);
    };
  }

  run(n: number): void {
    const { pair, question } = this;
    const goal = question.done + n;
    for (let i = 0; i < n; i++) {
      this.port = this.port >= 60_000 ? 2000 : this.port + 1;
      question.c = pair.connect(this.port, question);
      pair.settle();
    }
    if (question.done !== goal) throw new Error(`${goal - question.done} connections have not ended`);
  }
}

class Answer extends Sink {
  c: TcpConnection | null = null;
  override data(bytes: Uint8Array, off: number, len: number): void {
    this.c!.write(bytes, off, len);
  }
  override peerClosed(): void {
    this.c!.end();
  }
}

class Question extends Sink {
  c: TcpConnection | null = null;
  done = 0;
  private readonly text = new Uint8Array(100).fill(7);
  override established(): void {
    this.c!.write(this.text, 0, 100);
  }
  override data(): void {
    this.c!.end();
  }
  override ended(): void {
    this.done++;
  }
}
