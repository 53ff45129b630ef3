// Rapid spanning tree, IEEE 802.1D-2004 clause 17 (802.1w): one tree for all VLANs, as Linux, Open vSwitch and hardware
// bridges speak it.
//
// The ports' machines are in rstp-port.ts; here is what they share: role selection (17.28), the clock that ticks once a
// second, and the effects on the switch. After each event (a BPDU, a tick, a port that comes or goes) the machines run
// until none of them has anything to do, then what is due is sent. BPDUs are untagged and belong to no VLAN: a port takes
// part when it is a member of any, and its state holds for all of them.
//
// A port on which no bridge is heard for 3 s becomes an edge port by itself and forwards at once. Limits: at most 6
// BPDUs a second and port, at most one flush a second and port (a second one waits).

import { Drop } from '../core/drop.ts';
import type { Timer } from '../core/timer-wheel.ts';
import * as bpdu from '../wire/bpdu.ts';
import { putU16, putU32, u32 } from '../wire/bytes.ts';
import type { Port } from './port.ts';
import { compare, type RstpBridge, RstpPort, type RstpRole, sameTimes, type Times } from './rstp-port.ts';
import type { SpanningTree, TreeHost } from './spanning-tree.ts';
import { type Member, PortState, type Refusal } from './vlan-table.ts';

const TICK_MS = 1000;
/** 802.1D-2004 table 17-3: a link of 1 Gbit/s. */
const DEFAULT_PATH_COST = 20_000;
const MAX_PATH_COST = 200_000_000;
const DEFAULT_PORT_PRIORITY = 128;
/** 17.14, defaults, seconds. */
const BRIDGE_TIMES: Times = { messageAge: 0, maxAge: 20, helloTime: 2, forwardDelay: 15 };
/** The machines settle within some rounds for each port; more would be a defect. */
const MAX_ROUNDS = 1000;

/** Settings of a port, kept while it is inactive. */
interface Settings {
  edge: boolean;
  cost: number;
  priority: number;
}

export interface RstpPortView {
  readonly port: number;
  readonly role: RstpRole;
  readonly state: 'Discarding' | 'Learning' | 'Forwarding';
  readonly cost: number;
  readonly priority: number;
  readonly edge: boolean;
}

export interface RstpView {
  readonly isRoot: boolean;
  /** Priority and MAC, 8 bytes. */
  readonly root: Uint8Array;
  readonly rootCost: number;
  /** -1 when this switch is the root. */
  readonly rootPort: number;
  readonly topologyChanges: number;
  readonly ports: readonly RstpPortView[];
}

export class Rstp implements SpanningTree {
  readonly perVlan = false;
  private readonly host: TreeHost;
  private readonly timer: Timer;
  private readonly ports = new Map<Port, RstpPort>();
  private list: RstpPort[] = [];
  private readonly settings = new Map<number, Settings>();
  private readonly own = new Uint8Array(8);
  /** Root, cost, and the bridge and port that offer it (17.18.6). */
  private readonly root = new Uint8Array(bpdu.VECTOR_LEN);
  private rootPort: RstpPort | null = null;
  private readonly bridge: RstpBridge;
  private readonly flushed = new Map<RstpPort, number>();
  private readonly toFlush = new Set<RstpPort>();
  private topologyChanges = 0;
  private settling = false;

  constructor(host: TreeHost) {
    const { priority, macHi, macLo } = host.bridge;
    this.host = host;
    putU16(this.own, 0, priority);
    putU16(this.own, 2, macHi);
    putU32(this.own, 4, macLo);
    this.timer = host.wheel.timer(() => this.tick());
    this.bridge = {
      all: this.list,
      times: BRIDGE_TIMES,
      macHi,
      macLo,
      applyState: (port) => this.applyState(port),
      flush: (port) => this.flushStations(port),
      transmit: (port, frame) => host.sendBpdu(port.port, -1, frame),
    };
    this.reset();
  }

  // ---- settings and views

  /** An edge port forwards at once, without asking who is there; a BPDU ends that. EINVAL, ENXIO. */
  setEdge(port: number, on: boolean): Refusal | null {
    return this.change(port, (settings) => {
      settings.edge = on;
    });
  }

  /** Cost of the way to the root by this port, 1 to 200,000,000; default 20,000. EINVAL, ENXIO. */
  setCost(port: number, cost: number): Refusal | null {
    if (!Number.isInteger(cost) || cost < 1 || cost > MAX_PATH_COST) return 'EINVAL';
    return this.change(port, (settings) => {
      settings.cost = cost;
    });
  }

  /** Priority of a port among those to the same bridge, 0 to 240 in steps of 16; default 128. EINVAL, ENXIO. */
  setPriority(port: number, priority: number): Refusal | null {
    if (!Number.isInteger(priority) || priority < 0 || priority > 240 || priority % 16 !== 0) return 'EINVAL';
    return this.change(port, (settings) => {
      settings.priority = priority;
    });
  }

  view(): RstpView {
    return {
      isRoot: this.rootPort === null,
      root: this.root.slice(0, 8),
      rootCost: u32(this.root, 8),
      rootPort: this.rootPort?.port.number ?? -1,
      topologyChanges: this.topologyChanges,
      ports: [...this.list]
        .sort((a, b) => a.port.number - b.port.number)
        .map((each) => ({
          port: each.port.number,
          role: each.role,
          state: each.forwarding ? 'Forwarding' : each.learning ? 'Learning' : 'Discarding',
          cost: each.pathCost,
          priority: (each.portId >> 8) & 0xf0,
          edge: each.operEdge,
        })),
    };
  }

  private change(number: number, apply: (settings: Settings) => void): Refusal | null {
    const port = this.host.portOf(number);
    if (port === null) return 'ENXIO';
    const settings = this.settingsOf(number);
    apply(settings);
    this.settings.set(number, settings);
    if (this.ports.has(port)) {
      this.disable(port);
      this.enable(port);
      this.settle();
      this.host.flush();
    }
    return null;
  }

  private settingsOf(number: number): Settings {
    return this.settings.get(number) ?? { edge: false, cost: DEFAULT_PATH_COST, priority: DEFAULT_PORT_PRIORITY };
  }

  // ---- life

  start(): void {
    this.reset();
    this.timer.set(TICK_MS);
    for (const vlan of this.host.vlanList())
      for (const { port } of vlan.list()) if (port.active && !this.ports.has(port)) this.enable(port);
    this.settle();
    this.host.flush();
  }

  stop(): void {
    this.timer.cancel();
    const ports = [...this.ports.keys()];
    this.ports.clear();
    this.relist();
    for (const port of ports)
      for (const member of this.host.membersOf(port)) this.host.setState(member, PortState.Forwarding);
    this.toFlush.clear();
    this.flushed.clear();
  }

  joined(member: Member): void {
    const known = this.ports.get(member.port);
    if (known === undefined) this.enable(member.port);
    else this.host.setState(member, stateOf(known));
    this.settle();
  }

  left(member: Member): void {
    const { port } = member;
    if (!this.ports.has(port) || (port.active && this.host.membersOf(port).length > 0)) return;
    this.disable(port);
    this.settle();
  }

  private enable(port: Port): void {
    const { edge, cost, priority } = this.settingsOf(port.number);
    const made = new RstpPort(this.bridge, port, priority, cost, edge);
    this.ports.set(port, made);
    this.relist();
    this.applyState(made);
    this.host.tell({ type: 'tree+', vlan: 0, port: port.number });
  }

  private disable(port: Port): void {
    const gone = this.ports.get(port)!;
    this.ports.delete(port);
    this.toFlush.delete(gone);
    this.flushed.delete(gone);
    this.relist();
    this.host.tell({ type: 'tree-', vlan: 0, port: port.number });
    // The others must see that the way by this port is gone (17.28).
    for (const each of this.list) each.reselect = true;
    if (this.list.length === 0) this.selectRoles();
    if (gone.forwarding && !gone.operEdge) for (const each of this.list) each.change.tcProp = true;
  }

  private relist(): void {
    this.list.splice(0, this.list.length, ...this.ports.values());
  }

  private reset(): void {
    this.root.fill(0);
    this.root.set(this.own, 0);
    this.root.set(this.own, 12);
    this.rootPort = null;
  }

  // ---- protocol

  receive(port: Port, _member: Member | null, b: Uint8Array, payload: number, end: number): void {
    const tree = this.ports.get(port);
    if (tree === undefined) return;
    if (bpdu.check(b, payload, end) !== Drop.None || !tree.receive(b, payload)) {
      port.drops[Drop.BpduMalformed]!++;
      return;
    }
    this.settle();
  }

  private tick(): void {
    this.timer.set(TICK_MS);
    for (const each of this.list) each.tick();
    for (const port of [...this.toFlush]) this.flushStations(port);
    this.settle();
    this.host.flush();
  }

  /** Runs the machines until none has anything to do, then sends what is due. */
  private settle(): void {
    if (this.settling) return; // a BPDU that came back inside the call: its flags are seen by the loop that runs
    this.settling = true;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      let changed = false;
      for (let i = 0; i < this.list.length; i++) changed = this.list[i]!.step() || changed;
      if (this.list.some((each) => each.reselect)) {
        this.selectRoles();
        changed = true;
      }
      if (!changed) break;
    }
    this.settling = false;
    for (let i = 0; i < this.list.length; i++) this.list[i]!.transmit();
  }

  /** updtRolesTree (17.21.25). */
  private selectRoles(): void {
    const before = this.rootPort;
    const oldRoot = this.root.slice(0, 8);
    for (const each of this.list) each.reselect = false;
    this.reset();
    const path = new Uint8Array(bpdu.VECTOR_LEN);
    let times = BRIDGE_TIMES;
    for (const each of this.list) {
      if (each.infoIs !== 'Received' || bpdu.compareBytes(each.portPriority, 12, this.own, 0, 8) === 0) continue;
      const cost = u32(each.portPriority, 8) + each.pathCost;
      if (cost > 0xffffffff) continue;
      path.set(each.portPriority);
      putU32(path, 8, cost);
      const order = compare(path, this.root);
      if (order > 0 || (order === 0 && (this.rootPort === null || each.portId > this.rootPort.portId))) continue;
      this.root.set(path);
      this.rootPort = each;
      times = { ...each.portTimes, messageAge: each.portTimes.messageAge + 1 };
    }
    for (const each of this.list) this.assign(each, times);
    for (const each of this.list) each.selected = true;
    if (before !== this.rootPort || bpdu.compareBytes(oldRoot, 0, this.root, 0, 8) !== 0) {
      const port = this.rootPort?.port.number ?? 0;
      this.host.tell({ type: 'tree-root', vlan: 0, port, root: this.root.slice(0, 8) });
    }
  }

  private assign(port: RstpPort, times: Times): void {
    const mine = port.designatedPriority;
    mine.set(this.root.subarray(0, 12));
    mine.set(this.own, 12);
    putU16(mine, 20, port.portId);
    port.designatedTimes = { ...times, helloTime: BRIDGE_TIMES.helloTime };
    port.updtInfo = false;
    if (port.infoIs === 'Disabled') port.selectedRole = 'Disabled';
    else if (port.infoIs === 'Aged') {
      port.updtInfo = true;
      port.selectedRole = 'Designated';
    } else if (port.infoIs === 'Mine') {
      port.selectedRole = 'Designated';
      port.updtInfo = compare(port.portPriority, mine) !== 0 || !sameTimes(port.portTimes, port.designatedTimes);
    } else if (port === this.rootPort) port.selectedRole = 'Root';
    else if (compare(mine, port.portPriority) < 0) {
      port.selectedRole = 'Designated';
      port.updtInfo = true;
    } else {
      const ownSegment = bpdu.compareBytes(port.portPriority, 12, this.own, 0, 8) === 0;
      port.selectedRole = ownSegment ? 'Backup' : 'Alternate';
    }
  }

  private applyState(port: RstpPort): void {
    const state = stateOf(port);
    for (const member of this.host.membersOf(port.port)) this.host.setState(member, state);
    const text = state === PortState.Forwarding ? 'learning+forwarding' : port.learning ? 'learning' : 'discarding';
    this.host.tell({ type: 'tree-state', vlan: 0, port: port.port.number, state: text });
  }

  private flushStations(port: RstpPort): void {
    const now = this.host.wheel.clock.now();
    if (now - (this.flushed.get(port) ?? Number.NEGATIVE_INFINITY) < TICK_MS) {
      this.toFlush.add(port);
      return;
    }
    this.toFlush.delete(port);
    this.flushed.set(port, now);
    this.topologyChanges++;
    for (const { vlan } of this.host.membersOf(port.port)) this.host.flushStations(vlan.id, port.port.number);
  }
}

const stateOf = ({ forwarding, learning }: RstpPort): PortState =>
  forwarding ? PortState.Forwarding : learning ? PortState.Learning : PortState.Discarding;
