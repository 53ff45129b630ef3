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
// A failure is told once and gives the descriptor back; the next send makes a new one. All flows share one memory, one
// place to receive into and one to send from. The TTL of replies would need control messages, which the native seam does
// not carry: 64 is reported for all.

import type { Endpoint } from '../core/address.ts';
import { errnoName } from '../native/errno.ts';
import * as n from '../native/native.ts';
import type { ErrnoName, HostPing, HostPingUser } from './host-net.ts';

const HEADER_LEN = 8;
const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;
const ECHO_REQUEST_V6 = 128;
const ECHO_REPLY_V6 = 129;
const IPPROTO_IPV6 = 41;
const IPV6_UNICAST_HOPS = 16;
/** Value of both TTL options that means the system's default. */
const DEFAULT_TTL = -1;
const REPLY_TTL = 64;
/** A whole IP payload, bytes. */
const SLOT_LEN = 65_536;
/** Largest echo data: 65,535 less IPv4 header and ICMP header, bytes. */
const MAX_DATA = 65_507;
/** Replies taken from one socket per wake-up. */
const MAX_REPLIES = 16;

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
  readonly received: n.Batch;
  readonly sent: n.Batch;

  constructor(api: n.NativeApi) {
    this.api = api;
    this.received = api.newBatch(this.bytes, 1);
    this.sent = api.newBatch(this.bytes, 1);
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
    const words = this.ipv4 ? [to.w3] : [to.w0, to.w1, to.w2, to.w3];
    this.address = Uint8Array.from(words.flatMap((w) => [w >>> 24, (w >>> 16) & 255, (w >>> 8) & 255, w & 255]));
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
        : api.setsockopt(this.fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, value);
      if (status < 0) return errnoName(status);
      this.ttl = ttl;
    }
    const o = SLOT_LEN;
    bytes.fill(0, o, o + HEADER_LEN);
    bytes[o] = this.ipv4 ? ECHO_REQUEST : ECHO_REQUEST_V6;
    bytes[o + 6] = seq >>> 8;
    bytes[o + 7] = seq;
    bytes.set(b.subarray(off, off + len), o + HEADER_LEN);
    sent.offs[0] = o;
    sent.lens[0] = HEADER_LEN + len;
    // 0: the kernel's send buffer is full. Then the request is lost, as on a busy wire.
    const taken = api.send(this.fd, sent, 0, 1);
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

  private readonly onReadable = (): void => {
    const { api, bytes, received } = this.wire;
    for (let i = 0; i < MAX_REPLIES && this.fd >= 0; i++) {
      const count = api.recv(this.fd, received, 0, SLOT_LEN, 1);
      if (count === 0) return;
      if (count < 0) {
        this.release();
        this.user.failed(errnoName(count));
        return;
      }
      const len = received.lens[0]!;
      if (len < HEADER_LEN || len > SLOT_LEN || bytes[0] !== (this.ipv4 ? ECHO_REPLY : ECHO_REPLY_V6)) continue;
      this.user.reply((bytes[6]! << 8) | bytes[7]!, bytes, HEADER_LEN, len - HEADER_LEN, REPLY_TTL);
    }
  };
}
