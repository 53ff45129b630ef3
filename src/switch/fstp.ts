// The classic VDE switch's "fast spanning tree": one tree for each VLAN, understood by its switches only.
//
// It uses the layout of RST BPDUs and another meaning of the role bits (bit 1: backup, bit 2: not backup, bit 3: not
// root; docs/reference/compat.md), and no timers on the way to forwarding: a port that joins forwards at once.
//
// Each switch keeps, for a VLAN, the best vector it has heard: root, cost with the cost of the port that heard it, bridge
// and port of the sender; and by which port (the root port), or its own name when it is the root. A BPDU's vector is
// compared with it, the cost of the receiving port added:
//
//   equal                            the root lives on
//   lower, or higher but from the    the new truth: every other port that hears bridges is discarding (backup) and is told,
//   root port                        the root port forwards and answers with an agreement, stations are forgotten, and
//                                    the others hear of a topology change
//   higher, same root                the sender's port is its root port: ours forwards (designated), else it discards
//   higher, another root             answered with what we know
//
// So a link carries frames when one of its ends is a root port. Every 4 s each port that takes part sends a BPDU. A root
// not heard for 12 s is gone: the switch becomes root until it hears better. A discarding port that heard nothing for two
// windows of 16 s forwards again.
//
// Deviations, all without effect on the original's protocol: at most one flush a second and VLAN; a BPDU by the root port
// whose root is worse than this switch makes this switch the root at once; a cost that does not fit ends a stale root
// that goes round in circles.

import { Drop } from '../core/drop.ts';
import type { Timer } from '../core/timer-wheel.ts';
import * as bpdu from '../wire/bpdu.ts';
import { putU16, putU32, u32 } from '../wire/bytes.ts';
import type { Port } from './port.ts';
import type { SpanningTree, TreeHost } from './spanning-tree.ts';
import { type Member, PortState, type Refusal, type Vlan } from './vlan-table.ts';

const HELLO_MS = 4000;
/** A root unheard for longer is gone. */
const ROOT_LOST_MS = 3 * HELLO_MS;
/** Hellos in one window in which a port hears a bridge or does not. */
const WINDOW_HELLOS = 4;
const PORT_COST = 20_000_000;
const FLUSH_MIN_MS = 1000;
/** Announced: 40 s, 4 s, and no forward delay, 1/256 s. */
const MAX_AGE = 40 << 8;
const HELLO = 4 << 8;

const FLAG_BACKUP = 0x02;
const FLAG_NOT_BACKUP = 0x04;
const FLAG_NOT_ROOT = 0x08;

export type FstpRole = 'Unknown' | 'Edge' | 'Root' | 'Alternate/Backup' | 'Designated';

/** One port of a VLAN's tree, for consoles. */
export interface FstpPortView {
  readonly port: number;
  readonly tagged: boolean;
  readonly cost: number;
  readonly role: FstpRole;
}

/** The tree of a VLAN, for consoles. */
export interface FstpView {
  readonly vlan: number;
  readonly isRoot: boolean;
  /** Priority and MAC of the root and of the bridge heard on the root port, 8 bytes each. */
  readonly root: Uint8Array;
  readonly designated: Uint8Array;
  /** 0 when this switch is the root. */
  readonly rootPort: number;
  readonly rootCost: number;
  /** Seconds since the root was heard, or since this switch took its place. */
  readonly ageSec: number;
  readonly bonusPort: number;
  readonly bonusCost: number;
  /** Active ports. */
  readonly ports: readonly FstpPortView[];
}

/** What is known of one port while it takes part. */
interface TreePort {
  /** Heard a BPDU in this window, and in the one before. */
  heard: boolean;
  heardBefore: boolean;
  /** Discarding, because of what it heard. */
  backup: boolean;
}

class Tree {
  readonly vlan: Vlan;
  readonly edges = new Set<number>();
  readonly ports = new Map<Member, TreePort>();
  /** Root, cost, bridge and port of the best BPDU; this switch's own name when it is the root. */
  readonly best = new Uint8Array(bpdu.VECTOR_LEN);
  rootPort: Member | null = null;
  /** When the root was heard last, or this switch took its place, ms. */
  rootAt = 0;
  flushedAt = Number.NEGATIVE_INFINITY;
  bonusPort = 0;
  bonusCost = 0;

  constructor(vlan: Vlan) {
    this.vlan = vlan;
  }
}

export class Fstp implements SpanningTree {
  readonly perVlan = true;
  private running = false;
  private readonly host: TreeHost;
  private readonly trees = new Map<Vlan, Tree>();
  private readonly timer: Timer;
  private hellos = 0;
  private readonly own = new Uint8Array(8);
  private readonly heard = new Uint8Array(bpdu.VECTOR_LEN);
  private readonly frame = new Uint8Array(bpdu.RST_FRAME_LEN);

  constructor(host: TreeHost) {
    const { priority, macHi, macLo } = host.bridge;
    this.host = host;
    this.timer = host.wheel.timer(() => this.hello());
    putU16(this.own, 0, priority);
    putU16(this.own, 2, macHi);
    putU32(this.own, 4, macLo);
    bpdu.writeRstFrame(this.frame, macHi, macLo);
  }

  // ---- settings and views

  /** No BPDUs on this port, which always forwards; until it goes inactive. EINVAL, ENXIO. */
  setEdge(vlan: number, port: number, on: boolean): Refusal | null {
    const found = this.lookup(vlan, port);
    if (typeof found === 'string') return found;
    const { tree, member } = found;
    if (on) {
      tree.edges.add(port);
      this.host.setState(member, PortState.Forwarding);
      tree.ports.delete(member);
      if (tree.rootPort === member) this.becomeRoot(tree);
    } else if (tree.edges.delete(port) && this.running && member.port.active) this.joined(member);
    this.host.flush();
    return null;
  }

  /** Makes one port of a VLAN cheaper by `cost`, so that it is preferred as root port. EINVAL, ENXIO. */
  setBonus(vlan: number, port: number, cost: number): Refusal | null {
    const found = this.lookup(vlan, port);
    if (typeof found === 'string') return found;
    found.tree.bonusPort = port;
    found.tree.bonusCost = Math.min(Math.max(cost, 0), PORT_COST);
    return null;
  }

  /** The tree of a VLAN; null when there is no such VLAN. */
  view(vlan: number): FstpView | null {
    const found = this.host.vlanOf(vlan);
    return found === null ? null : this.viewOf(found);
  }

  views(): FstpView[] {
    return this.host.vlanList().map((vlan) => this.viewOf(vlan));
  }

  private viewOf(vlan: Vlan): FstpView {
    const tree = this.treeOf(vlan);
    const { rootPort, best } = tree;
    const active = vlan.list().filter((member) => member.port.active);
    return {
      vlan: vlan.id,
      isRoot: rootPort === null,
      root: best.slice(0, 8),
      designated: rootPort === null ? new Uint8Array(8).fill(0xff) : best.slice(12, 20),
      rootPort: rootPort?.port.number ?? 0,
      rootCost: rootPort === null ? 0 : u32(best, 8),
      ageSec: Math.floor((this.host.wheel.clock.now() - tree.rootAt) / 1000),
      bonusPort: tree.bonusPort,
      bonusCost: tree.bonusCost,
      ports: active.map((member) => ({
        port: member.port.number,
        tagged: member.tagged,
        cost: PORT_COST,
        role: roleOf(tree, member),
      })),
    };
  }

  private lookup(vlanId: number, port: number): { tree: Tree; member: Member } | Refusal {
    const vlan = this.host.vlanOf(vlanId);
    const member = vlan?.members[port] ?? null;
    if (vlan === null || member === null) return 'ENXIO';
    return { tree: this.treeOf(vlan), member };
  }

  private treeOf(vlan: Vlan): Tree {
    let tree = this.trees.get(vlan);
    if (tree === undefined) {
      tree = new Tree(vlan);
      tree.best.set(this.own);
      tree.rootAt = this.host.wheel.clock.now();
      this.trees.set(vlan, tree);
    }
    return tree;
  }

  /** A VLAN was created: it has a tree from now on. */
  vlanCreated(vlan: Vlan): void {
    this.becomeRoot(this.treeOf(vlan));
  }

  /** A VLAN is gone. */
  vlanRemoved(vlan: Vlan): void {
    this.trees.delete(vlan);
  }

  // ---- life

  start(): void {
    this.running = true;
    this.hellos = 0;
    this.timer.set(HELLO_MS);
    for (const vlan of this.host.vlanList()) {
      this.becomeRoot(this.treeOf(vlan));
      for (const member of vlan.list()) if (member.port.active) this.joined(member);
    }
    this.host.flush();
  }

  stop(): void {
    this.running = false;
    this.timer.cancel();
    for (const tree of this.trees.values()) {
      for (const member of tree.ports.keys()) this.host.setState(member, PortState.Forwarding);
      tree.ports.clear();
      this.takeRoot(tree);
    }
  }

  joined(member: Member): void {
    if (!this.running) return;
    const tree = this.treeOf(member.vlan);
    const { vlan, port } = member;
    this.host.tell({ type: 'tree+', vlan: vlan.id, port: port.number });
    if (tree.edges.has(port.number)) return;
    tree.ports.set(member, { heard: false, heardBefore: false, backup: false });
    this.send(tree, member, 0);
    this.announceChange(tree, member);
  }

  left(member: Member): void {
    const tree = this.treeOf(member.vlan);
    const { vlan, port } = member;
    tree.edges.delete(port.number);
    if (!this.running) return;
    tree.ports.delete(member);
    this.host.tell({ type: 'tree-', vlan: vlan.id, port: port.number });
    if (tree.rootPort === member) {
      this.becomeRoot(tree);
      for (const [other, state] of tree.ports) if (state.backup) this.forward(tree, other, state);
    }
    this.announceChange(tree, member);
  }

  // ---- protocol

  receive(port: Port, member: Member | null, b: Uint8Array, payload: number, end: number): void {
    if (member === null) return;
    const tree = this.treeOf(member.vlan);
    const state = tree.ports.get(member);
    if (state === undefined) return; // an edge port ignores BPDUs
    if (bpdu.check(b, payload, end) !== Drop.None || bpdu.version(b, payload) !== 2 || bpdu.type(b, payload) !== 2) {
      port.drops[Drop.BpduMalformed]!++;
      return;
    }
    const { heard } = this;
    const at = bpdu.vectorAt(payload);
    for (let i = 0; i < bpdu.VECTOR_LEN; i++) heard[i] = b[at + i]!;
    const cost = u32(heard, 8) + PORT_COST - (tree.bonusPort === port.number ? tree.bonusCost : 0);
    if (cost > 0xffffffff) {
      port.drops[Drop.BpduMalformed]!++;
      return;
    }
    putU32(heard, 8, cost);
    state.heard = true;
    const flags = bpdu.flags(b, payload);
    const order = bpdu.compareBytes(heard, 0, tree.best, 0, bpdu.VECTOR_LEN);
    if (order === 0) tree.rootAt = this.host.wheel.clock.now();
    else if (tree.rootPort === member && bpdu.compareBytes(heard, 0, this.own, 0, 8) > 0) this.deposeRoot(tree);
    else if (order < 0 || tree.rootPort === member) this.adopt(tree, member, state);
    else if (bpdu.compareBytes(heard, 0, tree.best, 0, 8) !== 0) this.send(tree, member, 0);
    else if ((flags & FLAG_NOT_ROOT) !== 0) this.block(tree, member, state);
    else if (state.backup) this.forward(tree, member, state);
    if ((flags & bpdu.FLAG_TC) !== 0 && !state.backup) this.changed(tree, member);
  }

  /** What was just heard is the truth from now on, and `member` the way to the root. */
  private adopt(tree: Tree, member: Member, state: TreePort): void {
    tree.best.set(this.heard);
    tree.rootPort = member;
    tree.rootAt = this.host.wheel.clock.now();
    const { vlan } = member;
    this.host.tell({ type: 'tree-root', vlan: vlan.id, port: member.port.number, root: tree.best.slice(0, 8) });
    for (const [other, its] of tree.ports) {
      if (other === member || !(its.heard || its.heardBefore)) continue;
      this.setBackup(other, its);
      this.send(tree, other, 0);
    }
    this.setForwarding(member, state);
    this.send(tree, member, bpdu.FLAG_AGREEMENT);
    this.changed(tree, member);
  }

  /** The root port tells of a root that is worse than this switch. */
  private deposeRoot(tree: Tree): void {
    this.becomeRoot(tree);
    for (const [member, state] of tree.ports) {
      if (state.backup) this.forward(tree, member, state);
      else this.send(tree, member, 0);
    }
  }

  /** The other end has its root port elsewhere. */
  private block(tree: Tree, member: Member, state: TreePort): void {
    if (state.backup) return;
    this.setBackup(member, state);
    this.changed(tree, member);
  }

  private forward(tree: Tree, member: Member, state: TreePort): void {
    this.setForwarding(member, state);
    this.changed(tree, member);
  }

  private setBackup(member: Member, state: TreePort): void {
    const was = state.backup;
    state.backup = true;
    this.host.setState(member, PortState.Discarding);
    if (!was) this.tellState(member, 'discarding');
  }

  private setForwarding(member: Member, state: TreePort): void {
    state.backup = false;
    this.host.setState(member, PortState.Forwarding);
    this.tellState(member, 'learning+forwarding');
  }

  private tellState({ vlan, port }: Member, state: 'discarding' | 'learning+forwarding'): void {
    this.host.tell({ type: 'tree-state', vlan: vlan.id, port: port.number, state });
  }

  /** Forgets stations, at most once a second, and tells the bridges behind the other ports. */
  private changed(tree: Tree, cause: Member): void {
    const now = this.host.wheel.clock.now();
    if (now - tree.flushedAt < FLUSH_MIN_MS) {
      this.announceChange(tree, cause);
      return;
    }
    tree.flushedAt = now;
    this.host.flushStations(tree.vlan.id, -1);
    this.announceChange(tree, cause);
  }

  private announceChange(tree: Tree, cause: Member): void {
    for (const [member, state] of tree.ports)
      if (member !== cause && !state.backup && (state.heard || state.heardBefore))
        this.send(tree, member, bpdu.FLAG_TC);
  }

  private takeRoot(tree: Tree): void {
    tree.best.fill(0);
    tree.best.set(this.own);
    tree.rootPort = null;
    tree.rootAt = this.host.wheel.clock.now();
  }

  private becomeRoot(tree: Tree): void {
    this.takeRoot(tree);
    if (this.running) this.host.tell({ type: 'tree-root', vlan: tree.vlan.id, port: 0, root: tree.best.slice(0, 8) });
  }

  private hello(): void {
    this.timer.set(HELLO_MS);
    this.hellos = (this.hellos + 1) % WINDOW_HELLOS;
    for (const tree of this.trees.values()) this.helloOf(tree);
    this.host.flush();
  }

  private helloOf(tree: Tree): void {
    if (tree.rootPort !== null && this.host.wheel.clock.now() - tree.rootAt > ROOT_LOST_MS) this.becomeRoot(tree);
    for (const [member, state] of tree.ports) {
      if (this.hellos === 0) {
        if (state.backup && !state.heard && !state.heardBefore) this.forward(tree, member, state);
        state.heardBefore = state.heard;
        state.heard = false;
      }
      this.send(tree, member, bpdu.FLAG_AGREEMENT);
    }
  }

  /** Sends what this switch knows, with the role of the port. */
  private send(tree: Tree, member: Member, extra: number): void {
    const state = tree.ports.get(member);
    if (state === undefined || !member.port.active) return;
    const { frame, own } = this;
    const { number } = member.port;
    const isRoot = tree.rootPort === null;
    const p = 12 + bpdu.LLC_LEN;
    const role = (state.backup ? FLAG_BACKUP : FLAG_NOT_BACKUP) | (member === tree.rootPort ? 0 : FLAG_NOT_ROOT);
    frame[p + 4] = extra | role | (state.backup ? 0 : bpdu.FLAG_LEARNING | bpdu.FLAG_FORWARDING);
    for (let i = 0; i < 12; i++) frame[p + bpdu.VECTOR_OFF + i] = tree.best[i]!;
    frame.set(own, p + 17);
    frame[p + 25] = 0x80 | (number >> 4);
    frame[p + 26] = number;
    const age = isRoot ? 0 : Math.floor((this.host.wheel.clock.now() - tree.rootAt) / 1000);
    frame[p + 27] = age;
    frame[p + 28] = age >> 8;
    putU16(frame, p + 29, MAX_AGE);
    putU16(frame, p + 31, HELLO);
    this.host.sendBpdu(member.port, member.tagged ? member.vlan.id : -1, frame);
  }
}

function roleOf(tree: Tree, member: Member): FstpRole {
  if (tree.edges.has(member.port.number)) return 'Edge';
  if (tree.rootPort === member) return 'Root';
  return tree.ports.get(member)?.backup === true ? 'Alternate/Backup' : 'Designated';
}
