// The sockets that DNS queries leave by.
//
// Whoever wants to forge an answer without seeing the query must guess its id and its source port (RFC 5452 section 4.5).
// A fresh port for each query costs a socket each; instead there are up to 64 sockets for each family, one of them chosen
// at random for each query, and each is replaced after 100 queries or 30 s. Sockets are opened when first chosen, so a
// quiet forwarder gives nearly every query a port of its own, and an idle one holds none. A replaced socket stays until
// its last query is done.
//
// Queries that came together leave by one socket, up to SHARE_MAX of them, so that one system call sends them all and
// another one takes their answers. Each still has an id of its own and a port chosen at random: whoever guesses the port of
// one has not guessed less than before, for an answer must match the question too (RFC 5452 section 9.1).

import type { Endpoint } from '../core/address.ts';
import type { Timer, TimerWheel } from '../core/timer-wheel.ts';
import type { ErrnoName, HostNet, HostUdp, HostUdpUser } from '../host/host-net.ts';

/** Sockets for each family (reference figure: at least 64). A power of two. */
export const POOL_SIZE = 64;
/** Queries and time after which a socket is replaced. */
export const SOCKET_QUERIES = 100;
export const SOCKET_MS = 30_000;
/** Queries of one batch that leave by the same socket. */
export const SHARE_MAX = 16;

/** Hears what arrives on the sockets of the pool. Datagrams are on loan until the call returns. */
export interface DnsSocketUser<Q> {
  datagram(socket: DnsSocket<Q>, from: Endpoint, b: Uint8Array, off: number, len: number): void;
  /** An error for what was sent to `to`; null when the socket itself is of no use any more. */
  sendFailed(socket: DnsSocket<Q>, code: ErrnoName, to: Endpoint | null): void;
}

/** One socket with the queries under way on it, by id. */
export class DnsSocket<Q> implements HostUdpUser {
  readonly family: 4 | 6;
  readonly expiresAt: number;
  /** Queries whose answers may still come, by the id they were sent with. */
  readonly queries = new Map<number, Q>();
  /** Queries ever sent. */
  uses = 0;
  /** Datagrams that answered nothing. */
  strays = 0;
  /** Takes no new queries; closed when the last one is done. */
  retired = false;
  private readonly user: DnsSocketUser<Q>;
  private readonly udp: HostUdp;

  constructor(family: 4 | 6, expiresAt: number, host: HostNet, user: DnsSocketUser<Q>) {
    this.family = family;
    this.expiresAt = expiresAt;
    this.user = user;
    this.udp = host.openUdp(family, 0, this);
  }

  send(to: Endpoint, b: Uint8Array, off: number, len: number): void {
    this.udp.send(to, b, off, len);
  }

  /** As `send`, within a batch: see HostUdp.post. */
  post(to: Endpoint, b: Uint8Array, off: number, len: number): void {
    this.udp.post(to, b, off, len);
  }

  datagram(from: Endpoint, b: Uint8Array, off: number, len: number): void {
    this.user.datagram(this, from, b, off, len);
  }

  failed(code: ErrnoName, to: Endpoint | null): void {
    this.user.sendFailed(this, code, to);
  }

  close(): void {
    this.udp.close();
  }
}

export class DnsSocketPool<Q> {
  private readonly host: HostNet;
  private readonly user: DnsSocketUser<Q>;
  private readonly random16: () => number;
  private readonly wheel: TimerWheel;
  /** Slots 0 to 63 for IPv4, 64 to 127 for IPv6. */
  private readonly slots: (DnsSocket<Q> | null)[] = new Array<DnsSocket<Q> | null>(2 * POOL_SIZE).fill(null);
  private readonly retiring = new Set<DnsSocket<Q>>();
  /** The sockets of the present batch for IPv4 and IPv6, and how many more of its queries each may take. */
  private readonly shared: (DnsSocket<Q> | null)[] = [null, null];
  private readonly shares = [0, 0];
  private readonly timer: Timer;

  constructor(host: HostNet, wheel: TimerWheel, random16: () => number, user: DnsSocketUser<Q>) {
    this.host = host;
    this.user = user;
    this.random16 = random16;
    this.wheel = wheel;
    this.timer = wheel.timer(() => this.expire());
  }

  /** Number of sockets open. */
  get open(): number {
    let n = this.retiring.size;
    for (const s of this.slots) if (s !== null) n++;
    return n;
  }

  /** A socket for one query, chosen at random; the use is counted. */
  take(family: 4 | 6): DnsSocket<Q> {
    const now = this.wheel.clock.now();
    const slot = (family === 4 ? 0 : POOL_SIZE) + (this.random16() & (POOL_SIZE - 1));
    let socket = this.slots[slot] ?? null;
    if (socket === null || socket.uses >= SOCKET_QUERIES || now >= socket.expiresAt) {
      if (socket !== null) this.retire(socket);
      socket = new DnsSocket(family, now + SOCKET_MS, this.host, this.user);
      this.slots[slot] = socket;
      if (!this.timer.armed) this.timer.setAt(socket.expiresAt);
    }
    socket.uses++;
    return socket;
  }

  /** As `take`, for one query of a batch: the socket is that of others in it. */
  share(family: 4 | 6): DnsSocket<Q> {
    const i = family === 4 ? 0 : 1;
    const shared = this.shared[i]!;
    if (shared !== null && !shared.retired && shared.uses < SOCKET_QUERIES && this.shares[i]! > 0) {
      shared.uses++;
      this.shares[i]!--;
      return shared;
    }
    const socket = this.take(family);
    this.shared[i] = socket;
    this.shares[i] = SHARE_MAX - 1;
    return socket;
  }

  /** The batch is over: the next query gets another socket. */
  endBatch(): void {
    this.shared[0] = this.shared[1] = null;
  }

  /** An id that no query on the socket uses. */
  freshId(socket: DnsSocket<Q>): number {
    let id = this.random16() & 0xffff;
    while (socket.queries.has(id)) id = this.random16() & 0xffff; // at most 100 of 65,536 are taken
    return id;
  }

  /** The query of this id is done. */
  release(socket: DnsSocket<Q>, id: number): void {
    socket.queries.delete(id);
    if (socket.retired && socket.queries.size === 0) this.shut(socket);
  }

  /** Takes a socket out of use; it is closed when nothing is under way on it. */
  retire(socket: DnsSocket<Q>): void {
    if (socket.retired) return;
    socket.retired = true;
    const slot = this.slots.indexOf(socket);
    if (slot >= 0) this.slots[slot] = null;
    if (socket.queries.size === 0) socket.close();
    else this.retiring.add(socket);
  }

  /** Closes all sockets. */
  close(): void {
    this.timer.cancel();
    for (const s of this.retiring) s.close();
    this.retiring.clear();
    for (let i = 0; i < this.slots.length; i++) {
      this.slots[i]?.close();
      this.slots[i] = null;
    }
  }

  private shut(socket: DnsSocket<Q>): void {
    this.retiring.delete(socket);
    socket.close();
  }

  private expire(): void {
    const now = this.wheel.clock.now();
    let next = Number.POSITIVE_INFINITY;
    for (const s of this.slots) {
      if (s === null) continue;
      if (s.expiresAt <= now) this.retire(s);
      else next = Math.min(next, s.expiresAt);
    }
    if (next !== Number.POSITIVE_INFINITY) this.timer.setAt(next);
  }
}
