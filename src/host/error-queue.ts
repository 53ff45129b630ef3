// What ICMP errors say about datagrams that host sockets sent, read from the kernel's error queue (IP_RECVERR).
//
// An entry names the errno, type and code, the router or host that sent the error, whom the datagram was for, and the
// datagram's first bytes. The kernel has matched it to the socket by its port (or echo identifier) already.
//
// A host that finds nobody behind its own interface reports that to itself by ICMP, from one of its own addresses: such
// an offender means nothing to a guest, and is told as null.

import { networkInterfaces } from 'node:os';
import { Endpoint } from '../core/address.ts';
import { errnoName } from '../native/errno.ts';
import * as n from '../native/native.ts';
import type { ErrnoName, IcmpReport } from './host-net.ts';

/** How long the list of own addresses is believed. */
const OWN_MS = 5000;

/** The addresses of this host, looked up when asked for and at most every five seconds. */
class OwnAddresses {
  private addresses = new Set<string>();
  private checkedAt = Number.NEGATIVE_INFINITY;

  has(e: Endpoint): boolean {
    if (e.isIpv4 && e.w3 >>> 24 === 127) return true;
    const now = performance.now();
    if (now - this.checkedAt > OWN_MS) {
      this.checkedAt = now;
      const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
      this.addresses = new Set(all.map((a) => a.address));
    }
    return this.addresses.has(e.host);
  }
}

/** Reads error queues one entry at a time; the entry taken last is in the fields. */
export class ErrorQueue implements IcmpReport {
  errno: ErrnoName = '';
  type = 0;
  code = 0;
  mtu = 0;
  offender: Endpoint | null = null;
  /** Whom the datagram was for; the port is 0 for echo requests. */
  readonly to = new Endpoint();
  /** Sequence number, when the datagram was an echo request and its header is quoted; else -1. */
  echoSeq = -1;
  private readonly api: n.NativeApi;
  private readonly record = new Int32Array(n.ERROR_CELLS);
  private readonly from = new Endpoint();
  private readonly own = new OwnAddresses();

  constructor(api: n.NativeApi) {
    this.api = api;
  }

  /** Takes the oldest ICMP error of a socket; false when there is none. */
  next(fd: number): boolean {
    const { record: r } = this;
    const { Offender, To } = n.ErrorCell;
    do {
      if (this.api.recvError(fd, r) !== 1) return false;
      // What the kernel refused by itself was the result of the send already.
    } while (r[n.ErrorCell.Origin] !== n.ORIGIN_ICMP && r[n.ErrorCell.Origin] !== n.ORIGIN_ICMP6);
    this.errno = errnoName(-r[n.ErrorCell.Errno]!);
    this.type = r[n.ErrorCell.Type]!;
    this.code = r[n.ErrorCell.Code]!;
    this.mtu = this.errno === 'EMSGSIZE' ? r[n.ErrorCell.Info]! : 0;
    this.from.set(r[Offender]!, r[Offender + 1]!, r[Offender + 2]!, r[Offender + 3]!, 0);
    this.to.set(r[To]!, r[To + 1]!, r[To + 2]!, r[To + 3]!, r[n.ErrorCell.Port]!);
    this.offender = this.own.has(this.from) ? null : this.from;
    this.echoSeq = r[n.ErrorCell.Len]! >= 8 ? r[n.ErrorCell.Data + 1]! & 0xffff : -1;
    return true;
  }
}
