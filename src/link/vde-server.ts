// The control server of a switch: takes clients' requests and makes a link of each.
//
// Serves every program that joins a vde_switch: Debian's plugs and slirpvde, QEMU, wirefilter. It knows no switch: each
// link is offered to `allocate`, which gives a port number or says why not.
//
//   accepted --122 bytes--> parsed --path checked--> connected --allocate--> bound as NNN.FD --reply--> endpoint
//                              any failure: the connection is closed without a reply (the protocol has no other way)
//   endpoint --ctl ends, or the client's data socket is gone--> onState(false), data socket removed
//
// Guards (the other side may be any local user who may open `ctl`):
// - The client's path must be a datagram socket that belongs to the user at the other end of the connection (SO_PEERCRED);
//   root and our own user may name any, as they could use it without us. Owner, mode and the connect are done on one
//   opened file, so the path cannot be exchanged in between. The client's file is never changed.
// - Connections without a complete request: 64 at a time, 5 s each. Endpoints: 1024 unless told otherwise.
// - What follows the request on `ctl` is ignored, as the classic switch should do.
// - A request of version 1 (before 2004) is served like one of version 3 without port number; others are refused.
// - When the process has no descriptors left, libuv turns new connections away; nothing spins. Events are reported at
//   most once a second.

import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { newDropCounters } from '../core/drop.ts';
import { type FrameMemory, type FrameSink, type Link, newLinkStats } from '../core/frame.ts';
import { errnoName } from '../native/errno.ts';
import { AF_UNIX, type NativeApi, native, SOCK_DGRAM } from '../native/native.ts';
import { effectiveUid } from './accounts.ts';
import { ControlDir, type ControlDirOptions } from './control-dir.ts';
import { FRAME_OVERHEAD } from './limits.ts';
import { removeSocket, withFile } from './socket-file.ts';
import { SYSTEM_TIMERS, type Timers } from './timers.ts';
import { encodeReply, type PortRequestMessage, parseRequest } from './vde-protocol.ts';
import { VdeSocket } from './vde-socket.ts';

const REQUEST_MS = 5000;
const MAX_PENDING = 64;
const DEFAULT_MAX_ENDPOINTS = 1024;
const REPORT_EVERY_MS = 1000;
const BACKLOG = 64;
/** What every VDE program carries. */
const DEFAULT_MTU = 1500;

export interface VdeServerOptions extends ControlDirOptions {
  memory: FrameMemory;
  /**
   * Gives the new link a port: its number, or in one line why there is none. Attach a sink and set `onState` (false:
   * the client has gone) before returning a number.
   */
  allocate: (endpoint: VdeEndpoint) => number | string;
  /** Hears of refused clients, at most once a second: one line without line break. */
  report?: (text: string) => void;
  /** Most clients with a port; default 1024. Each has two descriptors. */
  maxEndpoints?: number;
  /** Keeps clients waiting until `serve`. */
  held?: boolean;
  /** Largest packet sent to clients, bytes; default 1500. */
  mtu?: number;
  timers?: Timers;
}

/** A client of the server, as a link. */
export class VdeEndpoint implements Link {
  readonly name: string;
  readonly mtu: number;
  readonly tx: FrameSink;
  readonly stats = newLinkStats();
  readonly drops = newDropCounters();
  onState: ((up: boolean) => void) | null = null;
  /** What the client says about itself; any text without control characters. */
  readonly description: string;
  /** Port number asked for, -1 for any. */
  readonly requestedPort: number;
  /** User and process at the other end of the control connection. */
  readonly uid: number;
  readonly pid: number;
  /** Descriptor number of the control connection: vde_switch's endpoint id. */
  readonly endpointId: number;
  /** Path of the switch's data socket; '' before it is bound. Set by the server. */
  dataPath = '';
  private readonly ctl: Socket;
  private readonly socket: VdeSocket;
  private readonly onEnd: (endpoint: VdeEndpoint) => void;
  private ended = false;

  /** Used by VdeServer. */
  constructor(
    ctl: Connection,
    fd: number,
    request: PortRequestMessage,
    mtu: number,
    memory: FrameMemory,
    onEnd: (endpoint: VdeEndpoint) => void,
  ) {
    this.ctl = ctl.socket;
    this.endpointId = ctl.id;
    this.uid = ctl.uid;
    this.pid = ctl.pid;
    this.name = `vde-endpoint:${ctl.id}`;
    this.description = request.description;
    this.requestedPort = request.port;
    this.mtu = mtu;
    this.onEnd = onEnd;
    const maxTxFrame = mtu + FRAME_OVERHEAD;
    this.socket = new VdeSocket(fd, {
      memory,
      maxTxFrame,
      stats: this.stats,
      drops: this.drops,
      onGone: () => this.end(),
    });
    this.tx = this.socket;
  }

  /** Frames that wait for the client to make room. */
  get backlogged(): number {
    return this.socket.backlogged;
  }

  attach(sink: FrameSink): void {
    this.socket.attach(sink);
  }

  async close(): Promise<void> {
    this.end();
  }

  private end(): void {
    if (this.ended) return;
    this.ended = true;
    this.ctl.destroy();
    this.socket.close();
    if (this.dataPath !== '') removeSocket(this.dataPath);
    this.onEnd(this);
    this.onState?.(false);
  }
}

/** A control connection. */
interface Connection {
  socket: Socket;
  id: number;
  uid: number;
  pid: number;
}

export class VdeServer {
  /** Absolute path of the control directory. */
  readonly path: string;
  readonly endpoints = new Set<VdeEndpoint>();
  /** Clients that were turned away. */
  refused = 0;
  private readonly api: NativeApi;
  private readonly dir: ControlDir;
  private readonly options: VdeServerOptions;
  private readonly timers: Timers;
  private readonly pending = new Set<Socket>();
  /** Clients that came before `serve`; null afterwards. */
  private waiting: Socket[] | null;
  private readonly server: Server;
  private reportedAt = Number.NEGATIVE_INFINITY;
  private unreported = 0;
  private closing: Promise<void> | null = null;

  private constructor(api: NativeApi, dir: ControlDir, options: VdeServerOptions) {
    this.api = api;
    this.dir = dir;
    this.path = dir.path;
    this.options = options;
    this.timers = options.timers ?? SYSTEM_TIMERS;
    this.waiting = options.held === true ? [] : null;
    this.server = createServer((socket) => this.take(socket));
    this.server.on('error', (error) => this.report(`cannot accept: ${error.message}`));
  }

  /**
   * Makes the control directory and listens in it. Rejects with ERR_VDE_SWITCH_RUNNING, ERR_VDE_UNSAFE_DIRECTORY,
   * ERR_VDE_PATH_TOO_LONG, ERR_VDE_NO_NATIVE or ERR_VDE_SYSTEM, and then leaves nothing behind.
   */
  static async listen(options: VdeServerOptions): Promise<VdeServer> {
    const api = native();
    const dir = await ControlDir.open(api, options);
    const server = new VdeServer(api, dir, options);
    await new Promise<void>((done, fail) => {
      server.server.once('error', fail);
      server.server.listen({ fd: dir.listenFd, backlog: BACKLOG }, () => {
        server.server.off('error', fail);
        done();
      });
    });
    return server;
  }

  /** Modes of `ctl` and the data sockets. */
  get socketMode(): number {
    return this.dir.socketMode;
  }

  /** Serves clients from now on, those that have been waiting first. */
  serve(): void {
    const { waiting } = this;
    this.waiting = null;
    for (const socket of waiting ?? []) this.accept(socket);
  }

  /** Ends all endpoints and removes all files; safe to call twice. */
  close(): Promise<void> {
    this.closing ??= new Promise((done) => {
      this.server.close(() => {
        this.dir.release();
        done();
      });
      for (const socket of [...this.pending, ...(this.waiting ?? [])]) socket.destroy();
      for (const endpoint of [...this.endpoints]) void endpoint.close();
    });
    return this.closing;
  }

  private take(socket: Socket): void {
    socket.on('error', () => {}); // 'close' follows
    if (this.waiting === null) this.accept(socket);
    else if (this.waiting.length < MAX_PENDING) this.waiting.push(socket);
    else socket.destroy();
  }

  private accept(socket: Socket): void {
    const cred = this.api.peerCred(descriptorOf(socket));
    if (
      cred === null ||
      this.pending.size >= MAX_PENDING ||
      this.endpoints.size >= (this.options.maxEndpoints ?? DEFAULT_MAX_ENDPOINTS)
    ) {
      this.refuse(socket, cred === null ? 'its user is not known' : 'too many clients');
      return;
    }
    const connection: Connection = { socket, id: descriptorOf(socket), uid: cred.uid, pid: cred.pid };
    let message = Buffer.alloc(0);
    const timer = this.timers.start(() => this.refuse(socket, 'no complete request came'), REQUEST_MS);
    const settle = () => {
      this.timers.stop(timer);
      this.pending.delete(socket);
    };
    this.pending.add(socket);
    socket.once('close', settle);
    const collect = (chunk: Buffer) => {
      message = Buffer.concat([message, chunk]);
      const request = parseRequest(message);
      if (request === null) return;
      settle();
      socket.off('data', collect).on('data', () => {});
      const why = typeof request === 'string' ? request : this.admit(connection, request);
      if (why !== null) this.refuse(socket, why);
    };
    socket.on('data', collect);
  }

  /** Makes an endpoint of a request; null, or why not. */
  private admit(connection: Connection, request: PortRequestMessage): string | null {
    const fd = this.api.socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0) return errnoName(fd);
    const why = this.connectTo(fd, request.path, connection.uid);
    if (why !== null) {
      this.api.close(fd);
      return why;
    }
    const { memory, mtu = DEFAULT_MTU } = this.options;
    const endpoint = new VdeEndpoint(connection, fd, request, mtu, memory, (e) => this.endpoints.delete(e));
    this.endpoints.add(endpoint);
    const port = this.options.allocate(endpoint);
    if (typeof port === 'string') {
      void endpoint.close();
      return port;
    }
    try {
      endpoint.dataPath = this.dir.bindData(fd, `${String(port).padStart(3, '0')}.${fd}`, connection.uid);
    } catch (error) {
      void endpoint.close();
      return (error as Error).message;
    }
    const { socket } = connection;
    const end = () => void endpoint.close();
    socket.on('end', end).on('close', end);
    socket.write(encodeReply(endpoint.dataPath));
    return null;
  }

  /** Connects to the client's socket, if it is the client's; null, or why not. */
  private connectTo(fd: number, path: string, uid: number): string | null {
    try {
      return withFile(path, (stats, pinned) => {
        if (!stats.isSocket()) return `${path} is not a socket`;
        if (stats.uid !== uid && uid !== 0 && uid !== effectiveUid()) return `${path} belongs to uid ${stats.uid}`;
        const status = this.api.connectUnix(fd, pinned);
        return status < 0 ? `cannot connect to ${path}: ${errnoName(status)}` : null;
      });
    } catch (error) {
      return `cannot use ${path}: ${(error as NodeJS.ErrnoException).code}`;
    }
  }

  private refuse(socket: Socket, why: string): void {
    socket.destroy();
    this.refused++;
    this.report(`client refused: ${why}`);
  }

  private report(text: string): void {
    const now = this.timers.now();
    if (now - this.reportedAt < REPORT_EVERY_MS) {
      this.unreported++;
      return;
    }
    const more = this.unreported === 0 ? '' : ` (and ${this.unreported} more)`;
    this.reportedAt = now;
    this.unreported = 0;
    this.options.report?.(`vde: ${join(this.path, 'ctl')}: ${text}${more}`);
  }
}

/** Descriptor number of a connected stream; -1 when it is closed already. */
const descriptorOf = (socket: Socket): number =>
  (socket as Socket & { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
