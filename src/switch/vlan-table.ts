// VLANs and who is a member of which.
//
// A port is in at most one VLAN untagged (its native one: frames without tag belong to it, and its frames leave without
// tag) and in any number tagged. VLAN 0 exists always and is native to every new port. The VLAN id 4095 stands for
// "none" where a native VLAN is set.
//
//   Port.native --> Member { port, vlan, tagged: false, state }
//   Vlan.members[port number] --> Member     every membership, of active and inactive ports
//   Vlan.flood --> Member[]                  active ports in state Forwarding, in the order in which they became that
//
// A membership carries the state that a spanning tree gives the port in that VLAN; without one it is Forwarding.

import type { Port } from './port.ts';

/** Highest VLAN id that can be created, as in the classic switch. */
export const MAX_VLAN = 4093;
/** As a port's untagged VLAN: none. */
export const NO_VLAN = 4095;

/** What a port does with the frames of a VLAN; the values are those of the state bits of a BPDU's flags. */
export const PortState = { Discarding: 0, Learning: 1, Forwarding: 3 } as const;
export type PortState = (typeof PortState)[keyof typeof PortState];

/** Why an operation on ports or VLANs was refused, by the name of the error number that the console answers. */
export type Refusal =
  /** Number out of range. */
  | 'EINVAL'
  /** No such port, VLAN, membership or endpoint. */
  | 'ENXIO'
  | 'EEXIST'
  /** In use: the port has endpoints, the VLAN has members, or a port lies beyond the number asked for. */
  | 'EADDRINUSE'
  /** No free port. */
  | 'ENOSPC';

/** One port in one VLAN. */
export class Member {
  readonly port: Port;
  readonly vlan: Vlan;
  readonly tagged: boolean;
  state: PortState = PortState.Forwarding;

  constructor(port: Port, vlan: Vlan, tagged: boolean) {
    this.port = port;
    this.vlan = vlan;
    this.tagged = tagged;
  }
}

export class Vlan {
  readonly id: number;
  /** By port number. */
  readonly members: (Member | null)[] = [];
  readonly flood: Member[] = [];
  /** How many of `flood` are tagged members. */
  trunks = 0;
  /** Number of members, inactive ports included. */
  size = 0;

  constructor(id: number) {
    this.id = id;
  }

  member(port: Port): Member | null {
    return this.members[port.number] ?? null;
  }

  /** Members in the order of port numbers. */
  list(): Member[] {
    return this.members.filter((member) => member !== undefined && member !== null);
  }
}

/** One port of a VLAN, for consoles. */
export interface VlanPortView {
  readonly port: number;
  readonly tagged: boolean;
  readonly active: boolean;
  /** The classic switch calls the state of inactive ports "Learning". */
  readonly state: 'Discarding' | 'Learning' | 'Forwarding';
}

export interface VlanView {
  readonly vlan: number;
  readonly ports: readonly VlanPortView[];
}

/** Hears of memberships of active ports; the switch, for its stations and spanning trees. */
export interface VlanListener {
  /** The member's port takes part in the VLAN from now on. */
  joined(member: Member): void;
  /** It does not any more. */
  left(member: Member): void;
  vlanCreated(vlan: Vlan): void;
  vlanRemoved(vlan: Vlan): void;
}

export class VlanTable {
  /** Hears of each change of a membership or its state. */
  onChange: (() => void) | null = null;
  private readonly table: (Vlan | null)[] = new Array<Vlan | null>(MAX_VLAN + 1).fill(null);
  /** Those of the table, by id. */
  private vlans: readonly Vlan[] = [];
  /** VLAN 0, of which every new port is an untagged member. */
  readonly initial: Vlan;
  private readonly listener: VlanListener;
  /** The port of a number, or null when it does not exist. */
  private readonly portOf: (number: number) => Port | null;

  constructor(listener: VlanListener, portOf: (number: number) => Port | null) {
    this.listener = listener;
    this.portOf = portOf;
    this.initial = new Vlan(0);
    this.put(0, this.initial);
  }

  /** The VLAN of an id, or null when there is none. Any integer. */
  get(id: number): Vlan | null {
    return this.table[id] ?? null;
  }

  /** All VLANs by id. */
  list(): readonly Vlan[] {
    return this.vlans;
  }

  /** Makes a VLAN without members. EINVAL: not 1 to 4093; EEXIST. */
  create(id: number): Refusal | null {
    if (!Number.isInteger(id) || id < 1 || id > MAX_VLAN) return 'EINVAL';
    if (this.table[id] !== null) return 'EEXIST';
    const vlan = new Vlan(id);
    this.put(id, vlan);
    this.listener.vlanCreated(vlan);
    return null;
  }

  /** Removes a VLAN that has no members. EINVAL, ENXIO, EADDRINUSE (also for VLAN 0). */
  remove(id: number): Refusal | null {
    const vlan = this.get(id);
    if (vlan === null) return this.inRange(id) ? 'ENXIO' : 'EINVAL';
    if (vlan.size > 0 || id === 0) return 'EADDRINUSE';
    this.put(id, null);
    this.listener.vlanRemoved(vlan);
    return null;
  }

  /** Makes a port a tagged member; one that is a member already stays what it is. EINVAL, ENXIO (VLAN or port). */
  addPort(id: number, portNumber: number): Refusal | null {
    const found = this.lookup(id, portNumber);
    if (typeof found === 'string') return found;
    const { vlan, port } = found;
    if (vlan.member(port) === null) this.enter(port, vlan, true);
    return null;
  }

  /** Ends a tagged membership, if there is one. EINVAL, ENXIO, EADDRINUSE: it is the port's untagged VLAN. */
  delPort(id: number, portNumber: number): Refusal | null {
    const found = this.lookup(id, portNumber);
    if (typeof found === 'string') return found;
    const member = found.vlan.member(found.port);
    if (member === null) return null;
    if (!member.tagged) return 'EADDRINUSE';
    this.leave(member);
    return null;
  }

  /**
   * Changes the untagged VLAN of a port; NO_VLAN for none. A tagged membership of that VLAN becomes the untagged one.
   * EINVAL, ENXIO (VLAN or port).
   */
  setNative(portNumber: number, id: number): Refusal | null {
    const port = this.portOf(portNumber);
    const vlan = this.get(id);
    if (id !== NO_VLAN && vlan === null) return this.inRange(id) ? 'ENXIO' : 'EINVAL';
    if (port === null) return 'ENXIO';
    if (port.native !== null) {
      if (port.native.vlan === vlan) return null;
      this.leave(port.native);
    }
    if (vlan === null) return null;
    const tagged = vlan.member(port);
    if (tagged !== null) this.leave(tagged);
    this.enter(port, vlan, false);
    return null;
  }

  /** A new port: an untagged member of VLAN 0. */
  admit(port: Port): void {
    this.enter(port, this.initial, false);
  }

  /** A port ceases to exist. */
  expel(port: Port): void {
    for (const member of this.membershipsOf(port)) this.leave(member);
  }

  /** The port has got its first endpoint, or is enabled again. */
  activate(port: Port): void {
    for (const member of this.membershipsOf(port)) {
      this.setState(member, PortState.Forwarding);
      this.listener.joined(member);
    }
  }

  /** The port has lost its last endpoint, or is disabled. */
  deactivate(port: Port): void {
    for (const member of this.membershipsOf(port)) {
      this.dropFromFlood(member);
      this.listener.left(member);
    }
  }

  /** Gives a member a state, and takes it into the list of those that frames are flooded to, or off it. */
  setState(member: Member, state: PortState): void {
    member.state = state;
    this.onChange?.();
    const { vlan } = member;
    if (state !== PortState.Forwarding) this.dropFromFlood(member);
    else if (member.port.active && !member.port.disabled && !vlan.flood.includes(member)) {
      vlan.flood.push(member);
      if (member.tagged) vlan.trunks++;
    }
  }

  membershipsOf(port: Port): Member[] {
    return this.list()
      .map((vlan) => vlan.member(port))
      .filter((member) => member !== null);
  }

  /** VLANs with the ports that `shown` lets pass, for consoles. */
  views(shown: (port: Port) => boolean = () => true): VlanView[] {
    return this.list().map((vlan) => ({
      vlan: vlan.id,
      ports: vlan
        .list()
        .filter((member) => shown(member.port))
        .map(viewOf),
    }));
  }

  private put(id: number, vlan: Vlan | null): void {
    this.table[id] = vlan;
    this.vlans = this.table.filter((each) => each !== null);
  }

  private enter(port: Port, vlan: Vlan, tagged: boolean): void {
    const member = new Member(port, vlan, tagged);
    this.onChange?.();
    while (vlan.members.length <= port.number) vlan.members.push(null);
    vlan.members[port.number] = member;
    vlan.size++;
    if (tagged) port.trunked++;
    else port.native = member;
    if (!port.active || port.disabled) return;
    this.setState(member, PortState.Forwarding);
    this.listener.joined(member);
  }

  private leave(member: Member): void {
    const { port, vlan } = member;
    vlan.members[port.number] = null;
    this.onChange?.();
    vlan.size--;
    if (member.tagged) port.trunked--;
    else port.native = null;
    this.dropFromFlood(member);
    if (port.active && !port.disabled) this.listener.left(member);
  }

  private dropFromFlood(member: Member): void {
    const { vlan } = member;
    const at = vlan.flood.indexOf(member);
    if (at < 0) return;
    vlan.flood.splice(at, 1);
    this.onChange?.();
    if (member.tagged) vlan.trunks--;
  }

  private lookup(id: number, portNumber: number): { vlan: Vlan; port: Port } | Refusal {
    const vlan = this.get(id);
    if (vlan === null) return this.inRange(id) ? 'ENXIO' : 'EINVAL';
    const port = this.portOf(portNumber);
    return port === null ? 'ENXIO' : { vlan, port };
  }

  private inRange(id: number): boolean {
    return Number.isInteger(id) && id >= 0 && id <= MAX_VLAN;
  }
}

const STATE_NAMES = { 0: 'Discarding', 1: 'Learning', 3: 'Forwarding' } as const;

const viewOf = ({ port, tagged, state }: Member): VlanPortView => ({
  port: port.number,
  tagged,
  active: port.active,
  state: port.active ? STATE_NAMES[state] : 'Learning',
});
