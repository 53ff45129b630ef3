// DNS forwarder: guests' questions to the host's resolvers, answers back (RFC 5625).
//
// Bytes pass unchanged in both directions but for the id, so unknown types, EDNS, DO/AD/CD bits and the case of names are
// carried without being understood. What is checked is the frame of a message and its one question.
//
//   guest UDP --query()--> [ same question under way? ] --no--> DnsQuery --> socket of the pool --> server
//   guest TCP --session-->          | yes                          ^  |                               |
//                                   +--> waits for that one -------+  +<-- id, source, question match-+
//
// Upstream. A query gets a random id and a random socket (dns-sockets.ts). An answer counts only from the address that
// was asked, on the socket it was asked by, with the id, opcode and question asked (RFC 5452 section 9.1). A socket that
// got STRAYS_MAX datagrams that answer nothing is under attack, or useless: what is under way on it is asked over TCP.
// Equal messages in flight are one query with several waiters (RFC 5452 section 5); so many different messages with one
// question are refused that forging does not become easier that way.
//
// Time line of one query, for N servers: the first is asked at 0 s and again at 2 s; from 3 s on the others, one each
// second. An error of the host (refused, unreachable) goes on to the next server at once. A server that did not answer
// twice is asked last for 30 s. At 5 s, or when nothing is left to hope for, the guest gets SERVFAIL: never silence.
// Over TCP a server gets one connection, and 2 s when there is another one to ask.
//
// Limits: queries waiting in all and for each guest (over it SERVFAIL at once), message length, sessions. Malformed
// messages are dropped. `localhost` (RFC 6761) and local names (dns-local.ts) are answered here.

import type { Endpoint } from '../core/address.ts';
import { Drop, type DropCounters } from '../core/drop.ts';
import type { TimerWheel } from '../core/timer-wheel.ts';
import type { ErrnoName, HostNet } from '../host/host-net.ts';
import * as dns from '../wire/dns.ts';
import { DnsExchange, type DnsExchangeUser } from './dns-exchange.ts';
import { LOCAL_RECORDS_MAX, type LocalNames } from './dns-local.ts';
import { answerLocalhost, isLocalhost } from './dns-localhost.ts';
import {
  DnsQuery,
  type DnsSink,
  GuestTable,
  MAX_TRIES,
  QueryTable,
  questionHash,
  type Try,
  type Waiter,
  Waiters,
} from './dns-query.ts';
import type { RebindGuard } from './dns-rebind.ts';
import { DnsServers } from './dns-servers.ts';
import { type DnsSocket, DnsSocketPool, type DnsSocketUser } from './dns-sockets.ts';
import { type DnsTcpOwner, type DnsTcpPeer, DnsTcpSession } from './dns-tcp-session.ts';
import type { Ask, Dns64 } from './dns64.ts';
import type { UpstreamList } from './resolv-conf.ts';

export const RETRY_MS = 2000;
export const NEXT_MS = 1000;
export const OVERALL_MS = 5000;
/** Datagrams that answer nothing, on one socket, before its queries are asked over TCP. */
export const STRAYS_MAX = 10;
/** Different messages with the same question in flight (they differ in flags, EDNS or case). */
export const VARIANTS_MAX = 16;
/** Longest query taken, bytes; longer ones get SERVFAIL. */
export const QUERY_MAX = 16_384;
/** Header and the longest question. */
const EMPTY_ANSWER_MAX = dns.HEADER_LEN + 255 + 4;
const LOCAL_ANSWER_MAX = EMPTY_ANSWER_MAX + LOCAL_RECORDS_MAX;

export interface DnsLimits {
  /** Questions of guests that wait for an answer, in all and for one guest. */
  readonly inFlight: number;
  readonly perGuest: number;
  /** TCP connections of guests, in all and of one guest. */
  readonly sessions: number;
  readonly sessionsPerGuest: number;
}

export const DNS_LIMITS: DnsLimits = { inFlight: 512, perGuest: 64, sessions: 16, sessionsPerGuest: 4 };

/** What may change at run time. */
export interface DnsSettings {
  readonly upstreams: UpstreamList;
  /** Names answered without asking anybody. */
  readonly local?: LocalNames;
  /** Refuses answers that point into private networks. */
  readonly rebind?: RebindGuard;
  /** Makes up addresses of a translator. */
  readonly dns64?: Dns64;
}

export interface DnsForwarderOptions extends DnsSettings {
  readonly host: HostNet;
  readonly wheel: TimerWheel;
  readonly drops: DropCounters;
  /** Unpredictable numbers whose low 16 bits are used; must come from a cryptographic generator. */
  readonly random16: () => number;
  /** Where the forwarder itself answers, as the host's sockets would reach it: such upstreams are never asked. */
  readonly self?: readonly Endpoint[];
  readonly limits?: Partial<DnsLimits>;
}

/** Counters since start, and what is under way. */
export interface DnsSnapshot {
  readonly queries: number;
  readonly answers: number;
  readonly servfails: number;
  readonly merged: number;
  readonly waiting: number;
  readonly upstream: number;
  readonly sockets: number;
  readonly sessions: number;
}

export class DnsForwarder implements DnsSocketUser<DnsQuery>, DnsExchangeUser, DnsTcpOwner {
  readonly wheel: TimerWheel;
  readonly drops: DropCounters;
  private readonly host: HostNet;
  private readonly servers: DnsServers;
  private readonly random16: () => number;
  private readonly limits: DnsLimits;
  private local: LocalNames | null;
  private rebind: RebindGuard | null;
  private dns64: Dns64 | null;
  private readonly pool: DnsSocketPool<DnsQuery>;
  private readonly table = new QueryTable();
  private readonly guests = new GuestTable();
  private readonly waiters = new Waiters(this.guests);
  private readonly sessions = new Set<DnsTcpSession>();
  private readonly onTimer = (query: DnsQuery): void => this.overdue(query);
  private readonly scratch = new Uint8Array(LOCAL_ANSWER_MAX);
  private readonly byExchange = new Map<DnsExchange, DnsQuery>();
  private spareQueries: DnsQuery | null = null;
  private queries = 0;
  private answers = 0;
  private servfails = 0;
  private merged = 0;
  private shut = false;
  /** Guests' datagrams are being taken: those that are asked for them leave together. */
  private inBatch = false;

  constructor(options: DnsForwarderOptions) {
    this.host = options.host;
    this.servers = new DnsServers(options.upstreams, options.self ?? [], options.wheel.clock);
    this.wheel = options.wheel;
    this.drops = options.drops;
    this.random16 = options.random16;
    this.limits = { ...DNS_LIMITS, ...options.limits };
    this.local = options.local ?? null;
    this.rebind = options.rebind ?? null;
    this.dns64 = options.dns64 ?? null;
    this.pool = new DnsSocketPool(options.host, options.wheel, options.random16, this);
  }

  /** Takes other settings; queries under way end by them. */
  change({ upstreams, local, rebind, dns64 }: DnsSettings): void {
    this.servers.upstreams = upstreams;
    this.local = local ?? null;
    this.rebind = rebind ?? null;
    this.dns64 = dns64 ?? null;
  }

  /**
   * A guest's datagram to the DNS service. `client` and the bytes are on loan; the answer goes to `sink`. Must be followed
   * by `flush`, and HostNet's, in the same wake-up.
   */
  query(client: Endpoint, b: Uint8Array, off: number, len: number, sink: DnsSink): void {
    this.inBatch = true;
    this.submit(false, client, b, off, len, sink);
  }

  /** End of a wake-up in which guests asked. */
  flush(): void {
    if (!this.inBatch) return;
    this.inBatch = false;
    this.pool.endBatch();
  }

  /** A guest's TCP connection to the DNS service, or null when there are too many: the caller then resets it. */
  openTcp(client: Endpoint, peer: DnsTcpPeer): DnsTcpSession | null {
    const guest = this.guests.take(client);
    if (this.shut || this.sessions.size >= this.limits.sessions || guest.sessions >= this.limits.sessionsPerGuest) {
      this.guests.release(guest);
      this.drops[Drop.DnsOverload]!++;
      return null;
    }
    guest.sessions++;
    const session = new DnsTcpSession(this, client, guest, peer);
    this.sessions.add(session);
    return session;
  }

  /** The servers asked now, and those of the host's configuration that are left out because they are ourselves. */
  upstreamState(): { asked: readonly Endpoint[]; refused: readonly Endpoint[] } {
    return { asked: this.servers.list(), refused: this.servers.refused() };
  }

  snapshot(): DnsSnapshot {
    return {
      queries: this.queries,
      answers: this.answers,
      servfails: this.servfails,
      merged: this.merged,
      waiting: this.waiters.count,
      upstream: this.table.size,
      sockets: this.pool.open,
      sessions: this.sessions.size,
    };
  }

  /** Gives up everything under way, without answers, and closes all sockets. */
  close(): void {
    this.shut = true;
    for (const q of this.table.all()) this.waiters.drop(this.detach(q));
    this.pool.close();
    for (const s of [...this.sessions]) s.closed();
  }

  submit(tcp: boolean, client: Endpoint, b: Uint8Array, off: number, len: number, sink: DnsSink): boolean {
    const end = off + len;
    if (dns.check(b, off, end) !== Drop.None || dns.isResponse(b, off)) {
      this.drops[Drop.DnsMalformed]!++;
      return false;
    }
    if (this.shut) return true;
    if (this.dns64?.takes(tcp, client, b, off, len, sink, this.resolve)) return true;
    this.resolve(tcp, client, b, off, len, sink);
    return true;
  }

  /** Takes a checked query: answers it here, joins it to one under way, or asks. */
  private readonly resolve: Ask = (tcp, client, b, off, len, sink) => {
    if (this.shut) return;
    const end = off + len;
    this.queries++;
    const localLen = dns.opcode(b, off) === dns.OPCODE_QUERY ? this.answerLocally(b, off, end) : 0;
    if (localLen > 0) {
      this.answers++;
      sink.answer(client, this.scratch, 0, localLen);
      return;
    }
    const hash = questionHash(b, off, end);
    let variants = 0;
    let same: DnsQuery | null = null;
    for (let q = this.table.bucket(hash); q !== null && same === null; q = q.next) {
      if (q.hash !== hash || q.tcp !== tcp || !q.sameQuestion(b, off, end)) continue;
      if (q.sameMessage(b, off, len)) same = q;
      else variants++;
    }
    if (same?.isWaitedFor(client, dns.id(b, off), sink)) return;
    const guest = this.guests.take(client);
    const { inFlight, perGuest } = this.limits;
    const full =
      this.waiters.count >= inFlight || guest.waiting >= perGuest || (same === null && variants >= VARIANTS_MAX);
    if (full || len > QUERY_MAX) {
      this.guests.release(guest);
      this.drops[Drop.DnsOverload]!++;
      this.servfails++;
      const answerLen = dns.writeEmptyAnswer(this.scratch, 0, b, off, end, dns.RCODE_SERVFAIL);
      sink.answer(client, this.scratch, 0, answerLen);
      return;
    }
    const waiter = this.waiters.take(client, dns.id(b, off), sink, guest);
    if (same !== null) {
      this.merged++;
      waiter.next = same.waiters;
      same.waiters = waiter;
      return;
    }
    this.start(tcp, hash, b, off, len, waiter);
  };

  /** Writes the answer to a question that nobody else is asked into `scratch`; its length, or 0. */
  private answerLocally(b: Uint8Array, off: number, end: number): number {
    if (isLocalhost(b, off, end)) return answerLocalhost(this.scratch, b, off, end);
    return this.local === null ? 0 : this.local.answer(this.scratch, b, off, end);
  }

  sessionOver(session: DnsTcpSession): void {
    if (!this.sessions.delete(session)) return;
    session.guest.sessions--;
    this.guests.release(session.guest);
  }

  // Upstream: asking.

  private start(tcp: boolean, hash: number, b: Uint8Array, off: number, len: number, waiter: Waiter): void {
    const q = this.newQuery();
    q.setBytes(b, off, len);
    q.tcp = q.viaTcp = tcp;
    q.hash = hash;
    q.waiters = waiter;
    q.servers = this.servers.list();
    q.tryCount = 0;
    q.deadline = this.wheel.clock.now() + OVERALL_MS;
    this.table.add(q);
    this.askNext(q);
  }

  /** Asks the best server that was not asked yet; when there is none and nothing to wait for, the query has failed. */
  private askNext(q: DnsQuery): void {
    const server = q.tryCount < MAX_TRIES ? this.servers.next(q) : null;
    if (server === null) {
      if (q.hopeful) q.timer.setAt(q.deadline);
      else this.fail(q);
      return;
    }
    const first = q.tryCount === 0;
    const t = q.tries[q.tryCount++]!;
    t.to = server;
    t.socket = null;
    t.sends = 1;
    t.failed = false;
    if (q.viaTcp) {
      this.dropExchange(q);
      const id = this.random16() & 0xffff;
      q.exchange = new DnsExchange(this.host, this.wheel, server, q.bytes, q.len, id, this);
      this.byExchange.set(q.exchange, q);
    } else {
      const family = server.isIpv4 ? 4 : 6;
      t.socket = this.inBatch ? this.pool.share(family) : this.pool.take(family);
      t.id = this.pool.freshId(t.socket);
      t.socket.queries.set(t.id, q);
      this.sendTry(q, t);
    }
    this.setTimer(q, first ? RETRY_MS : NEXT_MS);
  }

  private sendTry(q: DnsQuery, t: Try): void {
    dns.setId(q.bytes, 0, t.id);
    if (this.inBatch) t.socket!.post(t.to!, q.bytes, 0, q.len);
    else t.socket!.send(t.to!, q.bytes, 0, q.len);
  }

  private setTimer(q: DnsQuery, delayMs: number): void {
    q.timer.setAt(Math.min(this.wheel.clock.now() + delayMs, q.deadline));
  }

  /** The timer of a query: time for another try, or for giving up. */
  private overdue(q: DnsQuery): void {
    if (this.wheel.clock.now() >= q.deadline) {
      for (let i = 0; i < q.tryCount; i++) if (q.tries[i]!.sends > 1) this.servers.bad(q.tries[i]!.to!);
      this.fail(q);
      return;
    }
    const servers = this.servers.list();
    const changed = q.servers !== servers;
    q.servers = servers;
    const t = q.tries[q.tryCount - 1]!;
    const more = this.servers.next(q) !== null;
    const again = !q.viaTcp && t.sends === 1 && !t.failed;
    if (again && (!more || (q.tryCount === 1 && !changed))) {
      t.sends = 2;
      this.sendTry(q, t);
      this.setTimer(q, NEXT_MS);
      return;
    }
    if (more) {
      this.servers.bad(t.to!);
      if (q.viaTcp) t.failed = true; // its connection is given up for the next one
    }
    this.askNext(q);
  }

  // Upstream: what comes back.

  datagram(socket: DnsSocket<DnsQuery>, from: Endpoint, b: Uint8Array, off: number, len: number): void {
    const end = off + len;
    const id = len >= dns.HEADER_LEN ? dns.id(b, off) : -1;
    const q = socket.queries.get(id);
    const t = q === undefined ? null : q.tryOn(socket, id);
    if (q === undefined || t === null || !t.to!.same(from) || !q.answeredBy(b, off, end)) {
      this.stray(socket);
      return;
    }
    this.servers.good(t.to!);
    this.finish(q, b, off, len);
  }

  sendFailed(socket: DnsSocket<DnsQuery>, _code: ErrnoName, to: Endpoint | null): void {
    const hit: DnsQuery[] = [];
    for (const [id, q] of socket.queries) {
      const t = q.tryOn(socket, id)!;
      if (to !== null && !t.to!.same(to)) continue;
      t.failed = true;
      if (t === q.tries[q.tryCount - 1] || !q.hopeful) hit.push(q);
    }
    if (to === null) this.pool.retire(socket);
    else if (hit.length > 0) this.servers.bad(to);
    for (const q of hit) if (q.waiters !== null) this.askNext(q);
  }

  exchangeAnswer(exchange: DnsExchange, b: Uint8Array, off: number, len: number): void {
    const q = this.byExchange.get(exchange);
    if (q === undefined) return;
    if (!q.answeredBy(b, off, off + len)) {
      this.drops[Drop.DnsBadAnswer]!++;
      this.exchangeFailed(exchange);
      return;
    }
    this.byExchange.delete(exchange);
    q.exchange = null;
    this.servers.good(exchange.to);
    this.finish(q, b, off, len);
  }

  exchangeFailed(exchange: DnsExchange): void {
    const q = this.byExchange.get(exchange);
    if (q === undefined) return;
    this.byExchange.delete(exchange);
    q.exchange = null;
    q.tries[q.tryCount - 1]!.failed = true;
    this.servers.bad(exchange.to);
    this.askNext(q);
  }

  /** Somebody sends what was not asked for. */
  private stray(socket: DnsSocket<DnsQuery>): void {
    this.drops[Drop.DnsBadAnswer]!++;
    if (++socket.strays !== STRAYS_MAX) return;
    const queries = new Set(socket.queries.values());
    this.pool.retire(socket);
    for (const q of queries) {
      this.releaseTries(q);
      q.viaTcp = true;
      this.askNext(q);
    }
  }

  // The end of a query.

  private finish(q: DnsQuery, b: Uint8Array, off: number, len: number): void {
    if (this.rebind?.refuses(b, off, off + len)) {
      this.drops[Drop.DnsRebind]!++;
      this.fail(q, dns.RCODE_REFUSED);
      return;
    }
    // By UDP no more than the guest said that it takes, whatever the server sent, and over whatever it was asked.
    const limit = q.tcp ? len : Math.max(dns.PLAIN_UDP_SIZE, dns.ednsUdpSize(q.bytes, 0, q.len));
    const size = len > limit ? dns.writeTruncated(b, off, b, off, off + len) : len;
    this.answers++;
    this.waiters.deliver(this.detach(q), b, off, size);
  }

  private fail(q: DnsQuery, rcode: number = dns.RCODE_SERVFAIL): void {
    const answer = new Uint8Array(EMPTY_ANSWER_MAX);
    const len = dns.writeEmptyAnswer(answer, 0, q.bytes, 0, q.len, rcode);
    if (rcode === dns.RCODE_SERVFAIL) this.servfails++;
    this.waiters.deliver(this.detach(q), answer, 0, len);
  }

  /** Ends a query and gives those who waited; the object is spare afterwards. */
  private detach(q: DnsQuery): Waiter | null {
    this.table.remove(q);
    q.timer.cancel();
    this.releaseTries(q);
    const waiters = q.waiters;
    q.waiters = null;
    q.servers = [];
    q.next = this.spareQueries;
    this.spareQueries = q;
    return waiters;
  }

  private releaseTries(q: DnsQuery): void {
    for (let i = 0; i < q.tryCount; i++) {
      const t = q.tries[i]!;
      if (t.socket !== null) this.pool.release(t.socket, t.id);
      t.socket = null;
      t.to = null;
    }
    q.tryCount = 0;
    this.dropExchange(q);
  }

  private dropExchange(q: DnsQuery): void {
    const exchange = q.exchange;
    if (exchange === null) return;
    q.exchange = null;
    this.byExchange.delete(exchange);
    exchange.abandon();
  }

  private newQuery(): DnsQuery {
    const q = this.spareQueries ?? new DnsQuery(this.wheel, this.onTimer);
    this.spareQueries = q.next;
    q.next = null;
    return q;
  }
}
