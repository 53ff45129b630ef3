// DHCPv6 server on the link of the router (RFC 8415): name servers and search list for whoever asks, and addresses from a
// range of one prefix where that is wanted.
//
//   client                     server, stateless            server with addresses
//   INFORMATION-REQUEST   -->  REPLY                        REPLY
//   SOLICIT               -->  ADVERTISE: no addresses      ADVERTISE; REPLY with Rapid Commit
//   REQUEST               -->  REPLY: no addresses          REPLY, once the lease is stored
//   RENEW                 -->  REPLY: no binding            REPLY; an address of ours that nobody has is given (4.3)
//   REBIND                -->  -                            the same; lifetimes 0 for addresses of another network
//   CONFIRM               -->  REPLY: on this link or not   the same
//   RELEASE, DECLINE      -->  REPLY: no binding            REPLY; a declined address is put aside for 10 min
//
// A client is its DUID and the IAID of one association; it has one address. Temporary addresses and prefixes are not given
// (IA_TA, IA_PD get their status). Messages with another server's identifier, without a client's where one is needed, or
// with one where none may be, are ignored as section 16 asks; what must be sent to the group but came to our own address is
// answered UseMulticast. Relays are ignored: there is one link.
//
// Addresses, their states and bounds are those of the pool that DHCPv4 has (lease-pool.ts, by the last word of the
// address), and so are its store and its limits for one hardware address. A client that brings a host name (option 39)
// is known by it while its lease is in force, unless somebody else is (host-names.ts).

import type { Clock } from '../core/clock.ts';
import { Drop, type DropCounters } from '../core/drop.ts';
import { VdeError } from '../core/errors.ts';
import { type AddressWords, isInNetwork } from '../core/ipv6-network.ts';
import * as d6 from '../wire/dhcpv6.ts';
import { ASIDE_MS, LEASES_PER_MAC, OFFER_MS, RATE_ALL, RATE_MAC } from './dhcp-server.ts';
import { POOL_MAX } from './dhcp-setup.ts';
import { fqdnReply6, requestedName6 } from './dhcpv6-fqdn.ts';
import { HostNames, type NameTaken } from './host-names.ts';
import { type Holder, LeasePool, LeaseState, macNumber } from './lease-pool.ts';
import type { LeaseStore } from './lease-store.ts';
import { MacRateLimit, TokenBucket } from './rate-limit.ts';

/** How long what a client was told without a lease is good for, seconds (RFC 8415 section 7.6 has this default). */
export const REFRESH_SEC = 86_400;

/** The addresses to lease. */
export interface Dhcpv6Pool {
  /** A network of the link; the pool lies in the last 32 bits. */
  readonly network: AddressWords;
  readonly prefixLen: number;
  /** Last word of the first address, unsigned, and the number of addresses. */
  readonly start: number;
  readonly size: number;
  /** Last words never to give. */
  readonly reserved: readonly number[];
  readonly leaseSec: number;
  readonly store: LeaseStore;
}

export interface Dhcpv6ServerOptions {
  /** Own hardware address, which the identifier is made of: upper 16 and lower 32 bits. */
  readonly mac: { readonly hi: number; readonly lo: number };
  /** Networks of the link: what CONFIRM is about. */
  readonly networks: readonly { readonly network: AddressWords; readonly prefixLen: number }[];
  readonly dns: readonly AddressWords[];
  readonly search: () => readonly string[];
  /** Domain of the guests' names, '' (the default) for none. */
  readonly domain?: string;
  /** Host names that no guest can take, and those that guests have by other leases. */
  readonly reservedNames?: readonly string[];
  readonly nameTaken?: NameTaken;
  /** Null: no addresses. */
  readonly pool: Dhcpv6Pool | null;
  readonly clock: Clock;
  readonly drops: DropCounters;
  /** Sends an answer to the client's link-local address; called within `handle`, or later when the store took its time. */
  readonly reply: (to: AddressWords, payload: Uint8Array) => void;
}

/** A lease as management shows it. */
export interface Lease6View {
  readonly address: AddressWords;
  readonly state: 'offered' | 'bound' | 'idle' | 'aside';
  readonly client: string;
  /** Host name, '' for none. */
  readonly hostname: string;
  readonly remainingMs: number;
}

/** Which identifiers a message of each type must have (RFC 8415 section 16). */
const RULES: Readonly<Record<number, { readonly server: 'ours' | 'none' | 'any'; readonly client: boolean }>> = {
  [d6.SOLICIT]: { server: 'none', client: true },
  [d6.REQUEST]: { server: 'ours', client: true },
  [d6.CONFIRM]: { server: 'none', client: true },
  [d6.RENEW]: { server: 'ours', client: true },
  [d6.REBIND]: { server: 'none', client: true },
  [d6.RELEASE]: { server: 'ours', client: true },
  [d6.DECLINE]: { server: 'ours', client: true },
  [d6.INFORMATION_REQUEST]: { server: 'any', client: false },
};

const VIEW_STATES: Readonly<Record<number, Lease6View['state']>> = {
  [LeaseState.Idle]: 'idle',
  [LeaseState.Offered]: 'offered',
  [LeaseState.Bound]: 'bound',
  [LeaseState.Aside]: 'aside',
};

/** DUID-LL: type 3, hardware type 1 (Ethernet), address (RFC 8415 section 11.4): the same after every restart. */
const duidOf = ({ hi, lo }: { hi: number; lo: number }): Uint8Array =>
  Uint8Array.of(0, 3, 0, 1, hi >>> 8, hi, lo >>> 24, lo >>> 16, lo >>> 8, lo);

interface Request {
  readonly m: d6.Dhcpv6Message;
  readonly from: AddressWords;
  readonly macHi: number;
  readonly macLo: number;
}

export class Dhcpv6Server {
  readonly duid: Uint8Array;
  private options: Dhcpv6ServerOptions;
  private readonly pool: LeasePool | null;
  private readonly names: HostNames | null;
  private readonly clock: Clock;
  private readonly rateAll: TokenBucket;
  private readonly rateMac = new MacRateLimit(RATE_MAC, RATE_MAC);

  /** Throws ERR_VDE_BAD_OPTION when the pool has no address. */
  constructor(options: Dhcpv6ServerOptions) {
    this.options = options;
    this.clock = options.clock;
    this.duid = duidOf(options.mac);
    this.rateAll = new TokenBucket(RATE_ALL, RATE_ALL, this.clock.now());
    this.pool = options.pool === null ? null : makePool(options.pool);
    this.names =
      this.pool === null ? null : new HostNames(this.pool, options.reservedNames ?? [], options.nameTaken ?? null);
    this.restore();
  }

  /** Tells clients of other name servers, and leases for another time, from now on. */
  change(dns: readonly AddressWords[], leaseSec: number, domain: string): void {
    const { pool } = this.options;
    this.options = { ...this.options, dns, domain, pool: pool === null ? null : { ...pool, leaseSec } };
  }

  /**
   * A guest's message to port 547, in [off, end) of `b`, on loan.
   *
   * @param from   the sender's address; answers go there
   * @param srcHi  Ethernet source: upper 16 bits
   * @param srcLo  Ethernet source: lower 32 bits, unsigned
   * @param group  it was sent to ff02::1:2, not to an address of ours
   */
  handle(
    b: Uint8Array,
    off: number,
    end: number,
    from: AddressWords,
    srcHi: number,
    srcLo: number,
    group: boolean,
  ): void {
    const why = this.take(b, off, end, from, srcHi, srcLo, group);
    if (why !== Drop.None) this.options.drops[why]!++;
  }

  /** Addresses that are offered, leased, remembered or aside, in order. */
  leases(): Lease6View[] {
    const { pool } = this;
    if (pool === null) return [];
    const now = this.clock.now();
    pool.sweep(now);
    const out: Lease6View[] = [];
    for (let i = 0; i < pool.size; i++) {
      const state = VIEW_STATES[pool.state(i)];
      if (state === undefined) continue;
      const { client = '', hostname = '' } = pool.holder(i) ?? {};
      out.push({ address: this.addressOf(i), state, client, hostname, remainingMs: pool.deadline(i) - now });
    }
    return out;
  }

  /**
   * Ends the lease or offer of an address, by order of management. The client finds out when it renews, and is given the
   * address again if it comes back before others need it. False when nobody has the address now.
   */
  endLease(address: AddressWords): boolean {
    const { pool } = this;
    pool?.sweep(this.clock.now());
    const i = this.indexOf(address);
    if (pool === null || i < 0) return false;
    const state = pool.state(i);
    if (state !== LeaseState.Bound && state !== LeaseState.Offered) return false;
    const holder = pool.holder(i)!;
    pool.retire(i, this.clock.now());
    if (holder.confirmed) this.store(i, holder, () => {});
    return true;
  }

  /** Address of the guest that has this name (lower case, one label) now, or null. */
  addressOfName(name: string): AddressWords | null {
    this.pool?.sweep(this.clock.now());
    const i = this.names?.find(name) ?? -1;
    return i < 0 ? null : this.addressOf(i);
  }

  /** Addresses that the station with this hardware address has leased now. */
  addressesOfStation(macHi: number, macLo: number): AddressWords[] {
    const { pool } = this;
    pool?.sweep(this.clock.now());
    if (pool === null || pool.heldBy(macHi, macLo) === 0) return [];
    const out: AddressWords[] = [];
    for (let i = 0; i < pool.size; i++) {
      const holder = pool.state(i) === LeaseState.Bound ? pool.holder(i) : null;
      if (holder?.macHi === macHi && holder.macLo === macLo) out.push(this.addressOf(i));
    }
    return out;
  }

  /** Hardware address, as one number, of the guest that has this name (lower case) now, or -1. */
  ownerOf(name: string): number {
    this.pool?.sweep(this.clock.now());
    return this.names?.ownerOf(name) ?? -1;
  }

  /** Hardware address, as one number, of the guest that leases this address now, or -1. */
  holderOf(address: AddressWords): number {
    this.pool?.sweep(this.clock.now());
    const i = this.indexOf(address);
    const holder = i >= 0 && this.pool!.state(i) === LeaseState.Bound ? this.pool!.holder(i) : null;
    return holder === null ? -1 : macNumber(holder.macHi, holder.macLo);
  }

  /** Name of the station with this hardware address, or ''. */
  nameOfStation(macHi: number, macLo: number): string {
    this.pool?.sweep(this.clock.now());
    return this.names?.nameOfStation(macHi, macLo) ?? '';
  }

  private take(
    b: Uint8Array,
    off: number,
    end: number,
    from: AddressWords,
    macHi: number,
    macLo: number,
    group: boolean,
  ): Drop {
    const now = this.clock.now();
    if (!this.rateMac.take(macHi, macLo, now) || !this.rateAll.take(now)) return Drop.Dhcp6RateLimited;
    const m = d6.parse(b, off, end);
    if (m === null) return Drop.Dhcp6Malformed;
    const rule = RULES[m.type];
    if (rule === undefined || (rule.client && m.clientId === null)) return Drop.Dhcp6Ignored;
    const ours = m.serverId !== null && sameBytes(m.serverId, this.duid);
    if (rule.server === 'none' ? m.serverId !== null : !ours && (rule.server === 'ours' || m.serverId !== null)) {
      return Drop.Dhcp6Ignored;
    }
    if (m.type === d6.INFORMATION_REQUEST && m.ias.length > 0) return Drop.Dhcp6Ignored; // section 16.12
    if (!group) {
      if (rule.server !== 'ours') return Drop.Dhcp6Ignored;
      this.send({ m, from, macHi, macLo }, d6.REPLY, this.begin(m).status(d6.STATUS_USE_MULTICAST, 'use ff02::1:2'));
      return Drop.None;
    }
    this.pool?.sweep(now);
    return this.answer({ m, from, macHi, macLo });
  }

  private answer(r: Request): Drop {
    switch (r.m.type) {
      case d6.INFORMATION_REQUEST:
        this.send(
          r,
          d6.REPLY,
          this.settings(this.begin(r.m).number(d6.OPTION_INFORMATION_REFRESH_TIME, REFRESH_SEC), r.m),
        );
        return Drop.None;
      case d6.SOLICIT:
        return this.pool !== null && r.m.rapidCommit
          ? this.grant(r, this.begin(r.m).option(d6.OPTION_RAPID_COMMIT, new Uint8Array(0)), d6.STATUS_NO_ADDRS_AVAIL)
          : this.advertise(r);
      case d6.REQUEST:
        return this.grant(r, this.begin(r.m), d6.STATUS_NO_ADDRS_AVAIL);
      case d6.RENEW:
        return this.grant(r, this.begin(r.m), d6.STATUS_NO_BINDING);
      case d6.REBIND:
        return this.pool === null ? Drop.Dhcp6Ignored : this.grant(r, this.begin(r.m), d6.STATUS_NO_BINDING);
      case d6.CONFIRM:
        return this.confirm(r);
      default:
        return this.giveBack(r);
    }
  }

  // SOLICIT: section 18.3.1.

  private advertise(r: Request): Drop {
    const w = this.begin(r.m);
    let named = -1;
    for (const ia of r.m.ias) {
      const i = ia.kind === 'na' ? this.addressFor(r, ia) : -1;
      if (i < 0) {
        w.ia(ia, 0, 0, [], nothingOf(ia), 'no addresses here');
        continue;
      }
      if (this.pool!.state(i) !== LeaseState.Bound) this.hold(r, ia, i, LeaseState.Offered, OFFER_MS);
      if (named < 0) named = i;
      this.writeIa(w, ia, [this.leaseOf(i)]);
    }
    this.send(r, d6.ADVERTISE, this.settings(this.nameReply(w, r.m, named), r.m));
    return Drop.None;
  }

  // REQUEST, RENEW, REBIND: sections 18.3.2, 18.3.4, 18.3.5.

  /** @param missing  status of an association that gets no address */
  private grant(r: Request, w: d6.Dhcpv6Writer, missing: number): Drop {
    let waiting = 1;
    let named = -1;
    const done = (): void => {
      if (--waiting === 0) this.send(r, d6.REPLY, this.settings(this.nameReply(w, r.m, named), r.m));
    };
    for (const ia of r.m.ias) {
      const foreign = ia.addresses.filter(({ address }) => !this.isOnLink(address));
      if (foreign.length > 0 && r.m.type === d6.REQUEST) {
        w.ia(ia, 0, 0, [], d6.STATUS_NOT_ON_LINK, 'another network');
        continue;
      }
      const gone = ia.addresses.map(({ address }) => ({ address, preferredSec: 0, validSec: 0 }));
      const i = ia.kind === 'na' ? this.addressFor(r, ia) : -1;
      if (i < 0) {
        // Addresses that cannot be kept are told so by lifetimes 0; an association without any gets its status.
        if (gone.length > 0 && this.pool !== null && r.m.type !== d6.REQUEST) this.writeIa(w, ia, gone);
        else w.ia(ia, 0, 0, [], ia.kind === 'na' ? missing : nothingOf(ia), 'no addresses here');
        continue;
      }
      const holder = this.hold(r, ia, i, LeaseState.Bound, this.options.pool!.leaseSec * 1000);
      holder.confirmed = true;
      if (named < 0) {
        named = i;
        this.learnName(i, holder, r.m);
      }
      const lease = this.leaseOf(i);
      this.writeIa(w, ia, [lease, ...gone.filter(({ address }) => address.join() !== lease.address.join())]);
      waiting++;
      this.store(i, holder, done);
    }
    done();
    return Drop.None;
  }

  // CONFIRM: section 18.3.3.

  private confirm(r: Request): Drop {
    const all = r.m.ias.flatMap((ia) => ia.addresses);
    if (all.length === 0) return Drop.Dhcp6Ignored;
    const here = all.every(({ address }) => this.isOnLink(address));
    const [status, text] = here ? [d6.STATUS_SUCCESS, 'on this link'] : [d6.STATUS_NOT_ON_LINK, 'another network'];
    this.send(r, d6.REPLY, this.begin(r.m).status(status!, text!));
    return Drop.None;
  }

  // RELEASE, DECLINE: sections 18.3.7, 18.3.8.

  private giveBack(r: Request): Drop {
    const w = this.begin(r.m).status(d6.STATUS_SUCCESS, 'done');
    for (const ia of r.m.ias) {
      const i = this.pool?.find(keyOf(r, ia)) ?? -1;
      const own = i >= 0 && !this.pool!.available(i) && ia.addresses.some(({ address }) => this.indexOf(address) === i);
      if (!own) w.ia(ia, 0, 0, [], d6.STATUS_NO_BINDING, 'not yours');
      else if (r.m.type === d6.DECLINE) this.putAside(i);
      else {
        this.pool!.retire(i, this.clock.now());
        this.store(i, this.pool!.holder(i)!, () => {});
      }
    }
    this.send(r, d6.REPLY, w);
    return Drop.None;
  }

  // The pool.

  /** Index of the address that an association has or should get, or -1. */
  private addressFor(r: Request, ia: d6.Ia): number {
    const { pool } = this;
    if (pool === null) return -1;
    const known = pool.find(keyOf(r, ia));
    if (known >= 0) return known;
    if (pool.heldBy(r.macHi, r.macLo) >= LEASES_PER_MAC) return -1;
    for (const { address } of ia.addresses) {
      const wanted = this.indexOf(address);
      if (wanted >= 0 && pool.available(wanted)) return wanted;
    }
    // Who renews what we do not know keeps it where that is possible, and gets nothing else.
    return r.m.type === d6.RENEW || r.m.type === d6.REBIND ? -1 : pool.pick();
  }

  private hold(r: Request, ia: d6.Ia, i: number, state: LeaseState, forMs: number): Holder {
    const pool = this.pool!;
    const client = keyOf(r, ia);
    const former = pool.holder(i);
    const same = former?.client === client;
    const known = pool.find(client);
    if (known >= 0 && known !== i) this.names!.drop(known);
    if (!same) this.names!.drop(i);
    const hostname = same ? former.hostname : '';
    const holder: Holder = { client, macHi: r.macHi, macLo: r.macLo, hostname, confirmed: same && former.confirmed };
    pool.assign(i, holder, state, this.clock.now() + forMs);
    return holder;
  }

  private learnName(i: number, holder: Holder, m: d6.Dhcpv6Message): void {
    const name = m.fqdn === null ? '' : requestedName6(m.fqdn);
    if (name !== '' && name !== holder.hostname) this.names!.give(i, name);
  }

  /** Adds what became of the client's name, if it asks (RFC 4704 section 6); `i`: its address, -1 for none. */
  private nameReply(w: d6.Dhcpv6Writer, m: d6.Dhcpv6Message, i: number): d6.Dhcpv6Writer {
    if (m.fqdn === null || m.wanted?.includes(d6.OPTION_CLIENT_FQDN) !== true || i < 0) return w;
    const asked = requestedName6(m.fqdn);
    // An offer says what the name would be, without giving it yet.
    const name = this.names!.mayHave(i, asked) ? asked : (this.pool!.holder(i)?.hostname ?? '');
    return w.option(d6.OPTION_CLIENT_FQDN, fqdnReply6(m.fqdn, name, this.options.domain ?? ''));
  }

  private putAside(i: number): void {
    const pool = this.pool!;
    this.names!.drop(i);
    this.options.pool!.store.remove(pool.address(i));
    const limit = Math.max(1, Math.floor(pool.size / 4));
    if (pool.count(LeaseState.Aside) < limit) pool.putAside(i, this.clock.now() + ASIDE_MS);
    else pool.forget(i);
  }

  private store(i: number, holder: Holder, done: () => void): void {
    const pool = this.pool!;
    const { client, macHi, macLo, hostname } = holder;
    const record = { address: pool.address(i), client, macHi, macLo, hostname, expiresAt: pool.deadline(i) };
    this.options.pool!.store.put(record, done);
  }

  private restore(): void {
    const { pool } = this;
    if (pool === null) return;
    const records = [...this.options.pool!.store.load()].sort((a, b) => a.expiresAt - b.expiresAt);
    for (const { address, client, macHi, macLo, hostname, expiresAt } of records) {
      const i = pool.indexOf(address);
      if (i < 0) continue;
      pool.assign(i, { client, macHi, macLo, hostname: '', confirmed: true }, LeaseState.Bound, expiresAt);
      this.names!.give(i, hostname);
    }
    pool.sweep(this.clock.now());
  }

  private addressOf(i: number): AddressWords {
    const [w0, w1, w2] = this.options.pool!.network;
    return [w0, w1, w2, this.pool!.address(i) | 0];
  }

  /** Index of an address of the pool, or -1. */
  private indexOf(address: AddressWords): number {
    if (this.pool === null) return -1;
    const [w0, w1, w2] = this.options.pool!.network;
    const inside = address[0] === w0 && address[1] === w1 && address[2] === w2;
    return inside ? this.pool.indexOf(address[3] >>> 0) : -1;
  }

  private isOnLink(address: AddressWords): boolean {
    return this.options.networks.some(({ network, prefixLen }) => isInNetwork(address, network, prefixLen));
  }

  private leaseOf(i: number): d6.IaAddress {
    const { leaseSec } = this.options.pool!;
    return { address: this.addressOf(i), preferredSec: Math.floor(leaseSec / 2), validSec: leaseSec };
  }

  // Answers.

  private writeIa(w: d6.Dhcpv6Writer, ia: d6.Ia, addresses: readonly d6.IaAddress[]): void {
    const preferred = Math.max(...addresses.map(({ preferredSec }) => preferredSec));
    // T1 and T2: half, and four fifths, of the preferred lifetime (section 21.4).
    w.ia(ia, Math.floor(preferred / 2), Math.floor(preferred * 0.8), addresses, d6.STATUS_SUCCESS);
  }

  private begin(m: d6.Dhcpv6Message): d6.Dhcpv6Writer {
    const w = new d6.Dhcpv6Writer().option(d6.OPTION_SERVER_ID, this.duid);
    return m.clientId === null ? w : w.option(d6.OPTION_CLIENT_ID, m.clientId);
  }

  /** Name servers and search list, where they are asked for or the client leaves the choice to us. */
  private settings(w: d6.Dhcpv6Writer, m: d6.Dhcpv6Message): d6.Dhcpv6Writer {
    const wants = (code: number): boolean => m.wanted === null || m.wanted.includes(code);
    const { dns } = this.options;
    const search = this.options.search();
    if (dns.length > 0 && wants(d6.OPTION_DNS_SERVERS)) w.addresses(d6.OPTION_DNS_SERVERS, dns);
    if (search.length > 0 && wants(d6.OPTION_DOMAIN_LIST)) w.names(d6.OPTION_DOMAIN_LIST, search);
    return w;
  }

  private send(r: Request, type: number, w: d6.Dhcpv6Writer): void {
    this.options.reply(r.from, w.message(type, r.m.xid));
  }
}

/** Throws ERR_VDE_BAD_OPTION when no address is left. */
function makePool(options: Dhcpv6Pool): LeasePool {
  const pool = new LeasePool(options.start, Math.min(options.size, POOL_MAX), options.reserved);
  if (pool.count(LeaseState.Free) > 0) return pool;
  throw new VdeError('ERR_VDE_BAD_OPTION', 'dhcp6: no address of the prefix is left to give');
}

/** How associations are told apart, in leases and their file. */
const keyOf = (r: Request, ia: d6.Ia): string => `duid:${hexText(r.m.clientId!)}/${ia.iaid.toString(16)}`;

const nothingOf = (ia: d6.Ia): number => (ia.kind === 'pd' ? d6.STATUS_NO_PREFIX_AVAIL : d6.STATUS_NO_ADDRS_AVAIL);

const hexText = (b: Uint8Array): string => Array.from(b, (byte) => byte.toString(16).padStart(2, '0')).join('');

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);
