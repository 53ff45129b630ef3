// SYNs that wait for a place among the half-open connections.
//
// How many connections may be half-open is bounded: between a guest and one destination, of one guest, and in all. That is
// what a destination that does not answer, or a flood, may cost. A burst of good connects is beyond these bounds too, but
// only until the first of them are open, which takes some milliseconds. So what is beyond waits here and is taken up as
// places become free; without that every SYN of the burst would have to be sent again, after 1, 3, 7, 15 s.
//
//     all -- remote -- pair -- SYN, SYN, SYN       places go to remotes in turn, of one remote to destinations in turn,
//         |         `- pair -- SYN                 and between two addresses to the SYN that has waited for longest
//         `- remote -- pair -- SYN, SYN
//
// So a destination that does not answer holds up nobody but those who want to go there. A SYN that waits costs a copy of
// its headers, no descriptor and no timer. It is forgotten when its sender has not repeated it for WAIT_MS: it has given
// up, as far as we can know. The number of SYNs is bounded for each remote address and in all.

import { copyBytes } from '../core/frame.ts';
import { Packet } from '../core/packet.ts';
import { seqInt } from '../core/seq.ts';
import { TupleTable } from '../core/tuple-table.ts';
import * as tcp from '../wire/tcp.ts';

/** A SYN that is wanted is repeated after 1, 3, 7 and 15 s (RFC 6298 section 2.1). */
const WAIT_MS = 10_000;

/** A SYN taken out of the queue: a packet of its own, and the least initial sequence number for the answer (0: any). */
export interface QueuedSyn {
  readonly packet: Packet;
  readonly minIss: number;
}

class Waiting implements QueuedSyn {
  packet: Packet;
  minIss: number;
  untilMs: number;
  readonly pair: Pair;

  constructor(packet: Packet, minIss: number, untilMs: number, pair: Pair) {
    this.packet = packet;
    this.minIss = minIss;
    this.untilMs = untilMs;
    this.pair = pair;
  }
}

/** Those of one remote address to one local address, in order of arrival. */
class Pair {
  readonly remote: Remote;
  readonly syns = new Set<Waiting>();

  constructor(remote: Remote) {
    this.remote = remote;
  }
}

class Remote {
  /** Pairs that have some waiting, the one whose turn it is first. */
  readonly pairs = new Set<Pair>();
  size = 0;
}

/** Objects by tuple; the local address and the ports may be left out of it. */
class TupleMap<T> {
  private readonly table: TupleTable;
  private readonly values: (T | null)[] = [];
  private readonly free: number[] = [];
  private readonly byLocal: boolean;
  private readonly byPorts: boolean;

  constructor(k0: number, k1: number, byLocal: boolean, byPorts: boolean) {
    this.table = new TupleTable(k0, k1);
    this.byLocal = byLocal;
    this.byPorts = byPorts;
  }

  private slot(p: Packet): number {
    const ports = this.portsOf(p);
    return this.byLocal
      ? this.table.find(p.dst0, p.dst1, p.dst2, p.dst3, p.src0, p.src1, p.src2, p.src3, ports)
      : this.table.find(0, 0, 0, 0, p.src0, p.src1, p.src2, p.src3, ports);
  }

  private portsOf(p: Packet): number {
    return this.byPorts ? (tcp.dstPort(p.b, p.l4) << 16) | tcp.srcPort(p.b, p.l4) : 0;
  }

  get(p: Packet): T | null {
    const i = this.slot(p);
    return i < 0 ? null : this.values[i]!;
  }

  /** Adds what is not there yet. */
  add(p: Packet, value: T): T {
    const i = this.free.pop() ?? this.values.length;
    this.values[i] = value;
    const ports = this.portsOf(p);
    if (this.byLocal) this.table.set(p.dst0, p.dst1, p.dst2, p.dst3, p.src0, p.src1, p.src2, p.src3, ports, i);
    else this.table.set(0, 0, 0, 0, p.src0, p.src1, p.src2, p.src3, ports, i);
    return value;
  }

  /** Removes what is there. */
  delete(p: Packet): void {
    const i = this.slot(p);
    this.values[i] = null;
    this.free.push(i);
    const ports = this.portsOf(p);
    if (this.byLocal) this.table.delete(p.dst0, p.dst1, p.dst2, p.dst3, p.src0, p.src1, p.src2, p.src3, ports);
    else this.table.delete(0, 0, 0, 0, p.src0, p.src1, p.src2, p.src3, ports);
  }
}

export class SynQueue {
  private readonly max: number;
  private readonly maxPerRemote: number;
  private readonly syns: TupleMap<Waiting>;
  private readonly pairs: TupleMap<Pair>;
  private readonly remotes: TupleMap<Remote>;
  /** Remotes that have some waiting, the one whose turn it is first. */
  private readonly turns = new Set<Remote>();
  /** All of them, the one first that was not repeated for longest. */
  private readonly all = new Set<Waiting>();

  /**
   * @param max           SYNs that wait, in all
   * @param maxPerRemote  of one remote address
   * @param k0, k1        64 secret random bits
   */
  constructor(max: number, maxPerRemote: number, k0: number, k1: number) {
    this.max = max;
    this.maxPerRemote = maxPerRemote;
    this.syns = new TupleMap(k0, k1, true, true);
    this.pairs = new TupleMap(k0, k1, true, false);
    this.remotes = new TupleMap(k0, k1, false, false);
  }

  get size(): number {
    return this.all.size;
  }

  /**
   * Keeps a copy of the SYN `p`; one of the same connection that waits already is replaced and keeps its place. False when
   * there is no room.
   */
  add(p: Packet, minIss: number, nowMs: number): boolean {
    this.forgetOld(nowMs);
    const untilMs = nowMs + WAIT_MS;
    const known = this.syns.get(p);
    if (known !== null) {
      known.packet = copyOfSyn(p);
      known.minIss = minIss;
      known.untilMs = untilMs;
      this.all.delete(known);
      this.all.add(known);
      return true;
    }
    const rival = this.remotes.get(p);
    if (this.all.size >= this.max || (rival !== null && rival.size >= this.maxPerRemote)) return false;
    const packet = copyOfSyn(p);
    const remote = rival ?? this.remotes.add(packet, new Remote());
    const pair = this.pairs.get(p) ?? this.pairs.add(packet, new Pair(remote));
    const syn = this.syns.add(packet, new Waiting(packet, minIss, untilMs, pair));
    this.all.add(syn);
    pair.syns.add(syn);
    remote.pairs.add(pair);
    remote.size++;
    this.turns.add(remote);
    return true;
  }

  /** Forgets the SYN of the connection that `p` belongs to, if it waits. */
  withdraw(p: Packet): void {
    const syn = this.all.size === 0 ? null : this.syns.get(p);
    if (syn !== null) this.remove(syn);
  }

  /** The same for a RST: only when its sequence is the one behind the SYN. */
  reset(p: Packet): void {
    const syn = this.all.size === 0 ? null : this.syns.get(p);
    if (syn === null) return;
    const { b, l4 } = syn.packet;
    if ((tcp.seq(p.b, p.l4) | 0) === seqInt(tcp.seq(b, l4), 1)) this.remove(syn);
  }

  /**
   * Takes out the SYN whose turn it is; null when there is a place for none. `admits` is given a packet and says whether
   * there is a place for connections of its remote address (`pair` false), or between both of its addresses (true).
   */
  take(nowMs: number, admits: (p: Packet, pair: boolean) => boolean): QueuedSyn | null {
    this.forgetOld(nowMs);
    for (const remote of this.turns) {
      for (const pair of remote.pairs) {
        const [syn] = pair.syns;
        if (syn === undefined || !admits(syn.packet, false)) break;
        if (!admits(syn.packet, true)) continue;
        this.remove(syn);
        // Whoever had its turn goes to the end.
        if (remote.pairs.delete(pair)) remote.pairs.add(pair);
        if (this.turns.delete(remote)) this.turns.add(remote);
        return syn;
      }
    }
    return null;
  }

  clear(): void {
    for (const syn of this.all) this.remove(syn);
  }

  /** Forgets those that nobody has repeated for too long. */
  private forgetOld(nowMs: number): void {
    for (const syn of this.all) {
      if (nowMs < syn.untilMs) return;
      this.remove(syn);
    }
  }

  private remove(syn: Waiting): void {
    const { pair, packet } = syn;
    const { remote } = pair;
    this.syns.delete(packet);
    this.all.delete(syn);
    pair.syns.delete(syn);
    remote.size--;
    if (pair.syns.size > 0) return;
    this.pairs.delete(packet);
    remote.pairs.delete(pair);
    if (remote.size > 0) return;
    this.remotes.delete(packet);
    this.turns.delete(remote);
  }
}

/** A packet of its own with the headers of the SYN `p`; data with a SYN is not taken (input.ts). */
function copyOfSyn(p: Packet): Packet {
  const copy = new Packet();
  copy.b = copyBytes(p.b, p.l3, tcp.payload(p.b, p.l4));
  copy.l4 = p.l4 - p.l3;
  copy.end = copy.b.length;
  copy.protocol = p.protocol;
  copy.ttl = p.ttl;
  copy.tos = p.tos;
  copy.src0 = p.src0;
  copy.src1 = p.src1;
  copy.src2 = p.src2;
  copy.src3 = p.src3;
  copy.dst0 = p.dst0;
  copy.dst1 = p.dst1;
  copy.dst2 = p.dst2;
  copy.dst3 = p.dst3;
  copy.l2Group = p.l2Group;
  return copy;
}
