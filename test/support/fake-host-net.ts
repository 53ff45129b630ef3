// A HostNet without sockets: everything the code under test asks for is recorded, and every event of the host comes
// from the test, synchronously.
//
//   const net = new FakeHostNet();
//   ... code under test calls net.connectTcp(...) ...
//   const s = net.tcp[0]!;            sockets in the order they were opened
//   s.connect();                      -> user.connected()
//   s.data(hex('00 01'));             -> user.data(...)
//   t.deepEqual(s.written(), ...);    what was written so far
//
// The contract of HostNet holds here too: nothing is called after `failed`, `closed` or the user's own reset()/close(),
// so events for a dead socket are swallowed, as a real back end swallows what the kernel still had. Bytes handed out lie
// in a buffer that is scribbled over when the call returns: code that keeps a loan is found out.

import { Endpoint } from '../../src/core/address.ts';
import { ByteVector } from '../../src/core/byte-vector.ts';
import { VdeError } from '../../src/core/errors.ts';
import { copyBytes } from '../../src/core/frame.ts';
import type {
  ErrnoName,
  HostListener,
  HostNet,
  HostPing,
  HostPingUser,
  HostTcp,
  HostTcpUser,
  HostUdp,
  HostUdpUser,
  IcmpReport,
} from '../../src/host/host-net.ts';

const copyOf = (e: Endpoint): Endpoint => new Endpoint().copy(e);

/** Lends a copy of `bytes` at an odd offset to `use`, and spoils it afterwards. */
function lend(bytes: Uint8Array, use: (b: Uint8Array, off: number, len: number) => void): void {
  const loan = Buffer.alloc(bytes.length + 8, 0xee); // a Buffer, whose slice() is a view: Node's sockets lend those too
  loan.set(bytes, 3);
  use(loan, 3, bytes.length);
  loan.fill(0xdd);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

/** Reads bytes into what a user lends, at most 40,000 at once; how many, 0 when it lends nothing. */
function readInto({ memory }: HostTcpUser, bytes: Uint8Array): number {
  const into = new ByteVector();
  if (memory === undefined || !memory.lend(into, 40_000)) return 0;
  const len = Math.min(into.len, bytes.length);
  let done = 0;
  for (let i = 0, off = into.off; i < into.count && done < len; i++, off = 0) {
    const piece = into.pieces[i]!.subarray(off);
    piece.set(bytes.subarray(done, done + Math.min(piece.length, len - done)));
    done += Math.min(piece.length, len - done);
  }
  memory.filled(len);
  return len;
}

export class FakeTcp implements HostTcp {
  user: HostTcpUser;
  readonly remote = new Endpoint();
  readonly local = new Endpoint();
  /** Unix path that was connected to; '' for TCP. */
  path = '';
  /** TTL that was asked for, 0 for none. */
  ttl = 0;
  backlog = 0;
  state: 'connecting' | 'connected' | 'dead' = 'connecting';
  /** When true the kernel takes nothing: writes pile up in `backlog` until `drain`. */
  stalled = false;
  paused = false;
  /** Bytes are read into memory that the user lends, where it does. */
  intoMemory = false;
  /** The user called end() (FIN), reset() (RST). */
  ended = false;
  wasReset = false;
  flushes = 0;
  /** Each write, in order. */
  readonly writes: Uint8Array[] = [];
  private readonly held: Uint8Array[] = [];
  private eofHeld = false;
  private sawEof = false;

  constructor(remote: Endpoint, user: HostTcpUser) {
    this.remote.copy(remote);
    this.user = user;
  }

  // What the code under test calls.

  write(b: Uint8Array, off: number, len: number): void {
    if (this.ended || this.state === 'dead') return;
    this.writes.push(copyBytes(b, off, off + len));
    if (this.stalled || this.state === 'connecting') this.backlog += len;
  }
  flush(): void {
    this.flushes++;
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  end(): void {
    if (this.state !== 'dead') this.ended = true;
  }
  reset(): void {
    if (this.state === 'dead') return;
    this.state = 'dead';
    this.wasReset = true;
  }

  // What the test calls.

  /** All bytes written so far. */
  written(): Uint8Array {
    return concat(this.writes);
  }
  /** The connect succeeded. */
  connect(local?: Endpoint): void {
    if (this.state === 'dead') return;
    if (this.state !== 'connecting') throw new Error('FakeTcp.connect: connected already');
    this.state = 'connected';
    if (local === undefined) this.local.setIpv4(0x7f000001, 40_000);
    else this.local.copy(local);
    if (!this.stalled) this.backlog = 0;
    this.user.connected();
  }
  /** The socket fails, before or after it was connected. */
  fail(code: ErrnoName, report?: IcmpReport): void {
    if (this.state === 'dead') return;
    this.state = 'dead';
    this.user.failed(code, report);
  }
  /** Bytes from the peer; held back while the socket is paused (see `pump`). */
  data(bytes: Uint8Array): void {
    this.held.push(copyBytes(bytes, 0, bytes.length));
    this.pump();
  }
  /** The peer's FIN, behind its data. */
  eof(): void {
    this.eofHeld = true;
    this.pump();
  }
  /** The kernel takes `bytes` of the backlog (default: all), and the user is told. */
  drain(bytes = this.backlog): void {
    if (this.state === 'dead') return;
    this.backlog = Math.max(0, this.backlog - bytes);
    this.user.drained();
    this.pump();
  }
  /** Delivers what a pause held back, and the end of a socket both of whose directions are done. */
  pump(): void {
    while (!this.paused && this.state === 'connected' && this.held.length > 0) {
      const bytes = this.held.shift()!;
      const read = this.intoMemory ? readInto(this.user, bytes) : 0;
      if (read > 0) this.held.unshift(bytes.subarray(read));
      else lend(bytes, (b, off, len) => this.user.data(b, off, len));
      if (this.held[0]?.length === 0) this.held.shift();
    }
    if (!this.paused && this.state === 'connected' && this.eofHeld && !this.sawEof && this.held.length === 0) {
      this.sawEof = true;
      this.user.end();
    }
    if (this.state === 'connected' && this.sawEof && this.ended && this.backlog === 0) {
      this.state = 'dead';
      this.user.closed();
    }
  }
}

export class FakeUdp implements HostUdp {
  readonly family: 4 | 6;
  readonly preferredPort: number;
  localPort: number;
  readonly user: HostUdpUser;
  closed = false;
  /** Datagrams sent, in order. */
  readonly sent: { to: Endpoint; bytes: Uint8Array; ttl: number }[] = [];
  /** Datagrams that wait for the HostNet's flush. */
  readonly posted: { to: Endpoint; bytes: Uint8Array; ttl: number }[] = [];

  constructor(family: 4 | 6, preferredPort: number, localPort: number, user: HostUdpUser) {
    this.family = family;
    this.preferredPort = preferredPort;
    this.localPort = localPort;
    this.user = user;
  }

  send(to: Endpoint, b: Uint8Array, off: number, len: number, ttl = 0): void {
    if (this.closed) throw new Error('FakeUdp.send: the socket is closed');
    if (to.isIpv4 !== (this.family === 4)) throw new Error(`FakeUdp.send: ${to} by a socket of IPv${this.family}`);
    this.sent.push({ to: copyOf(to), bytes: copyBytes(b, off, off + len), ttl });
  }
  post(to: Endpoint, b: Uint8Array, off: number, len: number, ttl = 0): void {
    this.send(to, b, off, len, ttl);
    this.posted.push(this.sent.pop()!);
  }
  close(): void {
    this.closed = true;
  }

  /** A datagram arrives. */
  deliver(from: Endpoint, bytes: Uint8Array): void {
    if (this.closed) return;
    const loan = copyOf(from);
    lend(bytes, (b, off, len) => this.user.datagram(loan, b, off, len));
    loan.set(-1, -1, -1, -1, 0xffff);
  }
  /** An error for what was sent to `to`, or for the socket itself (null). */
  fail(code: ErrnoName, to: Endpoint | null, report?: IcmpReport): void {
    if (!this.closed) this.user.failed(code, to === null ? null : copyOf(to), report);
  }
}

export class FakePing implements HostPing {
  readonly to: Endpoint;
  readonly user: HostPingUser;
  closed = false;
  readonly sent: { seq: number; bytes: Uint8Array; ttl: number }[] = [];

  constructor(to: Endpoint, user: HostPingUser) {
    this.to = copyOf(to);
    this.user = user;
  }

  send(seq: number, b: Uint8Array, off: number, len: number, ttl: number): void {
    if (this.closed) throw new Error('FakePing.send: the socket is closed');
    this.sent.push({ seq, bytes: copyBytes(b, off, off + len), ttl });
  }
  close(): void {
    this.closed = true;
  }

  /** An echo reply; by default the answer to the last request, with its data. */
  reply(seq = this.sent.at(-1)!.seq, bytes = this.sent.at(-1)!.bytes, ttl = 64): void {
    if (!this.closed) lend(bytes, (b, off, len) => this.user.reply(seq, b, off, len, ttl));
  }
  fail(code: ErrnoName, report?: IcmpReport, seq?: number): void {
    if (!this.closed) this.user.failed(code, report, seq);
  }
}

export class FakeListener implements HostListener {
  readonly local: Endpoint;
  /** Unix path; '' for TCP. */
  path = '';
  closed = false;
  private readonly accept: (socket: HostTcp) => void;

  constructor(local: Endpoint, accept: (socket: HostTcp) => void) {
    this.local = copyOf(local);
    this.accept = accept;
  }

  close(): void {
    this.closed = true;
  }

  /** A client connects: gives the accepted socket, connected and paused, after `accept` has seen it. */
  incoming(from: Endpoint): FakeTcp {
    if (this.closed) throw new Error('FakeListener.incoming: the listener is closed');
    const socket = new FakeTcp(from, NO_USER);
    socket.state = 'connected';
    socket.paused = true;
    socket.local.copy(this.local);
    this.accept(socket);
    return socket;
  }
}

const unset = (): never => {
  throw new Error('the accepted socket has no user yet');
};
const NO_USER: HostTcpUser = {
  connected: unset,
  data: unset,
  end: unset,
  drained: unset,
  failed: unset,
  closed: unset,
};

export class FakeHostNet implements HostNet {
  pingProblem: string | null = null;
  readonly tcp: FakeTcp[] = [];
  readonly udp: FakeUdp[] = [];
  readonly pings: FakePing[] = [];
  readonly listeners: FakeListener[] = [];
  /** Ports that listenTcp and listenUdp refuse with EADDRINUSE, and that openUdp cannot prefer. */
  readonly takenPorts = new Set<number>();
  /** Paths that listenUnix refuses. */
  readonly takenPaths = new Set<string>();
  private nextPort = 32_768;

  /** Sockets of one kind that are still open. */
  get openTcp(): FakeTcp[] {
    return this.tcp.filter((s) => s.state !== 'dead');
  }
  get openUdpSockets(): FakeUdp[] {
    return this.udp.filter((s) => !s.closed);
  }

  /** Forgets dead sockets and what the others have sent, for long runs. */
  forgetPast(): void {
    const keep = <T extends { sent?: unknown[]; writes?: unknown[] }>(list: T[], alive: (each: T) => boolean): void => {
      list.splice(0, list.length, ...list.filter(alive));
      for (const each of list) {
        each.sent?.splice(0, each.sent.length - 1);
        each.writes?.splice(0);
      }
    };
    keep(this.tcp, (s) => s.state !== 'dead');
    keep(this.udp, (s) => !s.closed);
    keep(this.pings, (p) => !p.closed);
  }

  /** The socket opened last. */
  get lastTcp(): FakeTcp {
    return last(this.tcp, 'TCP socket');
  }
  get lastUdp(): FakeUdp {
    return last(this.udp, 'UDP socket');
  }

  defer(run: () => void): void {
    setImmediate(run);
  }

  flush(): void {
    for (const udp of this.udp) udp.sent.push(...udp.posted.splice(0));
  }

  connectTcp(to: Endpoint, user: HostTcpUser, ttl = 0): FakeTcp {
    const socket = new FakeTcp(to, user);
    socket.ttl = ttl;
    this.tcp.push(socket);
    return socket;
  }

  connectUnix(path: string, user: HostTcpUser): FakeTcp {
    const socket = new FakeTcp(new Endpoint(), user);
    socket.path = path;
    this.tcp.push(socket);
    return socket;
  }

  async listenUnix(path: string, accept: (socket: HostTcp) => void): Promise<FakeListener> {
    if (this.takenPaths.has(path)) throw new VdeError('ERR_VDE_LISTEN', `cannot listen at ${path}: it is in use`);
    const listener = new FakeListener(new Endpoint(), accept);
    listener.path = path;
    this.listeners.push(listener);
    return listener;
  }

  async listenTcp(at: Endpoint, accept: (socket: HostTcp) => void): Promise<FakeListener> {
    const listener = new FakeListener(this.bind(at), accept);
    this.listeners.push(listener);
    return listener;
  }

  openUdp(family: 4 | 6, preferredPort: number, user: HostUdpUser): FakeUdp {
    const inUse = this.udp.some((s) => !s.closed && s.family === family && s.localPort === preferredPort);
    const free = preferredPort >= 1024 && !inUse && !this.takenPorts.has(preferredPort);
    const socket = new FakeUdp(family, preferredPort, free ? preferredPort : this.ephemeral(), user);
    this.udp.push(socket);
    return socket;
  }

  async listenUdp(at: Endpoint, user: HostUdpUser): Promise<FakeUdp> {
    const local = this.bind(at);
    const socket = new FakeUdp(at.isIpv4 ? 4 : 6, at.port, local.port, user);
    this.udp.push(socket);
    return socket;
  }

  openPing(to: Endpoint, user: HostPingUser): FakePing | null {
    if (this.pingProblem !== null) return null;
    const ping = new FakePing(to, user);
    this.pings.push(ping);
    return ping;
  }

  close(): void {
    for (const s of this.tcp) s.reset();
    for (const s of [...this.udp, ...this.pings, ...this.listeners]) s.close();
  }

  private bind(at: Endpoint): Endpoint {
    if (at.port !== 0 && this.takenPorts.has(at.port)) {
      const cause = Object.assign(new Error('in use'), { code: 'EADDRINUSE' });
      throw new VdeError('ERR_VDE_LISTEN', `cannot listen at ${at}: the port is in use (EADDRINUSE)`, { cause });
    }
    const local = copyOf(at);
    if (local.port === 0) local.port = this.ephemeral();
    return local;
  }

  private ephemeral(): number {
    while (this.takenPorts.has(this.nextPort)) this.nextPort++;
    return this.nextPort++;
  }
}

function last<T>(list: readonly T[], what: string): T {
  const item = list.at(-1);
  if (item === undefined) throw new Error(`no ${what} was opened`);
  return item;
}
