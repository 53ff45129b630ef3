// The state of a router at one moment, as plain data for management.

import { formatAddress } from '../core/address.ts';
import { type Neighbor, NeighborState } from '../ip/index.ts';
import type { Router } from './router.ts';

/** How much of something is in use, and the bound. */
export interface Usage {
  readonly used: number;
  readonly limit: number;
}

export interface RouterStatus {
  /** Host descriptors of all flows; `share` is one guest's while others are active. */
  readonly descriptors: Usage & { readonly share: number; readonly guests: number };
  /** `waiting`: SYNs that wait for a place among the half-open connections. */
  readonly tcp: {
    readonly flows: number;
    readonly halfOpen: Usage;
    readonly waiting: Usage;
    readonly timeWait: Usage;
    readonly memory: Usage;
  };
  readonly udp: Usage;
  readonly icmp: Usage;
  readonly clients: Usage;
  readonly listeners: Usage;
  readonly neighbors: Usage;
  /** Neighbors that are being asked for. */
  readonly incomplete: Usage;
  /** Fragmented packets under way, and bytes that they hold. */
  readonly fragmented: Usage;
  readonly fragmentBytes: Usage;
  /** Clients of forwards that wait for their guest. */
  readonly held: Usage;
  /** Packets and frames dropped, all reasons together. */
  readonly dropped: number;
}

export function routerStatus(router: Router): RouterStatus {
  const { budget, tcp, ip, forwards } = router;
  const { limits } = tcp;
  const table = (t: { size: number; capacity: number }): Usage => ({ used: t.size, limit: t.capacity });
  return {
    descriptors: { used: budget.used, limit: budget.total, share: budget.share, guests: budget.guests },
    tcp: {
      flows: router.tcpNat.size,
      halfOpen: { used: tcp.halfOpen, limit: limits.maxHalfOpen },
      waiting: { used: tcp.waitingSyns, limit: limits.maxWaitingSyns },
      timeWait: { used: tcp.timeWait, limit: limits.maxTimeWait },
      memory: { used: tcp.memoryUsed, limit: limits.memory },
    },
    udp: table(router.udpNat.flows),
    icmp: table(router.icmpNat.flows),
    clients: table(forwards.clients),
    listeners: forwards.listening,
    neighbors: { used: ip.neighbors.size, limit: ip.neighbors.capacity },
    incomplete: { used: ip.neighbors.unresolved, limit: ip.neighbors.maxUnresolved },
    fragmented: { used: ip.reassembly.size, limit: ip.reassembly.maxSets },
    fragmentBytes: { used: ip.reassembly.bytesHeld, limit: ip.reassembly.maxBytes },
    held: { used: forwards.held.size, limit: forwards.held.limit },
    dropped: router.drops.reduce((sum, n) => sum + n, 0),
  };
}

/** A station as management sees it. */
export interface NeighborView {
  readonly address: string;
  /** `aa:bb:cc:dd:ee:ff`, '' while it is not known. */
  readonly mac: string;
  readonly state: 'incomplete' | 'reachable' | 'probe';
  /** Since the station last sent anything, milliseconds. */
  readonly silentMs: number;
  readonly flows: number;
}

const STATES: Readonly<Record<number, NeighborView['state']>> = {
  [NeighborState.Incomplete]: 'incomplete',
  [NeighborState.Reachable]: 'reachable',
  [NeighborState.Probe]: 'probe',
};

/** The stations in the cache, IPv4 before IPv6, by address. */
export function neighborViews(neighbors: Iterable<Neighbor>, now: number): NeighborView[] {
  return [...neighbors]
    .sort(
      (a, b) =>
        Number(b.isIpv4) - Number(a.isIpv4) ||
        (a.w0 >>> 0) - (b.w0 >>> 0) ||
        (a.w1 >>> 0) - (b.w1 >>> 0) ||
        (a.w2 >>> 0) - (b.w2 >>> 0) ||
        (a.w3 >>> 0) - (b.w3 >>> 0),
    )
    .map((n) => ({
      address: formatAddress(n.w0, n.w1, n.w2, n.w3),
      mac: n.resolved ? macText(n) : '',
      state: STATES[n.state]!,
      silentMs: n.resolved ? now - n.heardAt : 0,
      flows: n.flows,
    }));
}

const macText = (n: Neighbor): string =>
  ((n.macHi & 0xffff) * 2 ** 32 + (n.macLo >>> 0))
    .toString(16)
    .padStart(12, '0')
    .replace(/(..)(?=.)/g, '$1:');
