// One port of a rapid spanning tree: its variables and state machines, IEEE 802.1D-2004 clauses 17.17 to 17.30.
//
// The names are the standard's. Each machine is a method that makes at most one transition and says whether it did; the
// bridge (rstp.ts) calls them until nothing changes. Timers count seconds down. The topology change machine is in
// rstp-topology.ts, the BPDUs that are sent in rstp-frames.ts.

import * as bpdu from '../wire/bpdu.ts';
import type { Port } from './port.ts';
import { configFrame, rstFrame, tcnFrame } from './rstp-frames.ts';
import { TopologyChange } from './rstp-topology.ts';

/** 17.13: defaults, seconds and BPDUs. */
export const MIGRATE_TIME = 3;
export const TX_HOLD_COUNT = 6;

export type RstpRole = 'Disabled' | 'Root' | 'Designated' | 'Alternate' | 'Backup';

/** Times of a BPDU, seconds. */
export interface Times {
  messageAge: number;
  maxAge: number;
  helloTime: number;
  forwardDelay: number;
}

/** The bridge, as its ports see it. */
export interface RstpBridge {
  readonly all: readonly RstpPort[];
  readonly times: Times;
  applyState(port: RstpPort): void;
  flush(port: RstpPort): void;
  transmit(port: RstpPort, frame: Uint8Array): void;
  readonly macHi: number;
  readonly macLo: number;
}

type InfoIs = 'Disabled' | 'Aged' | 'Mine' | 'Received';
type Received = 'SuperiorDesignated' | 'RepeatedDesignated' | 'InferiorDesignated' | 'InferiorRootAlternate' | 'Other';

const newTimes = (times: Times): Times => ({ ...times });
export const sameTimes = (a: Times, b: Times): boolean =>
  a.messageAge === b.messageAge &&
  a.maxAge === b.maxAge &&
  a.helloTime === b.helloTime &&
  a.forwardDelay === b.forwardDelay;

/** Below 0 when vector `a` is better than `b` (17.5). */
export const compare = (a: Uint8Array, b: Uint8Array): number => bpdu.compareBytes(a, 0, b, 0, bpdu.VECTOR_LEN);

export class RstpPort {
  readonly port: Port;
  readonly bridge: RstpBridge;
  pathCost: number;
  adminEdge: boolean;
  enabled = true;
  // Role and state.
  role: RstpRole = 'Disabled';
  selectedRole: RstpRole = 'Disabled';
  selected = false;
  reselect = true;
  updtInfo = false;
  learn = false;
  forward = false;
  learning = false;
  forwarding = false;
  operEdge: boolean;
  // Handshake.
  proposed = false;
  proposing = false;
  agree = false;
  agreed = false;
  disputed = false;
  sync = true;
  synced = false;
  reRoot = true;
  // Information.
  infoIs: InfoIs = 'Disabled';
  readonly portId: number;
  readonly designatedPriority = new Uint8Array(bpdu.VECTOR_LEN);
  readonly portPriority = new Uint8Array(bpdu.VECTOR_LEN);
  designatedTimes: Times;
  portTimes: Times;
  private rcvdMsg = false;
  private readonly msgPriority = new Uint8Array(bpdu.VECTOR_LEN);
  private msgTimes: Times;
  private msgType = 0;
  private msgFlags = 0;
  readonly change = new TopologyChange(this);
  // Transmission and migration.
  newInfo = true;
  private txCount = 0;
  sendRstp = true;
  private migration: 'CHECKING_RSTP' | 'SENSING' | 'SELECTING_STP' = 'CHECKING_RSTP';
  private rcvdRstp = false;
  private rcvdStp = false;
  // Timers, seconds.
  private helloWhen = 0;
  private fdWhile: number;
  private rcvdInfoWhile = 0;
  rrWhile: number;
  private rbWhile = 0;
  private mdelayWhile = MIGRATE_TIME;
  private edgeDelayWhile = MIGRATE_TIME;

  constructor(bridge: RstpBridge, port: Port, priority: number, pathCost: number, adminEdge: boolean) {
    this.bridge = bridge;
    this.port = port;
    this.portId = (priority << 8) | (port.number & 0xfff);
    this.pathCost = pathCost;
    this.adminEdge = adminEdge;
    this.operEdge = adminEdge;
    this.designatedTimes = newTimes(bridge.times);
    this.portTimes = newTimes(bridge.times);
    this.msgTimes = newTimes(bridge.times);
    this.fdWhile = bridge.times.maxAge;
    this.rrWhile = bridge.times.forwardDelay;
  }

  /** 17.20.6: the time in each state without an agreement. */
  private get fwdTime(): number {
    return this.sendRstp ? this.designatedTimes.helloTime : this.designatedTimes.forwardDelay;
  }

  // ---- reception (17.23 and what it decodes)

  /** A BPDU that has passed `bpdu.check`. False when no bridge sends such a one. */
  receive(b: Uint8Array, o: number): boolean {
    const kind = bpdu.type(b, o);
    const isRst = kind === bpdu.TYPE_RST && bpdu.version(b, o) >= 2;
    if (kind !== bpdu.TYPE_TCN) {
      const times: Times = {
        messageAge: bpdu.messageAge(b, o) >> 8,
        maxAge: bpdu.maxAge(b, o) >> 8,
        helloTime: Math.max(1, bpdu.helloTime(b, o) >> 8),
        forwardDelay: bpdu.forwardDelay(b, o) >> 8,
      };
      if (times.maxAge < 6 || times.maxAge > 40 || times.forwardDelay < 4 || times.forwardDelay > 30) return false;
      if (times.helloTime > 10 || times.messageAge >= times.maxAge) return false;
      this.msgTimes = times;
      const at = bpdu.vectorAt(o);
      for (let i = 0; i < bpdu.VECTOR_LEN; i++) this.msgPriority[i] = b[at + i]!;
    }
    if (isRst) this.rcvdRstp = true;
    else this.rcvdStp = true;
    this.operEdge = false;
    this.edgeDelayWhile = MIGRATE_TIME;
    this.msgType = isRst ? bpdu.TYPE_RST : kind === bpdu.TYPE_RST ? bpdu.TYPE_CONFIG : kind;
    this.msgFlags = kind === bpdu.TYPE_TCN ? 0 : bpdu.flags(b, o);
    this.rcvdMsg = true;
    return true;
  }

  /** One second has passed (17.22). */
  tick(): void {
    if (this.helloWhen > 0) this.helloWhen--;
    this.change.tick();
    if (this.fdWhile > 0) this.fdWhile--;
    if (this.rcvdInfoWhile > 0) this.rcvdInfoWhile--;
    if (this.rrWhile > 0) this.rrWhile--;
    if (this.rbWhile > 0) this.rbWhile--;
    if (this.mdelayWhile > 0) this.mdelayWhile--;
    if (this.edgeDelayWhile > 0) this.edgeDelayWhile--;
    if (this.txCount > 0) this.txCount--;
  }

  /** Runs each machine but role selection once; true when one of them did something. */
  step(): boolean {
    let changed = this.migrate();
    changed = this.detectEdge() || changed;
    changed = this.information() || changed;
    changed = this.transition() || changed;
    changed = this.state() || changed;
    changed = this.change.step() || changed;
    return changed;
  }

  // ---- port protocol migration (17.24)

  private migrate(): boolean {
    if (this.migration !== 'SENSING') {
      if (this.mdelayWhile > 0) return false;
      this.migration = 'SENSING';
      this.rcvdRstp = this.rcvdStp = false;
      return true;
    }
    if (this.sendRstp && this.rcvdStp) {
      this.migration = 'SELECTING_STP';
      this.sendRstp = false;
    } else if (!this.sendRstp && this.rcvdRstp) {
      this.migration = 'CHECKING_RSTP';
      this.sendRstp = true;
    } else return false;
    this.mdelayWhile = MIGRATE_TIME;
    return true;
  }

  // ---- bridge detection (17.25)

  private detectEdge(): boolean {
    if (this.operEdge || this.edgeDelayWhile > 0 || !this.sendRstp || !this.proposing) return false;
    this.operEdge = true;
    return true;
  }

  // ---- port information (17.27)

  private information(): boolean {
    if (!this.enabled) {
      if (this.infoIs === 'Disabled') return false;
      this.rcvdMsg = this.proposing = this.proposed = this.agree = this.agreed = false;
      this.rcvdInfoWhile = 0;
      this.infoIs = 'Disabled';
      this.select();
      return true;
    }
    if (this.infoIs === 'Disabled') return this.ageInfo();
    if (this.selected && this.updtInfo) {
      this.proposing = this.proposed = false;
      this.agreed = this.agreed && this.infoIs === 'Mine' && compare(this.designatedPriority, this.portPriority) <= 0;
      this.synced = this.synced && this.agreed;
      this.portPriority.set(this.designatedPriority);
      this.portTimes = newTimes(this.designatedTimes);
      this.updtInfo = false;
      this.infoIs = 'Mine';
      this.newInfo = true;
      return true;
    }
    if (this.updtInfo) return false;
    if (this.rcvdMsg) {
      this.handle();
      this.rcvdMsg = false;
      return true;
    }
    return this.infoIs === 'Received' && this.rcvdInfoWhile === 0 ? this.ageInfo() : false;
  }

  private ageInfo(): boolean {
    this.infoIs = 'Aged';
    this.select();
    return true;
  }

  private select(): void {
    this.reselect = true;
    this.selected = false;
  }

  private handle(): void {
    switch (this.classify()) {
      case 'SuperiorDesignated':
        this.agreed = this.proposing = false;
        this.recordProposal();
        this.change.heard(this.msgType, this.msgFlags);
        this.agree = this.agree && this.infoIs === 'Received' && compare(this.msgPriority, this.portPriority) <= 0;
        this.portPriority.set(this.msgPriority);
        this.portTimes = newTimes(this.msgTimes);
        this.keepInfo();
        this.infoIs = 'Received';
        this.select();
        break;
      case 'RepeatedDesignated':
        this.recordProposal();
        this.change.heard(this.msgType, this.msgFlags);
        this.keepInfo();
        break;
      case 'InferiorDesignated':
        if (this.msgType === bpdu.TYPE_RST && (this.msgFlags & bpdu.FLAG_LEARNING) !== 0) {
          this.disputed = true;
          this.agreed = false;
        }
        break;
      case 'InferiorRootAlternate':
        this.agreed = (this.msgFlags & bpdu.FLAG_AGREEMENT) !== 0;
        if (this.agreed) this.proposing = false;
        this.change.heard(this.msgType, this.msgFlags);
        break;
      case 'Other':
        this.change.heard(this.msgType, this.msgFlags);
    }
  }

  /** rcvInfo (17.21.8). */
  private classify(): Received {
    if (this.msgType === bpdu.TYPE_TCN) return 'Other';
    const role = this.msgType === bpdu.TYPE_CONFIG ? bpdu.ROLE_DESIGNATED : this.msgFlags & bpdu.FLAG_ROLE;
    const order = compare(this.msgPriority, this.portPriority);
    if (role === bpdu.ROLE_DESIGNATED) {
      if (order === 0 && this.infoIs === 'Received' && sameTimes(this.msgTimes, this.portTimes)) {
        return 'RepeatedDesignated';
      }
      // The same sender replaces what it said before (17.6).
      const sameSender = bpdu.compareBytes(this.msgPriority, 12, this.portPriority, 12, 10) === 0;
      if (order < 0 || order === 0 || (sameSender && this.infoIs === 'Received')) return 'SuperiorDesignated';
      return 'InferiorDesignated';
    }
    const notDesignated = role === bpdu.ROLE_ROOT || role === bpdu.ROLE_ALTERNATE_BACKUP;
    return notDesignated && order >= 0 ? 'InferiorRootAlternate' : 'Other';
  }

  private recordProposal(): void {
    if (this.msgType === bpdu.TYPE_RST && (this.msgFlags & bpdu.FLAG_PROPOSAL) !== 0) this.proposed = true;
  }

  private keepInfo(): void {
    const { messageAge, maxAge, helloTime } = this.portTimes;
    this.rcvdInfoWhile = messageAge + 1 <= maxAge ? 3 * helloTime : 0;
  }

  // ---- port role transitions (17.29)

  private transition(): boolean {
    if (!this.selected || this.updtInfo) return false;
    if (this.role !== this.selectedRole) {
      this.enterRole();
      return true;
    }
    if (this.role === 'Root') return this.asRoot();
    if (this.role === 'Designated') return this.asDesignated();
    return this.role === 'Disabled' ? this.asDisabled() : this.asAlternate();
  }

  private enterRole(): void {
    this.role = this.selectedRole;
    if (this.role === 'Root') this.rrWhile = this.designatedTimes.forwardDelay;
    else if (this.role !== 'Designated') this.learn = this.forward = false;
  }

  private asDisabled(): boolean {
    if (this.learning || this.forwarding) return false;
    if (this.fdWhile === this.designatedTimes.maxAge && !this.sync && !this.reRoot && this.synced) return false;
    this.settle(this.designatedTimes.maxAge);
    return true;
  }

  private asAlternate(): boolean {
    if (this.learning || this.forwarding) return false;
    if (this.fdWhile !== this.fwdTime || this.sync || this.reRoot || !this.synced) {
      this.settle(this.fwdTime);
      return true;
    }
    const hold = 2 * this.designatedTimes.helloTime;
    if (this.role === 'Backup' && this.rbWhile !== hold) {
      this.rbWhile = hold;
      return true;
    }
    return this.negotiate();
  }

  private settle(fdWhile: number): void {
    this.fdWhile = fdWhile;
    this.synced = true;
    this.rrWhile = 0;
    this.sync = this.reRoot = false;
  }

  /** Proposals that came from the designated bridge: answered with an agreement once all other ports are in sync. */
  private negotiate(): boolean {
    if (this.proposed && !this.agree) {
      for (const each of this.bridge.all) each.sync = true;
      this.proposed = false;
      return true;
    }
    if ((!this.agree && this.allSynced()) || (this.proposed && this.agree)) {
      this.proposed = false;
      if (this.role === 'Root') this.sync = false;
      this.agree = true;
      this.newInfo = true;
      return true;
    }
    return false;
  }

  private allSynced(): boolean {
    return this.bridge.all.every(
      (each) => each.selected && each.role === each.selectedRole && (each.synced || each.role === 'Root'),
    );
  }

  private asRoot(): boolean {
    if (this.rrWhile !== this.designatedTimes.forwardDelay) {
      this.rrWhile = this.designatedTimes.forwardDelay;
      return true;
    }
    if (this.negotiate()) return true;
    if (this.reRoot && this.forward) {
      this.reRoot = false;
      return true;
    }
    if (!this.forward && !this.reRoot) {
      for (const each of this.bridge.all) each.reRoot = true;
      return true;
    }
    const ready = this.fdWhile === 0 || (this.reRooted() && this.rbWhile === 0);
    if (ready && !this.learn) {
      this.fdWhile = this.fwdTime;
      this.learn = true;
      return true;
    }
    if (ready && !this.forward) {
      this.fdWhile = 0;
      this.forward = true;
      return true;
    }
    return false;
  }

  private reRooted(): boolean {
    return this.bridge.all.every((each) => each === this || each.rrWhile === 0);
  }

  private asDesignated(): boolean {
    if (!this.forward && !this.agreed && !this.proposing && !this.operEdge) {
      this.proposing = true;
      this.edgeDelayWhile = MIGRATE_TIME;
      this.newInfo = true;
      return true;
    }
    const quiet = !this.learning && !this.forwarding;
    if (((quiet || this.agreed || this.operEdge) && !this.synced) || (this.sync && this.synced)) {
      this.rrWhile = 0;
      this.synced = true;
      this.sync = false;
      return true;
    }
    if (this.rrWhile === 0 && this.reRoot) {
      this.reRoot = false;
      return true;
    }
    const mustStop = (this.sync && !this.synced) || (this.reRoot && this.rrWhile !== 0) || this.disputed;
    if (mustStop && !this.operEdge && (this.learn || this.forward)) {
      this.learn = this.forward = this.disputed = false;
      this.fdWhile = this.fwdTime;
      return true;
    }
    const ready = this.fdWhile === 0 || this.agreed || this.operEdge;
    if (!ready || (this.rrWhile !== 0 && this.reRoot) || this.sync) return false;
    if (!this.learn) {
      this.learn = true;
      this.fdWhile = this.fwdTime;
      return true;
    }
    if (!this.forward) {
      this.forward = true;
      this.fdWhile = 0;
      this.agreed = this.sendRstp;
      return true;
    }
    return false;
  }

  // ---- port state transitions (17.30)

  private state(): boolean {
    if (!this.learn && (this.learning || this.forwarding)) this.learning = this.forwarding = false;
    else if (this.learn && !this.learning) this.learning = true;
    else if (this.forward && this.learning && !this.forwarding) this.forwarding = true;
    else if (!this.forward && this.forwarding) this.learning = this.forwarding = false;
    else return false;
    this.bridge.applyState(this);
    return true;
  }

  // ---- port transmit (17.26)

  /** Sends what is due, when the roles are settled. */
  transmit(): void {
    if (!this.selected || this.updtInfo || !this.enabled) return;
    if (this.helloWhen === 0) {
      this.newInfo ||= this.role === 'Designated' || (this.role === 'Root' && this.change.tcWhile !== 0);
      this.helloWhen = this.designatedTimes.helloTime;
    }
    if (!this.newInfo || this.txCount >= TX_HOLD_COUNT) return;
    const frame = this.dueFrame();
    if (frame === null) return;
    this.bridge.transmit(this, frame);
    this.newInfo = false;
    this.txCount++;
    this.change.tcAck = false;
  }

  /** What says how things are in the words of the bridge at the other end; null where it has to be told nothing. */
  private dueFrame(): Uint8Array | null {
    if (this.sendRstp) return rstFrame(this);
    if (this.role === 'Root') return tcnFrame(this);
    return this.role === 'Designated' ? configFrame(this) : null;
  }
}
