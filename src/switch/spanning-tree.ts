// What the switch and its spanning trees ask of each other.

import type { TimerWheel } from '../core/timer-wheel.ts';
import type { SwitchEvent } from './events.ts';
import type { Port } from './port.ts';
import type { Member, PortState, Vlan } from './vlan-table.ts';

/** `fstp` is the classic switch's own protocol, one tree per VLAN; `rstp` IEEE 802.1w, one tree for all. */
export type TreeMode = 'off' | 'fstp' | 'rstp';

/** A bridge's name in the election: the lower is the root. */
export interface BridgeId {
  /** 0 to 65,535. */
  readonly priority: number;
  /** MAC bytes 0 and 1, and 2 to 5. */
  readonly macHi: number;
  readonly macLo: number;
}

/** The switch, as a spanning tree sees it. */
export interface TreeHost {
  readonly bridge: BridgeId;
  readonly wheel: TimerWheel;
  vlanList(): readonly Vlan[];
  /** The VLAN of an id, or null. */
  vlanOf(id: number): Vlan | null;
  setState(member: Member, state: PortState): void;
  /** The port of a number, or null when it does not exist. */
  portOf(number: number): Port | null;
  /** Its memberships. */
  membersOf(port: Port): Member[];
  /** Sends a BPDU out of a port with the tag of a VLAN, or without (-1). The bytes may be used again at once. */
  sendBpdu(port: Port, vlanTag: number, b: Uint8Array): void;
  /** Flushes the links, after BPDUs were sent from a timer or a command. */
  flush(): void;
  /** Forgets the stations learned in a VLAN: of one port, or of all (-1). */
  flushStations(vlan: number, port: number): void;
  tell(event: SwitchEvent): void;
}

/** A spanning tree protocol. */
export interface SpanningTree {
  /** BPDUs belong to VLANs; otherwise only those without tag are given to `receive`, with no member. */
  readonly perVlan: boolean;
  start(): void;
  /** Ends the protocol; all ports forward. */
  stop(): void;
  /** A BPDU that came in by a port; `payload` is the offset of the length field. */
  receive(port: Port, member: Member | null, b: Uint8Array, payload: number, end: number): void;
  /** A member's port is active, or is not any more. */
  joined(member: Member): void;
  left(member: Member): void;
}

/** 01:80:c2:00:00:00, where bridges talk to each other. */
export const BRIDGE_GROUP_HI = 0x0180;
export const BRIDGE_GROUP_LO = 0xc2000000 | 0;
