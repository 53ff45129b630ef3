// The one TypeScript face of the native addon: file descriptors and bytes, no protocol (addon.c).
//
// Results below 0 are -errno; nothing here throws on the data path. Wrong argument types, and offsets, lengths or
// indexes outside the registered memory, throw a RangeError or TypeError: they are defects of the caller, and in C they
// would be memory corruption.
//
// addon.c knows batches and watches by small ids, the cheapest thing to pass. Here they are private fields, so an id
// cannot be forged or outlive its object; the functions around the addon's do little but read them, and V8 inlines those.

import { VdeError } from '../core/errors.ts';
import type { Forwarder, ForwardTable } from '../core/forward-table.ts';
import type { FrameSlots, QueueSlots } from '../core/frame.ts';
import { systemError } from './errno.ts';
import { type Addon, type Loaded, load, type Ready } from './load.ts';

/** Frames of one receive or send call: offsets into the memory the batch was made for, and lengths. */
export type Batch = QueueSlots;

/**
 * A batch whose slots have addresses too: ADDRESS_CELLS words each in `addresses`, from `i * ADDRESS_CELLS`:
 * four words of the address (core/address.ts), port, interface index (scope, 0 for none), TTL (set by recvFrom when
 * the socket has IP_RECVTTL or IPV6_RECVHOPLIMIT, else -1), segment (set by recvFrom: 0, or the slot holds several
 * datagrams of that length, the last may be shorter).
 */
export interface AddressedBatch extends Batch {
  readonly addresses: Int32Array;
}
export const ADDRESS_CELLS = 8;
/** Offsets in a slot's cells. */
export const Cell = { W0: 0, W1: 1, W2: 2, W3: 3, Port: 4, Scope: 5, Ttl: 6, Segment: 7 } as const;

/** Memory that readSegments needs: a vnet header and the longest frame, bytes. */
export const SCRATCH_BYTES = 10 + 18 + 65_535;

/** Added to the lengths of mergeSegments. */
export const SUM_HOLDS = 0x8000_0000;

/** Steps of tapIn that can fail. */
export const TapStep = { Fork: 1, User: 2, Net: 3, Tap: 4, Link: 5, Address: 6, Route: 7 } as const;

/** Offsets in the record that recvError fills; `Offender` and `To` are four words of an address each. */
export const ErrorCell = {
  /** errno, positive. */
  Errno: 0,
  /** ORIGIN_LOCAL (the kernel itself refused), ORIGIN_ICMP, ORIGIN_ICMP6. */
  Origin: 1,
  Type: 2,
  Code: 3,
  /** Next hop's MTU with EMSGSIZE. */
  Info: 4,
  /** Who sent the ICMP error; zeros for ORIGIN_LOCAL. */
  Offender: 5,
  /** Whom the datagram was for. */
  To: 9,
  Port: 13,
  /** Bytes of the datagram that follow, 0 to 8, and these as two words, zeros behind. */
  Len: 14,
  Data: 15,
} as const;
export const ERROR_CELLS = 17;
export const ORIGIN_LOCAL = 1;
export const ORIGIN_ICMP = 2;
export const ORIGIN_ICMP6 = 3;

/** A registered readiness watch; opaque. */
export interface Poll {
  /** -1: the reactor's. */
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
  /**
   * Opens a TAP interface: IFF_TAP | IFF_NO_PI, and when asked IFF_VNET_HDR with the offloads of readOffloaded and
   * writeOffloaded. The descriptor or -errno.
   */
  tap(name: string, vnetHeader: boolean): number;
  /**
   * Makes a TAP interface in the network namespace of the descriptor `netFd`, entered by way of the user namespace
   * `userFd` (-1: it belongs to ours), and brings it up, with `lo`. `address` (host order, 0: none) and `prefixLen` are
   * its IPv4 address, `gateway` (0: none) that of the default route.
   *
   * @returns  the descriptor, or -(step << 16 | errno); steps: TapStep
   */
  tapIn(
    userFd: number,
    netFd: number,
    name: string,
    vnetHeader: boolean,
    mtu: number,
    address: number,
    prefixLen: number,
    gateway: number,
  ): number;
  close(fd: number): number;
  listen(fd: number, backlog: number): number;
  /** The descriptor of the next connection, or -errno (-EAGAIN: none waits). */
  accept(fd: number): number;
  /** A pipe: `ends[0]` is to be read, `ends[1]` to be written. Unlike all others its ends block: children get them. */
  pipe(ends: Int32Array): number;
  /** Sets how many bytes a pipe holds; 0 leaves it as it is. What it holds now, or -errno. */
  pipeSize(fd: number, size: number): number;
  /** Makes the process the leader of a process group of its own (setpgid(2)). */
  ownGroup(): number;
  /**
   * Replaces the process by the program `argv[0]`, which PATH finds: it has the pid, the terminal, the standard streams
   * (blocking) and the descriptors `fds`, and signals as a new program has them. Returns only when that failed: -errno.
   */
  exec(argv: readonly string[], fds: Int32Array): number;

  // ---- batches
  /** Makes a batch of up to `capacity` frames (1 to 1024) inside `memory`, which is kept alive by it. */
  newBatch(memory: Uint8Array, capacity: number): Batch;
  /** The same with addresses. */
  newAddressedBatch(memory: Uint8Array, capacity: number): AddressedBatch;
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
  /** As recv, with sender and TTL of each slot; at most 64 at once. Sockets of udpOpen get several datagrams in a slot. */
  recvFrom(fd: number, batch: AddressedBatch, base: number, stride: number, max: number): number;
  /**
   * As send, each datagram to the address of its slot; at most 64 at once. On sockets of udpOpen those of one length for one
   * address that lie one behind the other cost one way through the kernel, and are taken or refused together.
   */
  sendTo(fd: number, batch: AddressedBatch, start: number, count: number): number;
  /**
   * Takes the oldest error of a socket with IP_RECVERR or IPV6_RECVERR into `record` (ERROR_CELLS words); 1, or 0 when
   * there is none, or -errno. An error waiting is told by a watch as READABLE | DISCONNECT, and also fails one recv or
   * send with its errno until it is taken.
   */
  recvError(fd: number, record: Int32Array): number;
  /** Index of a network interface, or -ENODEV. */
  ifIndex(name: string): number;
  /**
   * Joins a multicast group (4 or 16 bytes in network order) on the interface `index`, 0 for the one that has the route,
   * and makes the socket send to groups from there.
   */
  joinGroup(fd: number, address: Uint8Array, index: number): number;
  /** As recv, by read(2): TAP and other descriptors that keep message borders. */
  readFrames(fd: number, batch: Batch, base: number, stride: number, max: number): number;
  /** As send, by write(2). */
  writeFrames(fd: number, batch: Batch, start: number, count: number): number;
  /**
   * As recv, from a TAP interface opened with a vnet header: slot `i` has its frame at offset 10, TCP up to 65,549 bytes
   * with a checksum that need not be computed. Other frames are complete.
   */
  readOffloaded(fd: number, batch: Batch, base: number, stride: number, max: number): number;
  /**
   * As send, to such an interface. TCP needs no checksum (its field is written to), and what is longer than `mtu` is cut
   * into segments that fit it.
   */
  writeOffloaded(fd: number, batch: Batch, start: number, count: number, mtu: number): number;
  /**
   * As recv, from such an interface, for who carries plain frames: what came as one is cut into frames that are complete.
   * `scratch` is a batch of one slot, and SCRATCH_BYTES of memory, for this interface alone: `lens[0]` is not 0 when it
   * holds frames that did not fit into `max` slots; the next call begins with these.
   */
  readSegments(fd: number, batch: Batch, base: number, stride: number, max: number, scratch: Batch): number;
  /** As send, to such an interface: TCP segments that continue each other are handed over as one, all else as it is. */
  writeSegments(fd: number, batch: Batch, start: number, count: number): number;
  /**
   * Makes frames for a link out of frames `start` to `start + count - 1` of a batch whose TCP has no checksums: segments
   * that are longer than `mtu` are cut, and copied to `base..limit` of the memory; all get checksums, other frames stay as
   * they are. `out`, a batch of the same memory, has the frames then, `out.used[0]` of them, and `out.used[1]` is where
   * what is left of the region begins. Returns how many frames were taken: fewer where there is no room for more.
   */
  splitSegments(
    batch: Batch,
    start: number,
    count: number,
    mtu: number,
    out: Batch,
    base: number,
    limit: number,
  ): number;
  /**
   * The way back: frames with TCP segments that continue each other become one, of up to 64 KiB, in the region. A length
   * in `out.lens` has SUM_HOLDS added where the frame is TCP whose checksum need not be computed again, and in a merged
   * frame cannot.
   */
  mergeSegments(batch: Batch, start: number, count: number, out: Batch, base: number, limit: number): number;
  /** Gathers frames `start` to `start + count - 1` into one stream write; bytes taken, 0 on EAGAIN, or -errno. */
  writeStream(fd: number, batch: Batch, start: number, count: number): number;
  /** Reads up to `len` bytes of a stream to `base` in the batch's memory; 0 is its end, -EAGAIN that none wait. */
  readStream(fd: number, batch: Batch, base: number, len: number): number;

  // ---- forwarding
  /** Makes a forwarder that works by a table and the cells of a station table (core/forward-table.ts). */
  newForwarder(table: ForwardTable, stations: Int32Array): Forwarder;

  // ---- network interfaces
  /** A packet socket (AF_PACKET) bound to the interface `index`; the descriptor, or -errno (-EPERM: no CAP_NET_RAW). */
  packet(index: number, promiscuous: boolean): number;
  /**
   * As recv, from a packet socket, at most 64 at once: whole frames, with VLAN tag and checksums as on the wire. A frame
   * has `stride` less PACKET_HEADROOM bytes of room; one that was longer (many segments in one, of a sender on this
   * machine) has its true length in `lens[i]`.
   */
  recvPackets(fd: number, batch: Batch, base: number, stride: number, max: number): number;
  /** As send, to a packet socket, at most 64 at once. A device that is full fails with -ENOBUFS. */
  sendPackets(fd: number, batch: Batch, start: number, count: number): number;

  // ---- TCP sockets of the reactor
  /**
   * Begins to connect to an address (ADDRESS_CELLS words as in a batch), by segments with its TTL, 0: the system's. A
   * descriptor, or -errno when it failed at once.
   */
  tcpConnect(address: Int32Array): number;
  /**
   * How a connect ended of which `events` told: 0, or -errno. When it failed recvError has the ICMP error that was the
   * reason, if one was; from Linux 5.18 on.
   */
  tcpOpened(fd: number, events: number): number;
  /** Listens at exactly that address (IPv6: not for IPv4 too). A descriptor, or -errno. */
  tcpListen(address: Int32Array, backlog: number): number;
  /**
   * Takes up to 64 connections into `table`: ACCEPT_CELLS words each, the descriptor and the peer's address. How many;
   * fewer than fit: no more wait. Or -errno. Clients for whom there is no descriptor are turned away.
   */
  tcpAccept(fd: number, table: Int32Array): number;
  /** Puts the own address into ADDRESS_CELLS words. */
  tcpName(fd: number, address: Int32Array): number;
  /**
   * Reads up to `len` bytes into the first `count` (1 to 64) of `pieces`, from `off` of the first one on; 0 is the peer's
   * end, -EAGAIN that nothing waits.
   */
  tcpRead(fd: number, pieces: readonly Uint8Array[], count: number, off: number, len: number): number;
  /** Writes from there; how many bytes the kernel took, -EAGAIN for none. An event tells when it takes more. */
  tcpWrite(fd: number, pieces: readonly Uint8Array[], count: number, off: number, len: number): number;
  /** FIN behind what was written. */
  tcpEnd(fd: number): number;

  // ---- the reactor: sockets known by their descriptors until reactorClose, watched all together by one epoll
  /**
   * A datagram socket bound to the address, whose Port cell becomes the port that it got, with the queue of errors of
   * recvError. `receive` is asked for as size of its receive buffer, bytes. A descriptor, or -errno. Its events are
   * EPOLLIN and EPOLLERR.
   */
  udpOpen(address: Int32Array, receive: number): number;
  /** Has what the socket is ready for told again. */
  reactorRearm(fd: number): number;
  /** Closes, with `reset` TCP by RST. No event is told any more but those that are in the table already. */
  reactorClose(fd: number, reset: boolean): number;
  /**
   * A watch of the reactor: calls `ready(events, count)` once per wake-up, with `count` events in `table`, 1 to
   * MAX_REACTOR_EVENTS: EVENT_CELLS words each, descriptor and EPOLL bits. An event is told once (edge-triggered), a new
   * socket has its first by itself. The table is filled anew at each call. Throws as `poll` does.
   */
  pollReactor(ready: Ready): { poll: Poll; table: Int32Array };

  // ---- readiness
  /**
   * Calls `ready(events)` once per wake-up while the descriptor is ready for one of `events` (READABLE | WRITABLE |
   * DISCONNECT). Promises and ticks queued inside run when it returns; what it throws is an uncaught exception.
   * An error waiting on the descriptor is told as READABLE | DISCONNECT whatever was asked for: receive to fetch it, or
   * close the watch, else it is told again. The watch keeps the process alive unless paused or unreferenced.
   * Throws an Error with code EBADF, EPERM (a regular file) or EEXIST (somebody watches the descriptor already).
   */
  poll(fd: number, events: number, ready: Ready): Poll;
  /** Changes the events; 0 pauses. Without effect on a closed watch. */
  pollModify(poll: Poll, events: number): void;
  /**
   * Frames of a datagram socket are received (as `recv` does) before `ready` is called, which gets two more arguments then:
   * what the receive returned, frames or -errno, and 0. With a forwarder they are forwarded and sent, too, as far as its
   * table allows it (core/forward-table.ts), and `ready` is only called for what is left over: the second number is that
   * of the first frame that was not forwarded; those before it are in their queues, or sent. The caller keeps batch and
   * forwarder alive.
   *
   * @param longest  frames of more bytes are left over
   */
  pollForward(
    poll: Poll,
    forwarder: Forwarder | null,
    port: number,
    batch: Batch,
    base: number,
    stride: number,
    max: number,
    longest: number,
  ): void;
  /** Keeps the process alive again. */
  pollRef(poll: Poll): void;
  /** Lets the process end while the watch is active. */
  pollUnref(poll: Poll): void;
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

/** Words of an entry of pollReactor's table and of tcpAccept's. */
export const EVENT_CELLS = 2;
export const ACCEPT_CELLS = 8;
/** Most events of one wake-up. */
export const MAX_REACTOR_EVENTS = 256;
/** Events of the reactor. */
export const EPOLLIN = 0x1;
export const EPOLLPRI = 0x2;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLHUP = 0x10;
export const EPOLLRDHUP = 0x2000;

// Linux constants that Node does not export.
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_SEQPACKET = 5;
export const SOL_SOCKET = 1;
export const SO_ERROR = 4;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
/** Bytes of a slot in front of a frame that recvPackets received. */
export const PACKET_HEADROOM = 16;
export const SO_REUSEADDR = 2;
export const SO_REUSEPORT = 15;
export const IPPROTO_IP = 0;
export const IPPROTO_ICMP = 1;
export const IPPROTO_IPV6 = 41;
export const IPPROTO_ICMPV6 = 58;
export const IP_TTL = 2;
export const IP_RECVERR = 11;
export const IP_RECVTTL = 12;
export const IP_MULTICAST_TTL = 33;
export const IP_MULTICAST_LOOP = 34;
export const IP_MULTICAST_ALL = 49;
export const IPV6_UNICAST_HOPS = 16;
export const IPV6_MULTICAST_HOPS = 18;
export const IPV6_MULTICAST_LOOP = 19;
export const IPV6_RECVERR = 25;
export const IPV6_V6ONLY = 26;
export const IPV6_MULTICAST_ALL = 29;
export const IPV6_RECVHOPLIMIT = 51;

/** Most frames of one batch (UIO_MAXIOV, the limit of one sendmmsg). */
export const MAX_BATCH = 1024;

class SlabBatch implements AddressedBatch {
  readonly capacity: number;
  readonly offs: Uint32Array;
  readonly lens: Uint32Array;
  readonly addresses: Int32Array;
  readonly used: Uint32Array;
  readonly #id: number;
  readonly #memory: Uint8Array;

  constructor(addon: Addon, memory: Uint8Array, capacity: number, addressed: boolean) {
    if (typeof capacity !== 'number') throw new TypeError('capacity must be a number');
    if (!(Number.isInteger(capacity) && capacity >= 1 && capacity <= MAX_BATCH))
      throw new RangeError(`capacity must be 1 to ${MAX_BATCH}`);
    // Shared memory cannot be detached, so the addon may keep its address.
    const cells = capacity * (addressed ? 2 + ADDRESS_CELLS : 2) + 3;
    const table = new Uint32Array(new SharedArrayBuffer(cells * Uint32Array.BYTES_PER_ELEMENT));
    this.capacity = capacity;
    this.offs = table.subarray(0, capacity);
    this.lens = table.subarray(capacity, 2 * capacity);
    const { BYTES_PER_ELEMENT } = Uint32Array;
    this.addresses = new Int32Array(table.buffer, 2 * capacity * BYTES_PER_ELEMENT, cells - 3 - 2 * capacity);
    this.used = table.subarray(cells - 3);
    this.#id = addon.newBatch(memory, capacity, table, this);
    this.#memory = new Uint8Array(memory.buffer, memory.byteOffset, memory.byteLength);
  }

  /** The id for the addon. The addon keeps the address of the memory, which ends when its buffer is detached. */
  static id(batch: Batch): number {
    const own = batch as SlabBatch;
    if (own.#memory.length === 0) throw new TypeError('the memory of the batch was detached');
    return own.#id;
  }

  /** The id, or -1 for slots that are none of a batch. */
  static idOf(slots: FrameSlots): number {
    return #id in slots ? SlabBatch.id(slots as Batch) : -1;
  }
}

class TableForwarder implements Forwarder {
  private readonly addon: Addon;
  readonly #id: number;

  constructor(addon: Addon, table: ForwardTable, stations: Int32Array) {
    this.addon = addon;
    this.#id = addon.newForwarder(table.ports, table.words, table.sums, stations, this);
  }

  static id(forwarder: Forwarder): number {
    return (forwarder as TableForwarder).#id;
  }

  idOf(slots: FrameSlots): number {
    return SlabBatch.idOf(slots);
  }

  forward(port: number, batch: FrameSlots, start: number, count: number): number {
    return this.addon.forward(this.#id, port, SlabBatch.id(batch as Batch), start, count);
  }
}

const CLOSED = -1;

class Watch implements Poll {
  readonly fd: number;
  #id: number;

  /** @param id  what the addon answered */
  constructor(fd: number, id: number) {
    this.fd = fd;
    this.#id = id;
    if (id < 0) throw systemError(id, 'poll', `of descriptor ${fd}`);
  }

  static modify(addon: Addon, poll: Poll, events: number): void {
    const id = (poll as Watch).#id;
    if (id === CLOSED) return;
    const status = addon.pollModify(id, events);
    if (status < 0) throw systemError(status, 'poll', `of descriptor ${poll.fd}`);
  }

  /** The id for the addon, or -1 when the watch is closed. */
  static id(poll: Poll): number {
    return (poll as Watch).#id;
  }

  static ref(addon: Addon, poll: Poll): void {
    const id = (poll as Watch).#id;
    if (id !== CLOSED) addon.pollRef(id);
  }

  static unref(addon: Addon, poll: Poll): void {
    const id = (poll as Watch).#id;
    if (id !== CLOSED) addon.pollUnref(id);
  }

  static close(addon: Addon, poll: Poll): void {
    const id = (poll as Watch).#id;
    if (id === CLOSED) return;
    (poll as Watch).#id = CLOSED;
    addon.pollClose(id);
  }
}

const faceOf = (addon: Addon): NativeApi => ({
  socket: addon.socket,
  bindUnix: addon.bindUnix,
  connectUnix: addon.connectUnix,
  bindInet: addon.bindInet,
  connectInet: addon.connectInet,
  setsockopt: addon.setsockopt,
  getsockopt: addon.getsockopt,
  localPort: addon.localPort,
  peerCred: addon.peerCred,
  flock: addon.flock,
  tap: addon.tap,
  tapIn: addon.tapIn,
  close: addon.close,
  listen: addon.listen,
  accept: addon.accept,
  pipe: addon.pipe,
  pipeSize: addon.pipeSize,
  ownGroup: addon.ownGroup,
  exec: addon.exec,

  recvError: addon.recvError,
  ifIndex: addon.ifIndex,
  joinGroup: addon.joinGroup,
  packet: addon.packet,

  tcpConnect: addon.tcpConnect,
  tcpOpened: addon.tcpOpened,
  tcpListen: addon.tcpListen,
  tcpAccept: addon.tcpAccept,
  tcpName: addon.tcpName,
  tcpRead: addon.tcpRead,
  tcpWrite: addon.tcpWrite,
  tcpEnd: addon.tcpEnd,

  udpOpen: addon.udpOpen,
  reactorRearm: addon.reactorRearm,
  reactorClose: addon.reactorClose,
  pollReactor: (ready) => {
    // Shared memory cannot be detached, so the addon may keep its address.
    const bytes = MAX_REACTOR_EVENTS * EVENT_CELLS * Int32Array.BYTES_PER_ELEMENT;
    const table = new Int32Array(new SharedArrayBuffer(bytes));
    return { poll: new Watch(-1, addon.pollReactor(ready, table)), table };
  },

  newBatch: (memory, capacity) => new SlabBatch(addon, memory, capacity, false),
  newAddressedBatch: (memory, capacity) => new SlabBatch(addon, memory, capacity, true),
  recv: (fd, batch, base, stride, max) => addon.recv(fd, SlabBatch.id(batch), base, stride, max),
  send: (fd, batch, start, count) => addon.send(fd, SlabBatch.id(batch), start, count),
  recvFrom: (fd, batch, base, stride, max) => addon.recvFrom(fd, SlabBatch.id(batch), base, stride, max),
  sendTo: (fd, batch, start, count) => addon.sendTo(fd, SlabBatch.id(batch), start, count),
  readFrames: (fd, batch, base, stride, max) => addon.readFrames(fd, SlabBatch.id(batch), base, stride, max),
  writeFrames: (fd, batch, start, count) => addon.writeFrames(fd, SlabBatch.id(batch), start, count),
  readOffloaded: (fd, batch, base, stride, max) => addon.readOffloaded(fd, SlabBatch.id(batch), base, stride, max),
  writeOffloaded: (fd, batch, start, count, mtu) => addon.writeOffloaded(fd, SlabBatch.id(batch), start, count, mtu),
  readSegments: (fd, batch, base, stride, max, scratch) =>
    addon.readSegments(fd, SlabBatch.id(batch), base, stride, max, SlabBatch.id(scratch)),
  writeSegments: (fd, batch, start, count) => addon.writeSegments(fd, SlabBatch.id(batch), start, count),
  splitSegments: (batch, start, count, mtu, out, base, limit) =>
    addon.splitSegments(SlabBatch.id(batch), start, count, mtu, SlabBatch.id(out), base, limit),
  mergeSegments: (batch, start, count, out, base, limit) =>
    addon.mergeSegments(SlabBatch.id(batch), start, count, 0, SlabBatch.id(out), base, limit),
  writeStream: (fd, batch, start, count) => addon.writeStream(fd, SlabBatch.id(batch), start, count),
  readStream: (fd, batch, base, len) => addon.readStream(fd, SlabBatch.id(batch), base, len),
  recvPackets: (fd, batch, base, stride, max) => addon.recvPackets(fd, SlabBatch.id(batch), base, stride, max),
  sendPackets: (fd, batch, start, count) => addon.sendPackets(fd, SlabBatch.id(batch), start, count),

  newForwarder: (table, stations) => new TableForwarder(addon, table, stations),

  poll: (fd, events, ready) => new Watch(fd, addon.poll(fd, events, ready)),
  pollModify: (poll, events) => Watch.modify(addon, poll, events),
  pollForward: (poll, forwarder, port, batch, base, stride, max, longest) => {
    const id = Watch.id(poll);
    const to = forwarder === null ? -1 : TableForwarder.id(forwarder);
    if (id !== CLOSED) addon.pollForward(id, to, port, SlabBatch.id(batch), base, stride, max, longest);
  },
  pollRef: (poll) => Watch.ref(addon, poll),
  pollUnref: (poll) => Watch.unref(addon, poll),
  pollClose: (poll) => Watch.close(addon, poll),

  sum: (batch, off, len, initial) => addon.sum(SlabBatch.id(batch), off, len, initial),
});

let loaded: Loaded | null = null;
let face: NativeApi | null = null;

function loadOnce(): Loaded {
  loaded ??= load();
  return loaded;
}

/** The addon, loaded at first use. Throws ERR_VDE_NO_NATIVE with the reason when there is none. */
export function native(): NativeApi {
  if (face !== null) return face;
  const { addon } = loadOnce();
  if (addon === null) throw new VdeError('ERR_VDE_NO_NATIVE', nativeProblem()!);
  return (face = faceOf(addon));
}

/** Why the addon cannot be loaded, and what would help; or null when it can. */
export function nativeProblem(): string | null {
  const { problem } = loadOnce();
  if (problem === null) return null;
  const help = process.platform === 'linux' ? '; build it with `npm run build:native` (needs gcc and libc6-dev)' : '';
  return `vdenet: VDE sockets and TAP are not available: ${problem}${help}`;
}
