// Queries under way, who waits for them, and how many each guest has.

import { Endpoint } from '../core/address.ts';
import { Drop } from '../core/drop.ts';
import type { Timer, TimerWheel } from '../core/timer-wheel.ts';
import * as dns from '../wire/dns.ts';
import type { DnsExchange } from './dns-exchange.ts';
import type { DnsSocket } from './dns-sockets.ts';

/** Takes answers for guests. `client` and the bytes are on loan until the call returns; the bytes may be changed. */
export interface DnsSink {
  answer(client: Endpoint, b: Uint8Array, off: number, len: number): void;
}

/** One guest's share. */
export class Guest {
  w0 = 0;
  w1 = 0;
  w2 = 0;
  w3 = 0;
  /** Queries of the guest that wait for an answer. */
  waiting = 0;
  /** TCP connections of the guest. */
  sessions = 0;
  next: Guest | null = null;
}

const GUEST_BUCKETS = 256;

/** The guests that have something under way. Bounded by what they may have under way. */
export class GuestTable {
  private readonly buckets: (Guest | null)[] = new Array<Guest | null>(GUEST_BUCKETS).fill(null);

  /** The entry of an address, made when there is none; give it back with `release`. */
  take(client: Endpoint): Guest {
    const i = bucketOf(client.w0, client.w1, client.w2, client.w3);
    for (let g = this.buckets[i] ?? null; g !== null; g = g.next) {
      if (g.w3 === client.w3 && g.w2 === client.w2 && g.w1 === client.w1 && g.w0 === client.w0) return g;
    }
    const guest = new Guest();
    guest.w0 = client.w0;
    guest.w1 = client.w1;
    guest.w2 = client.w2;
    guest.w3 = client.w3;
    guest.next = this.buckets[i] ?? null;
    this.buckets[i] = guest;
    return guest;
  }

  /** Forgets the entry when the guest has nothing under way any more. */
  release(guest: Guest): void {
    if (guest.waiting > 0 || guest.sessions > 0) return;
    const i = bucketOf(guest.w0, guest.w1, guest.w2, guest.w3);
    if (this.buckets[i] === guest) {
      this.buckets[i] = guest.next;
      return;
    }
    for (let g = this.buckets[i] ?? null; g !== null; g = g.next) {
      if (g.next === guest) {
        g.next = guest.next;
        return;
      }
    }
  }
}

function bucketOf(w0: number, w1: number, w2: number, w3: number): number {
  const h = Math.imul(w0 ^ Math.imul(w1, 31) ^ Math.imul(w2, 961) ^ w3, 0x9e3779b1);
  return (h >>> 16) & (GUEST_BUCKETS - 1);
}

/** A guest's question that waits for the answer to a query. */
export class Waiter {
  readonly client = new Endpoint();
  /** The guest's own id, restored in the answer. */
  id = 0;
  sink: DnsSink | null = null;
  guest: Guest | null = null;
  next: Waiter | null = null;
}

/** The waiters of all queries, counted for each guest; spent ones are used again. */
export class Waiters {
  readonly guests: GuestTable;
  /** All that wait. */
  count = 0;
  private spares: Waiter | null = null;

  constructor(guests: GuestTable) {
    this.guests = guests;
  }

  take(client: Endpoint, id: number, sink: DnsSink, guest: Guest): Waiter {
    const w = this.spares ?? new Waiter();
    this.spares = w.next;
    w.client.copy(client);
    w.id = id;
    w.sink = sink;
    w.guest = guest;
    w.next = null;
    guest.waiting++;
    this.count++;
    return w;
  }

  /** Gives all of a list their answer. */
  deliver(list: Waiter | null, b: Uint8Array, off: number, len: number): void {
    // Counted off first: a sink may ask the next question from within its answer.
    for (let w = list; w !== null; w = w.next) this.uncount(w);
    for (let w = list; w !== null; w = w.next) {
      dns.setId(b, off, w.id);
      w.sink!.answer(w.client, b, off, len);
    }
    this.spare(list);
  }

  /** Ends a list without an answer. */
  drop(list: Waiter | null): void {
    for (let w = list; w !== null; w = w.next) this.uncount(w);
    this.spare(list);
  }

  private uncount(w: Waiter): void {
    this.count--;
    w.guest!.waiting--;
    this.guests.release(w.guest!);
    w.guest = null;
  }

  private spare(list: Waiter | null): void {
    let w = list;
    while (w !== null) {
      const next: Waiter | null = w.next;
      w.sink = null;
      w.next = this.spares;
      this.spares = w;
      w = next;
    }
  }
}

/** One server that was asked for one query. */
export class Try {
  to: Endpoint | null = null;
  socket: DnsSocket<DnsQuery> | null = null;
  id = 0;
  /** Times sent. */
  sends = 0;
  /** The host said no: nothing will come of it. */
  failed = false;
}

/** Servers that one query may ask, over a change of the list too. */
export const MAX_TRIES = 6;
const SMALL = 512;

/** A question under way upstream, with everybody who waits for it. Pooled: `bytes` and `tries` stay with the object. */
export class DnsQuery {
  bytes = new Uint8Array(SMALL);
  len = 0;
  /** Guests asked over TCP (`viaTcp`: it goes upstream over TCP, for that or another reason). */
  tcp = false;
  viaTcp = false;
  /** Hash of the question; the bucket of the table. */
  hash = 0;
  waiters: Waiter | null = null;
  servers: readonly Endpoint[] = [];
  readonly tries: Try[] = [];
  tryCount = 0;
  exchange: DnsExchange | null = null;
  /** When the guests get SERVFAIL, monotonic ms. */
  deadline = 0;
  readonly timer: Timer;
  /** Next in the bucket, or in the list of spare objects. */
  next: DnsQuery | null = null;

  constructor(wheel: TimerWheel, onTimer: (query: DnsQuery) => void) {
    for (let i = 0; i < MAX_TRIES; i++) this.tries.push(new Try());
    this.timer = wheel.timer(() => onTimer(this));
  }

  setBytes(b: Uint8Array, off: number, len: number): void {
    if (len > this.bytes.length || this.bytes.length > 4 * SMALL) this.bytes = new Uint8Array(Math.max(len, SMALL));
    for (let i = 0; i < len; i++) this.bytes[i] = b[off + i]!;
    this.len = len;
  }

  /** True when the message at `off` is this one, but for the id. */
  sameMessage(b: Uint8Array, off: number, len: number): boolean {
    if (len !== this.len) return false;
    for (let i = 2; i < len; i++) if (b[off + i] !== this.bytes[i]) return false;
    return true;
  }

  sameQuestion(b: Uint8Array, off: number, end: number): boolean {
    return dns.sameQuestion(this.bytes, 0, this.len, b, off, end);
  }

  /** True when the message is a well-formed answer to this question; id and source are the caller's to check. */
  answeredBy(b: Uint8Array, off: number, end: number): boolean {
    return (
      dns.check(b, off, end) === Drop.None &&
      dns.isResponse(b, off) &&
      dns.opcode(b, off) === dns.opcode(this.bytes, 0) &&
      this.sameQuestion(b, off, end)
    );
  }

  /** The try that was sent by `socket` with `id`. */
  tryOn(socket: DnsSocket<DnsQuery>, id: number): Try | null {
    for (let i = 0; i < this.tryCount; i++) {
      const t = this.tries[i]!;
      if (t.socket === socket && t.id === id) return t;
    }
    return null;
  }

  /** True when the server was asked already. */
  tried(server: Endpoint): boolean {
    for (let i = 0; i < this.tryCount; i++) if (this.tries[i]!.to!.same(server)) return true;
    return false;
  }

  /** True when the same guest asked the same question by the same way before, with this id: its own repetition. */
  isWaitedFor(client: Endpoint, id: number, sink: DnsSink): boolean {
    for (let w = this.waiters; w !== null; w = w.next) {
      if (w.id === id && w.sink === sink && w.client.same(client)) return true;
    }
    return false;
  }

  /** True while an answer may still come from one of the servers asked. */
  get hopeful(): boolean {
    for (let i = 0; i < this.tryCount; i++) if (!this.tries[i]!.failed) return true;
    return false;
  }
}

/** Hash of the question of a checked message, without regard to case. */
export function questionHash(b: Uint8Array, off: number, end: number): number {
  let h = 0x811c9dc5;
  const last = dns.questionEnd(b, off, end);
  for (let i = off + dns.HEADER_LEN; i < last; i++) h = Math.imul(h ^ (b[i]! | 0x20), 0x01000193);
  return h ^ (h >>> 15);
}

const BUCKETS = 1024;

/** Queries under way, by question. */
export class QueryTable {
  private readonly buckets: (DnsQuery | null)[] = new Array<DnsQuery | null>(BUCKETS).fill(null);
  size = 0;

  /** First query in the bucket of a hash; the rest follow by `next`. */
  bucket(hash: number): DnsQuery | null {
    return this.buckets[hash & (BUCKETS - 1)] ?? null;
  }

  add(query: DnsQuery): void {
    const i = query.hash & (BUCKETS - 1);
    query.next = this.buckets[i] ?? null;
    this.buckets[i] = query;
    this.size++;
  }

  remove(query: DnsQuery): void {
    const i = query.hash & (BUCKETS - 1);
    if (this.buckets[i] === query) this.buckets[i] = query.next;
    else {
      let q = this.buckets[i] ?? null;
      while (q !== null && q.next !== query) q = q.next;
      if (q !== null) q.next = query.next;
    }
    query.next = null;
    this.size--;
  }

  /** All queries under way. */
  all(): DnsQuery[] {
    const out: DnsQuery[] = [];
    for (const head of this.buckets) for (let q = head; q !== null; q = q.next) out.push(q);
    return out;
  }
}
