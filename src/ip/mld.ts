// The groups that this IP layer listens to, and the reports that let switches with MLD snooping pass them on (RFC 3810).
//
// Groups: all nodes, all routers, the solicited-node group of each own address (RFC 4291 section 2.8), and what services
// join. All but ff02::1 are reported: when they are joined (twice, RFC 3810 section 9.1), in answer to queries after a
// random delay within the time that the query allows, and when they are left. Version 1 queriers get version 1 reports.
// Everything is told in one message: a router has few groups.

import { Drop } from '../core/drop.ts';
import type { Packet } from '../core/packet.ts';
import type { Timer, TimerWheel } from '../core/timer-wheel.ts';
import { pseudoWords } from '../wire/checksum.ts';
import * as icmp from '../wire/icmpv6.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as mld from '../wire/mld.ts';
import type { IpLayer } from './ip-layer.ts';
import { isLinkLocal } from './link-addresses.ts';

type Group = readonly [number, number, number, number];

const LINK_SCOPE = 0xff020000 | 0;
const ALL_NODES: Group = [LINK_SCOPE, 0, 0, 1];
const ALL_ROUTERS: Group = [LINK_SCOPE, 0, 0, 2];
/** All routers that speak version 2: where reports go. */
const REPORTS: Group = [LINK_SCOPE, 0, 0, 0x16];
/** Distance of the second report of a change (RFC 3810 section 9.11). */
const REPEAT_MS = 1000;
/** Groups at most: one report must fit the least MTU. */
const MAX_GROUPS = 48;

export class MulticastListener {
  private readonly layer: IpLayer;
  private readonly random: () => number;
  private readonly groups: Group[] = [];
  /** What the timers are for: the second report of a change, and the answer to a query. */
  private readonly repeat: Timer;
  private readonly answer: Timer;
  private answerAt = 0;
  private toVersion1 = false;

  /** @param random  a uniform unpredictable number, 0 to 2^32 - 1 */
  constructor(layer: IpLayer, wheel: TimerWheel, random: () => number) {
    this.layer = layer;
    this.random = random;
    this.repeat = wheel.timer(() => this.report(mld.CHANGE_TO_EXCLUDE));
    this.answer = wheel.timer(() => (this.toVersion1 ? this.reportV1() : this.report(mld.MODE_IS_EXCLUDE)));
    this.add(ALL_NODES);
    this.add(ALL_ROUTERS);
    for (const { isIpv4, w3 } of layer.own.all) {
      if (!isIpv4) this.add([LINK_SCOPE, 0, 1, (0xff << 24) | (w3 & 0xffffff)]);
    }
  }

  isJoined(w0: number, w1: number, w2: number, w3: number): boolean {
    for (const g of this.groups) if (g[3] === w3 && g[2] === w2 && g[1] === w1 && g[0] === w0) return true;
    return false;
  }

  /** Listens to a group from now on. */
  join(w0: number, w1: number, w2: number, w3: number): void {
    this.add([w0 | 0, w1 | 0, w2 | 0, w3 | 0]);
  }

  private add(group: Group): void {
    if (this.groups.length < MAX_GROUPS && !this.isJoined(...group)) this.groups.push(group);
  }

  /** Tells the switches of the link what is listened to: at start, and when the link is up again. */
  announce(): void {
    this.report(mld.CHANGE_TO_EXCLUDE);
    this.repeat.set(REPEAT_MS);
  }

  /** Tells that nothing is listened to any more. */
  close(): void {
    this.repeat.cancel();
    this.answer.cancel();
    this.report(mld.CHANGE_TO_INCLUDE);
  }

  /** A query whose checksum is right. */
  query(p: Packet): void {
    const { b, l4, end } = p;
    if (p.ttl !== mld.HOP_LIMIT || !isLinkLocal(p.src0) || mld.check(b, l4, end) !== Drop.None) {
      this.layer.drops[Drop.MldMalformed]!++;
      return;
    }
    const g0 = mld.group(b, l4, 0);
    if (g0 !== 0 && !this.isJoined(g0, mld.group(b, l4, 1), mld.group(b, l4, 2), mld.group(b, l4, 3))) return;
    const delay = 1 + (this.random() % Math.max(1, mld.maxResponseMs(b, l4, end)));
    const at = this.layer.now + delay;
    this.toVersion1 = mld.isVersion1(l4, end);
    if (!this.answer.armed || this.answerAt > at) {
      this.answerAt = at;
      this.answer.setAt(at);
    }
  }

  /** One message with a record for each group that is reported. */
  private report(kind: number): void {
    const { layer } = this;
    const told = this.groups.filter((g) => g !== ALL_NODES);
    const len = mld.reportLen(told.length);
    const o = layer.reserve(mld.ALERT_LEN + len) + mld.ALERT_LEN;
    mld.writeReport(layer.bytes, o, told.length);
    for (const [i, g] of told.entries()) mld.writeRecord(layer.bytes, o, i, kind, ...g);
    this.send(o, len, REPORTS);
  }

  private reportV1(): void {
    const { layer } = this;
    for (const g of this.groups) {
      if (g === ALL_NODES) continue;
      const o = layer.reserve(mld.ALERT_LEN + mld.V1_LEN) + mld.ALERT_LEN;
      mld.writeV1(layer.bytes, o, icmp.TYPE_MLD_REPORT_V1, ...g);
      this.send(o, mld.V1_LEN, g);
    }
  }

  private send(o: number, len: number, to: Group): void {
    const { layer } = this;
    const { w0, w1, w2, w3 } = layer.own.linkLocal;
    const at = o - mld.ALERT_LEN;
    mld.writeAlert(layer.bytes, at);
    icmp.writeChecksum(layer.bytes, o, len, pseudoWords(w0, w1, w2, w3, ...to, ipv6.NEXT_ICMPV6));
    layer.sendToGroup(at, mld.ALERT_LEN + len, w0, w1, w2, w3, ...to, ipv6.NEXT_HOP_BY_HOP, mld.HOP_LIMIT);
  }
}
