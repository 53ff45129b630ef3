// What a DHCP server is told at its start, and what it makes of that.

import { formatIpv4, type Ipv4Network } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import type { DropCounters } from '../core/drop.ts';
import { VdeError } from '../core/errors.ts';
import type { ClasslessRoute } from '../wire/dhcpv4.ts';
import type { DhcpConfig, DhcpReply } from './dhcp-reply.ts';
import type { NameTaken } from './host-names.ts';
import { type Holder, LeasePool, LeaseState, macNumber } from './lease-pool.ts';
import type { LeaseStore } from './lease-store.ts';

export const DEFAULT_LEASE_SEC = 86_400;
export const POOL_MAX = 4096;

/**
 * Asks by ARP whether somebody uses an address.
 *
 * @param waitMs  how long to wait for an answer
 * @param done    called once, within the call or later
 */
export type AddressProbe = (address: number, waitMs: number, done: (inUse: boolean) => void) => void;

export interface DhcpServerOptions {
  readonly network: Ipv4Network;
  /** Address of the router, which is the server; unsigned like all addresses here. */
  readonly router: number;
  readonly dns: readonly number[];
  /** First address to give. */
  readonly poolStart: number;
  /** Addresses from there on (default: all up to the broadcast address), at most POOL_MAX. */
  readonly poolSize?: number;
  /** Further addresses never to give; the router's, the DNS servers' and the broadcast address are among them anyway. */
  readonly reserved?: readonly number[];
  /** Default: DEFAULT_LEASE_SEC. */
  readonly leaseSec?: number;
  readonly restricted?: boolean;
  readonly domain?: string;
  readonly mtu?: number;
  /** Option 119, as it is when a client asks. */
  readonly search?: () => readonly string[];
  /** Host name for clients that ask for one and did not bring one. */
  readonly hostname?: string;
  /** Host names that no guest can take. */
  readonly reservedNames?: readonly string[];
  /** Names that guests have by other leases. */
  readonly nameTaken?: NameTaken;
  /** Hosts with an address of their own. */
  readonly hosts?: readonly StaticHost[];
  /** Boot server for PXE clients (siaddr, option 66), unsigned. Default: the router itself. */
  readonly nextServer?: number;
  /** Boot file for PXE clients (`file`, option 67). */
  readonly bootFile?: string;
  /** Option 121; a default route by the router is added, since clients then ignore option 3 (RFC 3442). */
  readonly routes?: readonly ClasslessRoute[];
  /** Further options by code, sent to clients that ask for them. */
  readonly extra?: ReadonlyMap<number, Uint8Array>;
  readonly store: LeaseStore;
  readonly clock: Clock;
  readonly drops: DropCounters;
  /** Sends an answer; called within `handle`, or later when a probe or the store took its time. */
  readonly reply: (reply: DhcpReply) => void;
  readonly probe?: AddressProbe;
  /** True when a station was heard with this address at `since` or later; without it no probe is made ahead. */
  readonly heardSince?: (address: number, since: number) => boolean;
  /** Port of the switch that a station is at, -1 when not known: one port gets no more than half of the pool. */
  readonly portOf?: (macHi: number, macLo: number) => number;
}

/** A host whose address is configured. */
export interface StaticHost {
  /** Hardware address: upper 16 and lower 32 bits, unsigned. */
  readonly macHi: number;
  readonly macLo: number;
  /** Its address, in the network and none of the router's; unsigned. No two hosts share one. */
  readonly address: number;
  /** Host name, valid and nobody else's; '' when the host may choose its own. */
  readonly name: string;
}

/** How a client without identifier is told apart: by its hardware address. */
export const hardwareKey = (macHi: number, macLo: number): string =>
  `hw:${macNumber(macHi, macLo).toString(16).padStart(12, '0')}`;

export function makeConfig(options: DhcpServerOptions): DhcpConfig {
  const { network, router, dns, routes = [] } = options;
  const restricted = options.restricted ?? false;
  const hasDefault = routes.some(({ prefixLen }) => prefixLen === 0);
  const addDefault = routes.length > 0 && !hasDefault && !restricted;
  return {
    router,
    prefixLen: network.prefixLen,
    network: network.network,
    dns,
    leaseSec: options.leaseSec ?? DEFAULT_LEASE_SEC,
    restricted,
    domain: options.domain ?? '',
    mtu: options.mtu ?? 0,
    search: options.search ?? (() => []),
    nextServer: options.nextServer ?? 0,
    bootFile: options.bootFile ?? '',
    routes: addDefault ? [...routes, { network: 0, prefixLen: 0, router }] : routes,
    extra: options.extra ?? new Map(),
  };
}

/** Throws ERR_VDE_BAD_OPTION when the pool does not lie in the network or is empty. */
export function makePool(options: DhcpServerOptions): LeasePool {
  const { network, router, dns, poolStart } = options;
  const last = (network.network | ~network.mask) >>> 0;
  const first = poolStart === network.network && network.prefixLen < 31 ? poolStart + 1 : poolStart;
  const room = last - first + (network.prefixLen < 31 ? 0 : 1);
  const size = Math.min(options.poolSize ?? room, room, POOL_MAX);
  const excluded = [router, ...dns, ...(options.reserved ?? [])];
  const reservations = (options.hosts ?? []).map(({ address, macHi, macLo, name }) => {
    const holder: Holder = { client: hardwareKey(macHi, macLo), macHi, macLo, hostname: name, confirmed: true };
    return { address, holder };
  });
  const pool = first < network.network || size < 1 ? null : new LeasePool(first, size, excluded, reservations);
  if (pool === null || pool.count(LeaseState.Free) === 0) {
    const net = `${formatIpv4(network.network)}/${network.prefixLen}`;
    throw new VdeError(
      'ERR_VDE_BAD_OPTION',
      `dhcp: no address of ${net} is left to give from ${formatIpv4(poolStart)} on; choose a lower first address`,
    );
  }
  return pool;
}
