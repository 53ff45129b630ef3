// An Ethernet switch: ports, VLANs, stations, spanning trees, guard, mirrors and storm limits, put together.
//
// Here is what changes them; forwarding.ts is what happens to a frame.

import { randomFillSync } from 'node:crypto';
import type { NewForwarder } from '../core/forward-table.ts';
import type { FrameMemory, Link } from '../core/frame.ts';
import type { TimerWheel } from '../core/timer-wheel.ts';
import { i32, u16 } from '../wire/bytes.ts';
import type { SwitchEvent, SwitchObserver } from './events.ts';
import type { Fdb, FdbEntry } from './fdb.ts';
import { Forwarding } from './forwarding.ts';
import { Fstp } from './fstp.ts';
import { Guard } from './guard/guard.ts';
import { type Direction, Mirror } from './mirror.ts';
import { Endpoint, type Port, Screen } from './port.ts';
import { type GroupTest, type PlugRefusal, PortAdmin, type PortOwner } from './port-admin.ts';
import { Rstp } from './rstp.ts';
import type { BridgeId, TreeHost, TreeMode } from './spanning-tree.ts';
import { type StationOptions, Stations } from './stations.ts';
import { Storm, type StormKind } from './storm.ts';
import { NO_VLAN, PortState, type Refusal, type VlanListener, VlanTable } from './vlan-table.ts';

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
  /** Forwards plain frames of that memory by a table (the native addon's); without it each frame is looked at here. */
  forwarder?: NewForwarder;
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

export class Switch {
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
  private readonly forwarding: Forwarding;
  private hubMode = false;
  private treeMode: TreeMode = 'off';

  constructor(options: SwitchOptions) {
    const { wheel } = options;
    this.wheel = wheel;
    this.bridge = bridgeId(options.mac, options.priority ?? 0x8000);
    this.hash = new Stations(wheel, options.numPorts ?? 32, options.fdb);
    this.fdb = this.hash.fdb;
    this.vlans = new VlanTable(this.memberships(), (number) => this.admin.get(number));
    this.admin = new PortAdmin(this.ownership(), options.numPorts ?? 32);
    this.mirror = new Mirror(
      (port, b, off, len) => this.forwarding.emit(port, b, off, len),
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
    const { hash, vlans, admin, mirror, storm, guard } = this;
    this.forwarding = new Forwarding({
      ...{ wheel, hash, vlans, admin, mirror, storm, guard },
      memory: options.memory ?? null,
      forwarder: options.forwarder ?? null,
      close: (port) => this.close(port),
    });
  }

  /** Hears of events from now on; null ends that. */
  observe(observer: SwitchObserver | null): void {
    this.observer = observer;
    this.forwarding.observer = observer;
    this.fdb.onRemove =
      observer === null ? null : (vlan, macHi, macLo, port) => observer({ type: 'station-', vlan, macHi, macLo, port });
  }

  // ---- ports

  get numPorts(): number {
    return this.admin.numPorts;
  }

  /** Ports that exist, by number. Their counters, and those of their links, are true when this returns. */
  ports(): Port[] {
    this.forwarding.settle();
    return this.admin.list();
  }

  /** The port of a number, or null when it does not exist. */
  port(number: number): Port | null {
    this.forwarding.settle();
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
    const endpoint = new Endpoint(this.forwarding, port, link, uid, options.description ?? '');
    const first = !port.active;
    port.endpoints.push(endpoint);
    if (options.name !== undefined) port.name = options.name;
    if (options.fdbShare !== undefined) this.fdb.setShare(port.number, options.fdbShare);
    this.forwarding.changed();
    if (first) {
      this.forwarding.activePorts.push(port);
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
    this.forwarding.settle();
    endpoint.detach();
    port.endpoints.splice(at, 1);
    this.forwarding.changed();
    this.tell({ type: 'endpoint-', port, endpoint });
    if (port.active) return;
    const { activePorts } = this.forwarding;
    activePorts.splice(activePorts.indexOf(port), 1);
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
    const { forwarding } = this;
    forwarding.tree?.stop();
    this.treeMode = mode;
    forwarding.tree = mode === 'off' ? null : mode === 'fstp' ? this.fstp : this.rstp;
    this.refreshAll();
    forwarding.tree?.start();
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

  // ---- the sides that the parts see

  private tell(event: SwitchEvent): void {
    if (this.observer !== null) this.observer(event);
  }

  /** A bridge was heard on a port where the guard lets none be. */
  private close(port: Port): void {
    port.disabled = true;
    this.vlans.deactivate(port);
    this.refresh(port);
    this.tell({ type: 'port-disabled', port });
  }

  private refresh(port: Port): void {
    const { number } = port;
    let screens = port.disabled ? Screen.Disabled : 0;
    if (this.hubMode) screens |= Screen.Hub;
    if (this.mirror.watches(number, true)) screens |= Screen.Watched;
    if (this.forwarding.tree !== null) screens |= Screen.Tree;
    if (this.guard.screens(port)) screens |= Screen.Guard;
    if (this.storm.limits(number)) screens |= Screen.Storm;
    if (port.isolated) screens |= Screen.Isolated;
    port.screens = screens;
    port.watched = this.mirror.watches(number, false);
    this.forwarding.changed();
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
        this.forwarding.tree?.joined(member);
        this.forwarding.flush();
      },
      left: (member) => {
        this.hash.left(member.port, member.vlan.id);
        this.fstp.left(member);
        const { tree } = this.forwarding;
        if (tree !== this.fstp) tree?.left(member);
        this.forwarding.flush();
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
      sendBpdu: (port, tag, b) => this.forwarding.sendBpdu(port, tag, b),
      flush: () => this.forwarding.flush(),
      flushStations: (vlan, port) => this.fdb.flushVlan(vlan, port),
      tell: (event) => this.tell(event),
    };
  }
}

function bridgeId(mac: Uint8Array | undefined, priority: number): BridgeId {
  const own = mac ?? Uint8Array.of(0x00, 0xff, ...randomFillSync(new Uint8Array(4)));
  return { priority, macHi: u16(own, 0), macLo: i32(own, 2) };
}
