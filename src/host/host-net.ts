// HostNet: the host's sockets, as the router and its services see them.
//
// Back ends: node (node:net and node:dgram, portable), native (TCP and datagram sockets of the addon, Linux: those hear of
// ICMP errors, and cost less), fake (tests, no sockets at all). Calls never throw for what the
// network or the kernel says: failures arrive as `failed` with the errno name, always after the call returned. All bytes
// are on loan until the call returns, in both directions. After `closed`, `failed` or one's own reset()/close() nothing
// more is called.

import type { Endpoint } from '../core/address.ts';
import type { ByteVector } from '../core/byte-vector.ts';

/** Name of an errno, as Node spells it: ECONNREFUSED, EHOSTUNREACH, EMFILE, ... */
export type ErrnoName = string;

/** Memory that a socket may read into, so that what it brings needs no copy. */
export interface ReadMemory {
  /** Sets `into` to memory for a read, at most `most` bytes, one at least; false when there is none at present. */
  lend(into: ByteVector, most: number): boolean;
  /** Follows each `lend` before anything else is called: the first `len` bytes of it were read, 0 when nothing was. */
  filled(len: number): void;
}

/** The user of one TCP socket. */
export interface HostTcpUser {
  /**
   * Where to read into. Back ends that can use it call `filled` instead of `data` then, others do not; both call `data`
   * while there is no memory.
   */
  readonly memory?: ReadMemory;
  /** The connect succeeded. Not called for accepted sockets: they are connected from the start. */
  connected(): void;
  /** Bytes from the peer. */
  data(b: Uint8Array, off: number, len: number): void;
  /** The peer sent FIN: no more data. The socket can still be written (half close). */
  end(): void;
  /** The backlog fell: `backlog` is smaller than when it was last looked at. */
  drained(): void;
  /**
   * The socket is gone for the reason given, before (connect) or after it was connected; a peer's RST is ECONNRESET.
   * `report` when an ICMP error ended the connect and the back end can tell.
   */
  failed(code: ErrnoName, report?: IcmpReport): void;
  /** Both directions ended in order, and all that was written is with the kernel. */
  closed(): void;
}

/** Stands in for the user of an accepted socket until there is one. */
export const NO_USER: HostTcpUser = {
  connected() {},
  data() {},
  end() {},
  drained() {},
  failed() {},
  closed() {},
};

export interface HostTcp {
  /** Set once, before the next event can arrive (accepted sockets start paused). */
  user: HostTcpUser;
  /** Peer and own address; `local` is all zero until connected, both always are for a Unix socket. */
  readonly remote: Endpoint;
  readonly local: Endpoint;
  /** Bytes written and not yet taken by the kernel. Writers stop above their limit and go on at `drained`. */
  readonly backlog: number;
  /** Appends bytes; they leave at `flush` at the latest. Ignored after end() or reset(). */
  write(b: Uint8Array, off: number, len: number): void;
  /** End of a batch of writes: hand them to the kernel in one call where possible. */
  flush(): void;
  /** Stop and go on with `data` and `end`. At most one read buffer may still arrive after pause(). */
  pause(): void;
  resume(): void;
  /** FIN after all that was written. */
  end(): void;
  /**
   * RST now; what was not sent is lost. Also gives up a connect that is under way. A Unix socket has no RST: its peer
   * sees the end, or ECONNRESET when it was still being sent to.
   */
  reset(): void;
}

/** What an ICMP error said about something that was sent. On loan until the call returns. */
export interface IcmpReport {
  /** Type and code as they came, of ICMP for IPv4 destinations, of ICMPv6 for IPv6 ones. */
  readonly type: number;
  readonly code: number;
  /** MTU of the next hop when the datagram was too large for it, bytes; else 0. */
  readonly mtu: number;
  /** Who sent the error; null when it was this host itself. The port means nothing. */
  readonly offender: Endpoint | null;
}

export interface HostUdpUser {
  /** A datagram arrived. `from` is on loan. */
  datagram(from: Endpoint, b: Uint8Array, off: number, len: number): void;
  /**
   * An error that belongs to what was sent to `to` (ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ...), or to the socket (null).
   * `report` when an ICMP error was the reason (`to` is on loan then) and the back end can tell.
   */
  failed(code: ErrnoName, to: Endpoint | null, report?: IcmpReport): void;
}

export interface HostUdp {
  /** Own port; 0 until known. */
  readonly localPort: number;
  /** Sends one datagram to `to`, with a TTL or hop limit of `ttl` (0, the default: the system's). */
  send(to: Endpoint, b: Uint8Array, off: number, len: number, ttl?: number): void;
  /** As `send`, but the datagram may wait for others until HostNet.flush(), which must follow in the same wake-up. */
  post(to: Endpoint, b: Uint8Array, off: number, len: number, ttl?: number): void;
  close(): void;
}

export interface HostPingUser {
  /** An echo reply: `seq` as sent, `len` bytes of echo data at `off`, and the TTL it arrived with. */
  reply(seq: number, b: Uint8Array, off: number, len: number, ttl: number): void;
  /**
   * The destination cannot be reached. `report` when an ICMP error was the reason and the back end can tell; `seq` is the
   * sequence number of the request that it is about, -1 when that is not known.
   */
  failed(code: ErrnoName, report?: IcmpReport, seq?: number): void;
}

/** One ICMP echo flow to one destination. The kernel chooses the identifier on the host's side. */
export interface HostPing {
  /** Sends one echo request with the data given; `ttl` 0 means the system's default. */
  send(seq: number, b: Uint8Array, off: number, len: number, ttl: number): void;
  close(): void;
}

export interface HostListener {
  /** The address in use; its port is the real one when 0 was asked. All zero for a Unix socket. */
  readonly local: Endpoint;
  close(): void;
}

export interface HostNet {
  /** Null when ping sockets work; else one line that says why not and what would enable them. */
  readonly pingProblem: string | null;
  /**
   * @param ttl  TTL or hop limit of what is sent until the connection is open; 0, the default: the system's. Back ends
   *             that cannot set it leave it out
   */
  connectTcp(to: Endpoint, user: HostTcpUser, ttl?: number): HostTcp;
  /** Opens a listening socket; rejects with ERR_VDE_LISTEN (address, errno and advice in the text). */
  listenTcp(at: Endpoint, accept: (socket: HostTcp) => void): Promise<HostListener>;
  /** Connects to the Unix stream socket at `path`; in all else a TCP socket without addresses. */
  connectUnix(path: string, user: HostTcpUser): HostTcp;
  /**
   * Listens at a Unix path, mode 0600; takes over a socket that nobody listens at, and removes it at close(). Rejects
   * with ERR_VDE_LISTEN or ERR_VDE_PATH_TOO_LONG.
   */
  listenUnix(path: string, accept: (socket: HostTcp) => void): Promise<HostListener>;
  /**
   * Opens a datagram socket for peers of one family, bound to `preferredPort` when that is free and not below 1024, else
   * to an unpredictable one of the same parity where there is one (0: any port). Datagrams sent before the bind is done
   * wait for it.
   */
  openUdp(family: 4 | 6, preferredPort: number, user: HostUdpUser): HostUdp;
  /** Opens a datagram socket bound to exactly `at`, for a forward; rejects with ERR_VDE_LISTEN. */
  listenUdp(at: Endpoint, user: HostUdpUser): Promise<HostUdp>;
  /** Opens an echo flow, or gives null when `pingProblem` is set. */
  openPing(to: Endpoint, user: HostPingUser): HostPing | null;
  /**
   * Runs `run` once when the events of the present wake-up have been told, or soon after the present call: for what is done
   * once for many events.
   */
  defer(run: () => void): void;
  /** Sends the datagrams that were posted. */
  flush(): void;
  /** Closes everything that is open (TCP by RST). */
  close(): void;
}
