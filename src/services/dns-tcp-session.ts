// A guest's TCP connection to the DNS service (RFC 7766): two bytes of length before each message, queries answered as
// the answers come (section 7: order is free), a bounded number of queries and an idle limit.
//
// The idle limit runs from the last complete query or answer, so a guest that sends a byte now and then gains nothing.
// Answers that the connection does not take at once wait here; a guest that does not read them is cut off.

import { Endpoint } from '../core/address.ts';
import { Drop, type DropCounters } from '../core/drop.ts';
import type { Timer, TimerWheel } from '../core/timer-wheel.ts';
import { putU16 } from '../wire/bytes.ts';
import * as dns from '../wire/dns.ts';
import type { DnsSink, Guest } from './dns-query.ts';

export const IDLE_MS = 10_000;
/** Queries on one connection; it ends when the last of them is answered. */
export const SESSION_QUERIES = 100;
/** Answers that wait for a guest that does not read, bytes. */
export const BACKLOG_MAX = 256 * 1024;

/** The guest's connection, as the session sees it. What TcpConnection offers fits. */
export interface DnsTcpPeer {
  /** Takes up to `len` bytes, gives how many; the session offers the rest again when told `writable`. */
  write(b: Uint8Array, off: number, len: number): number;
  /** FIN after all that was written. */
  end(): void;
  /** RST. */
  reset(): void;
}

/** What the session needs of its forwarder. */
export interface DnsTcpOwner {
  readonly wheel: TimerWheel;
  readonly drops: DropCounters;
  /** Takes a query of a guest; an answer always follows, within the call or later. False when it is malformed. */
  submit(tcp: boolean, client: Endpoint, b: Uint8Array, off: number, len: number, sink: DnsSink): boolean;
  sessionOver(session: DnsTcpSession): void;
}

export class DnsTcpSession implements DnsSink {
  readonly guest: Guest;
  private readonly owner: DnsTcpOwner;
  private readonly peer: DnsTcpPeer;
  private readonly client = new Endpoint();
  private readonly idle: Timer;
  private queries = 0;
  private waiting = 0;
  private guestEnded = false;
  private over = false;
  /** Length prefix of the message being received (`prefixLen` bytes of it seen) and the bytes so far. */
  private prefix = 0;
  private prefixLen = 0;
  private part: Uint8Array | null = null;
  private partLen = 0;
  /** Answers not yet taken, from `outFrom` of the first. */
  private readonly out: Uint8Array[] = [];
  private outFrom = 0;
  private outBytes = 0;

  constructor(owner: DnsTcpOwner, client: Endpoint, guest: Guest, peer: DnsTcpPeer) {
    this.owner = owner;
    this.guest = guest;
    this.peer = peer;
    this.client.copy(client);
    this.idle = owner.wheel.timer(() => this.idled());
    this.idle.set(IDLE_MS);
  }

  /** Bytes of the guest, in order. */
  data(b: Uint8Array, off: number, len: number): void {
    let at = off;
    const end = off + len;
    while (at < end && this.taking) {
      if (this.prefixLen < 2) {
        this.prefix = (this.prefix << 8) | b[at++]!;
        if (++this.prefixLen === 2 && this.prefix < dns.HEADER_LEN) this.malformed();
        continue;
      }
      const whole = this.part === null && end - at >= this.prefix;
      const take = whole ? this.prefix : Math.min(end - at, this.prefix - this.partLen);
      if (whole) {
        this.query(b, at, take);
      } else {
        this.part ??= new Uint8Array(this.prefix);
        this.part.set(b.subarray(at, at + take), this.partLen);
        this.partLen += take;
        if (this.partLen === this.prefix) this.query(this.part, 0, this.prefix);
      }
      at += take;
    }
  }

  /** The guest sent FIN: what it asked is answered, then the connection ends. */
  end(): void {
    this.guestEnded = true;
    this.endWhenDone();
  }

  /** The connection takes bytes again. */
  writable(): void {
    while (this.out.length > 0 && !this.over) {
      const chunk = this.out[0]!;
      const len = chunk.length - this.outFrom;
      const taken = this.peer.write(chunk, this.outFrom, len);
      this.outBytes -= taken;
      if (taken < len) {
        this.outFrom += taken;
        return;
      }
      this.out.shift();
      this.outFrom = 0;
    }
    this.endWhenDone();
  }

  /** The connection is gone. */
  closed(): void {
    if (this.over) return;
    this.over = true;
    this.idle.cancel();
    this.part = null;
    this.out.length = 0;
    this.owner.sessionOver(this);
  }

  answer(_client: Endpoint, b: Uint8Array, off: number, len: number): void {
    if (this.over) return;
    this.waiting--;
    this.idle.set(IDLE_MS);
    const framed = new Uint8Array(2 + len);
    putU16(framed, 0, len);
    framed.set(b.subarray(off, off + len), 2);
    this.out.push(framed);
    this.outBytes += framed.length;
    if (this.out.length === 1) this.writable();
    else this.endWhenDone();
    if (!this.over && this.outBytes > BACKLOG_MAX) this.abort();
  }

  private get taking(): boolean {
    return !this.over && !this.guestEnded && this.queries < SESSION_QUERIES;
  }

  private query(b: Uint8Array, off: number, len: number): void {
    this.prefix = this.prefixLen = 0;
    this.part = null;
    this.partLen = 0;
    this.queries++;
    this.waiting++;
    this.idle.set(IDLE_MS);
    if (!this.owner.submit(true, this.client, b, off, len, this)) this.abort();
  }

  private malformed(): void {
    this.owner.drops[Drop.DnsMalformed]!++;
    this.abort();
  }

  private abort(): void {
    this.closed();
    this.peer.reset();
  }

  private idled(): void {
    if (this.waiting > 0)
      this.idle.set(IDLE_MS); // a query always ends well before this
    else if (this.out.length > 0) this.abort();
    else this.finish();
  }

  private endWhenDone(): void {
    const last = this.guestEnded || this.queries >= SESSION_QUERIES;
    if (last && this.waiting === 0 && this.out.length === 0 && !this.over) this.finish();
  }

  private finish(): void {
    this.closed();
    this.peer.end();
  }
}
