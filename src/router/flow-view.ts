// Flows as management sees them: plain data, made when asked for.

import type { Endpoint } from '../core/address.ts';
import type { Neighbor } from '../ip/index.ts';

/** `client`: a client of a UDP forward. */
export type FlowKind = 'tcp' | 'udp' | 'icmp' | 'client';

export interface FlowView {
  /** First letter of the kind and a number that is not used again: `t12`. */
  readonly id: string;
  readonly kind: FlowKind;
  /** The guest's address with its port or echo identifier, `10.0.2.15:40000`. */
  readonly guest: string;
  /** The far end: where the host's socket goes, or the client. */
  readonly peer: string;
  readonly state: string;
  /** Payload bytes from the guest, and to it. */
  readonly bytesOut: number;
  readonly bytesIn: number;
  /** Since the flow began, and since it last carried something; milliseconds. */
  readonly ageMs: number;
  readonly idleMs: number;
}

export interface FlowFilter {
  /** Only flows of these kinds; absent: of all. */
  readonly kinds?: readonly FlowKind[];
  /** Only flows of the guest that has this address; the port does not count. */
  readonly guest?: Endpoint;
  /** Flows at most. */
  readonly limit: number;
}

/** A part of all flows, by kind and then oldest first. */
export interface FlowPage {
  readonly flows: readonly FlowView[];
  /** How many flows the filter lets through in all. */
  readonly total: number;
}

/** Whether a filter lets the flows of a guest through. */
export const admitsGuest = ({ guest: g }: FlowFilter, n: Neighbor): boolean =>
  g === undefined || (g.w3 === n.w3 && g.w2 === n.w2 && g.w1 === n.w1 && g.w0 === n.w0);
