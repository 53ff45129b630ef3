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
// Clients are told apart by their client identifier, else by hardware address (section 4.2), with one addition: while an
// identifier's address is in use under one hardware address, the same identifier from another hardware address counts as
// another client. So cloned machines get an address each, and nobody takes a neighbour's lease by naming its identifier.
//
// REQUESTs of clients we do not know, for an address of the pool that is free, are granted: the server may have been
// restarted without its leases (RFC 2131 section 4.3.2 would have it keep silent).
//
// Relays: a message with giaddr set is ignored. There is one network, and this server is on it.
//
// An address that the client did not have before is probed by ARP before the OFFER when the owner gives a `probe`; one in
// use is put aside and the next is tried.
//
// A host of the configuration (StaticHost) is known by its hardware address alone, whatever identifier it sends: boot
// firmware and system get the same address. Nobody else gets that address, or the name that goes with it. While another
// station was seen to use it, its owner gets no address.
//
// Limits: messages in all and for each hardware address by token buckets; offers and leases for each hardware address;
// the pool itself (lease-pool.ts). All memory is bounded by the pool and fixed tables.

import { type Ipv4Network, parseMac } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import { Drop, type DropCounters } from '../core/drop.ts';
import { u16, u32 } from '../wire/bytes.ts';
import type { DhcpMessage } from '../wire/dhcpv4.ts';
import * as dhcpv4 from '../wire/dhcpv4.ts';
import { requestedName } from './dhcp-fqdn.ts';
import { type DhcpConfig, type DhcpReply, grant, type ReplyKind, refuse } from './dhcp-reply.ts';
import { type AddressProbe, type DhcpServerOptions, hardwareKey, makeConfig, makePool } from './dhcp-setup.ts';
import { HostNames } from './host-names.ts';
import { type Holder, type LeasePool, LeaseState, macNumber } from './lease-pool.ts';
import type { LeaseRecord, LeaseStore } from './lease-store.ts';
import { PortShares } from './port-shares.ts';
import { MacRateLimit, TokenBucket } from './rate-limit.ts';

export type { DhcpReply } from './dhcp-reply.ts';
export type { AddressProbe, DhcpServerOptions, StaticHost } from './dhcp-setup.ts';

export const OFFER_MS = 10_000;
export const ASIDE_MS = 600_000;
export const PROBE_MS = 100;
/** Addresses tried for one DISCOVER when each turns out to be in use. */
export const PROBE_TRIES = 3;
/** A probe that has not ended by then is taken for a free address. */
const PROBE_LIMIT_MS = 500;
/** Offers and leases of one hardware address. */
export const LEASES_PER_MAC = 8;
export const RATE_ALL = 100;
export const RATE_MAC = 20;
const CLIENT_ID_MAX = 255;
const CLIENT_ID_MIN = 2; // RFC 2132 section 9.14
const NAK_TEXT = 'requested address not available'; // as slirpvde's

/** A lease as management shows it. */
export interface LeaseView {
  readonly address: number;
  readonly state: 'offered' | 'bound' | 'idle' | 'aside' | 'reserved';
  readonly client: string;
  readonly macHi: number;
  readonly macLo: number;
  readonly hostname: string;
  /** Milliseconds until the state ends; negative when a lease ended that long ago; infinite when it has no end. */
  readonly remainingMs: number;
}

interface Client {
  readonly key: string;
  readonly macHi: number;
  readonly macLo: number;
}

interface Probing {
  readonly holder: Holder;
  readonly until: number;
  /** The client's latest DISCOVER. */
  message: DhcpMessage;
}

const VIEW_STATES: Readonly<Record<number, LeaseView['state']>> = {
  [LeaseState.Idle]: 'idle',
  [LeaseState.Offered]: 'offered',
  [LeaseState.Bound]: 'bound',
  [LeaseState.Aside]: 'aside',
  [LeaseState.Reserved]: 'reserved',
};

export class DhcpServer {
  private readonly config: DhcpConfig;
  private readonly network: Ipv4Network;
  private readonly pool: LeasePool;
  private readonly store: LeaseStore;
  private readonly clock: Clock;
  private readonly drops: DropCounters;
  private readonly send: (reply: DhcpReply) => void;
  private readonly probe: AddressProbe | null;
  private readonly ports: PortShares | null;
  private readonly defaultHostname: string;
  private readonly names: HostNames;
  /** Hardware addresses of the configured hosts. */
  private readonly statics: ReadonlySet<number>;
  private readonly probing = new Map<number, Probing>();
  private readonly rateAll: TokenBucket;
  private readonly rateMac = new MacRateLimit(RATE_MAC, RATE_MAC);

  /** Throws ERR_VDE_BAD_OPTION when the pool does not lie in the network or is empty. */
  constructor(options: DhcpServerOptions) {
    this.config = makeConfig(options);
    this.network = options.network;
    this.pool = makePool(options);
    this.statics = new Set((options.hosts ?? []).map(({ macHi, macLo }) => macNumber(macHi, macLo)));
    this.store = options.store;
    this.clock = options.clock;
    this.drops = options.drops;
    this.send = options.reply;
    this.probe = options.probe ?? null;
    this.ports = options.portOf === undefined ? null : new PortShares(this.pool, options.portOf);
    this.defaultHostname = options.hostname ?? '';
    this.names = new HostNames(this.pool, options.reservedNames ?? [], options.nameTaken ?? null);
    for (const { address, name } of options.hosts ?? []) {
      if (name !== '') this.names.fix(this.pool.indexOf(address), name);
    }
    this.rateAll = new TokenBucket(RATE_ALL, RATE_ALL, this.clock.now());
    this.restore();
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

  /** Addresses that are offered, leased, remembered or aside, in order of address. */
  leases(): LeaseView[] {
    const now = this.clock.now();
    this.pool.sweep(now);
    const out: LeaseView[] = [];
    for (let i = 0; i < this.pool.size; i++) {
      const state = VIEW_STATES[this.pool.state(i)];
      if (state === undefined) continue;
      const holder = this.pool.holder(i);
      out.push({
        address: this.pool.address(i),
        state,
        client: holder?.client ?? '',
        macHi: holder?.macHi ?? 0,
        macLo: holder?.macLo ?? 0,
        hostname: holder?.hostname ?? '',
        remainingMs: this.pool.deadline(i) - now,
      });
    }
    return out;
  }

  private indexOfMac(macHi: number, macLo: number): number {
    if (this.pool.heldBy(macHi, macLo) === 0) return -1;
    for (let i = 0; i < this.pool.size; i++) {
      const holder = this.pool.holder(i);
      if (holder !== null && this.pool.state(i) === LeaseState.Bound && sameMac(holder, macHi, macLo)) return i;
    }
    return -1;
  }

  /**
   * Ends the lease or offer of an address, by order of management. The client finds out when it renews, and is given the
   * address again if it comes back before others need it. False when nobody has the address now.
   */
  endLease(address: number): boolean {
    this.pool.sweep(this.clock.now());
    const i = this.pool.indexOf(address);
    const state = i < 0 ? LeaseState.Excluded : this.pool.state(i);
    if (state !== LeaseState.Bound && state !== LeaseState.Offered) return false;
    const holder = this.pool.holder(i)!;
    this.retire(i);
    if (holder.confirmed) this.store.put(this.record(i, holder, this.pool.deadline(i)), () => {});
    return true;
  }

  /** Addresses of the pool in all, and those that are leased now. */
  usage(): { size: number; bound: number; aside: number } {
    this.pool.sweep(this.clock.now());
    return {
      size: this.pool.size - this.pool.count(LeaseState.Excluded),
      bound: this.pool.count(LeaseState.Bound),
      aside: this.pool.count(LeaseState.Aside),
    };
  }

  /**
   * Address of the guest or configured host that has this name (lower case, one label) now, or of the guest that has a
   * lease for this hardware address (`aa:bb:cc:dd:ee:ff`); unsigned, or -1.
   */
  addressOf(name: string): number {
    this.pool.sweep(this.clock.now());
    const mac = parseMac(name);
    const i = mac === null ? this.names.find(name) : this.indexOfMac(u16(mac, 0), u32(mac, 2));
    return i < 0 ? -1 : this.pool.address(i);
  }

  /** Name of the guest or configured host that has this address now, or ''. */
  nameOf(address: number): string {
    this.pool.sweep(this.clock.now());
    const i = this.pool.indexOf(address);
    return i < 0 ? '' : this.names.nameOf(i);
  }

  /** Hardware address, as one number, of the guest or configured host that has this name (lower case) now, or -1. */
  ownerOf(name: string): number {
    this.pool.sweep(this.clock.now());
    return this.names.ownerOf(name);
  }

  /** Name of the station with this hardware address, or ''. */
  nameOfStation(macHi: number, macLo: number): string {
    this.pool.sweep(this.clock.now());
    return this.names.nameOfStation(macHi, macLo);
  }

  private take(b: Uint8Array, off: number, end: number, srcHi: number, srcLo: number): Drop {
    const now = this.clock.now();
    if (!this.rateMac.take(srcHi, srcLo, now) || !this.rateAll.take(now)) return Drop.DhcpRateLimited;
    const m = dhcpv4.parse(b, off, end);
    if (m === null || !isSound(m)) return Drop.DhcpMalformed;
    if (m.op !== dhcpv4.OP_REQUEST || m.giaddr !== 0) return Drop.DhcpIgnored;
    if (u16(m.chaddr, 0) !== srcHi || u32(m.chaddr, 2) !== srcLo) return Drop.DhcpMalformed;
    this.pool.sweep(now);
    const client = this.clientOf(m, srcHi, srcLo);
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

  private clientOf(m: DhcpMessage, macHi: number, macLo: number): Client {
    if (this.statics.has(macNumber(macHi, macLo))) return { key: hardwareKey(macHi, macLo), macHi, macLo };
    const id = m.options.get(dhcpv4.OPTION_CLIENT_ID);
    if (id === undefined || id.length < CLIENT_ID_MIN) return { key: hardwareKey(macHi, macLo), macHi, macLo };
    const key = `id:${hexText(id)}`;
    const own = `${key}/${hexText(m.chaddr)}`;
    if (this.pool.find(own) >= 0) return { key: own, macHi, macLo };
    const i = this.pool.find(key);
    const holder = i < 0 ? null : this.pool.holder(i);
    const foreign = holder !== null && !sameMac(holder, macHi, macLo) && !this.pool.available(i);
    return { key: foreign ? own : key, macHi, macLo };
  }

  // DISCOVER: RFC 2131 section 4.3.1.

  private discover(client: Client, m: DhcpMessage, tries: number): Drop {
    const known = this.pool.find(client.key);
    if (known >= 0) {
      if (this.pool.state(known) === LeaseState.Bound) return this.offer(known, m);
      const probing = this.probing.get(known);
      if (probing !== undefined && probing.holder === this.pool.holder(known) && this.clock.now() < probing.until) {
        probing.message = m;
        return Drop.None;
      }
    }
    const i = known >= 0 ? known : this.choose(client, m);
    if (i < 0) return Drop.DhcpNoAddress;
    const holder = this.hold(i, client, LeaseState.Offered, OFFER_MS);
    if (this.probe === null || holder.confirmed || this.probing.get(i)?.holder === holder) {
      this.probing.delete(i);
      return this.offer(i, m);
    }
    const probing: Probing = { holder, until: this.clock.now() + PROBE_LIMIT_MS, message: m };
    this.probing.set(i, probing);
    this.probe(this.pool.address(i), PROBE_MS, (inUse) => {
      const why = this.probed(i, probing, client, inUse, tries);
      if (why !== Drop.None) this.drops[why]!++;
    });
    return Drop.None;
  }

  private probed(i: number, probing: Probing, client: Client, inUse: boolean, tries: number): Drop {
    if (this.probing.get(i) !== probing) return Drop.None;
    this.probing.delete(i);
    if (this.pool.holder(i) !== probing.holder || this.pool.state(i) !== LeaseState.Offered) return Drop.None;
    if (!inUse) return this.offer(i, probing.message);
    this.putAside(i);
    return tries > 1 ? this.discover(client, probing.message, tries - 1) : Drop.DhcpNoAddress;
  }

  /** An address for a client that has none: the one it asks for when nobody has it, else what the pool gives. */
  private choose(client: Client, m: DhcpMessage): number {
    if (this.isStatic(client)) return -1;
    if (this.hasItsShare(client)) return -1;
    const wanted = this.pool.indexOf(dhcpv4.readAddress(m.options.get(dhcpv4.OPTION_REQUESTED_ADDRESS)));
    return wanted >= 0 && this.pool.available(wanted) ? wanted : this.pool.pick();
  }

  /**
   * True when a new client gets no address: its station has as many as one may have, or those at its port of the switch
   * have half of the pool. Clients that have an address renew it whatever others hold.
   */
  private hasItsShare({ macHi, macLo }: Client): boolean {
    if (this.pool.heldBy(macHi, macLo) >= LEASES_PER_MAC) return true;
    const limit = Math.max(LEASES_PER_MAC, this.pool.size >> 1);
    return this.ports !== null && !this.ports.take(macHi, macLo, limit, this.clock.now());
  }

  private offer(i: number, m: DhcpMessage): Drop {
    const name = requestedName(m, this.config.domain);
    const hostname = this.names.mayHave(i, name) ? name : this.hostnameFor(i);
    this.send(grant(this.config, m, 'offer', this.pool.address(i), hostname));
    return Drop.None;
  }

  // REQUEST: RFC 2131 section 4.3.2.

  private request(client: Client, m: DhcpMessage): Drop {
    const server = dhcpv4.readAddress(m.options.get(dhcpv4.OPTION_SERVER_ID));
    const requested = dhcpv4.readAddress(m.options.get(dhcpv4.OPTION_REQUESTED_ADDRESS));
    const known = this.pool.find(client.key);
    if (server >= 0 && server !== this.config.router) {
      if (known >= 0 && this.pool.state(known) === LeaseState.Offered) this.retire(known);
      return Drop.DhcpIgnored;
    }
    const wanted = m.ciaddr !== 0 ? m.ciaddr : requested;
    if (wanted <= 0) return Drop.DhcpMalformed;
    const i = this.pool.indexOf(wanted);
    if (i >= 0 && i === known) return this.bind(i, client, m, 'ack');
    const bound = known >= 0 && this.pool.state(known) === LeaseState.Bound;
    if (i < 0 || bound || !this.pool.available(i) || this.isStatic(client)) {
      this.send(refuse(this.config, m, NAK_TEXT));
      return Drop.None;
    }
    if (known < 0 && this.hasItsShare(client)) return Drop.DhcpNoAddress;
    return this.bind(i, client, m, 'ack');
  }

  private bind(i: number, client: Client, m: DhcpMessage, kind: ReplyKind): Drop {
    this.probing.delete(i);
    const holder = this.hold(i, client, LeaseState.Bound, this.config.leaseSec * 1000);
    holder.confirmed = true;
    this.learnHostname(i, holder, m);
    const reply = grant(this.config, m, kind, this.pool.address(i), this.hostnameFor(i));
    const deadline = this.pool.deadline(i);
    this.store.put(this.record(i, holder, deadline), () => {
      // A slow store: by now the lease may be over.
      if (this.pool.holder(i) === holder && this.pool.deadline(i) >= deadline) this.send(reply);
    });
    return Drop.None;
  }

  /** BOOTP clients take what they get and never renew, so the lease is bound at once (RFC 951, RFC 1534). */
  private bootp(client: Client, m: DhcpMessage): Drop {
    if (m.ciaddr !== 0) return this.inform(m, 'bootp');
    const known = this.pool.find(client.key);
    const i = known >= 0 ? known : this.choose(client, m);
    if (i < 0) return Drop.DhcpNoAddress;
    return this.bind(i, client, m, 'bootp');
  }

  // DECLINE, RELEASE, INFORM: RFC 2131 sections 4.3.3 to 4.3.5.

  private decline(client: Client, m: DhcpMessage): Drop {
    const i = this.own(client, m, dhcpv4.readAddress(m.options.get(dhcpv4.OPTION_REQUESTED_ADDRESS)));
    if (i < 0) return Drop.DhcpIgnored;
    this.putAside(i);
    return Drop.None;
  }

  private release(client: Client, m: DhcpMessage): Drop {
    const i = this.own(client, m, m.ciaddr);
    if (i < 0 || this.pool.state(i) !== LeaseState.Bound) return Drop.DhcpIgnored;
    this.retire(i);
    this.store.put(this.record(i, this.pool.holder(i)!, this.pool.deadline(i)), () => {});
    return Drop.None;
  }

  private inform(m: DhcpMessage, kind: ReplyKind): Drop {
    const { network, prefixLen, mask } = this.network;
    const host = (m.ciaddr & ~mask) >>> 0;
    const inside = (m.ciaddr & mask) >>> 0 === network && m.ciaddr !== this.config.router;
    if (!inside || (prefixLen < 31 && (host === 0 || host === ~mask >>> 0))) return Drop.DhcpIgnored;
    this.send(grant(this.config, m, kind, 0, this.defaultHostname));
    return Drop.None;
  }

  /** Index of `address` when it is offered or leased to this client on this hardware address, else -1. */
  private own(client: Client, m: DhcpMessage, address: number): number {
    const server = dhcpv4.readAddress(m.options.get(dhcpv4.OPTION_SERVER_ID));
    if (server >= 0 && server !== this.config.router) return -1;
    const i = this.pool.find(client.key);
    if (i < 0 || this.pool.address(i) !== address || this.pool.available(i)) return -1;
    return sameMac(this.pool.holder(i)!, client.macHi, client.macLo) ? i : -1;
  }

  // Keeping the pool.

  private isStatic(client: Client): boolean {
    return this.statics.has(macNumber(client.macHi, client.macLo));
  }

  private hostnameFor(i: number): string {
    return this.pool.holder(i)?.hostname || this.defaultHostname;
  }

  private learnHostname(i: number, holder: Holder, m: DhcpMessage): void {
    const name = requestedName(m, this.config.domain);
    if (name !== '' && name !== holder.hostname) this.names.give(i, name);
  }

  /** Gives an address to a client; what it knew of the same client on the same hardware is kept. */
  private hold(i: number, client: Client, state: LeaseState, forMs: number): Holder {
    const { key, macHi, macLo } = client;
    const former = this.pool.holder(i);
    const same = former !== null && former.client === key;
    if (!same) this.names.drop(i);
    const known = this.pool.find(key);
    if (known >= 0 && known !== i) {
      this.names.drop(known);
      this.store.remove(this.pool.address(known));
    }
    const holder =
      same && sameMac(former, macHi, macLo)
        ? former
        : {
            client: key,
            macHi,
            macLo,
            hostname: same ? former.hostname : '',
            confirmed: same && former.confirmed,
          };
    this.pool.assign(i, holder, state, this.clock.now() + forMs);
    return holder;
  }

  private retire(i: number): void {
    this.probing.delete(i);
    this.pool.retire(i, this.clock.now());
  }

  private putAside(i: number): void {
    this.probing.delete(i);
    this.names.drop(i);
    this.store.remove(this.pool.address(i));
    const limit = Math.max(1, Math.floor(this.pool.size / 4));
    if (this.pool.count(LeaseState.Aside) < limit) this.pool.putAside(i, this.clock.now() + ASIDE_MS);
    else this.pool.forget(i);
  }

  private restore(): void {
    const records = [...this.store.load()].sort((a, b) => a.expiresAt - b.expiresAt);
    for (const r of records) {
      const i = this.pool.indexOf(r.address);
      if (i < 0) continue;
      const own = this.pool.isReserved(i) ? this.pool.holder(i) : null;
      if (own !== null || this.statics.has(macNumber(r.macHi, r.macLo))) {
        // The configuration changed since: what it says now holds.
        if (own?.client === r.client) this.pool.assign(i, own, LeaseState.Bound, r.expiresAt);
        continue;
      }
      const holder: Holder = {
        client: r.client,
        macHi: r.macHi,
        macLo: r.macLo,
        hostname: '',
        confirmed: true,
      };
      this.pool.assign(i, holder, LeaseState.Bound, r.expiresAt);
      this.names.give(i, r.hostname);
    }
    this.pool.sweep(this.clock.now());
  }

  private record(i: number, holder: Holder, expiresAt: number): LeaseRecord {
    const { client, macHi, macLo, hostname } = holder;
    return { address: this.pool.address(i), client, macHi, macLo, hostname, expiresAt };
  }
}

/** An Ethernet client whose option 53, if there, is one, and whose identifier is not absurdly long. */
function isSound(m: DhcpMessage): boolean {
  if (m.htype !== dhcpv4.HTYPE_ETHERNET || m.chaddr.length !== 6) return false;
  if (dhcpv4.messageType(m) === 0 && m.options.has(dhcpv4.OPTION_MESSAGE_TYPE)) return false;
  return (m.options.get(dhcpv4.OPTION_CLIENT_ID)?.length ?? 0) <= CLIENT_ID_MAX;
}

const sameMac = (h: Holder, macHi: number, macLo: number): boolean => h.macHi === macHi && h.macLo === macLo;

function hexText(b: Uint8Array): string {
  let text = '';
  for (const byte of b) text += (byte >>> 4).toString(16) + (byte & 15).toString(16);
  return text;
}
