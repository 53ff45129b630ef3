// The port table and what an administrator does to it: the functions behind the console's `port/` menu.
//
// Ports come into being when they are first given out, or by `create`. A port that was created is not allocatable: it is
// for whoever asks for its number.

import { Port } from './port.ts';
import type { Refusal, VlanTable } from './vlan-table.ts';

/** Largest number of ports of a switch. */
export const MAX_PORTS = 65_536;

/** Why an endpoint was not given a port. */
export type PlugRefusal =
  | 'no such port'
  | 'no free port'
  | 'port belongs to another user'
  | 'port is closed to this user'
  | 'port is disabled';

/** What the administration asks of the switch. */
export interface PortOwner {
  readonly vlans: VlanTable;
  /** The number of ports has grown or shrunk to `count`. */
  resized(count: number): void;
  /** The port does not exist any more. */
  removed(port: Port): void;
  /** A port that was disabled is not any more. */
  enabled(port: Port): void;
  /** The settings of the port have changed. */
  refresh(port: Port): void;
}

/** Tells whether the user who plugs in is a member of a group. */
export type GroupTest = (gid: number) => boolean;

const NO_GROUPS: GroupTest = () => false;

export class PortAdmin {
  private readonly table: (Port | null)[];
  private readonly owner: PortOwner;
  private transparent = false;

  constructor(owner: PortOwner, numPorts: number) {
    if (!Number.isInteger(numPorts) || numPorts < 2 || numPorts > MAX_PORTS)
      throw new RangeError(`a switch has 2 to ${MAX_PORTS} ports, not ${numPorts}`);
    this.owner = owner;
    this.table = new Array<Port | null>(numPorts).fill(null);
  }

  /** Ports are numbered 0 to this - 1. */
  get numPorts(): number {
    return this.table.length;
  }

  /** Ports that exist, by number. */
  list(): Port[] {
    return this.table.filter((port) => port !== null);
  }

  /** The port of a number, or null when it does not exist. Any integer. */
  get(number: number): Port | null {
    return this.table[number] ?? null;
  }

  /** Makes a port that is not allocatable. EINVAL, EEXIST. */
  create(number: number): Refusal | null {
    if (!this.inRange(number)) return 'EINVAL';
    if (this.table[number] !== null) return 'EEXIST';
    this.open(number).allocatable = false;
    return null;
  }

  /** Makes the first port from 1 up that does not exist, not allocatable; its number, or ENOSPC. */
  createAuto(): number | Refusal {
    const number = this.table.indexOf(null, 1);
    if (number < 0) return 'ENOSPC';
    this.open(number).allocatable = false;
    return number;
  }

  /** Removes a port without endpoints. EINVAL, ENXIO, EADDRINUSE. */
  remove(number: number): Refusal | null {
    const port = this.find(number);
    if (typeof port === 'string') return port;
    if (port.active) return 'EADDRINUSE';
    this.owner.vlans.expel(port);
    this.table[number] = null;
    this.owner.removed(port);
    return null;
  }

  /** Whether the port may be given to who asks for any. EINVAL, ENXIO. */
  setAllocatable(number: number, on: boolean): Refusal | null {
    return this.change(number, (port) => {
      port.allocatable = on;
    });
  }

  /** Who may plug in: a user, or -1 for any. Endpoints that are there stay. EINVAL, ENXIO. */
  setUser(number: number, uid: number): Refusal | null {
    return this.change(number, (port) => {
      port.accessUid = uid;
    });
  }

  /** Who may plug in: members of a group, or -1 for any. EINVAL, ENXIO. */
  setGroup(number: number, gid: number): Refusal | null {
    return this.change(number, (port) => {
      port.accessGid = gid;
    });
  }

  /** The VLAN of frames without tag; 4095 for none. EINVAL, ENXIO (port or VLAN). */
  setVlan(number: number, vlan: number): Refusal | null {
    return this.inRange(number) ? this.owner.vlans.setNative(number, vlan) : 'EINVAL';
  }

  /** Isolated ports hear only ports that are not. EINVAL, ENXIO. */
  setIsolated(number: number, on: boolean): Refusal | null {
    return this.change(number, (port) => {
      port.isolated = on;
    });
  }

  /** An uplink, or the port of a router or server: not subject to the guard. EINVAL, ENXIO. */
  setTrusted(number: number, on: boolean): Refusal | null {
    return this.change(number, (port) => {
      port.trusted = on;
    });
  }

  /** Opens a port that the BPDU guard has closed. EINVAL, ENXIO. */
  enable(number: number): Refusal | null {
    return this.change(number, (port) => {
      if (!port.disabled) return;
      port.disabled = false;
      this.owner.enabled(port);
    });
  }

  /**
   * Lets tagged frames of VLANs that the port is not a member of pass as they are inside the port's untagged VLAN
   * (the classic switch drops them). They leave by ports that carry this VLAN untagged and are not trunks (tagged
   * members of any VLAN), where the tag would be taken for the switch's own. -1 sets all ports and those to come.
   * EINVAL, ENXIO.
   */
  setTransparent(number: number, on: boolean): Refusal | null {
    if (number !== -1) {
      return this.change(number, (port) => {
        port.transparent = on;
      });
    }
    this.transparent = on;
    for (const port of this.list()) port.transparent = on;
    return null;
  }

  /** Closes one endpoint of a port by its id (`Link.endpointId`); links within the process have none. EINVAL, ENXIO. */
  closeEndpoint(number: number, id: number): Refusal | null {
    const port = this.find(number);
    if (typeof port === 'string') return port;
    const endpoint = port.endpoints.find(({ link }) => link.endpointId === id);
    if (endpoint === undefined) return 'ENXIO';
    void endpoint.link.close();
    return null;
  }

  /** Counters of a port, or of all (-1), back to zero. EINVAL, ENXIO. */
  resetCounters(number: number): Refusal | null {
    if (number !== -1) return this.change(number, (port) => port.resetCounters());
    for (const port of this.list()) port.resetCounters();
    return null;
  }

  /** Changes the number of ports, 1 to 65,536. EINVAL; EADDRINUSE: a port of a higher number exists. */
  setNumPorts(count: number): Refusal | null {
    if (!Number.isInteger(count) || count < 1 || count > MAX_PORTS) return 'EINVAL';
    if (this.table.findLastIndex((port) => port !== null) >= count) return 'EADDRINUSE';
    const before = this.table.length;
    this.table.length = count;
    if (count > before) this.table.fill(null, before);
    this.owner.resized(count);
    return null;
  }

  /**
   * The port for somebody who plugs in; it is made when it does not exist.
   *
   * @param number   port number, or -1 for the first from 1 up that has no endpoint, is allocatable and open to the user
   * @param uid      who asks, -1 for a link within the process, to which all ports are open
   * @param inGroup  whether the user is in a group
   */
  admit(number: number, uid: number, inGroup: GroupTest = NO_GROUPS): Port | PlugRefusal {
    if (number < 0) return this.freePort(uid, inGroup);
    if (number >= this.numPorts) return 'no such port';
    const port = this.open(number);
    if (port.disabled) return 'port is disabled';
    if (port.active) return port.uid === uid ? port : 'port belongs to another user';
    return this.allows(port, uid, inGroup) ? port : 'port is closed to this user';
  }

  private freePort(uid: number, inGroup: GroupTest): Port | PlugRefusal {
    for (let number = 1; number < this.numPorts; number++) {
      const port = this.table[number]!;
      if (port === null) return this.open(number);
      if (!port.active && port.allocatable && !port.disabled && this.allows(port, uid, inGroup)) return port;
    }
    return 'no free port';
  }

  private allows(port: Port, uid: number, inGroup: GroupTest): boolean {
    if (port.accessUid < 0 && port.accessGid < 0) return true;
    if (uid <= 0 || uid === port.accessUid) return true;
    return port.accessGid >= 0 && inGroup(port.accessGid);
  }

  private open(number: number): Port {
    const known = this.table[number]!;
    if (known !== null) return known;
    const port = new Port(number);
    port.transparent = this.transparent;
    this.table[number] = port;
    this.owner.vlans.admit(port);
    this.owner.refresh(port);
    return port;
  }

  private change(number: number, apply: (port: Port) => void): Refusal | null {
    const port = this.find(number);
    if (typeof port === 'string') return port;
    apply(port);
    this.owner.refresh(port);
    return null;
  }

  private find(number: number): Port | Refusal {
    if (!this.inRange(number)) return 'EINVAL';
    return this.table[number] ?? 'ENXIO';
  }

  private inRange(number: number): boolean {
    return Number.isInteger(number) && number >= 0 && number < this.numPorts;
  }
}
