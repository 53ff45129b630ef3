// DHCP server for one IPv4 network (RFC 2131), the one that the router itself is part of.
//
//   client                              server
//   DISCOVER    --> address of old, or asked for, or next free  --(probe)-->  OFFER, kept for 10 s
//   REQUEST     --> its address (offered, leased before, or free)             ACK, once the lease is stored
//                   another network's, another client's                       NAK, broadcast
//                   meant for another server                                  (nothing; the offer is given up)
//   DECLINE     --> address put aside for 10 min, at most a quarter of the pool
//   RELEASE     --> lease ends; the client gets the same address if it comes back in time
//   INFORM      -->                                                           ACK without address
//   BOOTP       --> address, bound at once                                    reply without DHCP options
//
// Who has which address, and who counts as one client, is kept by dhcp-bindings.ts.
//
// REQUESTs of clients we do not know, for an address of the pool that is free, are granted: the server may have been
// restarted without its leases (RFC 2131 section 4.3.2 would have it keep silent).
//
// Relays: a message with giaddr set is ignored. There is one network, and this server is on it.
//
// An address that the client did not have before is probed by ARP before the OFFER when the owner gives a `probe`; one in
// use is put aside and the next is tried. The next addresses are probed before anybody asks for them, at start and when a
// lease was given (probe-ahead.ts).
//
// The configuration may change while the server runs (`prepare`): clients keep what the new one still allows them, and
// hear of the rest when they renew.
//
// Limits: messages in all and for each hardware address by token buckets; offers and leases for each hardware address;
// the pool itself (lease-pool.ts). All memory is bounded by the pool and fixed tables.

import type { Ipv4Network } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import { Drop, type DropCounters } from '../core/drop.ts';
import { u16, u32 } from '../wire/bytes.ts';
import type { DhcpMessage } from '../wire/dhcpv4.ts';
import * as dhcpv4 from '../wire/dhcpv4.ts';
import { type Client, DhcpBindings, type LeaseView } from './dhcp-bindings.ts';
import { requestedName } from './dhcp-fqdn.ts';
import { type DhcpConfig, type DhcpReply, grant, type ReplyKind, refuse } from './dhcp-reply.ts';
import { type AddressProbe, type DhcpServerOptions, makeConfig } from './dhcp-setup.ts';
import { type Holder, LeaseState } from './lease-pool.ts';
import { AHEAD_MAX, ProbeAhead } from './probe-ahead.ts';
import { MacRateLimit, TokenBucket } from './rate-limit.ts';

export { ASIDE_MS, LEASES_PER_MAC, type LeaseView } from './dhcp-bindings.ts';
export type { DhcpReply } from './dhcp-reply.ts';
export type { AddressProbe, DhcpServerOptions, StaticHost } from './dhcp-setup.ts';

export const OFFER_MS = 10_000;
export const PROBE_MS = 100;
/** Addresses tried for one DISCOVER when each turns out to be in use. */
export const PROBE_TRIES = 3;
/** A probe that has not ended by then is taken for a free address. */
const PROBE_LIMIT_MS = 500;
export const RATE_ALL = 100;
export const RATE_MAC = 20;
const CLIENT_ID_MAX = 255;
const NAK_TEXT = 'requested address not available'; // as slirpvde's

/** What the configuration says and may say otherwise later; see DhcpServerOptions. */
export type DhcpSettings = Omit<
  DhcpServerOptions,
  'store' | 'clock' | 'drops' | 'reply' | 'probe' | 'heardSince' | 'portOf' | 'nameTaken'
>;

interface Probing {
  readonly holder: Holder;
  readonly until: number;
  /** The client's latest DISCOVER. */
  message: DhcpMessage;
}

export class DhcpServer {
  private options: DhcpServerOptions;
  private config: DhcpConfig;
  private network: Ipv4Network;
  private bindings: DhcpBindings;
  private readonly clock: Clock;
  private readonly drops: DropCounters;
  private readonly send: (reply: DhcpReply) => void;
  private readonly probe: AddressProbe | null;
  private readonly ahead: ProbeAhead | null;
  private readonly probing = new Map<number, Probing>();
  private readonly rateAll: TokenBucket;
  private readonly rateMac = new MacRateLimit(RATE_MAC, RATE_MAC);

  /** Throws ERR_VDE_BAD_OPTION when the pool does not lie in the network or is empty. */
  constructor(options: DhcpServerOptions) {
    this.options = options;
    this.config = makeConfig(options);
    this.network = options.network;
    this.bindings = new DhcpBindings(options);
    this.clock = options.clock;
    this.drops = options.drops;
    this.send = options.reply;
    const { clock, probe = null, heardSince } = options;
    this.ahead =
      probe === null || heardSince === undefined
        ? null
        : new ProbeAhead({ clock, probe, waitMs: PROBE_MS, heardSince });
    this.probe = this.ahead?.probe ?? probe;
    this.rateAll = new TokenBucket(RATE_ALL, RATE_ALL, this.clock.now());
    this.bindings.restore();
  }

  /**
   * Makes ready for other settings; what is returned puts them in force and does not fail.
   *
   * @throws ERR_VDE_BAD_OPTION as the constructor; nothing has changed then
   */
  prepare(settings: DhcpSettings): () => void {
    const { store, clock, drops, reply, probe, heardSince, portOf, nameTaken } = this.options;
    const options: DhcpServerOptions = {
      ...settings,
      store,
      clock,
      drops,
      reply,
      ...(probe === undefined ? {} : { probe }),
      ...(heardSince === undefined ? {} : { heardSince }),
      ...(portOf === undefined ? {} : { portOf }),
      ...(nameTaken === undefined ? {} : { nameTaken }),
    };
    const config = makeConfig(options);
    const bindings = new DhcpBindings(options);
    return () => {
      bindings.inherit(this.bindings);
      this.probing.clear();
      this.options = options;
      this.config = config;
      this.network = options.network;
      this.bindings = bindings;
    };
  }

  /**
   * A guest's message to port 67, in [off, end) of `b`, on loan.
   *
   * @param srcHi  Ethernet source: upper 16 bits
   * @param srcLo  Ethernet source: lower 32 bits, unsigned
   */
  handle(b: Uint8Array, off: number, end: number, srcHi: number, srcLo: number): void {
    const why = this.take(b, off, end, srcHi, srcLo);
    if (why !== Drop.None) this.drops[why]!++;
  }

  /** Stations may be on the link that were not before: at start, when it is back, when something was plugged in. */
  stationsCame(): void {
    this.ahead?.reset();
    this.lookAhead();
  }

  private lookAhead(): void {
    if (this.ahead === null) return;
    this.bindings.sweep();
    const { pool } = this.bindings;
    this.ahead.look(pool.upcoming(AHEAD_MAX).map((i) => pool.address(i)));
  }

  /**
   * Ends the lease or offer of an address, by order of management. The client finds out when it renews, and is given the
   * address again if it comes back before others need it. False when nobody has the address now.
   */
  endLease(address: number): boolean {
    const i = this.bindings.end(address);
    if (i >= 0) this.probing.delete(i);
    return i >= 0;
  }

  // See dhcp-bindings.ts.

  leases(): LeaseView[] {
    return this.bindings.leases();
  }
  usage(): { size: number; bound: number; aside: number } {
    return this.bindings.usage();
  }
  addressOf(name: string): number {
    return this.bindings.addressOf(name);
  }
  nameOf(address: number): string {
    return this.bindings.nameOf(address);
  }

  ownerOf(name: string): number {
    return this.bindings.ownerOf(name);
  }
  nameOfStation(macHi: number, macLo: number): string {
    return this.bindings.nameOfStation(macHi, macLo);
  }

  private take(b: Uint8Array, off: number, end: number, srcHi: number, srcLo: number): Drop {
    const now = this.clock.now();
    if (!this.rateMac.take(srcHi, srcLo, now) || !this.rateAll.take(now)) return Drop.DhcpRateLimited;
    const m = dhcpv4.parse(b, off, end);
    if (m === null || !isSound(m)) return Drop.DhcpMalformed;
    if (m.op !== dhcpv4.OP_REQUEST || m.giaddr !== 0) return Drop.DhcpIgnored;
    if (u16(m.chaddr, 0) !== srcHi || u32(m.chaddr, 2) !== srcLo) return Drop.DhcpMalformed;
    this.bindings.sweep();
    const client = this.bindings.clientOf(m, srcHi, srcLo);
    switch (dhcpv4.messageType(m)) {
      case dhcpv4.DISCOVER:
        return this.discover(client, m, PROBE_TRIES);
      case dhcpv4.REQUEST:
        return this.request(client, m);
      case dhcpv4.DECLINE:
        return this.decline(client, m);
      case dhcpv4.RELEASE:
        return this.release(client, m);
      case dhcpv4.INFORM:
        return this.inform(m, 'inform');
      case 0:
        return this.bootp(client, m);
      default:
        return Drop.DhcpIgnored;
    }
  }

  // DISCOVER: RFC 2131 section 4.3.1.

  private discover(client: Client, m: DhcpMessage, tries: number): Drop {
    const { bindings } = this;
    const { pool } = bindings;
    const known = pool.find(client.key);
    if (known >= 0) {
      if (pool.state(known) === LeaseState.Bound) return this.offer(known, m);
      const probing = this.probing.get(known);
      if (probing !== undefined && probing.holder === pool.holder(known) && this.clock.now() < probing.until) {
        probing.message = m;
        return Drop.None;
      }
    }
    const i = known >= 0 ? known : bindings.choose(client, m);
    if (i < 0) return Drop.DhcpNoAddress;
    const holder = bindings.hold(i, client, LeaseState.Offered, OFFER_MS);
    if (this.probe === null || holder.confirmed || this.probing.get(i)?.holder === holder) {
      this.probing.delete(i);
      return this.offer(i, m);
    }
    const probing: Probing = { holder, until: this.clock.now() + PROBE_LIMIT_MS, message: m };
    this.probing.set(i, probing);
    this.probe(pool.address(i), PROBE_MS, (inUse) => {
      const why = this.probed(i, probing, client, inUse, tries);
      if (why !== Drop.None) this.drops[why]!++;
    });
    return Drop.None;
  }

  private probed(i: number, probing: Probing, client: Client, inUse: boolean, tries: number): Drop {
    if (this.probing.get(i) !== probing) return Drop.None;
    this.probing.delete(i);
    const { pool } = this.bindings;
    if (pool.holder(i) !== probing.holder || pool.state(i) !== LeaseState.Offered) return Drop.None;
    if (!inUse) return this.offer(i, probing.message);
    this.bindings.putAside(i);
    return tries > 1 ? this.discover(client, probing.message, tries - 1) : Drop.DhcpNoAddress;
  }

  private offer(i: number, m: DhcpMessage): Drop {
    const name = requestedName(m, this.config.domain);
    const { bindings } = this;
    const hostname = bindings.names.mayHave(i, name) ? name : bindings.hostnameFor(i);
    this.send(grant(this.config, m, 'offer', bindings.pool.address(i), hostname));
    return Drop.None;
  }

  // REQUEST: RFC 2131 section 4.3.2.

  private request(client: Client, m: DhcpMessage): Drop {
    const server = dhcpv4.readAddress(m.options.get(dhcpv4.OPTION_SERVER_ID));
    const requested = dhcpv4.readAddress(m.options.get(dhcpv4.OPTION_REQUESTED_ADDRESS));
    const { bindings } = this;
    const { pool } = bindings;
    const known = pool.find(client.key);
    if (server >= 0 && server !== this.config.router) {
      if (known >= 0 && pool.state(known) === LeaseState.Offered) this.retire(known);
      return Drop.DhcpIgnored;
    }
    const wanted = m.ciaddr !== 0 ? m.ciaddr : requested;
    if (wanted <= 0) return Drop.DhcpMalformed;
    const i = pool.indexOf(wanted);
    if (i >= 0 && i === known) return this.bind(i, client, m, 'ack');
    const bound = known >= 0 && pool.state(known) === LeaseState.Bound;
    if (i < 0 || bound || !pool.available(i) || bindings.isStatic(client)) {
      this.send(refuse(this.config, m, NAK_TEXT));
      return Drop.None;
    }
    if (known < 0 && bindings.hasItsShare(client)) return Drop.DhcpNoAddress;
    return this.bind(i, client, m, 'ack');
  }

  private bind(i: number, client: Client, m: DhcpMessage, kind: ReplyKind): Drop {
    this.probing.delete(i);
    const { bindings } = this;
    const { pool } = bindings;
    const renewed = pool.state(i) === LeaseState.Bound;
    const holder = bindings.hold(i, client, LeaseState.Bound, this.config.leaseSec * 1000);
    holder.confirmed = true;
    bindings.learnHostname(i, holder, m);
    const reply = grant(this.config, m, kind, pool.address(i), bindings.hostnameFor(i));
    const deadline = pool.deadline(i);
    bindings.keep(i, holder, () => {
      // A slow store: by now the lease may be over, or the configuration another one.
      if (bindings !== this.bindings) return;
      if (pool.holder(i) === holder && pool.deadline(i) >= deadline) this.send(reply);
    });
    if (!renewed) this.lookAhead();
    return Drop.None;
  }

  /** BOOTP clients take what they get and never renew, so the lease is bound at once (RFC 951, RFC 1534). */
  private bootp(client: Client, m: DhcpMessage): Drop {
    if (m.ciaddr !== 0) return this.inform(m, 'bootp');
    const known = this.bindings.pool.find(client.key);
    const i = known >= 0 ? known : this.bindings.choose(client, m);
    if (i < 0) return Drop.DhcpNoAddress;
    return this.bind(i, client, m, 'bootp');
  }

  // DECLINE, RELEASE, INFORM: RFC 2131 sections 4.3.3 to 4.3.5.

  private decline(client: Client, m: DhcpMessage): Drop {
    const i = this.own(client, m, dhcpv4.readAddress(m.options.get(dhcpv4.OPTION_REQUESTED_ADDRESS)));
    if (i < 0) return Drop.DhcpIgnored;
    this.probing.delete(i);
    this.bindings.putAside(i);
    return Drop.None;
  }

  private release(client: Client, m: DhcpMessage): Drop {
    const { bindings } = this;
    const i = this.own(client, m, m.ciaddr);
    if (i < 0 || bindings.pool.state(i) !== LeaseState.Bound) return Drop.DhcpIgnored;
    this.retire(i);
    bindings.keep(i, bindings.pool.holder(i)!, () => {});
    return Drop.None;
  }

  private inform(m: DhcpMessage, kind: ReplyKind): Drop {
    const { network, prefixLen, mask } = this.network;
    const host = (m.ciaddr & ~mask) >>> 0;
    const inside = (m.ciaddr & mask) >>> 0 === network && m.ciaddr !== this.config.router;
    if (!inside || (prefixLen < 31 && (host === 0 || host === ~mask >>> 0))) return Drop.DhcpIgnored;
    this.send(grant(this.config, m, kind, 0, this.options.hostname ?? ''));
    return Drop.None;
  }

  /** Index of `address` when it is offered or leased to this client, and the message is for us; else -1. */
  private own(client: Client, m: DhcpMessage, address: number): number {
    const server = dhcpv4.readAddress(m.options.get(dhcpv4.OPTION_SERVER_ID));
    return server >= 0 && server !== this.config.router ? -1 : this.bindings.own(client, address);
  }

  private retire(i: number): void {
    this.probing.delete(i);
    this.bindings.retire(i);
  }
}

/** An Ethernet client whose option 53, if there, is one, and whose identifier is not absurdly long. */
function isSound(m: DhcpMessage): boolean {
  if (m.htype !== dhcpv4.HTYPE_ETHERNET || m.chaddr.length !== 6) return false;
  if (dhcpv4.messageType(m) === 0 && m.options.has(dhcpv4.OPTION_MESSAGE_TYPE)) return false;
  return (m.options.get(dhcpv4.OPTION_CLIENT_ID)?.length ?? 0) <= CLIENT_ID_MAX;
}
