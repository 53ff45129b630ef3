// Datagrams of one guest port to services on the host's loopback interface that were written to an IPv6 gateway: to ::1
// first, and to 127.0.0.1 when nothing is there, as TCP does (tcp-flow.ts). Many services listen on one of both.
//
//   first datagram to a port   sent to ::1, and kept for a second
//   ::1 refuses it             the port is remembered as missing; the datagram is sent again to 127.0.0.1, and so are
//                              those that follow, by a mapping of their own (VIA_LOOPBACK)
//   127.0.0.1 refuses          the guest hears of it, and the next one is for ::1 again
//
// Refusals are seen where the host tells them for sockets that are not connected (the native back end on Linux).

import { copyBytes } from '../core/frame.ts';
import type { ErrnoName } from '../host/host-net.ts';

/** How long after the first datagram a refusal is about it. */
const KEPT_MS = 1000;
/** Larger ones are not kept: what one frame of a usual link carries. */
const MAX_KEPT = 1500;

const MISSING: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EADDRNOTAVAIL', // a host without IPv6
  'EAFNOSUPPORT',
  'ENETUNREACH',
  'EHOSTUNREACH',
]);

export class LoopbackTry {
  /** The port that ::1 has refused last, 0 for none. */
  missing = 0;
  private port = 0;
  private at = 0;
  private first: Uint8Array | null = null;

  /** A datagram that is about to be sent to `port` of ::1, on loan. */
  sent(port: number, b: Uint8Array, off: number, len: number, now: number): void {
    if (port === this.port) return;
    this.port = port;
    this.at = now;
    this.first = len <= MAX_KEPT ? copyBytes(b, off, off + len) : null;
  }

  /** Something came back from ::1. */
  answered(): void {
    this.first = null;
  }

  /** ::1 failed with `code`. True: nothing listens there; `take` has what is to be sent again. */
  failed(port: number, code: ErrnoName): boolean {
    if (!MISSING.has(code)) return false;
    this.missing = port;
    return true;
  }

  /** The datagram to send again to `port`, if it is still known; only once. */
  take(port: number, now: number): Uint8Array | null {
    const { first } = this;
    if (port !== this.port || first === null) return null;
    this.first = null;
    return now - this.at < KEPT_MS ? first : null;
  }

  /** Neither address has the port: the next datagram is a first one again. */
  forget(): void {
    this.missing = this.port = 0;
    this.first = null;
  }
}
