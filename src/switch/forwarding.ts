// The data path of a switch: learns where stations are, forwards frames to their ports, floods the rest.
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
// Of a batch in shared memory, `take` lets the fast path (fast-path.ts) forward what it can: plain frames of known
// stations. `input` decides about all others, and is the whole truth: with no fast path the switch does the same.
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
import type { NewForwarder } from '../core/forward-table.ts';
import type { FrameMemory, FrameSlots } from '../core/frame.ts';
import type { TimerWheel } from '../core/timer-wheel.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as vlanTag from '../wire/vlan.ts';
import type { SwitchObserver } from './events.ts';
import { FastPath } from './fast-path.ts';
import { type Fdb, Learn } from './fdb.ts';
import type { Guard } from './guard/guard.ts';
import type { Mirror } from './mirror.ts';
import { type Endpoint, type Ingress, type Port, Screen } from './port.ts';
import type { PortAdmin } from './port-admin.ts';
import { Retagger } from './retagger.ts';
import { BRIDGE_GROUP_HI, BRIDGE_GROUP_LO, type SpanningTree } from './spanning-tree.ts';
import type { Stations } from './stations.ts';
import type { Storm } from './storm.ts';
import { Form, formFor, memberOf, REFUSED, tagOf, UNTAGGED } from './tags.ts';
import { type Member, PortState, type VlanTable } from './vlan-table.ts';

/** The rest of the switch, as the data path sees it. */
export interface SwitchParts {
  readonly wheel: TimerWheel;
  readonly memory: FrameMemory | null;
  readonly forwarder: NewForwarder | null;
  readonly hash: Stations;
  readonly vlans: VlanTable;
  readonly admin: PortAdmin;
  readonly mirror: Mirror;
  readonly storm: Storm;
  readonly guard: Guard;
  /** A bridge was heard on a port that the guard closes for it. */
  readonly close: (port: Port) => void;
}

export class Forwarding implements Ingress {
  /** The spanning tree that runs. */
  tree: SpanningTree | null = null;
  /** Hears of stations. */
  observer: SwitchObserver | null = null;
  /** Ports with endpoints, in the order in which they became active. */
  readonly activePorts: Port[] = [];
  private readonly parts: SwitchParts;
  private readonly memory: FrameMemory | null;
  private readonly hash: Stations;
  private readonly fdb: Fdb;
  private readonly fast: FastPath | null;
  private retagger: Retagger | null = null;
  /** Calls on the stack that have frames in the retagger's arena to hand out. */
  private retagging = 0;
  private readonly dirty: Endpoint[] = [];
  private dirtyCount = 0;
  /** Present time in fdb ticks; -1 when the clock is to be read. */
  private tick = -1;

  constructor(parts: SwitchParts) {
    this.parts = parts;
    this.memory = parts.memory;
    this.hash = parts.hash;
    this.fdb = parts.hash.fdb;
    const { forwarder, vlans } = parts;
    this.fast = forwarder === null ? null : new FastPath(forwarder, this.fdb, vlans, (endpoint) => this.mark(endpoint));
  }

  /** Ports, endpoints or their settings have changed. */
  changed(): void {
    this.fast?.changed();
  }

  /** Brings the counters of ports and their links up to date. */
  settle(): void {
    this.fast?.settle();
  }

  /** Frames of an endpoint of `port`, as FrameSink.take has it. */
  take(port: Port, batch: FrameSlots, start: number, count: number): number {
    const { fast } = this;
    if (fast === null || port.screens !== 0) return start;
    if (this.tick < 0) this.tick = this.hash.now();
    return fast.take(port, batch, start, count, this.tick);
  }

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
      (port.screens !== 0 && (port.screens !== Screen.Guard || !this.parts.guard.ignores(b, off, len))) ||
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
    if ((screens & Screen.Watched) !== 0) this.parts.mirror.see(true, port, b, off, len);
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
    const tag = tagOf(this.parts.vlans, port, b, off, len);
    const member = tag === REFUSED ? null : memberOf(this.parts.vlans, port, tag);
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
    if ((screens & Screen.Guard) !== 0 && !this.parts.guard.admit(member, b, off, off + payload, off + len)) return;
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
    const why = this.parts.storm.police(port.number, kind, this.parts.wheel.clock.now());
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
    if (port.watched) this.parts.mirror.see(false, port, b, off, len);
    this.hand(port, b, off, len);
  }

  /** A copy for a mirror's destination: counted, but not mirrored again. */
  emit(number: number, b: Uint8Array, off: number, len: number): void {
    const port = this.parts.admin.get(number);
    if (port === null || !port.active) return;
    port.counters.txFrames++;
    port.counters.txBytes += len;
    this.hand(port, b, off, len);
  }

  private hand(port: Port, b: Uint8Array, off: number, len: number): void {
    const endpoints = port.endpoints;
    for (let i = 0; i < endpoints.length; i++) {
      const endpoint = endpoints[i]!;
      if (!endpoint.dirty) this.mark(endpoint);
      endpoint.link.tx.frame(b, off, len);
    }
  }

  /** An endpoint's link was given frames: it is to be flushed. */
  private mark(endpoint: Endpoint): void {
    if (endpoint.dirty) return;
    endpoint.dirty = true;
    // While its flush runs it is not listed: the flush puts it there when it returns.
    if (!endpoint.flushing) this.list(endpoint);
  }

  private list(endpoint: Endpoint): void {
    this.dirty[this.dirtyCount++] = endpoint;
  }

  /** Ends a wake-up: flushes the links that were handed frames, and those that get some meanwhile. */
  flush(): void {
    this.tick = -1;
    this.settle();
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

  /** Asks the guard whether bridges may be heard on the port, and closes it when that is what the guard says. */
  private admitsBridge(port: Port): boolean {
    const { guard } = this.parts;
    if (guard.admitBpdu(port)) return true;
    if (guard.closesPorts && !port.disabled) this.parts.close(port);
    return false;
  }

  /** Sends a BPDU out of a port, in the VLAN `tag` or, below 0, untagged. */
  sendBpdu(to: Port, tag: number, b: Uint8Array): void {
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
