// One datagram socket of the host on the native addon: received in batches, with the ICMP errors that node:dgram does not
// tell, and with a TTL for each datagram. Never connected: one local port serves all destinations (RFC 4787 REQ-1).
//
// Receiving  One wake-up takes batches of SLOTS pieces, each a datagram or several that the kernel has together, until there
//            were MAX_DATAGRAMS; all sockets share the memory, so nothing is allocated. What is left is told by the next
//            wake-up.
// Sending    What is posted waits for more from the same socket, in memory that all sockets share, and leaves by one call:
//            at the flush, or when another socket posts. What is sent leaves at once. The kernel's buffer is hardly ever
//            full (ENOBUFS then: lost as on a busy wire, and told).
// Errors     The socket asks for the queue of errors (error-queue.ts). While an error waits, the kernel fails the next
//            send on that socket with it, whatever that was for: so a send that fails is tried once more, and only its
//            own outcome counts. What waits is told when an event says so, after the call, as HostNet promises.

import { Endpoint } from '../core/address.ts';
import { copyInto } from '../core/copy.ts';
import { errnoName, systemError } from '../native/errno.ts';
import * as n from '../native/native.ts';
import type { ErrorQueue } from './error-queue.ts';
import { setFromText } from './from-node.ts';
import type { ErrnoName, HostUdp, HostUdpUser } from './host-net.ts';
import { putEndpoint, scopeOf } from './native-address.ts';
import type { Reactor, Ready } from './reactor.ts';

/** Asked for as receive buffer, bytes; the kernel grants what net.core.rmem_max allows. */
const RECEIVE_BUFFER = 1024 * 1024;
/** Largest datagrams: 65,535 less the headers of IPv4 and UDP, or of UDP alone (RFC 768, RFC 8200). */
const MAX_LEN_V4 = 65_507;
const MAX_LEN_V6 = 65_527;
/** Distance of receive slots, bytes: the longest datagram, and no multiple of 4096. */
const STRIDE = 65_600;
const SLOTS = 32;
/** Datagrams of one socket in a wake-up, after which others get their turn. */
const MAX_DATAGRAMS = 128;
/** Datagrams that wait for a flush, and their bytes in all: two of the longest. */
const HELD = 64;
const HELD_BYTES = 2 * STRIDE;
/** Errors told per wake-up. */
const MAX_ERRORS = 64;
/** Value of both TTL options that means the system's default. */
const DEFAULT_TTL = -1;

/** What all native datagram sockets of a HostNet share. */
export class UdpWire {
  readonly reactor: Reactor;
  readonly api: n.NativeApi;
  readonly bytes = new Uint8Array(SLOTS * STRIDE);
  readonly received: n.AddressedBatch;
  /** Datagrams that wait, all of one socket: their bytes, and where they go. */
  private readonly out = new Uint8Array(HELD_BYTES);
  readonly sent: n.AddressedBatch;
  readonly to: readonly Endpoint[] = Array.from({ length: HELD }, () => new Endpoint());
  private holder: NativeUdp | null = null;
  private held = 0;
  private heldBytes = 0;
  readonly errors: ErrorQueue;
  readonly from = new Endpoint();

  constructor(reactor: Reactor) {
    const { api } = reactor;
    this.reactor = reactor;
    this.api = api;
    this.received = api.newAddressedBatch(this.bytes, SLOTS);
    this.sent = api.newAddressedBatch(this.out, HELD);
    this.errors = reactor.errors;
  }

  /** True when a datagram of `len` bytes may wait beside those of `udp` that wait already. */
  takes(udp: NativeUdp, len: number): boolean {
    return this.holder === udp && this.held < HELD && this.heldBytes + len <= HELD_BYTES;
  }

  /** Keeps a datagram of `udp` until the flush; nothing waits, or `takes` was true. `scope` is that of `to`. */
  hold(udp: NativeUdp, to: Endpoint, scope: number, b: Uint8Array, off: number, len: number): void {
    const { sent, out, heldBytes } = this;
    const i = this.held++;
    const at = i * n.ADDRESS_CELLS;
    this.holder = udp;
    this.heldBytes = heldBytes + len;
    copyInto(b, off, len, out, heldBytes);
    sent.offs[i] = heldBytes;
    sent.lens[i] = len;
    const a = sent.addresses;
    a[at] = to.w0;
    a[at + n.Cell.W1] = to.w1;
    a[at + n.Cell.W2] = to.w2;
    a[at + n.Cell.W3] = to.w3;
    a[at + n.Cell.Port] = to.port;
    a[at + n.Cell.Scope] = scope;
    this.to[i]!.copy(to);
  }

  /** Sends what waits. */
  flush(): void {
    const { holder, held } = this;
    if (holder === null) return;
    this.holder = null;
    this.held = this.heldBytes = 0;
    holder.transmit(held);
  }

  /** As `flush`, if it is of `udp`. */
  flushOf(udp: NativeUdp): void {
    if (this.holder === udp) this.flush();
  }
}

export class NativeUdp implements HostUdp, Ready {
  private readonly wire: UdpWire;
  private readonly user: HostUdpUser;
  private readonly forget: (udp: NativeUdp) => void;
  private readonly ipv4: boolean;
  /** -1: none, or closed. */
  private fd = -1;
  private port = 0;
  private ttl = 0;
  private closed = false;

  constructor(wire: UdpWire, family: 4 | 6, user: HostUdpUser, forget: (udp: NativeUdp) => void) {
    this.wire = wire;
    this.user = user;
    this.forget = forget;
    this.ipv4 = family === 4;
  }

  /** Binds to `port` (0: any) of `host`, or of all addresses; null, or why not. May be tried again after a failure. */
  bind(port: number, host?: string): Error | null {
    const { api, reactor } = this.wire;
    const at = new Endpoint();
    if (host !== undefined) setFromText(at, host, port);
    else if (this.ipv4) at.setIpv4(0, port);
    else at.port = port;
    const { address } = reactor;
    const fd = putEndpoint(api, address, at) ? api.udpOpen(address, RECEIVE_BUFFER) : -19; // ENODEV: no such interface
    if (fd < 0) return systemError(fd, 'bind', String(at));
    this.fd = fd;
    this.port = address[n.Cell.Port]!;
    reactor.add(fd, this);
    return null;
  }

  get localPort(): number {
    return this.port;
  }

  send(to: Endpoint, b: Uint8Array, off: number, len: number, ttl = 0): void {
    this.post(to, b, off, len, ttl);
    this.wire.flushOf(this);
  }

  post(to: Endpoint, b: Uint8Array, off: number, len: number, ttl = 0): void {
    if (this.closed || this.fd < 0) return;
    const { wire } = this;
    const scope = scopeOf(wire.api, to.zone);
    if (to.port === 0 || scope < 0) this.failLater('EINVAL', to);
    else if (len > (this.ipv4 ? MAX_LEN_V4 : MAX_LEN_V6)) this.failLater('EMSGSIZE', to);
    else {
      if (ttl !== this.ttl || !wire.takes(this, len)) wire.flush();
      if (ttl !== this.ttl) this.setTtl(ttl);
      wire.hold(this, to, scope, b, off, len);
    }
  }

  /** Hands the first `count` datagrams of the wire to the kernel. */
  transmit(count: number): void {
    const { api, sent, to } = this.wire;
    for (let done = 0; done < count; ) {
      let taken = api.sendTo(this.fd, sent, done, count - done);
      if (taken < 0) taken = api.sendTo(this.fd, sent, done, count - done);
      if (taken <= 0) this.failLater(taken < 0 ? errnoName(taken) : 'ENOBUFS', to[done]!);
      done += Math.max(1, taken);
    }
  }

  close(): void {
    if (this.closed) return;
    this.wire.flushOf(this);
    this.closed = true;
    this.forget(this);
    if (this.fd >= 0) this.wire.reactor.close(this.fd, false);
    this.fd = -1;
  }

  /** Reports a failure when the present call is over. */
  failLater(code: ErrnoName, to: Endpoint | null): void {
    const about = to === null ? null : new Endpoint().copy(to);
    process.nextTick(() => {
      if (!this.closed) this.user.failed(code, about);
    });
  }

  private setTtl(ttl: number): void {
    const value = ttl === 0 ? DEFAULT_TTL : ttl;
    const { api } = this.wire;
    if (this.ipv4) api.setsockopt(this.fd, n.IPPROTO_IP, n.IP_TTL, value);
    else api.setsockopt(this.fd, n.IPPROTO_IPV6, n.IPV6_UNICAST_HOPS, value);
    this.ttl = ttl;
  }

  ready(events: number): void {
    if ((events & n.EPOLLERR) !== 0 && this.tellErrors() === MAX_ERRORS) this.rearm();
    for (let taken = 0; taken < MAX_DATAGRAMS && !this.closed; ) {
      const { api, received } = this.wire;
      const count = api.recvFrom(this.fd, received, 0, STRIDE, SLOTS);
      if (count === 0) return;
      if (count > 0) {
        taken += this.take(count);
        if (count < SLOTS) return; // what comes later is a new event
      } else if (this.tellErrors() === 0) {
        // An error that waits fails one call with its errno; if none waits, the socket is of no use.
        if (!this.closed) this.user.failed(errnoName(count), null);
        return;
      }
    }
    this.rearm();
  }

  /** What is left is told in the next turn. */
  private rearm(): void {
    if (!this.closed) this.wire.api.reactorRearm(this.fd);
  }

  /** Hands on what is in the first `count` slots; the number of datagrams. */
  private take(count: number): number {
    const { received, bytes, from } = this.wire;
    const { addresses: a, lens, offs } = received;
    let taken = 0;
    for (let i = 0; i < count; i++) {
      const at = i * n.ADDRESS_CELLS;
      const len = lens[i]!;
      const segment = a[at + n.Cell.Segment]! || len;
      from.set(a[at]!, a[at + n.Cell.W1]!, a[at + n.Cell.W2]!, a[at + n.Cell.W3]!, a[at + n.Cell.Port]!);
      let done = 0;
      do {
        if (this.closed) return taken;
        taken++;
        this.user.datagram(from, bytes, offs[i]! + done, Math.min(segment, len - done));
        done += segment;
      } while (done < len);
    }
    return taken;
  }

  /** Tells what ICMP said; how many errors there were. */
  private tellErrors(): number {
    const { errors } = this.wire;
    let count = 0;
    while (count < MAX_ERRORS && !this.closed && errors.next(this.fd)) {
      count++;
      this.user.failed(errors.errno, errors.to, errors);
    }
    return count;
  }
}
