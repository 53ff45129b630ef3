// What one TCP segment costs in the engine: two engines in memory over a perfect link, one bulk stream.
//
//   node --import=tsx bench/micro/tcp-engine.ts [MiB] [MTU]
//
// "out" is the sender from write() to commit(): copy into the send buffer, segmentation, header, copy and checksum, and its
// handling of ACKs. "in" is the receiver: checks, checksum, look-up, state machine, delivery, and the ACK it sends. Data is
// handed over as a link does it, in batches of up to 64 segments with a flush behind each.

import { endpointIpv4, MAPPED } from '../../src/core/address.ts';
import { SystemClock } from '../../src/core/clock.ts';
import { newDropCounters } from '../../src/core/drop.ts';
import { Packet } from '../../src/core/packet.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { type SegmentPath, type TcpConnection, TcpEngine, type TcpUser } from '../../src/tcp/index.ts';
import { pseudoIpv4 } from '../../src/wire/checksum.ts';

const MIB = Number(process.argv[2] ?? 512);
const MTU = Number(process.argv[3] ?? 1500);
const BATCH = 64;
const A = 0x0a000001;
const B = 0x0a000002;

class Wire implements SegmentPath {
  readonly bytes = new Uint8Array(new ArrayBuffer(1 << 20));
  readonly maxSegment = MTU - 20;
  readonly pseudoSum: number;
  private readonly offs = new Int32Array(1 << 14);
  private readonly lens = new Int32Array(1 << 14);
  private head = 0;
  private tail = 0;
  private at = 64;
  private readonly packet = new Packet();
  segments = 0;
  payloadSegments = 0;

  constructor(from: number, to: number) {
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

class Sink implements TcpUser {
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

const wheel = new TimerWheel(new SystemClock());
const secret = Uint8Array.from({ length: 32 }, (_, i) => i);
const drops = newDropCounters();
const toB = new Wire(A, B);
const toA = new Wire(B, A);
const limits = { offerTimestamps: process.argv[4] === 'ts' };
const a = new TcpEngine({ wheel, drops, secret, replyPath: () => toB, limits });
const b = new TcpEngine({ wheel, drops, secret, replyPath: () => toA, limits });
const sink = new Sink();
b.onIncoming = (c) => {
  c.path = toA;
  c.accept(sink);
};
const source = new Sink();
const c: TcpConnection = a.connect(endpointIpv4(A, 1000), endpointIpv4(B, 80), toB, source)!;
for (let i = 0; i < 4; i++) {
  toB.deliver(b);
  toA.deliver(a);
}

/** CPU time of this process, ms: on a busy machine wall time says nothing. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const piece = new Uint8Array(65536).fill(7);

function run(bytes: number): { outMs: number; inMs: number; segments: number; acks: number } {
  const goal = sink.bytes + bytes;
  const segments0 = toB.payloadSegments;
  const acks0 = toA.segments;
  let outMs = 0;
  let inMs = 0;
  while (sink.bytes < goal) {
    let t = cpuMs();
    while (c.writeRoom >= piece.length && c.write(piece, 0, piece.length) === piece.length);
    a.flush();
    toA.deliver(a);
    outMs += cpuMs() - t;
    t = cpuMs();
    while (toB.deliver(b));
    inMs += cpuMs() - t;
  }
  return { outMs, inMs, segments: toB.payloadSegments - segments0, acks: toA.segments - acks0 };
}

run(64 << 20);
const memory = process.memoryUsage().heapUsed;
for (let i = 0; i < 5; i++) {
  const r = run((MIB << 20) / 5);
  const per = (ms: number): string => `${((ms * 1e6) / r.segments).toFixed(0)} ns`;
  const gbit = ((MIB << 20) / 5 / ((r.outMs + r.inMs) * 1e6)) * 8;
  console.log(
    `MTU ${MTU}: out ${per(r.outMs)}, in ${per(r.inMs)} per segment; ${(r.segments / r.acks).toFixed(1)} segments per ACK; ` +
      `${gbit.toFixed(2)} Gbit/s both engines on one core`,
  );
}
console.log(`heap ${((process.memoryUsage().heapUsed - memory) / 1024).toFixed(0)} KiB since warm-up`);

/** Connections one after another: handshake, 100 bytes and an answer of 100 bytes, both FINs. */
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
  override established(): void {
    this.c!.write(piece, 0, 100);
  }
  override data(): void {
    this.c!.end();
  }
  override ended(): void {
    this.done++;
  }
}

const answer = new Answer();
b.onIncoming = (incoming) => {
  incoming.path = toA;
  answer.c = incoming;
  incoming.accept(answer);
};
const question = new Question();
let port = 2000;
for (let round = 0; round < 4; round++) {
  const t = cpuMs();
  const segments = toA.segments + toB.segments;
  for (let i = 0; i < 20_000; i++) {
    port = port >= 60_000 ? 2000 : port + 1;
    question.c = a.connect(endpointIpv4(A, port), endpointIpv4(B, 80), toB, question);
    while (toB.deliver(b) || toA.deliver(a));
  }
  const us = ((cpuMs() - t) * 1000) / 20_000;
  const per = (toA.segments + toB.segments - segments) / 20_000;
  console.log(`open, exchange, close: ${us.toFixed(1)} us of both engines, ${per.toFixed(1)} segments each`);
}
if (question.done !== 80_000) throw new Error(`${question.done} connections ended`);
process.exit(0);
