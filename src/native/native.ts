// The one TypeScript face of the native addon: file descriptors and bytes, no protocol (addon.c).
//
// Results below 0 are -errno; nothing here throws on the data path. Wrong argument types, and offsets, lengths or
// indexes outside the registered memory, throw a RangeError or TypeError: they are defects of the caller, and in C they
// would be memory corruption.

/** Frames of one receive or send call: offsets into the memory the batch was made for, and lengths. */
export interface Batch {
  readonly capacity: number;
  readonly offs: Uint32Array;
  readonly lens: Uint32Array;
}

/** A registered readiness watch; opaque. */
export interface Poll {
  readonly fd: number;
}

export interface PeerCred {
  pid: number;
  uid: number;
  gid: number;
}

export interface NativeApi {
  // ---- descriptors: every one is made with CLOEXEC and NONBLOCK
  socket(domain: number, type: number, protocol: number): number;
  /** Unix paths: at most 107 bytes (else -ENAMETOOLONG), a leading NUL makes an abstract name. */
  bindUnix(fd: number, path: string): number;
  connectUnix(fd: number, path: string): number;
  /** `address` is 4 or 16 bytes in network order. */
  bindInet(fd: number, address: Uint8Array, port: number): number;
  connectInet(fd: number, address: Uint8Array, port: number): number;
  setsockopt(fd: number, level: number, name: number, value: number): number;
  getsockopt(fd: number, level: number, name: number): number;
  /** Port of an AF_INET or AF_INET6 socket. */
  localPort(fd: number): number;
  /** SO_PEERCRED of a connected Unix stream socket (works with a Node socket's descriptor too), or null. */
  peerCred(fd: number): PeerCred | null;
  /** Exclusive, non-blocking flock(2) on an open descriptor: 0, or -EWOULDBLOCK when another holds it. */
  flock(fd: number): number;
  /** Opens a TAP interface: IFF_TAP | IFF_NO_PI, and IFF_VNET_HDR when asked (10-byte header). The descriptor or -errno. */
  tap(name: string, vnetHeader: boolean): number;
  close(fd: number): number;

  // ---- batches
  /** Makes a batch of up to `capacity` frames (1 to 1024) inside `memory`, which is kept alive by it. */
  newBatch(memory: Uint8Array, capacity: number): Batch;
  /**
   * Receives up to `max` datagrams into slots `base + i * stride` of the batch's memory, each of at most `stride`
   * bytes; sets `offs[i]` and `lens[i]`. A datagram that was longer has its true length in `lens[i]` (> stride) and
   * its tail lost. Returns how many came (0: none waiting, EAGAIN), or -errno when the first call failed.
   */
  recv(fd: number, batch: Batch, base: number, stride: number, max: number): number;
  /**
   * Sends frames `start` to `start + count - 1` of the batch, in order, each as one datagram. Returns how many were
   * taken (fewer: the queue is full), or -errno when the first one failed for another reason than EAGAIN.
   */
  send(fd: number, batch: Batch, start: number, count: number): number;
  /** As recv, by read(2): TAP and other descriptors that keep message borders. */
  readFrames(fd: number, batch: Batch, base: number, stride: number, max: number): number;
  /** As send, by write(2). */
  writeFrames(fd: number, batch: Batch, start: number, count: number): number;
  /** Gathers frames `start` to `start + count - 1` into one stream write; bytes taken, 0 on EAGAIN, or -errno. */
  writeStream(fd: number, batch: Batch, start: number, count: number): number;

  // ---- readiness
  /**
   * Calls `ready(events)` once per wake-up while the descriptor is ready for one of `events` (READABLE | WRITABLE |
   * DISCONNECT). Promises and ticks queued inside run when it returns; what it throws is an uncaught exception.
   */
  poll(fd: number, events: number, ready: (events: number) => void): Poll;
  /** Changes the events; 0 pauses. */
  pollModify(poll: Poll, events: number): void;
  /** Ends the watch; allowed inside its own callback, and twice. The descriptor is closed by the caller, afterwards. */
  pollClose(poll: Poll): void;

  // ---- bytes
  /**
   * One's complement sum (RFC 1071) of `len` bytes at `off` of the batch's memory, added to `initial`, folded to 16
   * bits, in network order as wire/checksum.ts counts.
   */
  sum(batch: Batch, off: number, len: number, initial: number): number;
}

export const READABLE = 1;
export const WRITABLE = 2;
export const DISCONNECT = 4;

// Linux constants that Node does not export.
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_SEQPACKET = 5;
export const SOL_SOCKET = 1;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const IPPROTO_IP = 0;
export const IPPROTO_ICMP = 1;
export const IPPROTO_ICMPV6 = 58;
export const IP_TTL = 2;
export const IP_RECVERR = 11;
export const IP_RECVTTL = 12;

/** The addon, loaded at first use. Throws ERR_VDE_NO_NATIVE with the reason when there is none. */
export declare function native(): NativeApi;
/** Why the addon cannot be loaded, or null when it can. */
export declare function nativeProblem(): string | null;
