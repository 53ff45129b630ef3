// Which client of a DHCP server has which address: the pool, the names that go with addresses, and the store that both
// outlive the process in. dhcp-server.ts decides what messages do to it.
//
// Clients are told apart by their client identifier, else by hardware address (RFC 2131 section 4.2), with one addition:
// while an identifier's address is in use under one hardware address, the same identifier from another hardware address
// counts as another client. So cloned machines get an address each, and nobody takes a neighbour's lease by naming its
// identifier.
//
// A host of the configuration (StaticHost) is known by its hardware address alone, whatever identifier it sends: boot
// firmware and system get the same address. Nobody else gets that address, or the name that goes with it. While another
// station was seen to use it, its owner gets no address.
//
// When the configuration changes, new bindings are made and take over what the old ones know, as they take over the
// records of the store at start: leases for addresses that are not in the pool any more, or that now are somebody
// else's, end.

import { parseMac } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import { u16, u32 } from '../wire/bytes.ts';
import type { DhcpMessage } from '../wire/dhcpv4.ts';
import * as dhcpv4 from '../wire/dhcpv4.ts';
import { requestedName } from './dhcp-fqdn.ts';
import { type DhcpServerOptions, hardwareKey, makePool } from './dhcp-setup.ts';
import { HostNames } from './host-names.ts';
import { type Holder, type LeasePool, LeaseState, macNumber } from './lease-pool.ts';
import type { LeaseRecord, LeaseStore } from './lease-store.ts';
import { PortShares } from './port-shares.ts';

export const ASIDE_MS = 600_000;
/** Offers and leases of one hardware address. */
export const LEASES_PER_MAC = 8;
const CLIENT_ID_MIN = 2; // RFC 2132 section 9.14

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

/** Who sent a message. */
export interface Client {
  readonly key: string;
  readonly macHi: number;
  readonly macLo: number;
}

const VIEW_STATES: Readonly<Record<number, LeaseView['state']>> = {
  [LeaseState.Idle]: 'idle',
  [LeaseState.Offered]: 'offered',
  [LeaseState.Bound]: 'bound',
  [LeaseState.Aside]: 'aside',
  [LeaseState.Reserved]: 'reserved',
};

export class DhcpBindings {
  readonly pool: LeasePool;
  readonly names: HostNames;
  private readonly store: LeaseStore;
  private readonly clock: Clock;
  private readonly ports: PortShares | null;
  private readonly defaultHostname: string;
  private readonly domain: string;
  /** Hardware addresses of the configured hosts. */
  private readonly statics: ReadonlySet<number>;

  /** Knows nobody yet. Throws ERR_VDE_BAD_OPTION when the pool does not lie in the network or is empty. */
  constructor(options: DhcpServerOptions) {
    const { hosts = [], reservedNames = [] } = options;
    this.pool = makePool(options);
    this.statics = new Set(hosts.map(({ macHi, macLo }) => macNumber(macHi, macLo)));
    this.store = options.store;
    this.clock = options.clock;
    this.ports = options.portOf === undefined ? null : new PortShares(this.pool, options.portOf);
    this.defaultHostname = options.hostname ?? '';
    this.domain = options.domain ?? '';
    this.names = new HostNames(this.pool, reservedNames, options.nameTaken ?? null);
    for (const { address, name } of hosts) if (name !== '') this.names.fix(this.pool.indexOf(address), name);
  }

  /** Takes over what the store has kept. */
  restore(): void {
    const records = [...this.store.load()].sort((a, b) => a.expiresAt - b.expiresAt);
    for (const record of records) this.adopt(record, LeaseState.Bound, true);
    this.sweep();
  }

  /** Takes over what `former` knows: leases, outstanding offers, clients that are remembered, addresses aside. */
  inherit(former: DhcpBindings): void {
    former.sweep();
    const { pool } = former;
    const known = Array.from({ length: pool.size }, (_, i) => i).sort((a, b) => pool.deadline(a) - pool.deadline(b));
    for (const i of known) {
      const holder = pool.holder(i);
      const state = pool.state(i);
      if (state === LeaseState.Aside) {
        const own = this.pool.indexOf(pool.address(i));
        if (own >= 0) this.pool.putAside(own, pool.deadline(i));
      } else if (holder !== null && Number.isFinite(pool.deadline(i)) && state !== LeaseState.Lapsed) {
        const kept = state === LeaseState.Offered ? state : LeaseState.Bound;
        this.adopt(former.record(i, holder), kept, holder.confirmed);
      }
    }
    this.sweep();
  }

  /** A binding from before; what the configuration says now holds. */
  private adopt(r: LeaseRecord, state: LeaseState, confirmed: boolean): void {
    const i = this.pool.indexOf(r.address);
    if (i < 0) return;
    const own = this.pool.isReserved(i) ? this.pool.holder(i) : null;
    if (own !== null || this.statics.has(macNumber(r.macHi, r.macLo))) {
      if (own?.client === r.client) this.pool.assign(i, own, state, r.expiresAt);
      return;
    }
    const { client, macHi, macLo } = r;
    this.pool.assign(i, { client, macHi, macLo, hostname: '', confirmed }, state, r.expiresAt);
    this.names.give(i, r.hostname);
  }

  /** Ends what is due. Called before each decision. */
  sweep(): void {
    this.pool.sweep(this.clock.now());
  }

  // ---- clients

  clientOf(m: DhcpMessage, macHi: number, macLo: number): Client {
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

  isStatic({ macHi, macLo }: Client): boolean {
    return this.statics.has(macNumber(macHi, macLo));
  }

  /**
   * True when a new client gets no address: its station has as many as one may have, or those at its port of the switch
   * have half of the pool. Clients that have an address renew it whatever others hold.
   */
  hasItsShare({ macHi, macLo }: Client): boolean {
    if (this.pool.heldBy(macHi, macLo) >= LEASES_PER_MAC) return true;
    const limit = Math.max(LEASES_PER_MAC, this.pool.size >> 1);
    return this.ports !== null && !this.ports.take(macHi, macLo, limit, this.clock.now());
  }

  /** Index of an address for a client that has none: what it asks for when nobody has it, else what the pool gives; or -1. */
  choose(client: Client, m: DhcpMessage): number {
    if (this.isStatic(client) || this.hasItsShare(client)) return -1;
    const wanted = this.pool.indexOf(dhcpv4.readAddress(m.options.get(dhcpv4.OPTION_REQUESTED_ADDRESS)));
    return wanted >= 0 && this.pool.available(wanted) ? wanted : this.pool.pick();
  }

  /** Index of `address` when it is offered or leased to this client on this hardware address, else -1. */
  own(client: Client, address: number): number {
    const i = this.pool.find(client.key);
    if (i < 0 || this.pool.address(i) !== address || this.pool.available(i)) return -1;
    return sameMac(this.pool.holder(i)!, client.macHi, client.macLo) ? i : -1;
  }

  // ---- changes

  /** Gives an address to a client; what it knew of the same client on the same hardware is kept. */
  hold(i: number, client: Client, state: LeaseState, forMs: number): Holder {
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

  /** Takes the name that a client asks to be known by, when it may have it. */
  learnHostname(i: number, holder: Holder, m: DhcpMessage): void {
    const name = requestedName(m, this.domain);
    if (name !== '' && name !== holder.hostname) this.names.give(i, name);
  }

  hostnameFor(i: number): string {
    return this.pool.holder(i)?.hostname || this.defaultHostname;
  }

  /** Stores the lease of an address; `done` when that is as durable as it gets. */
  keep(i: number, holder: Holder, done: () => void): void {
    this.store.put(this.record(i, holder), done);
  }

  retire(i: number): void {
    this.pool.retire(i, this.clock.now());
  }

  putAside(i: number): void {
    this.names.drop(i);
    this.store.remove(this.pool.address(i));
    const limit = Math.max(1, Math.floor(this.pool.size / 4));
    if (this.pool.count(LeaseState.Aside) < limit) this.pool.putAside(i, this.clock.now() + ASIDE_MS);
    else this.pool.forget(i);
  }

  private record(i: number, holder: Holder): LeaseRecord {
    const { client, macHi, macLo, hostname } = holder;
    return { address: this.pool.address(i), client, macHi, macLo, hostname, expiresAt: this.pool.deadline(i) };
  }

  // ---- for management, and for those who look names up

  /** Addresses that are offered, leased, remembered or aside, in order of address. */
  leases(): LeaseView[] {
    const now = this.clock.now();
    this.sweep();
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

  /** Index of the address whose lease or offer has ended by this call; -1 when nobody has the address now. */
  end(address: number): number {
    this.sweep();
    const i = this.pool.indexOf(address);
    const state = i < 0 ? LeaseState.Excluded : this.pool.state(i);
    if (state !== LeaseState.Bound && state !== LeaseState.Offered) return -1;
    const holder = this.pool.holder(i)!;
    this.retire(i);
    if (holder.confirmed) this.keep(i, holder, () => {});
    return i;
  }

  /** Addresses of the pool in all, those that are leased now, and those put aside. */
  usage(): { size: number; bound: number; aside: number } {
    this.sweep();
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
    this.sweep();
    const mac = parseMac(name);
    const i = mac === null ? this.names.find(name) : this.indexOfMac(u16(mac, 0), u32(mac, 2));
    return i < 0 ? -1 : this.pool.address(i);
  }

  /** Name of the guest or configured host that has this address now, or ''. */
  nameOf(address: number): string {
    this.sweep();
    const i = this.pool.indexOf(address);
    return i < 0 ? '' : this.names.nameOf(i);
  }

  /** Hardware address, as one number, of the guest or configured host that has this name (lower case) now, or -1. */
  ownerOf(name: string): number {
    this.sweep();
    return this.names.ownerOf(name);
  }

  /** Name of the station with this hardware address, or ''. */
  nameOfStation(macHi: number, macLo: number): string {
    this.sweep();
    return this.names.nameOfStation(macHi, macLo);
  }

  private indexOfMac(macHi: number, macLo: number): number {
    if (this.pool.heldBy(macHi, macLo) === 0) return -1;
    for (let i = 0; i < this.pool.size; i++) {
      const holder = this.pool.holder(i);
      if (holder !== null && this.pool.state(i) === LeaseState.Bound && sameMac(holder, macHi, macLo)) return i;
    }
    return -1;
  }
}

const sameMac = (h: Holder, macHi: number, macLo: number): boolean => h.macHi === macHi && h.macLo === macLo;

function hexText(b: Uint8Array): string {
  let text = '';
  for (const byte of b) text += (byte >>> 4).toString(16) + (byte & 15).toString(16);
  return text;
}
