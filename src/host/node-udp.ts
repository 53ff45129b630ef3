// One datagram socket of the host on node:dgram, never connected: one local port serves all destinations, and whoever
// answers is heard (endpoint-independent mapping and filtering, RFC 4787 REQ-1 and REQ-8). The price is that the kernel
// does not tell about ICMP errors; only what sendto(2) itself refuses is reported. (native-udp.ts hears of them.)
//
// Binding. Addresses are numeric, so `lookup` answers within the call, and bind(2) is done when `bind()` returns: no
// datagram ever waits for it, and whether a preferred port is free is known at once.
//
// Sending. Bytes are on loan, and libuv keeps them beyond the call when the kernel's buffer is full. So they are copied
// into a slab shared by all sockets. Usually the kernel takes them at once and the same place is used again; what libuv
// keeps stays where it is, the next datagram goes behind it, and a full slab is left to the collector.

import * as dgram from 'node:dgram';
import { Endpoint } from '../core/address.ts';
import { copyInto } from '../core/copy.ts';
import { errnoOf, setFromText } from './from-node.ts';
import type { ErrnoName, HostUdp, HostUdpUser } from './host-net.ts';

/** Asked for as receive buffer, bytes; the kernel grants what net.core.rmem_max allows. */
const RECEIVE_BUFFER = 1024 * 1024;
/** Bytes that may wait in libuv for one socket; beyond it datagrams are refused with ENOBUFS. */
const QUEUE_LIMIT = 256 * 1024;
/** Largest datagram: 65,535 less the UDP header (RFC 768), bytes. */
const MAX_LEN = 65_527;
/** What Linux, macOS and the BSDs send with when nobody says otherwise. */
const DEFAULT_TTL = 64;
const SLAB_LEN = 128 * 1024;

let slab = Buffer.allocUnsafeSlow(SLAB_LEN);
let slabAt = 0;

type LookupDone = (error: NodeJS.ErrnoException | null, address: string, family: number) => void;
const lookup = (host: string, options: dgram.SocketOptions | number, done: LookupDone): void =>
  done(null, host, typeof options === 'number' ? options : 0);

export class NodeUdp implements HostUdp {
  private readonly user: HostUdpUser;
  private readonly socket: dgram.Socket;
  private readonly forget: (udp: NodeUdp) => void;
  private readonly from = new Endpoint();
  /** Text that `from` was made of: peers mostly come in runs. */
  private fromText = '';
  private port = 0;
  private ttl = 0;
  private closed = false;
  /** Outcome of the latest bind. */
  private bindError: Error | null = null;

  constructor(family: 4 | 6, user: HostUdpUser, forget: (udp: NodeUdp) => void) {
    this.user = user;
    this.forget = forget;
    this.socket = dgram.createSocket({
      type: family === 4 ? 'udp4' : 'udp6',
      ipv6Only: family === 6,
      lookup: lookup as NonNullable<dgram.SocketOptions['lookup']>,
    });
    this.socket.on('message', this.onMessage);
    this.socket.on('error', this.onError);
  }

  /** Binds to `port` (0: any) of `host`, or of all addresses; null, or why not. May be tried again after a failure. */
  bind(port: number, host?: string): Error | null {
    this.bindError = null;
    this.socket.bind({ port, exclusive: true, ...(host === undefined ? {} : { address: host }) });
    if (this.bindError !== null) return this.bindError;
    this.port = this.socket.address().port;
    try {
      this.socket.setRecvBufferSize(RECEIVE_BUFFER);
    } catch {
      // The default size serves too.
    }
    return null;
  }

  get localPort(): number {
    return this.port;
  }

  send(to: Endpoint, b: Uint8Array, off: number, len: number, ttl = 0): void {
    if (this.closed || this.port === 0) return;
    const refusal = this.refusal(to, len);
    if (refusal !== null) {
      this.failLater(refusal, to);
      return;
    }
    if (ttl !== this.ttl) this.setTtl(ttl);
    if (slabAt + len > SLAB_LEN) {
      slab = Buffer.allocUnsafeSlow(SLAB_LEN);
      slabAt = 0;
    }
    copyInto(b, off, len, slab, slabAt);
    this.socket.send(slab, slabAt, len, to.port, to.host, this.onSent);
    if (this.socket.getSendQueueCount() > 0) slabAt += len;
  }

  /** Node sends one datagram with each call, however many wait. */
  post(to: Endpoint, b: Uint8Array, off: number, len: number, ttl = 0): void {
    this.send(to, b, off, len, ttl);
  }

  /** A datagram that waits in libuv leaves with the TTL of the latest one: this is the portable back end's best. */
  private setTtl(ttl: number): void {
    this.socket.setTTL(ttl === 0 ? DEFAULT_TTL : ttl);
    this.ttl = ttl;
  }

  /** Why a datagram cannot even be offered to the kernel, or null. */
  private refusal(to: Endpoint, len: number): ErrnoName | null {
    if (to.port === 0) return 'EINVAL';
    if (len > MAX_LEN) return 'EMSGSIZE';
    return this.socket.getSendQueueSize() > QUEUE_LIMIT ? 'ENOBUFS' : null;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.forget(this);
    this.socket.close();
  }

  /** Reports a failure when the present call is over. */
  failLater(code: ErrnoName, to: Endpoint | null): void {
    const about = to === null ? null : new Endpoint().copy(to);
    process.nextTick(() => {
      if (!this.closed) this.user.failed(code, about);
    });
  }

  private readonly onMessage = (b: Buffer, peer: dgram.RemoteInfo): void => {
    if (this.closed) return;
    if (peer.address === this.fromText) {
      const { w0, w1, w2, w3 } = this.from;
      this.from.set(w0, w1, w2, w3, peer.port);
    } else if (setFromText(this.from, peer.address, peer.port)) {
      this.fromText = peer.address;
    } else {
      return;
    }
    this.user.datagram(this.from, b, 0, b.length);
  };

  /** Node's error names the destination, so no closure per datagram is needed to remember it. */
  private readonly onSent = (error: Error | null): void => {
    if (error === null || this.closed) return;
    const { address, port } = error as Error & { address?: string; port?: number };
    const to = new Endpoint();
    this.user.failed(errnoOf(error), setFromText(to, address, port) ? to : null);
  };

  private readonly onError = (error: Error): void => {
    if (this.port === 0) this.bindError = error;
    else if (!this.closed) this.user.failed(errnoOf(error), null);
  };
}
