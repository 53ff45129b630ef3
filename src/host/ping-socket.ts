// ICMP echo by ping sockets: SOCK_DGRAM sockets of protocol ICMP or ICMPV6, which Linux gives to the groups inside
// net.ipv4.ping_group_range (for both families) without any privilege.
//
// What is sent and received is the ICMP message. The kernel fills in checksum and identifier, which is the socket's own
// "port", and hands each reply to the socket it belongs to; a connected socket hears its destination only. So there is
// one socket per flow, and nothing to match here.
//
//       0        1        2                 4                 6                 8
//      +--------+--------+-----------------+-----------------+-----------------+------------
//      |  type  |  code  |    checksum     |   identifier    |    sequence     | echo data ...     RFC 792, RFC 4443 4
//      +--------+--------+-----------------+-----------------+-----------------+------------
//                         \__ the kernel's, both of them __/
//
// What ICMP says about a request (nobody there, TTL used up on the way) is told with its sequence number, and the flow
// goes on: that is how traceroute works. Until such an error is read, the kernel fails the next send with it, so a send
// that fails is tried once more. A failure of the socket itself is told once and gives the descriptor back; the next send
// makes a new one. All flows share one memory, one place to receive into and one to send from.

import type { Endpoint } from '../core/address.ts';
import { copyInto } from '../core/copy.ts';
import { errnoName } from '../native/errno.ts';
import * as n from '../native/native.ts';
import { ErrorQueue } from './error-queue.ts';
import type { ErrnoName, HostPing, HostPingUser } from './host-net.ts';
import { addressBytes } from './native-address.ts';

const HEADER_LEN = 8;
const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;
const ECHO_REQUEST_V6 = 128;
const ECHO_REPLY_V6 = 129;
/** Value of both TTL options that means the system's default. */
const DEFAULT_TTL = -1;
/** Reported when the kernel did not say. */
const UNKNOWN_TTL = 64;
/** A whole IP payload, bytes. */
const SLOT_LEN = 65_536;
/** Largest echo data: 65,535 less IPv4 header and ICMP header, bytes. */
const MAX_DATA = 65_507;
/** Replies taken from one socket per wake-up. */
const MAX_REPLIES = 16;
/** Errors told per wake-up. */
const MAX_ERRORS = 16;

/** Makes ping sockets when the machine allows them, and knows why when it does not. */
export class PingSockets {
  /** Null, or one line that says why there are none and what would help. */
  readonly problem: string | null;
  private readonly sockets = new Set<PingSocket>();
  private readonly wire: Wire | null;
  private closed = false;

  constructor(wanted: boolean) {
    this.problem = wanted ? findProblem() : 'ping sockets are switched off';
    this.wire = this.problem === null ? new Wire(n.native()) : null;
  }

  open(to: Endpoint, user: HostPingUser): HostPing | null {
    if (this.wire === null || this.closed) return null;
    const ping = new PingSocket(this.wire, to, user, (gone) => this.sockets.delete(gone));
    this.sockets.add(ping);
    return ping;
  }

  close(): void {
    this.closed = true;
    for (const ping of this.sockets) ping.close();
  }
}

function findProblem(): string | null {
  const missing = n.nativeProblem();
  if (missing !== null) return `ping sockets need the native addon: ${missing}`;
  const api = n.native();
  const fd = api.socket(n.AF_INET, n.SOCK_DGRAM, n.IPPROTO_ICMP);
  if (fd >= 0) {
    api.close(fd);
    return null;
  }
  const code = errnoName(fd);
  if (code !== 'EACCES') return `ping sockets cannot be made: ${code}`;
  const group = process.getegid?.() ?? 0;
  return `ping sockets are not permitted for group ${group}: sysctl net.ipv4.ping_group_range='0 2147483647' enables them`;
}

/** The memory that all ping sockets share: a slot to receive into, and one to send from. */
class Wire {
  readonly api: n.NativeApi;
  readonly bytes = new Uint8Array(2 * SLOT_LEN);
  readonly received: n.AddressedBatch;
  readonly sent: n.Batch;
  readonly errors: ErrorQueue;

  constructor(api: n.NativeApi) {
    this.api = api;
    this.received = api.newAddressedBatch(this.bytes, 1);
    this.sent = api.newBatch(this.bytes, 1);
    this.errors = new ErrorQueue(api);
  }
}

class PingSocket implements HostPing {
  private readonly wire: Wire;
  private readonly user: HostPingUser;
  private readonly forget: (ping: PingSocket) => void;
  private readonly ipv4: boolean;
  private readonly address: Uint8Array;
  private fd = -1;
  private poll: n.Poll | null = null;
  private ttl = 0;
  private closed = false;

  constructor(wire: Wire, to: Endpoint, user: HostPingUser, forget: (ping: PingSocket) => void) {
    this.wire = wire;
    this.user = user;
    this.forget = forget;
    this.ipv4 = to.isIpv4;
    this.address = addressBytes(to);
  }

  send(seq: number, b: Uint8Array, off: number, len: number, ttl: number): void {
    if (this.closed) return;
    const status = len > MAX_DATA ? 'EMSGSIZE' : this.transmit(seq, b, off, len, ttl);
    if (status !== null) this.failLater(status);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.release();
    this.forget(this);
  }

  private transmit(seq: number, b: Uint8Array, off: number, len: number, ttl: number): ErrnoName | null {
    const { api, bytes, sent } = this.wire;
    const opened = this.fd < 0 ? this.connect() : 0;
    if (opened < 0) return errnoName(opened);
    if (ttl !== this.ttl) {
      const value = ttl === 0 ? DEFAULT_TTL : ttl;
      const status = this.ipv4
        ? api.setsockopt(this.fd, n.IPPROTO_IP, n.IP_TTL, value)
        : api.setsockopt(this.fd, n.IPPROTO_IPV6, n.IPV6_UNICAST_HOPS, value);
      if (status < 0) return errnoName(status);
      this.ttl = ttl;
    }
    const o = SLOT_LEN;
    bytes.fill(0, o, o + HEADER_LEN);
    bytes[o] = this.ipv4 ? ECHO_REQUEST : ECHO_REQUEST_V6;
    bytes[o + 6] = seq >>> 8;
    bytes[o + 7] = seq;
    copyInto(b, off, len, bytes, o + HEADER_LEN);
    sent.offs[0] = o;
    sent.lens[0] = HEADER_LEN + len;
    // 0: the kernel's send buffer is full. Then the request is lost, as on a busy wire.
    let taken = api.send(this.fd, sent, 0, 1);
    if (taken < 0) taken = api.send(this.fd, sent, 0, 1);
    return taken < 0 ? errnoName(taken) : null;
  }

  /** Makes the socket; 0, or -errno. */
  private connect(): number {
    const { api } = this.wire;
    const fd = this.ipv4
      ? api.socket(n.AF_INET, n.SOCK_DGRAM, n.IPPROTO_ICMP)
      : api.socket(n.AF_INET6, n.SOCK_DGRAM, n.IPPROTO_ICMPV6);
    if (fd < 0) return fd;
    const status = api.connectInet(fd, this.address, 0);
    if (status < 0) {
      api.close(fd);
      return status;
    }
    if (this.ipv4) {
      api.setsockopt(fd, n.IPPROTO_IP, n.IP_RECVERR, 1);
      api.setsockopt(fd, n.IPPROTO_IP, n.IP_RECVTTL, 1);
    } else {
      api.setsockopt(fd, n.IPPROTO_IPV6, n.IPV6_RECVERR, 1);
      api.setsockopt(fd, n.IPPROTO_IPV6, n.IPV6_RECVHOPLIMIT, 1);
    }
    this.fd = fd;
    this.ttl = 0;
    this.poll = api.poll(fd, n.READABLE, this.onReadable);
    return 0;
  }

  private release(): void {
    if (this.poll !== null) this.wire.api.pollClose(this.poll);
    if (this.fd >= 0) this.wire.api.close(this.fd);
    this.poll = null;
    this.fd = -1;
  }

  private failLater(code: ErrnoName): void {
    this.release();
    process.nextTick(() => {
      if (!this.closed) this.user.failed(code);
    });
  }

  private readonly onReadable = (events: number): void => {
    if ((events & n.DISCONNECT) !== 0) this.tellErrors();
    const { api, bytes, received } = this.wire;
    for (let i = 0; i < MAX_REPLIES && this.fd >= 0; i++) {
      const count = api.recvFrom(this.fd, received, 0, SLOT_LEN, 1);
      if (count === 0) return;
      if (count < 0) {
        if (this.tellErrors() > 0) continue;
        this.release();
        this.user.failed(errnoName(count));
        return;
      }
      const len = received.lens[0]!;
      if (len < HEADER_LEN || len > SLOT_LEN || bytes[0] !== (this.ipv4 ? ECHO_REPLY : ECHO_REPLY_V6)) continue;
      const ttl = received.addresses[n.Cell.Ttl]!;
      const seq = (bytes[6]! << 8) | bytes[7]!;
      this.user.reply(seq, bytes, HEADER_LEN, len - HEADER_LEN, ttl < 0 ? UNKNOWN_TTL : ttl);
    }
  };

  /** Tells what ICMP said; how many errors there were. */
  private tellErrors(): number {
    const { errors } = this.wire;
    let count = 0;
    while (count < MAX_ERRORS && this.fd >= 0 && errors.next(this.fd)) {
      count++;
      this.user.failed(errors.errno, errors, errors.echoSeq);
    }
    return count;
  }
}
