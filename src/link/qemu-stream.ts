// QEMU's `-netdev stream` (and the older `-netdev socket`) over Unix stream sockets: each frame behind its length, 4 bytes
// in network order. Needs no native code.
//
//   server   QemuStreamServer listens; each guest is a link:   -netdev stream,id=n0,addr.type=unix,addr.path=PATH
//   client   QemuStreamDialer joins a QEMU that listens:       the same with server=on; tried again for ever
//
// Neither knows a switch: a link is offered to `allocate`, which gives a port number or says why not, like the control
// server's. There is no handshake, hence no port number, description or user of the guest to be asked.
//
// Frames may be as long as an IP packet can be: 65,550 bytes with headers and a tag. What a link takes is always that;
// what it is sent is up to its MTU.
//
// Guards: the socket is this user's alone (0600); 1024 links; a link whose stream is out of step is closed.

import { connect, type Server, type Socket } from 'node:net';
import { checkUnixPath, listenUnixStream } from '../native/unix-server.ts';
import { FrameStream, type StreamEnd } from './frame-stream.ts';
import { FRAME_OVERHEAD } from './limits.ts';
import { SYSTEM_TIMERS, type Timers } from './timers.ts';

const HEADER_LEN = 4;
/** Longest frame taken: an Ethernet header, a tag, and the largest IP packet, rounded up as QEMU's peers have it. */
export const MAX_STREAM_FRAME = 65_550;
/** Largest MTU of such a link, bytes. */
export const MAX_STREAM_MTU = MAX_STREAM_FRAME - FRAME_OVERHEAD;
const MAX_LINKS = 1024;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5000;

/** A guest at a stream, as a link that asks for any port. */
export class QemuStreamLink extends FrameStream {
  readonly requestedPort = -1;
  readonly uid = -1;
  readonly description: string;

  /** @param socket  connected; the link owns it from now on */
  constructor(socket: Socket, name: string, mtu: number) {
    super(socket, socket, { name, headerLen: HEADER_LEN, maxRxFrame: MAX_STREAM_FRAME, mtu });
    this.description = name;
  }
}

export interface QemuStreamOptions {
  /** Path of the socket. */
  readonly path: string;
  /**
   * Gives a new link a port: its number, or in one line why there is none. Attach a sink and set `onState` (false: the
   * guest has gone) before returning a number.
   */
  readonly allocate: (link: QemuStreamLink) => number | string;
  /** Largest packet sent to guests, bytes; default 1500. */
  readonly mtu?: number;
  /** Hears of guests that were turned away or lost: one line without line break. */
  readonly report?: (text: string) => void;
}

const DEFAULT_MTU = 1500;

/** What server and dialer have in common: the links, and what becomes of them. */
class Links {
  readonly all = new Set<QemuStreamLink>();
  private readonly options: QemuStreamOptions;
  private made = 0;

  constructor(options: QemuStreamOptions) {
    this.options = options;
  }

  /** Makes a link of a connected socket; null when it gets no port. `gone` is called when it is over. */
  add(socket: Socket, gone: (() => void) | null): QemuStreamLink | null {
    const { path, mtu = DEFAULT_MTU, allocate } = this.options;
    const link = new QemuStreamLink(socket, `qemu-stream:${path}#${++this.made}`, mtu);
    const port = this.all.size >= MAX_LINKS ? 'too many guests' : allocate(link);
    if (typeof port === 'string') {
      this.report(`guest refused: ${port}`);
      void link.close();
      return null;
    }
    this.all.add(link);
    link.onEnd = (why) => {
      this.all.delete(link);
      if (why !== 'ended' && !isGone(why)) this.report(`guest lost: ${why instanceof Error ? why.message : why}`);
      gone?.();
    };
    return link;
  }

  report(text: string): void {
    this.options.report?.(`qemu-stream: ${this.options.path}: ${text}`);
  }

  close(): void {
    for (const link of this.all) void link.close();
    this.all.clear();
  }
}

/** A guest that was ended is no news. */
const isGone = (why: StreamEnd): boolean =>
  why instanceof Error && ['EPIPE', 'ECONNRESET'].includes((why as NodeJS.ErrnoException).code ?? '');

export class QemuStreamServer {
  readonly path: string;
  private readonly links: Links;
  private readonly server: Server;
  private closing: Promise<void> | null = null;

  private constructor(path: string, links: Links, server: Server) {
    this.path = path;
    this.links = links;
    this.server = server;
  }

  /** Rejects with ERR_VDE_LISTEN or ERR_VDE_PATH_TOO_LONG, and then leaves nothing behind. */
  static async listen(options: QemuStreamOptions & { readonly mode?: number }): Promise<QemuStreamServer> {
    const links = new Links(options);
    const mode = options.mode === undefined ? {} : { mode: options.mode };
    const server = await listenUnixStream(options.path, mode, (socket) => void links.add(socket, null));
    return new QemuStreamServer(options.path, links, server);
  }

  /** Guests connected now. */
  get size(): number {
    return this.links.all.size;
  }

  /** Ends all links and removes the socket; safe to call twice. */
  close(): Promise<void> {
    this.closing ??= new Promise((done) => {
      this.server.close(() => done());
      this.links.close();
    });
    return this.closing;
  }
}

/** Keeps one link to a QEMU that listens: connects, and connects again with back-off. */
export class QemuStreamDialer {
  private readonly path: string;
  private readonly links: Links;
  private readonly timers: Timers;
  private socket: Socket | null = null;
  private retry: unknown = null;
  private backOffMs = RETRY_MIN_MS;
  private closed = false;

  /** Begins to connect. Throws ERR_VDE_PATH_TOO_LONG. */
  constructor(options: QemuStreamOptions & { readonly timers?: Timers }) {
    checkUnixPath(options.path);
    this.path = options.path;
    this.links = new Links(options);
    this.timers = options.timers ?? SYSTEM_TIMERS;
    this.dial();
  }

  get connected(): boolean {
    return this.links.all.size > 0;
  }

  async close(): Promise<void> {
    this.closed = true;
    this.timers.stop(this.retry);
    this.socket?.destroy();
    this.links.close();
  }

  private dial(): void {
    const socket = connect(this.path);
    this.socket = socket;
    const failed = () => this.again();
    socket.once('error', failed);
    socket.once('connect', () => {
      socket.off('error', failed);
      if (this.closed || this.links.add(socket, () => this.again()) === null) this.again();
      else this.backOffMs = RETRY_MIN_MS;
    });
  }

  private again(): void {
    if (this.closed) return;
    this.retry = this.timers.start(() => this.dial(), this.backOffMs);
    this.backOffMs = Math.min(this.backOffMs * 2, RETRY_MAX_MS);
  }
}
