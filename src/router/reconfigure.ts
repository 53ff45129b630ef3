// Another configuration for a router that runs: what may change without the guests' flows noticing.
//
// In two steps, so that it is all or nothing: `prepareChange` looks at everything that can be wrong and throws; the
// function that it gives then cannot fail. What is decided from then on follows the new configuration; flows that are open
// go on, and so do queries, transfers and leases as far as it still has them.

import type { AddressWords } from '../core/ipv6-network.ts';
import type { LocalHosts, TftpFiles } from '../services/index.ts';
import type { RouterContext } from './context.ts';
import type { DhcpOptions } from './dhcp-port.ts';
import { type DnsNetwork, type DnsServiceOptions, dnsSettings } from './dns-service.ts';
import type { PolicyRule } from './policy-rules.ts';
import { changeAdvertiser, type RaOptions } from './ra-port.ts';
import type { Router } from './router.ts';
import { TftpPort } from './tftp-port.ts';
import type { UdpFilter } from './udp-peers.ts';
import { UDP_TIMEOUTS, type UdpTimeoutProfile } from './udp-timeouts.ts';

/** What may change. Services that are absent here stay as they are; `tftp: null` ends that one. */
export interface RouterChange {
  readonly hostLoopback: boolean;
  readonly restrict: boolean;
  readonly hostAddresses: (() => Int32Array) | null;
  readonly udpFilter: UdpFilter;
  readonly udpTimeouts: UdpTimeoutProfile;
  readonly dns?: DnsServiceOptions;
  readonly dhcp?: Omit<DhcpOptions, 'store' | 'portOf'>;
  /** What DHCPv6 tells: name servers, the guests' domain, and for how long it leases. */
  readonly dhcp6?: { readonly dns: readonly AddressWords[]; readonly leaseSec: number; readonly domain: string };
  readonly ra?: RaOptions;
  readonly tftp?: TftpFiles | null;
}

/** The parts that are changed. */
export interface ChangedParts {
  readonly router: Router;
  readonly context: RouterContext;
  readonly network: Omit<DnsNetwork, 'hostLoopback'>;
  readonly tftp: TftpPort | null;
  /** Who knows the guests' names. */
  readonly hosts: LocalHosts;
}

/**
 * Makes ready for a change.
 *
 * @returns puts it in force, and gives the TFTP service that is to be asked from then on
 * @throws VdeError  ERR_VDE_BAD_OPTION when DHCP would have no address to give; nothing has changed then
 */
export function prepareChange(parts: ChangedParts, to: RouterChange): () => TftpPort | null {
  const { router, context, network } = parts;
  const { policy, udpNat, dhcp, dhcp6, dns, advertiser } = router;
  const changeDhcp =
    dhcp === null || to.dhcp === undefined ? null : dhcp.prepare({ ...to.dhcp, router: to.dhcp.network.address });
  return () => {
    policy.hostLoopback = to.hostLoopback;
    policy.restrict = to.restrict;
    policy.hostAddresses = to.hostAddresses;
    udpNat.filter = to.udpFilter;
    udpNat.timeouts = UDP_TIMEOUTS[to.udpTimeouts];
    changeDhcp?.();
    if (to.dns !== undefined) {
      const net = { ...network, hostLoopback: to.hostLoopback };
      dns?.change(dnsSettings(to.dns, net, context, parts.hosts));
    }
    if (to.dhcp6 !== undefined) dhcp6?.change(to.dhcp6.dns, to.dhcp6.leaseSec, to.dhcp6.domain);
    if (to.ra !== undefined && advertiser !== null) changeAdvertiser(advertiser, context, to.ra);
    return to.tftp === undefined ? parts.tftp : tftpAfter(parts, to.tftp);
  };
}

function tftpAfter({ tftp, context, router }: ChangedParts, files: TftpFiles | null): TftpPort | null {
  if (files === null) {
    tftp?.server.close();
    return null;
  }
  if (tftp === null) return new TftpPort(context, files, router.udpNat);
  tftp.server.files = files;
  return tftp;
}

/** The rules of a configuration among those of the policy: their numbers, which the console shows. */
export class ConfiguredRules {
  private readonly router: Router;
  private ids: readonly number[];

  /** Right after the router was made: all rules are the configuration's. */
  constructor(router: Router) {
    this.router = router;
    this.ids = router.policy.rules.list().map(({ id }) => id);
  }

  /** Puts others in their place. Throws ERR_VDE_BAD_POLICY when they are too many; nothing has changed then. */
  replace(rules: readonly PolicyRule[]): void {
    this.ids = this.router.policy.rules.replace(this.ids, rules);
  }
}
