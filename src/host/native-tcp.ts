// One TCP socket of the host on the native addon; many share a Reactor.
//
// Reading. An event that says "readable" is followed by reads until nothing is left, the reader pauses, or it has had its
// share for this turn. The bytes go straight into memory of the user that lends some (for the router: the send buffer of
// the guest's connection), else into the reactor's own buffer and to `data` on loan. How much is asked for follows what
// the last reads brought. `pause` is a flag: events are ignored until `resume` has them told again.
//
// Writing. Bytes are copied once, into chunks (write-queue.ts), and leave by one gathering write at `flush`, or when a
// chunk is full. What the kernel does not take waits for the event that says so.
//
// Ending. FIN follows the last byte; when the peer's has come before, closing the socket is what sends it. RST is SO_LINGER
// 0. A peer's RST is found by the read behind the data that came before it, by a write, or, after the peer's FIN, by the
// event that tells of an error; EPIPE is what Linux calls an RST that follows a FIN.
//
// HostNet's rule that nothing is called within a call of the user's is kept by `onLater`: failures found in `flush`, the
// drain that a flush brought, an end that was the second one.

import { Endpoint } from '../core/address.ts';
import { errnoName } from '../native/errno.ts';
import * as n from '../native/native.ts';
import { type ErrnoName, type HostTcp, type HostTcpUser, NO_USER } from './host-net.ts';
import { putEndpoint } from './native-address.ts';
import { type Later, READ_LEN, type Reactor, type Ready } from './reactor.ts';
import { type Chunk, giveChunk, WriteQueue } from './write-queue.ts';

/** Least that is asked for by one read, bytes. */
const READ_LEAST = 16 * 1024;
/** Chunks gathered in one write: 512 KiB. */
const GATHER = 8;
/** Events after which a read finds the end or an error. */
const ENDING = n.EPOLLRDHUP | n.EPOLLHUP | n.EPOLLERR;
/** Events with which a read that brought less than was asked for may have left something. */
const UNSURE = n.EPOLLHUP | n.EPOLLERR | n.EPOLLPRI;
/** errno of EAGAIN, negative as the addon returns it. */
const EAGAIN = -11;
/** Value of both TTL options that means the system's default. */
const SYSTEM_TTL = -1;

const CONNECTING = 0;
const OPEN = 1;
/** Over: nothing more is called. */
const DONE = 2;

export class NativeTcp implements HostTcp, Ready, Later {
  user: HostTcpUser;
  readonly remote: Endpoint;
  private readonly reactor: Reactor;
  /** Takes this socket off the list of open ones. */
  private readonly forget: (tcp: NativeTcp) => void;
  private readonly own = new Endpoint();
  /** -1: none, or closed. */
  private fd: number;
  private state: number;
  /** The connect has a TTL of its own. */
  private ownTtl = false;
  private paused = false;
  /** end() was called; `finSent`: and carried out. */
  private ending = false;
  private finSent = false;
  private peerEnded = false;
  private readonly queue = new WriteQueue();
  /** Bytes of the oldest chunk that the kernel has taken. */
  private taken = 0;
  /** The kernel is full; an event will tell. */
  private blocked = false;
  private pending = 0;
  /** `backlog` as it was last looked at. */
  private seen = 0;
  /** Bytes that the next read asks for. */
  private ask = READ_LEAST;
  /** What `onLater` is to report, '' for nothing. */
  private lateFailure: ErrnoName = '';
  private lateAsked = false;

  /** @param ttl  see HostNet.connectTcp */
  static connect(
    reactor: Reactor,
    to: Endpoint,
    user: HostTcpUser,
    ttl: number,
    forget: (tcp: NativeTcp) => void,
  ): NativeTcp {
    const { api, address } = reactor;
    address[n.Cell.Ttl] = ttl;
    const fd = putEndpoint(api, address, to) ? api.tcpConnect(address) : -22; // EINVAL: no such interface
    const tcp = new NativeTcp(reactor, new Endpoint().copy(to), user, fd, CONNECTING, forget);
    tcp.ownTtl = ttl !== 0;
    if (fd < 0) tcp.failLater(errnoName(fd));
    return tcp;
  }

  /** A socket that was never opened, and says so when the present call is over. */
  static refused(reactor: Reactor, to: Endpoint, user: HostTcpUser, code: ErrnoName): NativeTcp {
    const tcp = new NativeTcp(reactor, new Endpoint().copy(to), user, -1, CONNECTING, () => {});
    tcp.failLater(code);
    return tcp;
  }

  /** Takes over an accepted socket; it starts paused. */
  static accepted(reactor: Reactor, fd: number, remote: Endpoint, forget: (tcp: NativeTcp) => void): NativeTcp {
    return new NativeTcp(reactor, remote, NO_USER, fd, OPEN, forget);
  }

  private constructor(
    reactor: Reactor,
    remote: Endpoint,
    user: HostTcpUser,
    fd: number,
    state: number,
    forget: (tcp: NativeTcp) => void,
  ) {
    this.reactor = reactor;
    this.remote = remote;
    this.user = user;
    this.state = state;
    this.paused = state === OPEN;
    this.forget = forget;
    this.fd = fd;
    if (fd >= 0) reactor.add(fd, this);
  }

  /** Asked from the kernel at the first look: most flows never need it. */
  get local(): Endpoint {
    const { own } = this;
    if (own.port === 0 && this.state === OPEN) {
      const { api, address: a } = this.reactor;
      if (api.tcpName(this.fd, a) === 0) own.set(a[0]!, a[1]!, a[2]!, a[3]!, a[n.Cell.Port]!);
    }
    return own;
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
      if (this.queue.full) this.pumpLate();
      const taken = this.queue.append(b, off, len);
      off += taken;
      len -= taken;
    }
  }

  flush(): void {
    this.pumpLate();
    if (this.pending < this.seen) this.callLater();
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused || this.state === DONE) return;
    this.paused = false;
    if (this.state === OPEN && !this.peerEnded) this.reactor.api.reactorRearm(this.fd);
  }

  end(): void {
    if (this.ending || this.state === DONE) return;
    this.ending = true;
    this.pumpLate();
    if (this.finSent && this.peerEnded) this.callLater();
  }

  reset(): void {
    if (this.state !== DONE) this.done(true);
  }

  ready(events: number): void {
    if (this.state === CONNECTING && !this.opened(events)) return;
    // What came before an error is for the user, so reading is first.
    if (!this.paused && !this.peerEnded && (events & (n.EPOLLIN | ENDING)) !== 0) this.read(events);
    if (this.peerEnded && (events & n.EPOLLERR) !== 0) this.look();
    if (this.state !== OPEN) return;
    if ((events & (n.EPOLLOUT | ENDING)) !== 0 && (this.pending > 0 || (this.ending && !this.finSent))) {
      this.blocked = false;
      const error = this.pump();
      if (error < 0) this.fail(error);
    }
    this.settle();
  }

  onLater(): void {
    this.lateAsked = false;
    if (this.state === DONE) return;
    if (this.lateFailure === '') {
      this.settle();
      return;
    }
    this.done(true);
    this.user.failed(this.lateFailure);
  }

  /** Tells of a drain and of the end of both directions, where they are due. */
  private settle(): void {
    if (this.state !== OPEN) return;
    if (this.pending < this.seen) {
      this.seen = this.pending;
      this.user.drained();
    }
    if (this.state === OPEN && this.finSent && this.peerEnded && !this.lateAsked) {
      this.done(false);
      this.user.closed();
    }
  }

  /** The connect has been decided; true when it succeeded and the socket is still wanted. */
  private opened(events: number): boolean {
    if ((events & (n.EPOLLOUT | ENDING)) === 0) return false;
    const { api, errors } = this.reactor;
    const status = api.tcpOpened(this.fd, events);
    if (status < 0) {
      const told = errors.next(this.fd);
      this.done(false);
      const code = codeOf(status);
      if (told) this.user.failed(code, errors);
      else this.user.failed(code);
      return false;
    }
    this.state = OPEN;
    if (this.ownTtl) this.useSystemTtl();
    this.user.connected();
    return this.isOpen();
  }

  private useSystemTtl(): void {
    const { api } = this.reactor;
    if (this.remote.isIpv4) api.setsockopt(this.fd, n.IPPROTO_IP, n.IP_TTL, SYSTEM_TTL);
    else api.setsockopt(this.fd, n.IPPROTO_IPV6, n.IPV6_UNICAST_HOPS, SYSTEM_TTL);
  }

  /** A user's call may have ended the socket. */
  private isOpen(): boolean {
    return this.state === OPEN;
  }

  private read(events: number): void {
    const { api, vector, readBuffer } = this.reactor;
    const { memory } = this.user;
    let share = READ_LEN;
    for (;;) {
      const lent = memory?.lend(vector, this.ask) ?? false;
      if (!lent) vector.set(readBuffer, 0, this.ask);
      const asked = vector.len;
      const got = api.tcpRead(this.fd, vector.pieces, vector.count, vector.off, asked);
      if (lent) memory!.filled(Math.max(0, got));
      else if (got > 0) this.user.data(readBuffer, 0, got);
      if (got === 0) {
        this.peerEnd(events);
        return;
      }
      if (got < 0) {
        if (got !== EAGAIN) this.fail(got);
        return;
      }
      if (this.state !== OPEN || this.paused) return;
      if (got === asked) this.ask = Math.min(READ_LEN, this.ask * 4);
      else if (got < this.ask >> 3) this.ask = Math.max(READ_LEAST, this.ask >> 1);
      // Less than asked for: the kernel had no more, unless the read stopped at urgent data (EPOLLPRI). What comes later is
      // a new event; behind the peer's FIN nothing comes.
      if (got < asked && (events & UNSURE) === 0) {
        if ((events & n.EPOLLRDHUP) !== 0) this.peerEnd(events);
        return;
      }
      share -= got;
      if (share <= 0) {
        api.reactorRearm(this.fd);
        return;
      }
    }
  }

  private peerEnd(events: number): void {
    this.peerEnded = true;
    if ((events & n.EPOLLERR) !== 0) this.look();
    if (this.state === OPEN) this.user.end();
  }

  /** After the peer's FIN a reset is seen by nothing else than the socket's error. */
  private look(): void {
    if (this.state !== OPEN) return;
    const error = this.reactor.api.getsockopt(this.fd, n.SOL_SOCKET, n.SO_ERROR);
    if (error > 0) this.fail(-error);
  }

  /** Hands chunks to the kernel until it takes no more, then the FIN when it is time for it; 0, or -errno. */
  private pump(): number {
    if (this.state !== OPEN || this.blocked) return 0;
    const { api, vector } = this.reactor;
    const { queue } = this;
    while (queue.head !== null) {
      vector.count = 0;
      vector.off = this.taken;
      vector.len = -this.taken;
      for (let chunk: Chunk | null = queue.head; chunk !== null && vector.count < GATHER; chunk = chunk.next) {
        vector.pieces[vector.count++] = chunk.bytes;
        vector.len += chunk.len;
      }
      const asked = vector.len;
      const took = api.tcpWrite(this.fd, vector.pieces, vector.count, vector.off, asked);
      if (took === EAGAIN) {
        this.blocked = true;
        return 0;
      }
      if (took < 0) return took;
      this.drop(took);
      if (took < asked) {
        this.blocked = true;
        return 0;
      }
    }
    if (this.ending && !this.finSent) {
      this.finSent = true;
      // Behind the peer's FIN the close, which follows at once, sends it: until then a reset is still possible.
      if (!this.peerEnded) return Math.min(0, api.tcpEnd(this.fd));
    }
    return 0;
  }

  private drop(took: number): void {
    const { queue } = this;
    this.pending -= took;
    let at = this.taken + took;
    while (queue.head !== null && at >= queue.head.len) {
      const chunk = queue.shift();
      at -= chunk.len;
      giveChunk(chunk);
    }
    this.taken = at;
  }

  /** As pump, within a call of the user's. */
  private pumpLate(): void {
    if (this.lateFailure !== '') return;
    const error = this.pump();
    if (error < 0) this.failLater(codeOf(error));
  }

  private callLater(): void {
    if (this.lateAsked) return;
    this.lateAsked = true;
    this.reactor.later(this);
  }

  private failLater(code: ErrnoName): void {
    this.lateFailure = code;
    this.callLater();
  }

  private fail(error: number): void {
    if (this.state === DONE) return;
    this.done(true); // should the peer still be there, it must not see a clean end
    this.user.failed(codeOf(error));
  }

  /** Ends all reports and closes the socket. */
  private done(reset: boolean): void {
    this.state = DONE;
    this.forget(this);
    this.queue.clear();
    this.pending = 0;
    if (this.fd >= 0) this.reactor.close(this.fd, reset);
    this.fd = -1;
  }
}

const codeOf = (error: number): ErrnoName => {
  const code = errnoName(error);
  return code === 'EPIPE' ? 'ECONNRESET' : code;
};
