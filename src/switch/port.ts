// Ports and endpoints of a switch.
//
// A port is a number with counters and settings. What is plugged into it are endpoints, usually one: frames for the
// port go to all of them, and they do not hear each other. A port without endpoints is inactive and keeps its number,
// its counters and its settings.

import { type DropCounters, newDropCounters } from '../core/drop.ts';
import type { FrameSink, FrameSlots, Link } from '../core/frame.ts';
import type { Member } from './vlan-table.ts';

/** Bits of `Port.screens`: what the general path does with the port's incoming frames. */
export const Screen = {
  Disabled: 1,
  Hub: 2,
  /** Mirrored or captured. */
  Watched: 4,
  /** BPDUs are for the spanning tree. */
  Tree: 8,
  Guard: 16,
  Storm: 32,
  Isolated: 64,
} as const;

/** Counters of a port since it was made or reset. Frames dropped on input are in `drops` by reason. */
export interface PortCounters {
  /** Frames and bytes accepted from the port's endpoints. */
  rxFrames: number;
  rxBytes: number;
  /** Frames and bytes handed to the port; once each, whatever the number of endpoints. */
  txFrames: number;
  txBytes: number;
  /** Stations that came to this port from another one. */
  moves: number;
  /** Frames whose source is held by another port: a station moved too soon, or a protected address is used. */
  movesHeld: number;
}

export class Port {
  readonly number: number;
  /** Text for people; '' when nobody gave one. */
  name = '';
  /** False when the port is given only to those who ask for its number. */
  allocatable = true;
  /** User of the endpoints, -1 when they have none (in-process links) or there are no endpoints. */
  uid = -1;
  /** Who may plug the first endpoint in: a user and a group, -1 for any. With neither set the port is open to all. */
  accessUid = -1;
  accessGid = -1;
  readonly endpoints: Endpoint[] = [];
  readonly counters: PortCounters = { rxFrames: 0, rxBytes: 0, txFrames: 0, txBytes: 0, moves: 0, movesHeld: 0 };
  readonly drops: DropCounters = newDropCounters();
  /** Incoming frames that the guard would have dropped, by reason, were it told to enforce. */
  readonly warnings: DropCounters = newDropCounters();
  /** Untagged membership: the VLAN of frames without tag; null when such frames are refused. Set by the VLAN table. */
  native: Member | null = null;
  /** Number of VLANs of which the port is a tagged member. Set by the VLAN table. */
  trunked = 0;
  /** Tagged frames of VLANs that the port is not a member of pass as they are, inside the untagged VLAN. */
  transparent = false;
  /** Isolated ports hear only ports that are not. */
  isolated = false;
  /** An uplink or the port of a router or server: its frames are not subject to the guard. */
  trusted = false;
  /** Closed by the BPDU guard: its frames are dropped and nobody may plug in, until it is enabled again. */
  disabled = false;
  /** What its incoming frames need beyond the plain path: bits of Screen. Set by the switch. */
  screens = 0;
  /** Frames that leave by the port are mirrored or captured. Set by the switch. */
  watched = false;

  constructor(number: number) {
    this.number = number;
  }

  get active(): boolean {
    return this.endpoints.length > 0;
  }

  resetCounters(): void {
    const c = this.counters;
    c.rxFrames = c.rxBytes = c.txFrames = c.txBytes = c.moves = c.movesHeld = 0;
    this.drops.fill(0);
    this.warnings.fill(0);
  }
}

/** What the switch offers its endpoints. */
export interface Ingress {
  input(port: Port, b: Uint8Array, off: number, len: number): void;
  take(port: Port, batch: FrameSlots, start: number, count: number): number;
  flush(): void;
}

/** One link plugged into a port; it is the sink of that link's incoming frames. */
export class Endpoint implements FrameSink {
  readonly port: Port;
  readonly link: Link;
  readonly description: string;
  readonly uid: number;
  /** Where the link's frames go; null once the endpoint is unplugged. */
  private ingress: Ingress | null;
  /** The link holds frames that its `flush` will send. */
  dirty = false;
  /** The link's `flush` is running. */
  flushing = false;

  constructor(ingress: Ingress, port: Port, link: Link, uid: number, description: string) {
    this.ingress = ingress;
    this.port = port;
    this.link = link;
    this.uid = uid;
    this.description = description;
  }

  frame(b: Uint8Array, off: number, len: number): void {
    if (this.ingress !== null) this.ingress.input(this.port, b, off, len);
  }

  take(batch: FrameSlots, start: number, count: number): number {
    return this.ingress === null ? start : this.ingress.take(this.port, batch, start, count);
  }

  flush(): void {
    if (this.ingress !== null) this.ingress.flush();
  }

  /** Frames that still come from the link go nowhere. */
  detach(): void {
    this.ingress = null;
    this.link.tx.pump?.(null, 0);
  }
}
