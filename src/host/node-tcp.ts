// One TCP socket of the host on node:net, or one Unix stream socket, which the router treats alike.
//
// Reading. All sockets of the process read into one static buffer (`onread`): Node calls back right after each read(2),
// before any other socket can be read, and HostTcpUser.data has its bytes on loan only. So an idle flow owns no read
// memory. `pause` stops reading from the kernel, whose window then shuts: nothing piles up here.
//
// Writing. Bytes handed to `write` are copied once, into chunks of a pool shared by all flows (write-queue.ts):
//
//      write write write      flush
//        |     |     |          |
//        +-----+-----+--> [chunk]   -->  socket.write(chunk)  --all taken at once-->  chunk back to the pool
//                         [chunk] ...          |
//                            ^                 +--the kernel is full--> in flight; what follows fills whole chunks
//                            |                                              |
//                            +------ next chunk when it was taken ----------+   `drained`
//
// At most one chunk is in flight. That keeps the order, makes `backlog` fall in steps of one chunk, and means that a
// socket whose peer does not read holds full chunks and not one chunk per small write. A flow that has nothing to send
// holds none. `backlog` counts the chunk in flight whole until the kernel has taken all of it.
//
// Ending. node:net is told to allow half-open connections; FIN is sent when the last chunk was taken. An RST is
// `resetAndDestroy`, with two exceptions: for a connect under way it would wait (giveUp), and while a shutdown is being
// carried out (within one turn of the event loop) libuv refuses, so the reset follows right after.
//
// A peer's RST is ECONNRESET here, also where Linux says EPIPE because the peer had sent FIN before. Bytes that
// arrived before an RST are delivered first when the socket is being read; a write that meets the RST ends the socket
// at once. When data and RST are found in one poll, libuv calls it an end of file; so an end is believed only after an
// empty write, which the kernel refuses on a connection that was reset. After our own FIN nothing can be written, and
// such an RST stays an orderly end.
//
// Unix sockets know no RST: the end is believed as it is (a peer that closed refuses even an empty write), and a reset
// closes the socket at once.

import * as net from 'node:net';
import { Endpoint } from '../core/address.ts';
import { errnoOf, setFromText } from './from-node.ts';
import { type ErrnoName, type HostTcp, type HostTcpUser, NO_USER } from './host-net.ts';
import { CHUNK_LEN, type Chunk, giveChunk, WriteQueue } from './write-queue.ts';

/** Largest read, bytes. Also what may still arrive after pause(). */
const READ_LEN = 256 * 1024;

const readBuffer = Buffer.allocUnsafeSlow(READ_LEN);
const NOTHING = Buffer.alloc(0);

const CONNECTING = 0;
const OPEN = 1;
/** Over: nothing more is called. */
const DONE = 2;

export class NodeTcp implements HostTcp {
  user: HostTcpUser;
  readonly remote: Endpoint;
  private readonly socket: net.Socket;
  /** A Unix socket: no addresses, no RST. */
  private readonly unix: boolean;
  /** Takes this socket off the list of open ones. */
  private readonly forget: (tcp: NodeTcp) => void;
  private readonly own = new Endpoint();
  private state: number;
  private paused = false;
  /** end() was called; `finSent`: and handed on. */
  private ending = false;
  private finSent = false;
  /** The chunk that the kernel has not taken whole. */
  private inFlight: Chunk | null = null;
  /** What waits behind it. */
  private readonly queue = new WriteQueue();
  /** Bytes in all of them. */
  private pending = 0;
  /** `backlog` as it was last looked at. */
  private seen = 0;

  /** Connects to `to`. */
  static connect(to: Endpoint, user: HostTcpUser, forget: (tcp: NodeTcp) => void): NodeTcp {
    return new NodeTcp(new Endpoint().copy(to), '', user, null, forget);
  }

  /** Connects to the Unix socket at `path`, which is not empty. */
  static connectUnix(path: string, user: HostTcpUser, forget: (tcp: NodeTcp) => void): NodeTcp {
    return new NodeTcp(new Endpoint(), path, user, null, forget);
  }

  /** Takes over a socket that a server accepted and paused; null when its peer is already gone. */
  static accepted(socket: net.Socket, forget: (tcp: NodeTcp) => void): NodeTcp | null {
    const remote = new Endpoint();
    if (setFromText(remote, socket.remoteAddress, socket.remotePort))
      return new NodeTcp(remote, '', NO_USER, socket, forget);
    socket.on('error', () => {});
    socket.destroy();
    return null;
  }

  /** Takes over a Unix socket that the server at `path` accepted and paused. */
  static acceptedUnix(path: string, socket: net.Socket, forget: (tcp: NodeTcp) => void): NodeTcp {
    return new NodeTcp(new Endpoint(), path, NO_USER, socket, forget);
  }

  private constructor(
    remote: Endpoint,
    path: string,
    user: HostTcpUser,
    accepted: net.Socket | null,
    forget: (tcp: NodeTcp) => void,
  ) {
    this.user = user;
    this.remote = remote;
    this.unix = path !== '';
    this.forget = forget;
    const onread = { buffer: readBuffer, callback: this.onRead };
    if (accepted === null) {
      this.state = CONNECTING;
      const to = this.unix
        ? { path }
        : { host: remote.host, port: remote.port, autoSelectFamily: false, noDelay: true };
      this.socket = net.connect({ ...to, allowHalfOpen: true, onread });
      this.socket.on('connect', this.onConnect);
    } else {
      this.state = OPEN;
      this.paused = true;
      this.socket = adopt(accepted, onread) ?? accepted;
      if (this.socket === accepted) accepted.on('data', (b: Buffer) => this.onRead(b.length, b));
    }
    this.socket.on('end', this.onEnd);
    this.socket.on('error', this.onError);
    this.socket.on('close', this.onClose);
  }

  /** Asked from the kernel at the first look: most flows never need it. */
  get local(): Endpoint {
    if (this.own.port === 0 && this.state === OPEN && !this.unix) {
      setFromText(this.own, this.socket.localAddress, this.socket.localPort);
    }
    return this.own;
  }

  get backlog(): number {
    this.seen = this.pending;
    return this.pending;
  }

  write(b: Uint8Array, off: number, len: number): void {
    if (this.ending || this.state === DONE) return;
    this.pending += len;
    while (len > 0) {
      // A full chunk leaves at once when it can: the pool then serves a batch of any size.
      if (this.queue.full) this.pump();
      const n = this.queue.append(b, off, len);
      off += n;
      len -= n;
    }
  }

  flush(): void {
    this.pump();
  }

  pause(): void {
    if (this.paused || this.state === DONE) return;
    this.paused = true;
    this.socket.pause();
  }

  resume(): void {
    if (!this.paused || this.state === DONE) return;
    this.paused = false;
    this.socket.resume();
  }

  end(): void {
    if (this.ending || this.state === DONE) return;
    this.ending = true;
    this.pump();
  }

  reset(): void {
    if (this.state === DONE) return;
    const connecting = this.state === CONNECTING;
    this.done();
    const socket = this.socket;
    if (this.unix) process.nextTick(hangUp, socket);
    else if (connecting) process.nextTick(giveUp, socket);
    else if (this.finSent && !socket.writableFinished) socket.once('finish', () => socket.resetAndDestroy());
    else socket.resetAndDestroy();
  }

  /** Ends a connect before it began, and says so when the present call is over. */
  cancel(code: ErrnoName): void {
    this.done();
    this.socket.destroy();
    process.nextTick(() => this.user.failed(code));
  }

  /** Hands chunks to the kernel until it takes no more, then the FIN when it is time for it. */
  private pump(): void {
    const { socket, queue } = this;
    while (this.state === OPEN && this.inFlight === null && queue.head !== null) {
      const chunk = queue.shift();
      socket.write(chunk.len === CHUNK_LEN ? chunk.bytes : chunk.bytes.subarray(0, chunk.len), this.onWritten);
      if (socket.writableLength > 0) {
        this.inFlight = chunk;
        return;
      }
      this.pending -= chunk.len;
      giveChunk(chunk);
    }
    if (this.ending && !this.finSent && this.state === OPEN && this.inFlight === null) {
      this.finSent = true;
      socket.end();
    }
  }

  /** Ends all reports. Chunks return to the pool, except the one in flight: libuv may still hold it. */
  private done(): void {
    this.state = DONE;
    this.forget(this);
    this.queue.clear();
    this.inFlight = null;
    this.pending = 0;
  }

  /** False asks Node to stop reading; needed where a pause came between two steps of starting to read. */
  private readonly onRead = (len: number, b: Uint8Array): boolean => {
    if (this.state === OPEN) this.user.data(b, 0, len);
    return !this.paused;
  };

  private readonly onConnect = (): void => {
    if (this.state !== CONNECTING) return;
    this.state = OPEN;
    this.user.connected();
    this.pump();
  };

  /** After every write, whether it was taken at once or later; writes that were taken at once need only the look. */
  private readonly onWritten = (error?: Error | null): void => {
    if (error || this.state !== OPEN) return;
    if (this.inFlight !== null && this.socket.writableLength === 0) {
      const chunk = this.inFlight;
      this.inFlight = null;
      this.pending -= chunk.len;
      giveChunk(chunk);
      this.pump();
    }
    if (this.pending < this.seen) {
      this.seen = this.pending;
      this.user.drained();
    }
  };

  private readonly onEnd = (): void => {
    if (this.state !== OPEN) return;
    // A chunk in flight meets the reset by itself.
    if (this.finSent || this.inFlight !== null || this.unix) this.user.end();
    else this.socket.write(NOTHING, this.onEndTested);
  };

  private readonly onEndTested = (error?: Error | null): void => {
    if (!error && this.state === OPEN) this.user.end();
  };

  private readonly onError = (error: Error): void => {
    if (this.state === DONE) return;
    const code = errnoOf(error);
    this.done();
    this.user.failed(code === 'EPIPE' ? 'ECONNRESET' : code);
  };

  private readonly onClose = (): void => {
    if (this.state === DONE) return;
    this.done();
    this.user.closed();
  };
}

/**
 * Ends a connect that is under way; runs a tick later than net.connect, which makes the descriptor in a tick as well.
 * The kernel may already be connected without our knowing, so this has to be an RST too. The flag is what
 * resetAndDestroy sets, which itself would wait for the connection; where it is unknown such a peer sees a FIN.
 */
function giveUp(socket: net.Socket): void {
  Object.assign(socket, { resetAndClosing: true }).destroy();
}

/** Closes a Unix socket; a tick later, because net.connect makes the descriptor in a tick as well. */
function hangUp(socket: net.Socket): void {
  socket.destroy();
}

/**
 * Moves an accepted connection into a socket that reads by `onread`, which node:net offers for outgoing sockets only;
 * reading then costs a third (measured: 0.3 against 0.75 us of CPU per KB). It goes through a field and an option that
 * Node does not document, so it looks before it leaps: null means that the accepted socket must be used as it is.
 */
function adopt(accepted: net.Socket, onread: net.OnReadOpts): net.Socket | null {
  const from = accepted as unknown as { _handle?: unknown };
  const handle = from._handle;
  if (typeof handle !== 'object' || handle === null) return null;
  if (typeof (handle as { useUserBuffer?: unknown }).useUserBuffer !== 'function') return null;
  from._handle = null;
  const options = { handle, pauseOnCreate: true, readable: true, writable: true, allowHalfOpen: true, onread };
  const socket = new net.Socket(options as net.SocketConstructorOpts);
  if ((socket as unknown as { _handle?: unknown })._handle !== handle) {
    from._handle = handle;
    return null;
  }
  accepted.destroy();
  return socket;
}
