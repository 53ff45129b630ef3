// One connection of a TcpEngine against a guest that the test plays segment by segment, under a fake clock.
//
// Sequence numbers are the test's: the engine's own initial sequence number, which is a keyed hash, is shown as `iss`.
// Every segment that comes out is parsed and its checksum verified. Mismatches throw with all that was sent so far.

import { type Endpoint, endpointIpv4, MAPPED } from '../../src/core/address.ts';
import { type Drop, newDropCounters } from '../../src/core/drop.ts';
import { Packet } from '../../src/core/packet.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import {
  type SegmentPath,
  stateName,
  type TcpConnection,
  type TcpEnd,
  TcpEngine,
  type TcpLimits,
  TcpState,
  type TcpUser,
} from '../../src/tcp/index.ts';
import { pseudoIpv4 } from '../../src/wire/checksum.ts';
import * as tcp from '../../src/wire/tcp.ts';
import { FakeClock } from './fake-clock.ts';

export const SERVER = 0x0a000001;
export const GUEST = 0x0a00020f;
export const SERVER_PORT = 80;
export const GUEST_PORT = 40000;
const SECRET = Uint8Array.from({ length: 32 }, (_, i) => i * 7 + 1);

/** A segment as a test writes it. */
export interface GuestSegment {
  /** S, A, F, R, P, U in any order; default 'A'. */
  flags?: string;
  seq?: number;
  ack?: number;
  win?: number;
  /** Payload: `len` bytes of a pattern that depends on the sequence number, or the bytes themselves. */
  len?: number;
  data?: Uint8Array;
  mss?: number;
  wscale?: number;
  sackOk?: boolean;
  /** Value and echo. */
  ts?: readonly [number, number];
  sack?: readonly (readonly [number, number])[];
  guestPort?: number;
  serverPort?: number;
  guest?: number;
  server?: number;
  /** Urgent pointer. */
  urgent?: number;
  badChecksum?: boolean;
  /** The frame came by a link whose checksums need no look (Link.offload). */
  trusted?: boolean;
}

/** A segment as it came out. */
export interface SentSegment {
  flags: string;
  seq: number;
  ack: number;
  win: number;
  len: number;
  data: Uint8Array;
  mss: number;
  wscale: number;
  sackOk: boolean;
  ts: [number, number] | null;
  sack: [number, number][];
  guestPort: number;
  atMs: number;
}

export type HarnessState =
  | 'LISTEN'
  | 'DEFERRED'
  | 'SYN-SENT'
  | 'SYN-RECEIVED'
  | 'ESTABLISHED'
  | 'FIN-WAIT-1'
  | 'FIN-WAIT-2'
  | 'CLOSE-WAIT'
  | 'CLOSING'
  | 'LAST-ACK'
  | 'TIME-WAIT';

export interface HarnessOptions {
  state?: HarnessState;
  iss?: number;
  irs?: number;
  /** Limit receiveBuffer. */
  rcvWnd?: number;
  /** The guest's window, as the field says (not scaled). */
  win?: number;
  /** Options of the guest's SYN. */
  mss?: number;
  wscale?: number;
  sackOk?: boolean;
  ts?: readonly [number, number];
  /** IP MTU of the path. */
  mtu?: number;
  /** The path cuts and sums segments (Link.offload). */
  offload?: boolean;
  limits?: Partial<TcpLimits>;
  /** The connection is opened by us (for states from SYN-RECEIVED on, too). */
  active?: boolean;
}

/** The byte of a stream at a sequence number. */
export const patternByte = (seq: number): number => (seq * 31 + (seq >>> 8) * 7) & 0xff;

export function pattern(seq: number, len: number): Uint8Array {
  return Uint8Array.from({ length: len }, (_, i) => patternByte(seq + i));
}

const FLAG_BITS: Record<string, number> = { F: tcp.FIN, S: tcp.SYN, R: tcp.RST, P: tcp.PSH, A: tcp.ACK, U: tcp.URG };

const flagBits = (text: string): number => [...text].reduce((bits, ch) => bits | FLAG_BITS[ch]!, 0);
const flagText = (bits: number): string => [...'SFRA'].filter((ch) => bits & FLAG_BITS[ch]!).join('');

class CapturePath implements SegmentPath {
  readonly bytes = new Uint8Array(1 << 17);
  maxSegment: number;
  readonly offload: boolean;
  readonly pseudoSum: number;
  private readonly sent: (b: Uint8Array, len: number) => void;

  constructor(mtu: number, offload: boolean, guest: number, sent: (b: Uint8Array, len: number) => void) {
    this.maxSegment = mtu - 20;
    this.offload = offload;
    this.pseudoSum = pseudoIpv4(SERVER, guest, 6);
    this.sent = sent;
  }

  reserve(_len: number): number {
    return 64;
  }

  commit(off: number, len: number): void {
    this.sent(this.bytes.slice(off, off + len), len);
  }
}

export class TcpHarness implements TcpUser {
  readonly clock = new FakeClock();
  readonly wheel = new TimerWheel(this.clock);
  readonly counters = newDropCounters();
  readonly engine: TcpEngine;
  readonly path: CapturePath;
  /** The connection; the latest one that came in. */
  c!: TcpConnection;
  /** What the owner heard, in order: established, data N, flush, closed, writable, ended WHY. */
  readonly events: string[] = [];
  /** Bytes that the owner was given. */
  readonly received: number[] = [];
  incoming = 0;
  /** Called for each event, to act from within. */
  onEvent: ((event: string) => void) | null = null;
  readonly iss: number;
  readonly irs: number;
  private readonly queue: SentSegment[] = [];
  private readonly history: string[] = [];
  private realIss: number | null = null;
  private readonly options: HarnessOptions;
  private readonly packet = new Packet();

  constructor(options: HarnessOptions) {
    this.options = options;
    this.iss = options.iss ?? 1000;
    this.irs = options.irs ?? 5000;
    const limits: Partial<TcpLimits> = { ...options.limits };
    if (options.rcvWnd !== undefined) limits.receiveBuffer = limits.receiveBufferMax = options.rcvWnd;
    this.path = new CapturePath(options.mtu ?? 1500, options.offload ?? false, GUEST, (b, len) => this.capture(b, len));
    this.engine = new TcpEngine({
      wheel: this.wheel,
      drops: this.counters,
      secret: SECRET,
      replyPath: () => this.path,
      limits,
    });
    this.engine.onIncoming = (c) => {
      this.incoming++;
      this.c = c;
      c.path = this.path;
      c.user = this;
    };
  }

  // TcpUser

  private event(text: string): void {
    this.events.push(text);
    this.onEvent?.(text);
  }
  established(): void {
    this.event('established');
  }
  data(b: Uint8Array, off: number, len: number): void {
    for (let i = 0; i < len; i++) this.received.push(b[off + i]!);
    this.event(`data ${len}`);
  }
  flush(): void {
    this.event('flush');
  }
  peerClosed(): void {
    this.event('closed');
  }
  writable(): void {
    this.event('writable');
  }
  ended(why: TcpEnd): void {
    this.event(`ended ${why}`);
  }

  // The guest

  /** One segment of the guest, and the end of its batch. */
  fromGuest(seg: GuestSegment): void {
    this.input(seg);
    this.engine.flush();
  }

  /** Several segments in one batch. */
  batch(...segs: GuestSegment[]): void {
    for (const seg of segs) this.input(seg);
    this.engine.flush();
  }

  input(seg: GuestSegment): void {
    const { b, len } = this.build(seg);
    const p = this.packet;
    p.b = b;
    p.l4 = 2;
    p.end = 2 + len;
    p.protocol = 6;
    p.src2 = p.dst2 = MAPPED;
    p.src3 = (seg.guest ?? GUEST) | 0;
    p.dst3 = seg.server ?? SERVER;
    p.trusted = seg.trusted ?? false;
    this.history.push(`> ${tcp.summary(b, 2, 2 + len)}`);
    this.engine.input(p);
  }

  private toReal(seq: number): number {
    return this.realIss === null ? seq : (seq - this.iss + this.realIss) >>> 0;
  }

  private build(seg: GuestSegment): { b: Uint8Array; len: number } {
    const flags = flagBits(seg.flags ?? 'A');
    const seq = seg.seq ?? 0;
    const data = seg.data ?? pattern(seq, seg.len ?? 0);
    const b = new Uint8Array(2 + 60 + data.length);
    let optionsLen = 0;
    const at = 2 + 20;
    if (flags & tcp.SYN) {
      const [val, ecr] = seg.ts ?? [0, 0];
      if (seg.mss !== undefined || seg.wscale !== undefined || seg.sackOk || seg.ts !== undefined) {
        optionsLen = tcp.writeSynOptions(
          b,
          at,
          seg.mss ?? 1460,
          seg.wscale ?? -1,
          seg.sackOk ?? false,
          seg.ts !== undefined,
          val,
          ecr,
        );
      }
    } else {
      const [val, ecr] = seg.ts ?? [0, 0];
      const sack = seg.sack ?? [];
      const left = Uint32Array.from(sack, (s) => this.toReal(s[0]));
      const right = Uint32Array.from(sack, (s) => this.toReal(s[1]));
      optionsLen = tcp.writeDataOptions(b, at, seg.ts !== undefined, val, ecr, sack.length, left, right);
    }
    const headerLen = 20 + optionsLen;
    b.set(data, 2 + headerLen);
    const ack = flags & tcp.ACK ? this.toReal(seg.ack ?? 0) : 0;
    const win = seg.win ?? this.options.win ?? 65535;
    const server = seg.serverPort ?? SERVER_PORT;
    tcp.writeHeader(b, 2, seg.guestPort ?? GUEST_PORT, server, seq >>> 0, ack, headerLen, flags, win);
    const len = headerLen + data.length;
    b[2 + 18] = (seg.urgent ?? 0) >>> 8;
    b[2 + 19] = seg.urgent ?? 0;
    tcp.writeChecksum(b, 2, len, pseudoIpv4(seg.guest ?? GUEST, seg.server ?? SERVER, 6));
    if (seg.badChecksum) b[2 + 16]! ^= 0x55;
    return { b, len };
  }

  // What comes out

  private capture(b: Uint8Array, len: number): void {
    if (!this.path.offload && !tcp.checksumOk(b, 0, len, this.path.pseudoSum))
      this.fail('checksum wrong in a segment that was sent');
    const bits = tcp.flags(b, 0);
    const seq = tcp.seq(b, 0);
    if (bits & tcp.SYN) this.realIss = seq;
    const real = this.realIss;
    const shown = (n: number): number => (real === null ? n : (n - real + this.iss) >>> 0);
    const options = new tcp.TcpOptions();
    options.parse(b, 0);
    // A RST that answers a segment of no connection has numbers of the guest's choice or none.
    const stray = (bits & tcp.RST) !== 0 && seq === 0;
    const sack: [number, number][] = [];
    for (let i = 0; i < options.sackCount; i++) sack.push([options.sackLeft[i]!, options.sackRight[i]!]);
    const data = b.slice(tcp.payload(b, 0), len);
    const sent: SentSegment = {
      flags: flagText(bits),
      seq: stray ? 0 : shown(seq),
      ack: bits & tcp.ACK ? tcp.ack(b, 0) : 0,
      win: tcp.window(b, 0),
      len: data.length,
      data,
      mss: options.mss,
      wscale: options.windowScale,
      sackOk: options.sackPermitted,
      ts: options.hasTimestamp ? [options.tsVal, options.tsEcr] : null,
      sack,
      guestPort: tcp.dstPort(b, 0),
      atMs: this.clock.now(),
    };
    this.queue.push(sent);
    this.history.push(`< ${tcp.summary(b, 0, len)}   (seq shown as ${sent.seq})`);
  }

  /** The next segment that was sent, or undefined. */
  next(): SentSegment | undefined {
    return this.queue.shift();
  }

  /** All segments sent and not looked at yet. */
  all(): SentSegment[] {
    return this.queue.splice(0);
  }

  /** The next segment sent has these fields (flags without P, in any order; `ts: null` for none). */
  expectToGuest(want: Partial<Omit<SentSegment, 'data'>>): SentSegment {
    const got = this.queue.shift();
    if (got === undefined) this.fail(`expected ${JSON.stringify(want)}, nothing was sent`);
    const seen: Record<string, unknown> = {};
    for (const key of Object.keys(want) as (keyof typeof want)[]) {
      seen[key] = key === 'flags' ? [...got.flags].sort().join('') : got[key];
    }
    const wanted = { ...want };
    if (wanted.flags !== undefined) wanted.flags = [...wanted.flags].sort().join('');
    if (JSON.stringify(seen) !== JSON.stringify(wanted)) {
      this.fail(`expected ${JSON.stringify(wanted)}\n     got ${JSON.stringify(seen)}`);
    }
    return got;
  }

  expectNothingMore(): void {
    if (this.queue.length > 0) {
      const { data, ...first } = this.queue[0]!;
      this.fail(`expected nothing more, got ${data.length} bytes in ${JSON.stringify(first)}`);
    }
  }

  private fail(text: string): never {
    throw new Error(`${text}\nso far:\n${this.history.slice(-30).join('\n')}`);
  }

  drops(reason: Drop): number {
    return this.counters[reason]!;
  }

  get state(): string {
    const { local, remote, state } = this.c;
    return stateName(this.engine.isTimeWait(local, remote) ? TcpState.TimeWait : state);
  }

  /** Time passes; timers fire on the way. */
  advance(ms: number): void {
    this.clock.advance(ms);
  }

  /** The owner writes a pattern that begins with the byte of sequence `seq`, and the batch ends. */
  write(len: number, seq = 0): number {
    const n = this.c.write(pattern(seq, len), 0, len);
    this.engine.flush();
    return n;
  }

  end(): void {
    this.c.end();
    this.engine.flush();
  }

  /** The SYN of the guest with the options of the harness. */
  syn(over: GuestSegment = {}): GuestSegment {
    const o = this.options;
    const seg: GuestSegment = { flags: 'S', seq: this.irs, mss: o.mss ?? 1460 };
    if (o.wscale !== undefined) seg.wscale = o.wscale;
    if (o.sackOk !== undefined) seg.sackOk = o.sackOk;
    if (o.ts !== undefined) seg.ts = o.ts;
    return { ...seg, ...over };
  }

  accept(): void {
    this.c.accept(this);
    this.engine.flush();
  }

  connect(): void {
    const local: Endpoint = endpointIpv4(SERVER, SERVER_PORT);
    const remote: Endpoint = endpointIpv4(GUEST, GUEST_PORT);
    this.c = this.engine.connect(local, remote, this.path, this)!;
    this.engine.flush();
  }

  /** Goes to `state` from nothing; what was sent and heard on the way is forgotten. */
  goTo(state: HarnessState): void {
    const { iss, irs } = this;
    const ts: Pick<GuestSegment, 'ts'> = this.options.ts === undefined ? {} : { ts: this.options.ts };
    if (state === 'LISTEN') return;
    if (this.options.active || state === 'SYN-SENT') {
      this.connect();
      if (state !== 'SYN-SENT') {
        if (state === 'SYN-RECEIVED') this.fromGuest(this.syn());
        else this.fromGuest(this.syn({ flags: 'SA', ack: iss + 1 }));
      }
    } else {
      this.fromGuest(this.syn());
      if (state === 'DEFERRED') return;
      this.accept();
      if (state !== 'SYN-RECEIVED') this.fromGuest({ seq: irs + 1, ack: iss + 1, ...ts });
    }
    const fin = { flags: 'FA', seq: irs + 1, ...ts };
    if (state === 'FIN-WAIT-1' || state === 'FIN-WAIT-2' || state === 'CLOSING' || state === 'TIME-WAIT') this.end();
    if (state === 'FIN-WAIT-2' || state === 'TIME-WAIT') this.fromGuest({ seq: irs + 1, ack: iss + 2, ...ts });
    if (state === 'CLOSING' || state === 'CLOSE-WAIT' || state === 'LAST-ACK') this.fromGuest({ ...fin, ack: iss + 1 });
    if (state === 'TIME-WAIT') this.fromGuest({ ...fin, ack: iss + 2 });
    if (state === 'LAST-ACK') this.end();
    if (this.state !== state) this.fail(`is in ${this.state}, should be in ${state}`);
    this.queue.length = 0;
    this.events.length = 0;
  }
}

/** A connection in the state asked for (default ESTABLISHED). */
export function tcpHarness(options: HarnessOptions = {}): TcpHarness {
  const h = new TcpHarness(options);
  h.goTo(options.state ?? 'ESTABLISHED');
  return h;
}
