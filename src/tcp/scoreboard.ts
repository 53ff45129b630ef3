// What is in flight, segment by segment, and what is known of each: RFC 2018 (SACK), RFC 8985 (RACK).
//
// One record per segment sent, in sequence order, in a ring of integers that exists only while something is in flight:
//
//   record, 4 words:  first sequence | sequence behind | time of the latest transmission, us | flags
//
// RACK (RFC 8985 section 6) decides by time what is lost: once a segment is known to be delivered, those sent a
// reordering window before it should have been heard of, so they are marked LOST. That finds lost retransmissions too.
// The ring never exceeds MAX_RECORDS; a sender stops there until something is acknowledged.
//
// In flight ("pipe", RFC 6675) = all bytes between sndUna and sndNxt, less those SACKed, less those LOST and not sent again.

import { seqGt, seqInt, seqLe, seqLt } from '../core/seq.ts';

const STRIDE = 4;
const SEQ = 0;
const END = 1;
const SENT_AT = 2;
const FLAGS = 3;

const SACKED = 1;
const LOST = 2; // and not sent again since
const RESENT = 4; // sent more than once

const MIN_BITS = 5;
const MAX_BITS = 12;
const MAX_RECORDS = 1 << MAX_BITS;
/** Rings of one size kept for the next taker. */
const KEEP = 64;

const EMPTY = new Int32Array(0);

/** Rings that are not in use, by size; shared by the connections of one engine. */
export class RingPool {
  private readonly free: Int32Array[][] = Array.from({ length: MAX_BITS + 1 }, () => []);

  take(bits: number): Int32Array {
    return this.free[bits]!.pop() ?? new Int32Array(STRIDE << bits);
  }

  give(ring: Int32Array, bits: number): void {
    const list = this.free[bits]!;
    if (list.length < KEEP) list.push(ring);
  }
}

/** Comparison of transmissions by time, then by sequence (RFC 8985 section 6.2, step 2). */
const sentAfter = (at1: number, end1: number, at2: number, end2: number): boolean =>
  at1 === at2 ? seqGt(end1, end2) : seqGt(at1, at2);

export class Scoreboard {
  private readonly pool: RingPool;
  private ring: Int32Array = EMPTY;
  private bits = 0;
  private head = 0;
  /** Number of records. */
  count = 0;
  /** Bytes of records (FIN counts 1), of those SACKed, of those LOST and not sent again. */
  outBytes = 0;
  sackedBytes = 0;
  lostBytes = 0;
  /** Records SACKed. */
  sackedCount = 0;
  /** Records sent more than once, SACKed or not. */
  resentCount = 0;
  /** Record below which none is LOST. */
  private lostHint = 0;

  /** Transmission of the delivered segment that was sent last (RFC 8985 section 5.2). */
  private rackAt = 0;
  private rackEnd = 0;
  private rackValid = false;
  /** Round-trip time of that segment, us. */
  rackRttUs = 0;
  /** Smallest round-trip time seen, us; 0 before the first. */
  minRttUs = 0;
  /** Highest sequence known to be delivered, now and before the present ACK. */
  private fack = 0;
  private fackBefore = 0;
  reorderingSeen = false;

  /** Set by `ackTo` and `sack`, cleared by `beginAck`: bytes newly delivered, and a round-trip time (us, -1: none). */
  delivered = 0;
  sampleUs = -1;

  constructor(pool: RingPool) {
    this.pool = pool;
  }

  get full(): boolean {
    return this.count === MAX_RECORDS;
  }

  /** Segments that may still be sent. */
  get room(): number {
    return MAX_RECORDS - this.count;
  }

  /** Bytes in flight. */
  get pipe(): number {
    return this.outBytes - this.sackedBytes - this.lostBytes;
  }

  private at(i: number): number {
    return ((this.head + i) & ((1 << this.bits) - 1)) * STRIDE;
  }

  /** A segment was sent for the first time. There is room: see `full`. */
  push(seq: number, end: number, nowUs: number): void {
    if (this.count === 0) {
      this.bits = MIN_BITS;
      this.ring = this.pool.take(MIN_BITS);
      this.head = 0;
    } else if (this.count === 1 << this.bits) {
      this.grow();
    }
    const at = this.at(this.count);
    const r = this.ring;
    r[at + SEQ] = seq;
    r[at + END] = end;
    r[at + SENT_AT] = nowUs;
    r[at + FLAGS] = 0;
    this.count++;
    this.outBytes += (end - seq) | 0;
  }

  private grow(): void {
    const old = this.ring;
    const bits = this.bits + 1;
    const ring = this.pool.take(bits);
    for (let i = 0; i < this.count; i++) {
      const from = this.at(i);
      for (let k = 0; k < STRIDE; k++) ring[i * STRIDE + k] = old[from + k]!;
    }
    this.pool.give(old, this.bits);
    this.ring = ring;
    this.bits = bits;
    this.head = 0;
  }

  /** Forgets everything; the ring goes back to the pool. */
  clear(): void {
    if (this.bits > 0) this.pool.give(this.ring, this.bits);
    this.ring = EMPTY;
    this.bits = 0;
    this.head = 0;
    this.count = 0;
    this.outBytes = 0;
    this.sackedBytes = 0;
    this.lostBytes = 0;
    this.sackedCount = 0;
    this.resentCount = 0;
    this.lostHint = 0;
    this.rackValid = false; // and its times may not be compared with those of a much later flight
  }

  beginAck(): void {
    this.delivered = 0;
    this.sampleUs = -1;
    this.fackBefore = this.fack;
  }

  /** Everything before `una` is acknowledged. */
  ackTo(una: number, nowUs: number): void {
    const r = this.ring;
    let n = 0;
    while (n < this.count) {
      const at = this.at(n);
      if (seqGt(r[at + END]!, una)) break;
      const flags = r[at + FLAGS]!;
      const len = (r[at + END]! - r[at + SEQ]!) | 0;
      this.outBytes -= len;
      if ((flags & SACKED) !== 0) {
        this.sackedBytes -= len;
        this.sackedCount--;
      } else {
        this.delivered += len;
        if ((flags & LOST) !== 0) this.lostBytes -= len;
        this.rack(at, nowUs);
        // The oldest one tells how long the peer takes to answer, delayed ACK included.
        if (this.sampleUs < 0 && (flags & RESENT) === 0) this.sampleUs = (nowUs - r[at + SENT_AT]!) | 0;
      }
      if ((flags & RESENT) !== 0) this.resentCount--;
      n++;
    }
    this.count -= n;
    if (this.count === 0) {
      this.clear();
      return;
    }
    this.head = (this.head + n) & ((1 << this.bits) - 1);
    this.lostHint = Math.max(0, this.lostHint - n);
    const at = this.at(0);
    const part = (una - r[at + SEQ]!) | 0;
    if (part > 0) {
      r[at + SEQ] = una;
      this.outBytes -= part;
      const flags = r[at + FLAGS]!;
      if ((flags & SACKED) !== 0) this.sackedBytes -= part;
      else this.delivered += part;
      if ((flags & LOST) !== 0) this.lostBytes -= part;
    }
  }

  /**
   * The peer holds [left, right): one SACK block that lies between sndUna and sndNxt. Some peers do not count the FIN in:
   * `finEnd` is the sequence behind a FIN that was sent, else any sequence that is not in flight.
   */
  sack(left: number, right: number, finEnd: number, nowUs: number): void {
    const r = this.ring;
    let lo = 0;
    let hi = this.count;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (seqLt(r[this.at(mid) + SEQ]!, left)) lo = mid + 1;
      else hi = mid;
    }
    for (let i = lo; i < this.count; i++) {
      const at = this.at(i);
      const end = r[at + END]!;
      if (seqGt(end, right)) {
        const butFin = end === finEnd && seqInt(right, 1) === end && seqLt(r[at + SEQ]!, right);
        if (!butFin) return;
      }
      const flags = r[at + FLAGS]!;
      if ((flags & SACKED) !== 0) continue;
      const len = (r[at + END]! - r[at + SEQ]!) | 0;
      if ((flags & LOST) !== 0) this.lostBytes -= len;
      r[at + FLAGS] = (flags & ~LOST) | SACKED;
      this.sackedBytes += len;
      this.sackedCount++;
      this.delivered += len;
      this.rack(at, nowUs);
    }
  }

  /** The segment at `at` is newly delivered (RFC 8985 section 6.2, steps 1 to 3). */
  private rack(at: number, nowUs: number): void {
    const r = this.ring;
    const sentAt = r[at + SENT_AT]!;
    const end = r[at + END]!;
    const rtt = (nowUs - sentAt) | 0;
    const resent = (r[at + FLAGS]! & RESENT) !== 0;
    // An answer sooner than any so far is one to the first transmission.
    if (resent && rtt < this.minRttUs) return;
    if (!resent && rtt > 0 && (this.minRttUs === 0 || rtt < this.minRttUs)) this.minRttUs = rtt;
    if (!this.rackValid || sentAfter(sentAt, end, this.rackAt, this.rackEnd)) {
      this.rackValid = true;
      this.rackAt = sentAt;
      this.rackEnd = end;
      this.rackRttUs = rtt;
    }
    if (!resent && this.fackBefore !== 0 && seqLt(end, this.fackBefore)) this.reorderingSeen = true;
    if (this.fack === 0 || seqGt(end, this.fack)) this.fack = end;
  }

  /**
   * Marks what must be lost by now (RFC 8985 section 6.2, step 5).
   *
   * @param windowUs  reordering window
   * @returns         us until the next segment will have to be marked, 0 when none waits
   */
  detectLoss(windowUs: number, nowUs: number): number {
    if (!this.rackValid) return 0;
    const r = this.ring;
    let wait = 0;
    for (let i = 0; i < this.count; i++) {
      const at = this.at(i);
      const flags = r[at + FLAGS]!;
      const sentAt = r[at + SENT_AT]!;
      if (!sentAfter(this.rackAt, this.rackEnd, sentAt, r[at + END]!)) {
        // First transmissions are in the order of their times: whatever follows this one was sent later still.
        if ((flags & RESENT) === 0) break;
        continue;
      }
      if ((flags & (SACKED | LOST)) !== 0) continue;
      const left = (sentAt + this.rackRttUs + windowUs - nowUs) | 0;
      if (left <= 0) this.setLost(i, at);
      else wait = Math.max(wait, left);
    }
    return wait;
  }

  private setLost(i: number, at: number): void {
    const r = this.ring;
    const flags = r[at + FLAGS]!;
    if ((flags & (SACKED | LOST)) !== 0) return;
    r[at + FLAGS] = flags | LOST;
    this.lostBytes += (r[at + END]! - r[at + SEQ]!) | 0;
    if (i < this.lostHint) this.lostHint = i;
  }

  /** Marks the oldest segment lost, unless it is SACKed. */
  loseFirst(): void {
    if (this.count > 0) this.setLost(0, this.at(0));
  }

  /** Marks all that is not SACKed lost: after a timeout nothing of it counts as in flight. */
  loseAll(): void {
    // The peer has dropped what it said to hold when the oldest segment is among it (RFC 2018 section 8).
    if (this.count > 0 && (this.ring[this.at(0) + FLAGS]! & SACKED) !== 0) this.forgetSacks();
    for (let i = 0; i < this.count; i++) this.setLost(i, this.at(i));
  }

  private forgetSacks(): void {
    for (let i = 0; i < this.count; i++) this.ring[this.at(i) + FLAGS]! &= ~SACKED;
    this.sackedBytes = 0;
    this.sackedCount = 0;
  }

  /** Index of the first LOST record, or -1. */
  firstLost(): number {
    if (this.lostBytes === 0) return -1;
    for (let i = this.lostHint; i < this.count; i++) {
      if ((this.ring[this.at(i) + FLAGS]! & LOST) !== 0) return (this.lostHint = i);
    }
    return -1;
  }

  seqOf(i: number): number {
    return this.ring[this.at(i) + SEQ]!;
  }

  endOf(i: number): number {
    return this.ring[this.at(i) + END]!;
  }

  /** Index of the last record that is not SACKed, or -1. */
  lastUnsacked(): number {
    for (let i = this.count - 1; i >= 0; i--) if ((this.ring[this.at(i) + FLAGS]! & SACKED) === 0) return i;
    return -1;
  }

  /** Record `i` was sent again. */
  resent(i: number, nowUs: number): void {
    const r = this.ring;
    const at = this.at(i);
    const flags = r[at + FLAGS]!;
    if ((flags & LOST) !== 0) this.lostBytes -= (r[at + END]! - r[at + SEQ]!) | 0;
    if ((flags & RESENT) === 0) this.resentCount++;
    r[at + FLAGS] = (flags & ~LOST) | RESENT;
    r[at + SENT_AT] = nowUs;
  }

  /** Cuts record `i` in two at `seq`: the segment size has become smaller. False when there is no room for one more. */
  split(i: number, seq: number): boolean {
    if (this.full || seqLe(seq, this.seqOf(i)) || !seqLt(seq, this.endOf(i))) return false;
    if (this.count === 1 << this.bits) this.grow();
    const r = this.ring;
    for (let k = this.count; k > i; k--) {
      const to = this.at(k);
      const from = this.at(k - 1);
      for (let w = 0; w < STRIDE; w++) r[to + w] = r[from + w]!;
    }
    this.count++;
    r[this.at(i) + END] = seq;
    r[this.at(i + 1) + SEQ] = seq;
    const flags = r[this.at(i) + FLAGS]!;
    if ((flags & SACKED) !== 0) this.sackedCount++;
    if ((flags & RESENT) !== 0) this.resentCount++;
    return true;
  }
}
