// Ports and endpoints of a switch.
//
// A port is a number with counters. What is plugged into it are endpoints, usually one: frames for the port go to all
// of them, and they do not hear each other. A port without endpoints is inactive and keeps its number and counters.

import { type DropCounters, newDropCounters } from '../core/drop.ts';
import type { FrameSink, Link } from '../core/frame.ts';

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
  readonly endpoints: Endpoint[] = [];
  readonly counters: PortCounters = { rxFrames: 0, rxBytes: 0, txFrames: 0, txBytes: 0, moves: 0, movesHeld: 0 };
  readonly drops: DropCounters = newDropCounters();

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
  }
}

/** What the switch offers its endpoints. */
export interface Ingress {
  input(port: Port, b: Uint8Array, off: number, len: number): void;
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

  flush(): void {
    if (this.ingress !== null) this.ingress.flush();
  }

  /** Frames that still come from the link go nowhere. */
  detach(): void {
    this.ingress = null;
  }
}
