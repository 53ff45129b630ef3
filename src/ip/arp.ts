// ARP for the IP layer's own addresses and about its neighbors (RFC 826, RFC 5227).
//
// Requests for own addresses are answered; every valid message teaches the neighbor cache, which decides what to believe.
// A claim of an own address is dropped and answered with one gratuitous ARP per DEFEND_INTERVAL. Probes ask whether an
// address is in use before the DHCP server gives it away.

import { MAPPED } from '../core/address.ts';
import { Drop } from '../core/drop.ts';
import type { TimerWheel } from '../core/timer-wheel.ts';
import * as arp from '../wire/arp.ts';
import * as ethernet from '../wire/ethernet.ts';
import type { IpLayer } from './ip-layer.ts';
import type { Neighbor } from './neighbor.ts';

/** Address probes at once; more are answered "free" without asking. */
const MAX_PROBES = 64;
const DEFEND_INTERVAL_MS = 10_000; // RFC 5227 section 1.1

export class Arp {
  private readonly layer: IpLayer;
  private readonly wheel: TimerWheel;
  /** What `probe` asks for, and whom to tell when somebody answers. */
  private readonly probes = new Set<{ readonly address: number; readonly answered: () => void }>();
  private defendedAt = Number.NEGATIVE_INFINITY;

  constructor(layer: IpLayer, wheel: TimerWheel) {
    this.layer = layer;
    this.wheel = wheel;
  }

  /** A frame with EtherType ARP, in [off, end). */
  frame(b: Uint8Array, off: number, end: number): void {
    const o = off + ethernet.HEADER_LEN;
    const why = arp.check(b, o, end);
    if (why !== Drop.None) {
      this.layer.drops[why]!++;
      return;
    }
    const macHi = arp.senderMacHi(b, o);
    const macLo = arp.senderMacLo(b, o);
    const sender = arp.senderIp(b, o);
    const target = arp.targetIp(b, o);
    const { own } = this.layer;
    if (macHi !== ethernet.srcHi(b, off) || macLo !== ethernet.srcLo(b, off)) {
      this.layer.drops[Drop.ArpBadSender]!++;
      return;
    }
    if (sender !== 0) {
      if (own.isLocal4(sender | 0)) {
        this.layer.drops[Drop.ArpSpoof]!++;
        this.defend(sender, macHi, macLo);
        return;
      }
      if (!own.isOnLink4(sender | 0) || own.isReserved4(sender | 0)) {
        this.layer.drops[Drop.ArpBadSender]!++;
        return;
      }
      for (const { address, answered } of this.probes) if (address === sender) answered();
      if (this.layer.neighbors.heard(0, 0, MAPPED, sender | 0, macHi, macLo, this.layer.now) === null) {
        this.layer.drops[Drop.ArpSpoof]!++;
      }
    }
    if (arp.op(b, o) === arp.OP_REQUEST && own.isLocal4(target | 0)) {
      this.send(arp.OP_REPLY, target, macHi, macLo, sender, macHi, macLo);
    }
  }

  /** Says by gratuitous ARP that `address` is ours: at start, after a reconnect, and against a claim of another. */
  announce(address: number): void {
    this.send(arp.OP_REQUEST, address, 0, 0, address, ethernet.BROADCAST_HI, ethernet.BROADCAST_LO);
  }

  /**
   * Asks by ARP whether a station has `address` (unsigned), and tells `done` as soon as one answers, or after `waitMs`
   * that none did.
   */
  probe(address: number, waitMs: number, done: (inUse: boolean) => void): void {
    if (this.probes.size >= MAX_PROBES) {
      done(false);
      return;
    }
    const finish = (inUse: boolean): void => {
      timer.cancel();
      this.probes.delete(probe);
      done(inUse);
    };
    const timer = this.wheel.timer(() => finish(false));
    timer.set(waitMs);
    const probe = { address, answered: () => finish(true) };
    this.probes.add(probe);
    this.send(arp.OP_REQUEST, this.ownFor(address), 0, 0, address, ethernet.BROADCAST_HI, ethernet.BROADCAST_LO);
  }

  private defend(address: number, macHi: number, macLo: number): void {
    if (this.layer.now - this.defendedAt < DEFEND_INTERVAL_MS) return;
    this.defendedAt = this.layer.now;
    this.announce(address);
    this.layer.onClaim(0, 0, MAPPED, address | 0, macHi, macLo);
  }

  /** Asks who has a neighbor's address, of the station that had it last or of all. */
  request(n: Neighbor, unicast: boolean): void {
    const macHi = unicast ? n.macHi : ethernet.BROADCAST_HI;
    const macLo = unicast ? n.macLo : ethernet.BROADCAST_LO;
    this.send(arp.OP_REQUEST, this.ownFor(n.w3), 0, 0, n.w3 >>> 0, macHi, macLo);
  }

  /** Our address in the network of another, unsigned; 0 without any, as a probe has it. */
  private ownFor(address: number): number {
    return (this.layer.own.sourceFor(0, 0, MAPPED, address | 0)?.w3 ?? 0) >>> 0;
  }

  private send(op: number, spa: number, thaHi: number, thaLo: number, tpa: number, dstHi: number, dstLo: number): void {
    const len = ethernet.HEADER_LEN + arp.MESSAGE_LEN;
    const off = this.layer.alloc(len);
    ethernet.write(this.layer.bytes, off, dstHi, dstLo, this.layer.macHi, this.layer.macLo, ethernet.TYPE_ARP);
    arp.write(
      this.layer.bytes,
      off + ethernet.HEADER_LEN,
      op,
      this.layer.macHi,
      this.layer.macLo,
      spa,
      thaHi,
      thaLo,
      tpa,
    );
    this.layer.transmit(off, len);
  }
}
