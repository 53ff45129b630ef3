// QEMU's `-netdev dgram` over Unix datagram sockets: every datagram is one frame. Needs the native addon.
//
//   ours     bound to `local`          <-- frames --   QEMU: remote.path
//   ours     connected to `remote`     --- frames -->  QEMU: local.path
//
// Two sockets, not one: a datagram socket that is connected takes nothing from anybody but the very socket it was
// connected to, so the first frames of a QEMU that was started again would be lost. The one that receives is therefore
// not connected; its file is this user's alone (0600). The one that sends is, and so is told when the peer has no room.
//
// There is no connection to break. The peer is gone when a send says so, or when the file at `remote` is another one or
// none, which is looked at once a second; then, and from the start until there is a QEMU, the link is down and tries to
// reach it with back-off, and at once when a frame comes in. No good-bye is sent: QEMU takes an empty datagram for the
// end of its own device.

import { fchmodSync, statSync } from 'node:fs';
import { Drop, newDropCounters } from '../core/drop.ts';
import { VdeError } from '../core/errors.ts';
import { type FrameMemory, type FrameSink, type Link, newLinkStats } from '../core/frame.ts';
import { errnoName } from '../native/errno.ts';
import { AF_UNIX, type NativeApi, native, SOCK_DGRAM } from '../native/native.ts';
import { checkUnixPath } from '../native/unix-server.ts';
import { FRAME_OVERHEAD } from './limits.ts';
import { removeSocket } from './socket-file.ts';
import { SYSTEM_TIMERS, type Timers } from './timers.ts';
import { VdeSocket } from './vde-socket.ts';

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5000;
const LOOK_MS = 1000;
const DEFAULT_MODE = 0o600;

export interface QemuDgramOptions {
  /** Path of our socket, which is QEMU's `remote.path`. */
  readonly local: string;
  /** QEMU's `local.path`. */
  readonly remote: string;
  readonly memory: FrameMemory;
  /** Largest packet sent, bytes; default 1500. */
  readonly mtu?: number;
  /** Mode of our socket; default 0600. */
  readonly mode?: number;
  readonly timers?: Timers;
}

export class QemuDgramLink implements Link {
  readonly name: string;
  readonly mtu: number;
  readonly tx: FrameSink;
  readonly stats = newLinkStats();
  readonly drops = newDropCounters();
  onState: ((up: boolean) => void) | null = null;
  private readonly api: NativeApi;
  private readonly options: QemuDgramOptions;
  private readonly timers: Timers;
  private readonly receiver: VdeSocket;
  private sender: VdeSocket | null = null;
  /** The file that the sender is connected to. */
  private peerFile = '';
  private timer: unknown = null;
  private backOffMs = RETRY_MIN_MS;
  private sink: FrameSink | null = null;
  private closed = false;

  /**
   * Binds the socket and begins to look for the peer. Throws ERR_VDE_NO_NATIVE, ERR_VDE_PATH_TOO_LONG, ERR_VDE_LISTEN or
   * ERR_VDE_SYSTEM, and then leaves nothing behind.
   */
  constructor(options: QemuDgramOptions) {
    checkUnixPath(options.local);
    checkUnixPath(options.remote);
    this.api = native();
    this.options = options;
    this.timers = options.timers ?? SYSTEM_TIMERS;
    this.name = `qemu-dgram:${options.local}`;
    this.mtu = options.mtu ?? 1500;
    this.receiver = this.socket(bindDatagram(this.api, options.local, options.mode ?? DEFAULT_MODE));
    this.tx = {
      frame: (b, off, len) => {
        if (this.sender !== null) this.sender.frame(b, off, len);
        else this.drops[Drop.LinkDown]!++;
      },
      flush: () => {
        if (this.sender !== null) this.sender.flush();
      },
    };
    this.look();
  }

  get up(): boolean {
    return this.sender !== null;
  }

  attach(sink: FrameSink): void {
    this.sink = sink;
    this.receiver.attach({
      frame: (b, off, len) => {
        if (this.sender === null) this.reach();
        this.sink!.frame(b, off, len);
      },
      flush: () => this.sink!.flush(),
    });
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.timers.stop(this.timer);
    this.sender?.close();
    this.sender = null;
    this.receiver.close();
    removeSocket(this.options.local);
    this.onState?.(false);
  }

  private socket(fd: number): VdeSocket {
    const { memory } = this.options;
    const { stats, drops } = this;
    return new VdeSocket(fd, {
      memory,
      maxTxFrame: this.mtu + FRAME_OVERHEAD,
      stats,
      drops,
      onGone: () => {
        this.lose();
        this.schedule();
      },
    });
  }

  /** Runs again and again while the link is open: sees whether the peer is there, or still the same. */
  private look(): void {
    if (this.sender !== null && fileAt(this.options.remote) !== this.peerFile) this.lose();
    if (this.sender === null) this.reach();
    this.schedule();
  }

  private schedule(): void {
    this.timers.stop(this.timer);
    if (this.closed) return;
    const ms = this.sender !== null ? LOOK_MS : this.backOffMs;
    if (this.sender === null) this.backOffMs = Math.min(this.backOffMs * 2, RETRY_MAX_MS);
    this.timer = this.timers.start(() => this.look(), ms);
  }

  /** Tries to connect to the peer. */
  private reach(): void {
    if (this.closed) return;
    const fd = this.api.socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0) return;
    const file = fileAt(this.options.remote);
    if (this.api.connectUnix(fd, this.options.remote) < 0) {
      this.api.close(fd);
      return;
    }
    this.peerFile = file;
    this.backOffMs = RETRY_MIN_MS;
    this.sender = this.socket(fd);
    this.onState?.(true);
  }

  private lose(): void {
    if (this.sender === null) return;
    this.sender.close();
    this.sender = null;
    this.onState?.(false);
  }
}

/** What tells one file at a path from the next; '' when there is none. */
function fileAt(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? '' : `${found.dev} ${found.ino} ${found.ctimeMs}`;
}

/** A bound datagram socket with its mode; takes over a file that nobody uses. */
function bindDatagram(api: NativeApi, path: string, mode: number): number {
  const fd = api.socket(AF_UNIX, SOCK_DGRAM, 0);
  if (fd < 0) throw new VdeError('ERR_VDE_SYSTEM', `vde: cannot make a datagram socket: ${errnoName(fd)}`);
  fchmodSync(fd, mode); // the file gets it when it is made
  let status = api.bindUnix(fd, path);
  if (errnoName(status) === 'EADDRINUSE' && isLeftOver(api, path) && removeSocket(path))
    status = api.bindUnix(fd, path);
  if (status >= 0) return fd;
  api.close(fd);
  const code = errnoName(status);
  const why = code === 'EADDRINUSE' ? 'another process uses it, or it is not a socket' : code;
  throw new VdeError('ERR_VDE_LISTEN', `cannot listen at ${path}: ${why}`);
}

/** True when nobody receives at the socket any more. */
function isLeftOver(api: NativeApi, path: string): boolean {
  const fd = api.socket(AF_UNIX, SOCK_DGRAM, 0);
  if (fd < 0) return false;
  const status = api.connectUnix(fd, path);
  api.close(fd);
  return errnoName(status) === 'ECONNREFUSED';
}
