// An Ethernet switch: learns where stations are, forwards frames to their ports, floods the rest.
//
// A frame that comes in from an endpoint goes through
//
//   length and source checks -> its VLAN -> learn the source -> group or unknown: flood; known: its port,
//                                                               never the one it came from
//
// and is handed to the links of the output ports at once, with or without a tag as each port is a member of the VLAN.
// Untagged frames between untagged members take the plain path of `input`. Everything else (tags, hub mode, spanning
// tree, guard, storm policing, isolation, mirrors) is what `Port.screens` and the tag send to `general`.
//
// Links queue frames, by offset when they lie in the shared frame memory; an endpoint whose link was handed something is
// put on the dirty list. `flush`, which ends the wake-up of a link, takes endpoints off that list and flushes each until
// the list is empty. The switch itself queues nothing and never waits: a full link drops its newest frame and counts it.
//
// A link may lead straight into a station in this process (the router on a direct memory link). Then `link.tx.frame`
// and `link.tx.flush` run that station, which may answer at once by calling back into `input` and `flush`. Hence:
//
// - `input` keeps its state in locals, and walks lists by index.
// - A nested `flush` empties the dirty list like the outer one: when it returns, what the station built in its own
//   arena has been sent or copied, so the station may use the arena again. The switch's own arena is used again only
//   when no flood that has frames in it is on the stack.
// - An endpoint whose flush is on the stack is not flushed a second time from inside; it is put on the list again when
//   the first one returns. So the depth is bounded by the number of endpoints. Stations that answer each other within
//   the call would keep the loop busy for as long as they talk: only one station, the router, is linked directly.
//
// Time is read once per wake-up, for the first frame after a flush.

import { Drop } from '../core/drop.ts';
import type { FrameMemory, Link } from '../core/frame.ts';
import type { TimerWheel } from '../core/timer-wheel.ts';
import { i32, u16 } from '../wire/bytes.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as vlanTag from '../wire/vlan.ts';
import type { SwitchEvent, SwitchObserver } from './events.ts';
import { type Fdb, type FdbEntry, Learn } from './fdb.ts';
import { Fstp } from './fstp.ts';
import { Guard } from './guard/guard.ts';
import { type Direction, Mirror } from './mirror.ts';
import { Endpoint, type Ingress, type Port, Screen } from './port.ts';
import { type GroupTest, type PlugRefusal, PortAdmin, type PortOwner } from './port-admin.ts';
import { Retagger } from './retagger.ts';
import { Rstp } from './rstp.ts';
import {
  BRIDGE_GROUP_HI,
  BRIDGE_GROUP_LO,
  type BridgeId,
  type SpanningTree,
  type TreeHost,
  type TreeMode,
} from './spanning-tree.ts';
import { type StationOptions, Stations } from './stations.ts';
import { Storm, type StormKind } from './storm.ts';
import { Form, formFor, memberOf, REFUSED, tagOf, UNTAGGED } from './tags.ts';
import { type Member, NO_VLAN, PortState, type Refusal, type VlanListener, VlanTable } from './vlan-table.ts';

export interface SwitchOptions {
  wheel: TimerWheel;
  /** Ports are numbered 0 to numPorts - 1 (vde_switch -n); 2 to 65,536, default 32. */
  numPorts?: number;
  fdb?: StationOptions;
  /** The switch's own MAC address, for spanning trees; 6 bytes, default 00:ff and four random ones. */
  mac?: Uint8Array;
  /** Bridge priority, 0 to 65,535; default 32,768. */
  priority?: number;
  /** Memory that the links share: frames that get another tag are built there. */
  memory?: FrameMemory;
}

export interface PlugOptions {
  /** Port number; -1 (the default) for the first free one from 1 up. */
  port?: number;
  /** User the endpoint belongs to; -1 (the default) for none, to whom all ports are open. */
  uid?: number;
  /** Whether that user is a member of a group; without it, of none. */
  inGroup?: GroupTest;
  description?: string;
  /** Port name for people. */
  name?: string;
  /** Largest number of stations learned from the port, when it is an uplink or a trunk. */
  fdbShare?: number;
}

export class Switch implements Ingress {
  /** Ports: creating, removing, settings (`port/` of the console). */
  readonly admin: PortAdmin;
  /** VLANs and their members (`vlan/`). */
  readonly vlans: VlanTable;
  /** Stations and how long they are known (`hash/`). */
  readonly hash: Stations;
  readonly fdb: Fdb;
  readonly bridge: BridgeId;
  /** The classic switch's spanning tree; its settings hold while it does not run, too (`fstp/`). */
  readonly fstp: Fstp;
  /** Standard rapid spanning tree; its settings hold while it does not run, too. */
  readonly rstp: Rstp;
  readonly mirror: Mirror;
  readonly storm = new Storm();
  readonly guard: Guard;
  /** Hears of ports, endpoints, stations and spanning trees. */
  private observer: SwitchObserver | null = null;
  private readonly wheel: TimerWheel;
  private readonly memory: FrameMemory | null;
  private retagger: Retagger | null = null;
  /** Calls on the stack that have frames in the retagger's arena to hand out. */
  private retagging = 0;
  private hubMode = false;
  private treeMode: TreeMode = 'off';
  private tree: SpanningTree | null = null;
  /** Ports with endpoints, in the order in which they became active. */
  private readonly activePorts: Port[] = [];
  private readonly dirty: Endpoint[] = [];
  private dirtyCount = 0;
  /** Present time in fdb ticks; -1 when the clock is to be read. */
  private tick = -1;

  constructor(options: SwitchOptions) {
    const { wheel } = options;
    this.wheel = wheel;
    this.memory = options.memory ?? null;
    this.bridge = bridgeId(options.mac, options.priority ?? 0x8000);
    this.hash = new Stations(wheel, options.numPorts ?? 32, options.fdb);
    this.fdb = this.hash.fdb;
    this.vlans = new VlanTable(this.memberships(), (number) => this.admin.get(number));
    this.admin = new PortAdmin(this.ownership(), options.numPorts ?? 32);
    this.mirror = new Mirror(
      (port, b, off, len) => this.emit(port, b, off, len),
      () => this.refreshAll(),
    );
    const host = this.treeHost();
    this.fstp = new Fstp(host);
    this.rstp = new Rstp(host);
    this.guard = new Guard({
      clock: wheel.clock,
      locate: (vlan, macHi, macLo) => this.fdb.lookup(vlan, macHi, macLo, this.hash.now()),
      portOf: (number) => this.admin.get(number),
      changed: () => this.refreshAll(),
    });
  }

  /** Hears of events from now on; null ends that. */
  observe(observer: SwitchObserver | null): void {
    this.observer = observer;
    this.fdb.onRemove =
      observer === null ? null : (vlan, macHi, macLo, port) => observer({ type: 'station-', vlan, macHi, macLo, port });
  }

  // ---- ports

  get numPorts(): number {
    return this.admin.numPorts;
  }

  /** Ports that exist, by number. */
  ports(): Port[] {
    return this.admin.list();
  }

  /** The port of a number, or null when it does not exist. */
  port(number: number): Port | null {
    return this.admin.get(number);
  }

  /**
   * Plugs a link into a port and directs its incoming frames here.
   *
   * Port n is given to who asks for it, beside the endpoints it has if they belong to the same user; -1 gets the first
   * port from 1 up that has no endpoint, is allocatable and open to the user.
   *
   * @returns the endpoint, or why there is none
   */
  plug(link: Link, options: PlugOptions = {}): Endpoint | PlugRefusal {
    const uid = options.uid ?? -1;
    const port = this.admin.admit(options.port ?? -1, uid, options.inGroup);
    if (typeof port === 'string') return port;
    const endpoint = new Endpoint(this, port, link, uid, options.description ?? '');
    const first = !port.active;
    port.endpoints.push(endpoint);
    if (options.name !== undefined) port.name = options.name;
    if (options.fdbShare !== undefined) this.fdb.setShare(port.number, options.fdbShare);
    if (first) {
      this.activePorts.push(port);
      port.uid = uid;
      this.tell({ type: 'port+', port });
    }
    this.tell({ type: 'endpoint+', port, endpoint });
    link.attach(endpoint);
    if (first) this.vlans.activate(port);
    return endpoint;
  }

  /** Takes an endpoint off its port. The link stays open and its caller's. Safe to call twice. */
  unplug(endpoint: Endpoint): void {
    const port = endpoint.port;
    const at = port.endpoints.indexOf(endpoint);
    if (at < 0) return;
    endpoint.detach();
    port.endpoints.splice(at, 1);
    this.tell({ type: 'endpoint-', port, endpoint });
    if (port.active) return;
    this.activePorts.splice(this.activePorts.indexOf(port), 1);
    port.uid = -1;
    this.tell({ type: 'port-', port });
    this.hash.portDown(port);
    this.guard.portDown(port);
    if (!port.disabled) this.vlans.deactivate(port);
  }

  get hub(): boolean {
    return this.hubMode;
  }

  /**
   * In hub mode each frame goes unchanged to all ports but the one it came from and port 0; nothing is learned, VLANs and
   * guards do not matter. Ends the spanning tree. The stations known are forgotten.
   */
  setHub(on: boolean): void {
    if (on === this.hubMode) return;
    if (on) this.setTree('off');
    this.hubMode = on;
    this.hash.flush();
    this.refreshAll();
  }

  /** Limits flooded frames of a port; see Storm.set. -1 for all ports that exist. EINVAL, ENXIO. */
  setStorm(number: number, kind: StormKind, rate: number, burst: number): Refusal | null {
    const ports = number === -1 ? this.ports() : [this.port(number)];
    const now = this.wheel.clock.now();
    for (const port of ports) {
      if (port === null) return number >= 0 && number < this.numPorts ? 'ENXIO' : 'EINVAL';
      this.storm.set(port.number, kind, rate, burst, now);
      this.refresh(port);
    }
    return null;
  }

  /**
   * Starts a mirror session, or replaces the one to the same port, which leaves all VLANs meanwhile.
   *
   * @param ports  watched ports; null for all others
   * @returns      EINVAL, ENXIO (the destination does not exist), EADDRINUSE (it is a tagged member of VLANs), ENOSPC
   */
  mirrorTo(number: number, ports: readonly number[] | null, direction: Direction): Refusal | null {
    const to = this.port(number);
    if (to === null) return number >= 0 && number < this.numPorts ? 'ENXIO' : 'EINVAL';
    if (to.trunked > 0) return 'EADDRINUSE';
    if (!this.mirror.add(number, ports, direction)) return 'ENOSPC';
    return this.vlans.setNative(number, NO_VLAN);
  }

  /** Ends a mirror session; its port is an untagged member of VLAN 0 again. ENXIO. */
  mirrorEnd(number: number): Refusal | null {
    if (!this.mirror.remove(number)) return 'ENXIO';
    return this.vlans.setNative(number, this.vlans.initial.id);
  }

  // ---- spanning tree

  get spanningTree(): TreeMode {
    return this.treeMode;
  }

  /** Starts a spanning tree protocol, or ends it. False in hub mode, where there is none. */
  setTree(mode: TreeMode): boolean {
    if (this.hubMode && mode !== 'off') return false;
    if (mode === this.treeMode) return true;
    this.tree?.stop();
    this.treeMode = mode;
    this.tree = mode === 'off' ? null : mode === 'fstp' ? this.fstp : this.rstp;
    this.refreshAll();
    this.tree?.start();
    return true;
  }

  // ---- stations

  /**
   * Ties a station to a port: it is never learned elsewhere and does not age. For the router, whose address guests
   * would otherwise take over by sending from it. Ends when the port becomes inactive.
   *
   * @param macHi  MAC bytes 0 and 1
   * @param macLo  MAC bytes 2 to 5
   */
  protect(endpoint: Endpoint, macHi: number, macLo: number): boolean {
    return this.hash.protect(endpoint, macHi, macLo);
  }

  /** Number of the port at which a station was last heard in the default VLAN, -1 when it is not known. */
  portOf(macHi: number, macLo: number): number {
    return this.fdb.lookup(0, macHi, macLo | 0, this.hash.now());
  }

  /** Stations known now; for consoles. */
  stations(): Generator<FdbEntry> {
    return this.hash.list();
  }

  // ---- frames

  /** One frame from an endpoint of `port`. `b` is on loan as FrameSink.frame has it. */
  input(port: Port, b: Uint8Array, off: number, len: number): void {
    if (len < ethernet.HEADER_LEN) {
      port.drops[Drop.FrameTooShort]!++;
      return;
    }
    const srcHi = ethernet.srcHi(b, off);
    const srcLo = ethernet.srcLo(b, off);
    if ((srcHi & 0x100) !== 0 || (srcHi === 0 && srcLo === 0)) {
      port.drops[Drop.EthBadSource]!++;
      return;
    }
    const counters = port.counters;
    counters.rxFrames++;
    counters.rxBytes += len;
    const member = port.native;
    if (
      (port.screens !== 0 && (port.screens !== Screen.Guard || !this.guard.ignores(b, off, len))) ||
      member === null ||
      member.state !== PortState.Forwarding ||
      ethernet.type(b, off) === ethernet.TYPE_VLAN
    ) {
      this.general(port, b, off, len);
      return;
    }
    if (this.tick < 0) this.tick = this.hash.now();
    const tick = this.tick;
    const vlan = member.vlan;
    const learned = this.fdb.learn(vlan.id, srcHi, srcLo, port.number, tick);
    if (learned !== Learn.Refreshed) this.noteLearned(learned, member, srcHi, srcLo);
    if (!ethernet.isGroupDst(b, off)) {
      const number = this.fdb.lookup(vlan.id, ethernet.dstHi(b, off), ethernet.dstLo(b, off), tick);
      if (number >= 0) {
        if (number === port.number) port.drops[Drop.SwitchSamePort]!++;
        else {
          const to = vlan.members[number]!;
          if (to.tagged || to.state !== PortState.Forwarding) this.outputTo(to, UNTAGGED, b, off, len);
          else this.output(to.port, b, off, len);
        }
        return;
      }
    }
    if (vlan.trunks > 0) {
      this.flood(member, UNTAGGED, b, off, len);
      return;
    }
    const flood = vlan.flood;
    for (let i = 0; i < flood.length; i++) {
      const to = flood[i]!;
      if (to !== member) this.output(to.port, b, off, len);
    }
  }

  /** A frame that the plain path of `input` has nothing to say about. */
  private general(port: Port, b: Uint8Array, off: number, len: number): void {
    const screens = port.screens;
    if ((screens & Screen.Disabled) !== 0) {
      port.drops[Drop.PortDisabled]!++;
      return;
    }
    if ((screens & Screen.Watched) !== 0) this.mirror.see(true, port, b, off, len);
    if ((screens & Screen.Hub) !== 0) {
      this.repeat(port, b, off, len);
      return;
    }
    const bridges = (screens & (Screen.Tree | Screen.Guard)) !== 0 && isBridgeGroup(b, off);
    if (bridges && !this.admitsBridge(port)) return;
    const { tree } = this;
    if (bridges && tree !== null && !tree.perVlan && !vlanTag.isTagged(b, off)) {
      tree.receive(port, null, b, off + ethernet.HEADER_LEN - 2, off + len);
      return;
    }
    const tag = tagOf(this.vlans, port, b, off, len);
    const member = tag === REFUSED ? null : memberOf(this.vlans, port, tag);
    if (member === null) return;
    const payload = tag >= 0 ? vlanTag.TAGGED_HEADER_LEN - 2 : ethernet.HEADER_LEN - 2;
    if (bridges && tree !== null) {
      if (tree.perVlan) tree.receive(port, member, b, off + payload, off + len);
      else port.drops[Drop.BpduMalformed]!++;
      return;
    }
    if (member.state === PortState.Discarding) {
      port.drops[Drop.TreeBlocked]!++;
      return;
    }
    if ((screens & Screen.Guard) !== 0 && !this.guard.admit(member, b, off, off + payload, off + len)) return;
    if (this.tick < 0) this.tick = this.hash.now();
    const tick = this.tick;
    const vlan = member.vlan;
    const srcHi = ethernet.srcHi(b, off);
    const srcLo = ethernet.srcLo(b, off);
    const learned = this.fdb.learn(vlan.id, srcHi, srcLo, port.number, tick);
    if (learned !== Learn.Refreshed) this.noteLearned(learned, member, srcHi, srcLo);
    if (member.state === PortState.Learning) {
      port.drops[Drop.TreeBlocked]!++;
      return;
    }
    const group = ethernet.isGroupDst(b, off);
    const number = group ? -1 : this.fdb.lookup(vlan.id, ethernet.dstHi(b, off), ethernet.dstLo(b, off), tick);
    if (number === port.number) port.drops[Drop.SwitchSamePort]!++;
    else if (number >= 0) this.outputTo(vlan.members[number]!, tag, b, off, len, port);
    else if ((screens & Screen.Storm) === 0 || this.withinRate(port, group, b, off)) {
      this.flood(member, tag, b, off, len);
    }
  }

  /** Sends a frame out of all forwarding ports of its VLAN but the one it came from, in at most two forms. */
  private flood(from: Member, tag: number, b: Uint8Array, off: number, len: number): void {
    const { flood } = from.vlan;
    const { isolated } = from.port;
    let withTag = -1;
    let without = -1;
    this.retagging++;
    for (let i = 0; i < flood.length; i++) {
      const to = flood[i]!;
      if (to === from || (isolated && to.port.isolated)) continue;
      const form = formFor(to, tag);
      if (form === Form.AsIs) this.output(to.port, b, off, len);
      else if (form === Form.Hidden) to.port.drops[Drop.VlanHidden]!++;
      else if (form === Form.Strip) {
        if (without >= 0) this.output(to.port, this.memory!.bytes, without, len - vlanTag.TAG_LEN);
        else without = this.outputRetagged(to, form, b, off, len);
      } else if (withTag >= 0) {
        this.output(to.port, this.memory!.bytes, withTag, form === Form.Insert ? len + vlanTag.TAG_LEN : len);
      } else withTag = this.outputRetagged(to, form, b, off, len);
    }
    this.retagging--;
  }

  /** Sends a frame to one member, in the form it takes there. */
  private outputTo(to: Member, tag: number, b: Uint8Array, off: number, len: number, from: Port | null = null): void {
    const form = formFor(to, tag);
    if (to.state !== PortState.Forwarding) to.port.drops[Drop.TreeBlocked]!++;
    else if (from?.isolated && to.port.isolated) from.drops[Drop.PortIsolated]!++;
    else if (form === Form.AsIs) this.output(to.port, b, off, len);
    else if (form === Form.Hidden) to.port.drops[Drop.VlanHidden]!++;
    else this.outputRetagged(to, form, b, off, len);
  }

  /** Sends a frame with another tag; the offset of the new form where it may be sent again, else -1. */
  private outputRetagged(to: Member, form: Form, b: Uint8Array, off: number, len: number): number {
    const retagger = (this.retagger ??= new Retagger(this.memory));
    const length = retagger.make(form, b, off, len, to.vlan.id);
    const at = retagger.kept ? retagger.off : -1;
    this.retagging++;
    this.output(to.port, retagger.bytes, retagger.off, length);
    this.retagging--;
    return at;
  }

  /** Hub mode. */
  private repeat(from: Port, b: Uint8Array, off: number, len: number): void {
    const ports = this.activePorts;
    for (let i = 0; i < ports.length; i++) {
      const to = ports[i]!;
      if (to !== from && to.number !== 0) this.output(to, b, off, len);
    }
  }

  private withinRate(port: Port, group: boolean, b: Uint8Array, off: number): boolean {
    const kind = !group ? 'unknown' : ethernet.isBroadcastDst(b, off) ? 'broadcast' : 'multicast';
    const why = this.storm.police(port.number, kind, this.wheel.clock.now());
    if (why === Drop.None) return true;
    port.drops[why]!++;
    return false;
  }

  private noteLearned(learned: Learn, { port, vlan }: Member, macHi: number, macLo: number): void {
    if (learned === Learn.Added) {
      this.hash.added();
      if (this.observer !== null)
        this.observer({ type: 'station+', vlan: vlan.id, macHi, macLo: macLo >>> 0, port: port.number });
    } else if (learned === Learn.Moved) {
      port.counters.moves++;
      const { number } = port;
      if (this.observer !== null)
        this.observer({ type: 'station-moved', vlan: vlan.id, macHi, macLo, from: this.fdb.movedFrom, port: number });
    } else if (learned === Learn.Held) port.counters.movesHeld++;
    else port.drops[Drop.FdbFull]!++;
  }

  private output(port: Port, b: Uint8Array, off: number, len: number): void {
    const counters = port.counters;
    counters.txFrames++;
    counters.txBytes += len;
    if (port.watched) this.mirror.see(false, port, b, off, len);
    this.hand(port, b, off, len);
  }

  /** A copy for a mirror's destination: counted, but not mirrored again. */
  private emit(number: number, b: Uint8Array, off: number, len: number): void {
    const port = this.admin.get(number);
    if (port === null || !port.active) return;
    port.counters.txFrames++;
    port.counters.txBytes += len;
    this.hand(port, b, off, len);
  }

  private hand(port: Port, b: Uint8Array, off: number, len: number): void {
    const endpoints = port.endpoints;
    for (let i = 0; i < endpoints.length; i++) {
      const endpoint = endpoints[i]!;
      if (!endpoint.dirty) {
        endpoint.dirty = true;
        // While its flush runs it is not listed: the flush puts it there when it returns.
        if (!endpoint.flushing) this.list(endpoint);
      }
      endpoint.link.tx.frame(b, off, len);
    }
  }

  private list(endpoint: Endpoint): void {
    this.dirty[this.dirtyCount++] = endpoint;
  }

  /** Ends a wake-up: flushes the links that were handed frames, and those that get some meanwhile. */
  flush(): void {
    this.tick = -1;
    while (this.dirtyCount > 0) {
      const endpoint = this.dirty[--this.dirtyCount]!;
      endpoint.dirty = false;
      endpoint.flushing = true;
      try {
        endpoint.link.tx.flush();
      } finally {
        endpoint.flushing = false;
        if (endpoint.dirty) this.list(endpoint);
      }
    }
    if (this.retagger !== null && this.retagging === 0) this.retagger.reset();
  }

  // ---- the sides that the parts see

  private tell(event: SwitchEvent): void {
    if (this.observer !== null) this.observer(event);
  }

  /** Asks the guard whether bridges may be heard on the port, and closes it when that is what the guard says. */
  private admitsBridge(port: Port): boolean {
    if (this.guard.admitBpdu(port)) return true;
    if (this.guard.closesPorts && !port.disabled) {
      port.disabled = true;
      this.vlans.deactivate(port);
      this.refresh(port);
      this.tell({ type: 'port-disabled', port });
    }
    return false;
  }

  private refresh(port: Port): void {
    const { number } = port;
    let screens = port.disabled ? Screen.Disabled : 0;
    if (this.hubMode) screens |= Screen.Hub;
    if (this.mirror.watches(number, true)) screens |= Screen.Watched;
    if (this.tree !== null) screens |= Screen.Tree;
    if (this.guard.screens(port)) screens |= Screen.Guard;
    if (this.storm.limits(number)) screens |= Screen.Storm;
    if (port.isolated) screens |= Screen.Isolated;
    port.screens = screens;
    port.watched = this.mirror.watches(number, false);
  }

  private refreshAll(): void {
    for (const port of this.ports()) this.refresh(port);
  }

  private ownership(): PortOwner {
    return {
      vlans: this.vlans,
      resized: (count) => this.fdb.setPorts(count),
      refresh: (port) => this.refresh(port),
      enabled: (port) => {
        if (port.active) this.vlans.activate(port);
      },
      removed: (port) => {
        this.storm.forget(port.number);
        this.mirror.remove(port.number);
      },
    };
  }

  private memberships(): VlanListener {
    return {
      joined: (member) => {
        if (!member.tagged) this.hash.moved(member.port);
        this.tree?.joined(member);
        this.flush();
      },
      left: (member) => {
        this.hash.left(member.port, member.vlan.id);
        this.fstp.left(member);
        if (this.tree !== this.fstp) this.tree?.left(member);
        this.flush();
      },
      vlanCreated: (vlan) => this.fstp.vlanCreated(vlan),
      vlanRemoved: (vlan) => {
        this.fstp.vlanRemoved(vlan);
        this.guard.vlanRemoved(vlan.id);
      },
    };
  }

  private treeHost(): TreeHost {
    return {
      bridge: this.bridge,
      wheel: this.wheel,
      vlanList: () => this.vlans.list(),
      vlanOf: (id) => this.vlans.get(id),
      setState: (member, state) => {
        const was = member.state;
        this.vlans.setState(member, state);
        if (was === PortState.Forwarding && state !== was) this.fdb.flushVlan(member.vlan.id, member.port.number);
      },
      portOf: (number) => this.admin.get(number),
      membersOf: (port) => this.vlans.membershipsOf(port),
      sendBpdu: (port, tag, b) => this.sendBpdu(port, tag, b),
      flush: () => this.flush(),
      flushStations: (vlan, port) => this.fdb.flushVlan(vlan, port),
      tell: (event) => this.tell(event),
    };
  }

  private sendBpdu(to: Port, tag: number, b: Uint8Array): void {
    if (tag < 0) {
      this.output(to, b, 0, b.length);
      return;
    }
    this.retagger ??= new Retagger(this.memory);
    const length = this.retagger.make(Form.Insert, b, 0, b.length, tag);
    this.output(to, this.retagger.bytes, this.retagger.off, length);
  }
}

const isBridgeGroup = (b: Uint8Array, off: number): boolean =>
  ethernet.dstHi(b, off) === BRIDGE_GROUP_HI && ethernet.dstLo(b, off) === BRIDGE_GROUP_LO;

function bridgeId(mac: Uint8Array | undefined, priority: number): BridgeId {
  const own = mac ?? Uint8Array.of(0x00, 0xff, ...crypto.getRandomValues(new Uint8Array(4)));
  return { priority, macHi: u16(own, 0), macLo: i32(own, 2) };
}
