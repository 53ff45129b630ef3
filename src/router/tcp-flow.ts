// One TCP flow: a connection of the engine on the guest's side, a host socket on the other, and the bytes between.
//
//   guest opens    SYN -> policy -> host connect -> connected: SYN,ACK      | failed: RST or ICMP (host-errors.ts)
//   forward        host accept -> SYN to the guest -> established: read     | refused, no answer: RST to the client
//   guest -> host  segment -> host.write (one copy), host.flush once per batch; the window follows the host's backlog
//   host -> guest  read into the send buffer (lend, filled) or copied there (data); a full one pauses the host socket
//   FIN            passed on behind all data, each direction by itself (half close)
//   RST, errors    passed on as RST: the guest's at once, the host's behind what the host had sent
//
// At any time at most a receive window is held for the host (receive-limit.ts), and the send buffer plus one read for the guest.
// Both sides have a `data` event, so the host's events come in through a small object of their own (HostSide).

import { Endpoint, endpointIpv4 } from '../core/address.ts';
import type { ByteVector } from '../core/byte-vector.ts';
import { copyBytes } from '../core/frame.ts';
import type { HostTcp, HostTcpUser, IcmpReport, ReadMemory } from '../host/host-net.ts';
import type { Neighbor } from '../ip/index.ts';
import { stateName, type TcpConnection, type TcpEnd, type TcpUser } from '../tcp/index.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import type { RouterContext } from './context.ts';
import type { FlowView } from './flow-view.ts';
import { connectVerdict, isResourceError, Verdict } from './host-errors.ts';
import { relayReport } from './icmp-relay.ts';
import type { Destination } from './policy.ts';
import type { Shortage } from './shortage.ts';
import { VIA_NONE } from './translation.ts';

const LOOPBACK = 0x7f000001;
/** With less room than this in the send buffer the host socket is paused: what one read usually brings. */
const READ_ROOM = 64 << 10;
/** A SYN with a TTL up to this may be meant to end on the way (traceroute), and goes on with one less. */
const PROBE_TTL = 32;

/** Whoever keeps the flows. */
export interface TcpFlowOwner {
  /** One side of the flow has ended; perhaps called again for the other. */
  closing(flow: TcpFlow): void;
  /** The flow is over. */
  gone(flow: TcpFlow): void;
}

export class TcpFlow implements TcpUser, ReadMemory {
  readonly context: RouterContext;
  readonly guest: Neighbor;
  private readonly shortage: Shortage;
  private readonly owner: TcpFlowOwner;
  /** The guest's side, null once it has ended. */
  conn: TcpConnection | null = null;
  /** The host's side, null once it has ended. */
  host: HostTcp | null = null;
  /** IP header and first payload bytes of the guest's SYN until the connect is decided: ICMP errors quote it. */
  private syn: Uint8Array | null = null;
  /** What a read brought beyond the room in the send buffer; the host socket is paused while there is any. */
  private spill: Uint8Array | null = null;
  /** The Unix socket it leads to, '' for none. */
  private unixPath = '';
  /** A failed connect to ::1 is tried again at 127.0.0.1. */
  private mayFallBack = false;
  /** Prefix by which the guest knows the IPv4 destination. */
  private via = VIA_NONE;
  private hostPaused = false;
  /** The host's side sends nothing more: FIN, or (`hostBroken`) an error that the guest learns of behind the data. */
  private hostEnded = false;
  private hostBroken = false;
  private gone = false;
  /** For management: number of the flow, when it began and last carried something (ms), its two ends and bytes. */
  readonly serial: number;
  readonly openedAt: number;
  usedAt: number;
  private bytesOut = 0;
  private bytesIn = 0;
  private readonly guestEnd = new Endpoint();
  private readonly peerEnd = new Endpoint();

  constructor(context: RouterContext, guest: Neighbor, serial: number, shortage: Shortage, owner: TcpFlowOwner) {
    this.context = context;
    this.guest = guest;
    this.shortage = shortage;
    this.owner = owner;
    this.serial = serial;
    this.openedAt = this.usedAt = context.wheel.clock.now();
    guest.flows++;
    context.budget.add(guest);
  }

  /** The flow as management sees it. */
  view(now: number): FlowView {
    return {
      id: `t${this.serial}`,
      kind: 'tcp',
      guest: String(this.guestEnd),
      peer: this.unixPath === '' ? String(this.peerEnd) : this.unixPath,
      state: this.conn === null ? 'DRAINING' : this.conn.deferred ? 'CONNECTING' : stateName(this.conn.state),
      bytesOut: this.bytesOut,
      bytesIn: this.bytesIn,
      ageMs: now - this.openedAt,
      idleMs: now - this.usedAt,
    };
  }

  /** Ends the flow by RST on both sides. */
  abort(): void {
    if (this.conn !== null) {
      this.conn.reset();
      this.context.ip.flushSoon();
    } else {
      this.host?.reset();
      this.host = null;
      this.finish();
    }
  }

  /**
   * Outward: opens the host's side for a deferred connection. `syn` is kept: it must be a copy. A service of ::1 that
   * is not there is looked for at 127.0.0.1: many listen on one of both.
   */
  connectOut(conn: TcpConnection, syn: Uint8Array, to: Destination): void {
    this.conn = conn;
    this.syn = syn;
    this.guestEnd.copy(conn.remote);
    this.peerEnd.copy(to);
    this.mayFallBack = to.isLoopback && !to.isIpv4;
    this.via = to.via;
    conn.user = this;
    const ttl = syn[0]! >>> 4 === 4 ? ipv4.ttl(syn, 0) : ipv6.hopLimit(syn, 0);
    this.host = this.context.host.connectTcp(to, new HostSide(this), ttl <= PROBE_TTL ? ttl - 1 : 0);
  }

  /** Outward, to a Unix socket of the host. */
  connectUnix(conn: TcpConnection, syn: Uint8Array, path: string): void {
    this.conn = conn;
    this.syn = syn;
    this.unixPath = path;
    this.guestEnd.copy(conn.remote);
    conn.user = this;
    this.host = this.context.host.connectUnix(path, new HostSide(this));
  }

  /** Inward: joins an accepted (paused) host socket to a connection that is being opened to the guest. */
  joinIn(conn: TcpConnection, host: HostTcp): void {
    this.conn = conn;
    this.host = host;
    this.guestEnd.copy(conn.remote);
    this.peerEnd.copy(host.remote);
    this.hostPaused = true;
    host.user = new HostSide(this);
  }

  // ---- events of the host's side (HostSide below)

  hostConnected(): void {
    this.syn = null;
    this.shortage.over();
    if (this.conn === null) return;
    this.conn.accept(this);
    this.context.ip.flushSoon();
  }

  hostData(b: Uint8Array, off: number, len: number): void {
    const conn = this.conn;
    if (conn === null) return;
    const taken = this.spill === null ? conn.write(b, off, len) : 0;
    if (taken < len) this.keep(b, off + taken, len - taken);
    this.hostBrought(conn, len);
  }

  /** Memory for the next read of the host's side. */
  lend(into: ByteVector, most: number): boolean {
    return this.conn !== null && this.spill === null && this.conn.lend(into, most);
  }

  filled(len: number): void {
    const conn = this.conn!;
    conn.filled(len);
    if (len > 0) this.hostBrought(conn, len);
  }

  private hostBrought(conn: TcpConnection, len: number): void {
    this.bytesIn += len;
    this.usedAt = this.context.ip.now;
    if (this.spill !== null || conn.writeRoom < READ_ROOM) {
      this.pauseHost();
      conn.notifyWritable();
    }
    this.context.ip.flushSoon();
  }

  hostEnd(): void {
    this.hostEnded = true;
    this.owner.closing(this);
    if (this.spill !== null || this.conn === null) return;
    this.conn.end();
    this.context.ip.flushSoon();
  }

  hostDrained(): void {
    if (this.conn === null || this.host === null) return;
    this.conn.setReceiveRoom(Math.max(0, this.conn.receiveLimit - this.host.backlog));
    this.context.ip.flushSoon();
  }

  hostFailed(code: string, report?: IcmpReport): void {
    this.host = null;
    const conn = this.conn;
    if (this.mayFallBack && conn?.deferred === true && !isResourceError(code, false)) {
      this.mayFallBack = false;
      const to = endpointIpv4(LOOPBACK, this.peerEnd.port);
      this.peerEnd.copy(to);
      this.host = this.context.host.connectTcp(to, new HostSide(this));
      return;
    }
    if (conn !== null && !conn.deferred) {
      this.hostEnded = this.hostBroken = true; // `ended` follows
      conn.resetBehindData();
      this.context.ip.flushSoon();
      return;
    }
    this.conn = null;
    if (conn !== null && this.syn !== null) {
      this.tellRefusal(conn, this.syn, code, report);
      this.context.ip.flushSoon();
    }
    this.finish();
  }

  hostClosed(): void {
    this.host = null;
    if (this.conn === null) this.finish();
  }

  /** What another host or router said is passed on as it came; what this host found out is told by the one table. */
  private tellRefusal(conn: TcpConnection, syn: Uint8Array, code: string, report: IcmpReport | undefined): void {
    const { isIpv4 } = this.peerEnd;
    if (report !== undefined && report.offender !== null) {
      if (relayReport(this.context, syn, syn.length, isIpv4, this.via, report)) {
        conn.discard();
        return;
      }
    }
    let verdict = connectVerdict(code, isIpv4 || this.unixPath !== '');
    if (isResourceError(code, isIpv4)) {
      this.context.log(`connect-${code}`, `cannot connect to ${conn.local}: ${code}`);
      if (this.shortage.met(this.context.ip.now)) verdict = Verdict.Reset;
    }
    if (this.unixPath !== '') this.context.log(this.unixPath, `cannot connect to ${this.unixPath}: ${code}`);
    if (verdict === Verdict.Reset) {
      conn.refuse();
      return;
    }
    conn.discard();
    if (verdict !== Verdict.Silence) this.context.ip.errors.about(syn, 0, syn.length, verdict);
  }

  // ---- events of the guest's side

  established(): void {
    this.resumeHost();
  }

  data(b: Uint8Array, off: number, len: number): void {
    this.bytesOut += len;
    this.usedAt = this.context.ip.now;
    if (this.host !== null) this.host.write(b, off, len);
  }

  flush(): void {
    if (this.host === null || this.conn === null) return;
    this.host.flush();
    this.conn.setReceiveRoom(Math.max(0, this.conn.receiveLimit - this.host.backlog));
  }

  peerClosed(): void {
    this.owner.closing(this);
    if (this.host !== null) this.host.end();
  }

  writable(): void {
    const conn = this.conn;
    if (conn === null) return;
    if (this.spill !== null) {
      const taken = conn.write(this.spill, 0, this.spill.length);
      this.spill = taken < this.spill.length ? this.spill.subarray(taken) : null;
      if (this.spill !== null) return;
      if (this.hostEnded && !this.hostBroken) conn.end();
    }
    this.resumeHost();
  }

  ended(why: TcpEnd): void {
    this.conn = null;
    this.spill = null;
    const host = this.host;
    if (host === null) {
      this.finish();
    } else if (why === 'closed') {
      this.owner.closing(this);
      this.resumeHost(); // what was written still drains; `closed` or `failed` follows
    } else {
      this.host = null;
      host.reset();
      this.finish();
    }
  }

  // ----

  private keep(b: Uint8Array, off: number, len: number): void {
    const old = this.spill;
    if (old === null) {
      this.spill = copyBytes(b, off, off + len);
      return;
    }
    const joined = new Uint8Array(old.length + len);
    joined.set(old);
    joined.set(b.subarray(off, off + len), old.length);
    this.spill = joined;
  }

  private pauseHost(): void {
    if (this.hostPaused || this.host === null) return;
    this.hostPaused = true;
    this.host.pause();
  }

  private resumeHost(): void {
    if (!this.hostPaused || this.host === null) return;
    this.hostPaused = false;
    this.host.resume();
  }

  private finish(): void {
    if (this.gone) return;
    this.gone = true;
    this.syn = null;
    this.guest.flows--;
    this.context.budget.remove(this.guest);
    this.owner.gone(this);
  }
}

/** The host socket's events, passed on to the flow. */
class HostSide implements HostTcpUser {
  readonly memory: ReadMemory;
  private readonly flow: TcpFlow;

  constructor(flow: TcpFlow) {
    this.flow = flow;
    this.memory = flow;
  }

  connected(): void {
    this.flow.hostConnected();
  }

  data(b: Uint8Array, off: number, len: number): void {
    this.flow.hostData(b, off, len);
  }

  end(): void {
    this.flow.hostEnd();
  }

  drained(): void {
    this.flow.hostDrained();
  }

  failed(code: string, report?: IcmpReport): void {
    this.flow.hostFailed(code, report);
  }

  closed(): void {
    this.flow.hostClosed();
  }
}
