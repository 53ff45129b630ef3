// How large the receive window of one connection may be: it starts at `receiveBuffer` and doubles as long as the peer
// uses it up.
//
// A window that the peer fills within one round trip is what limits it. So whenever more than half of the limit has
// arrived in a round trip the limit doubles, up to `receiveBufferMax` (the dynamic right-sizing of Fisk and Feng, 2001).
// The round trip is measured as RFC 7323 has it, by the timestamp that a segment with data echoes; without timestamps the
// one of the handshake stands. It doubles too when half of it is filled by what waits for a lost segment: a sender that
// may not send anything new while its retransmission is lost again learns of that by a timeout only.
//
// What windows have grown by is bounded for all connections together, because a window that was granted may arrive when
// the owner has stopped taking data: the growth of a connection is given back when it ends.

import type { TcpLimits } from './types.ts';

const GAIN = 1 / 8;

/** Bytes that the windows of all connections of one engine may grow by, and have. */
export class WindowBudget {
  used = 0;
  readonly total: number;

  constructor(total: number) {
    this.total = total;
  }
}

export class ReceiveLimit {
  /** Largest window, bytes. */
  bytes: number;
  private readonly start: number;
  private readonly max: number;
  private readonly budget: WindowBudget;
  private rttMs = 0;
  /** Present round trip: when it began, and what had arrived then. */
  private roundMs = 0;
  private roundBytes = 0;

  constructor(limits: Readonly<TcpLimits>, budget: WindowBudget) {
    this.bytes = limits.receiveBuffer;
    this.start = limits.receiveBuffer;
    this.max = limits.receiveBufferMax;
    this.budget = budget;
  }

  /** A round-trip time, ms: what passed between an ACK of ours and data that echoes it, or the handshake. */
  roundTrip(ms: number): void {
    if (ms < 0) return;
    this.rttMs = this.rttMs === 0 ? Math.max(ms, 1) : this.rttMs + (ms - this.rttMs) * GAIN;
  }

  /**
   * Data was delivered to an owner that keeps up with it.
   *
   * @param received  bytes delivered since the connection began
   */
  delivered(received: number, nowMs: number): void {
    if (this.bytes >= this.max || this.rttMs === 0) return;
    if (nowMs - this.roundMs < this.rttMs) return;
    const arrived = received - this.roundBytes;
    const rounds = Math.floor((nowMs - this.roundMs) / this.rttMs);
    this.roundMs = nowMs;
    this.roundBytes = received;
    if (arrived <= (this.bytes >> 1) * rounds) return;
    this.grow();
  }

  /** Data arrived early, for an owner that keeps up: `ahead` bytes from what is missing to its end. */
  early(ahead: number): void {
    if (ahead > this.bytes >> 1) this.grow();
  }

  private grow(): void {
    const more = Math.min(this.bytes, this.max - this.bytes);
    if (more <= 0 || this.budget.used + more > this.budget.total) return;
    this.budget.used += more;
    this.bytes += more;
  }

  /** The connection has ended. */
  free(): void {
    this.budget.used -= this.bytes - this.start;
    this.bytes = this.start;
  }
}
