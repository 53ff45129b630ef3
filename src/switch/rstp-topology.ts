// The topology change machine of one port of a rapid spanning tree (IEEE 802.1D-2004 clause 17.31) with its variables: what
// the bridge tells the others, and which stations it forgets, when a way opens.
//
// A port that begins to learn listens (LEARNING); once it forwards as root or designated port, and no station is at its
// end, it announces the change for a while (tcWhile) and all other ports forget their stations (ACTIVE). A change heard
// there is passed on to the other ports.

import * as bpdu from '../wire/bpdu.ts';
import type { RstpPort } from './rstp-port.ts';

export class TopologyChange {
  /** Another port has seen a change. */
  tcProp = false;
  /** Seconds for which the change is announced. */
  tcWhile = 0;
  /** The next configuration BPDU acknowledges a notification. */
  tcAck = false;
  private state: 'INACTIVE' | 'LEARNING' | 'ACTIVE' = 'INACTIVE';
  private rcvdTc = false;
  private rcvdTcn = false;
  private rcvdTcAck = false;
  private readonly port: RstpPort;

  constructor(port: RstpPort) {
    this.port = port;
  }

  /** setTcFlags (17.21.17): what a message that was accepted says about changes. */
  heard(type: number, flags: number): void {
    if (type === bpdu.TYPE_TCN) this.rcvdTcn = true;
    if ((flags & bpdu.FLAG_TC) !== 0) this.rcvdTc = true;
    if ((flags & bpdu.FLAG_TC_ACK) !== 0 && type === bpdu.TYPE_CONFIG) this.rcvdTcAck = true;
  }

  tick(): void {
    if (this.tcWhile > 0) this.tcWhile--;
  }

  /** Makes at most one transition; whether it did. */
  step(): boolean {
    const { port } = this;
    const active = port.role === 'Root' || port.role === 'Designated';
    switch (this.state) {
      case 'INACTIVE':
        if (!port.learn) return false;
        this.state = 'LEARNING';
        return true;
      case 'LEARNING':
        return this.learning(active);
      case 'ACTIVE':
        return this.active(active);
    }
  }

  private learning(active: boolean): boolean {
    const { port } = this;
    if (active && port.forward && !port.operEdge) {
      this.state = 'ACTIVE';
      this.newTcWhile();
      this.propagate();
      port.newInfo = true;
      return true;
    }
    if (this.rcvdTc || this.rcvdTcn || this.rcvdTcAck || this.tcProp) {
      this.rcvdTc = this.rcvdTcn = this.rcvdTcAck = this.tcProp = false;
      return true;
    }
    if (active || port.learn || port.learning) return false;
    this.state = 'INACTIVE';
    this.tcWhile = 0;
    this.tcAck = false;
    port.bridge.flush(port);
    return true;
  }

  private active(active: boolean): boolean {
    const { port } = this;
    if (!active || port.operEdge) {
      this.state = 'LEARNING';
      return true;
    }
    if (this.rcvdTcn || this.rcvdTc) {
      if (this.rcvdTcn) this.newTcWhile();
      if (this.rcvdTcn && port.role === 'Designated') this.tcAck = true;
      this.rcvdTcn = this.rcvdTc = false;
      this.propagate();
      return true;
    }
    if (this.tcProp) {
      this.newTcWhile();
      port.bridge.flush(port);
      this.tcProp = false;
      return true;
    }
    if (!this.rcvdTcAck) return false;
    this.tcWhile = 0;
    this.rcvdTcAck = false;
    return true;
  }

  /** 17.21.7. */
  private newTcWhile(): void {
    if (this.tcWhile !== 0) return;
    const { designatedTimes, sendRstp } = this.port;
    const { helloTime, maxAge, forwardDelay } = designatedTimes;
    this.tcWhile = sendRstp ? helloTime + 1 : maxAge + forwardDelay;
    if (sendRstp) this.port.newInfo = true;
  }

  /** setTcPropTree (17.21.18). */
  private propagate(): void {
    for (const each of this.port.bridge.all) if (each !== this.port) each.change.tcProp = true;
  }
}
