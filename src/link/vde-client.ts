// A link that joins a VDE switch as plugs do, and stays joined.
//
//   connect() --joined--> UP --ctl ends, or the peer of the data socket is gone--> DOWN --back-off, join again--> UP
//
// The first attempt decides: when it fails, `connect` rejects. Later the switch may go and come back as often as it
// likes: attempts follow each other after 100 ms, doubling to 5 s, for ever; a connection that lasted starts over at
// 100 ms. `onState` hears each change. Frames sent while down are dropped and counted as LinkDown. With `rejoin: false`
// the link is over when the switch goes.
//
// No socket file stays behind: ours is unlinked as soon as it is connected (vde-join.ts).

import type { Socket } from 'node:net';
import { dirname } from 'node:path';
import { Drop, newDropCounters } from '../core/drop.ts';
import { type FrameMemory, type FrameSink, type Link, newLinkStats } from '../core/frame.ts';
import { type NativeApi, native } from '../native/native.ts';
import type { Paced } from './cable.ts';
import { FRAME_OVERHEAD } from './limits.ts';
import { SYSTEM_TIMERS, type Timers } from './timers.ts';
import { type Joined, type JoinOptions, joinSwitch } from './vde-join.ts';
import { ANY_PORT } from './vde-protocol.ts';
import { VdeSocket } from './vde-socket.ts';

const BACK_OFF_MIN_MS = 100;
const BACK_OFF_MAX_MS = 5000;
/** A connection that lasted this long was a good one. */
const LASTING_MS = 5000;
/** What classic switches carry; they cut longer frames. */
const DEFAULT_MTU = 1500;

export interface VdeClientOptions {
  /** Control directory, with `[...]` as described in locate.ts; '' or absent for the default switch. */
  path?: string;
  /** Port number; -1 or absent for any. */
  port?: number;
  /** Group of our own socket, name or number. */
  group?: string;
  /** Mode of our own socket; default 0700. */
  mode?: number;
  /** What the switch shows; login and pid are added. */
  description: string;
  memory: FrameMemory;
  /** Largest packet sent, bytes; default 1500. */
  mtu?: number;
  timers?: Timers;
  /** Joins again when the switch has gone; default true. Otherwise the link is over then. */
  rejoin?: boolean;
}

export class VdeClient implements Link, Paced {
  readonly name: string;
  readonly mtu: number;
  readonly tx: FrameSink;
  readonly stats = newLinkStats();
  readonly drops = newDropCounters();
  onState: ((up: boolean) => void) | null = null;
  onRoom: (() => void) | null = null;
  /** Control directory of the switch joined last. */
  directory = '';
  /** Why the last attempt to join failed; null after one that succeeded. */
  lastError: Error | null = null;

  private readonly api: NativeApi;
  private readonly memory: FrameMemory;
  private readonly timers: Timers;
  private readonly join: JoinOptions;
  private readonly rejoins: boolean;
  private readonly aborter = new AbortController();
  private sink: FrameSink | null = null;
  private socket: VdeSocket | null = null;
  private ctl: Socket | null = null;
  private held = false;
  private upSince = 0;
  private backOffMs = BACK_OFF_MIN_MS;
  private retry: unknown = null;
  /** The attempt that is under way. */
  private attempt: Promise<void> | null = null;
  private closed = false;

  private constructor(options: VdeClientOptions) {
    this.api = native();
    this.name = `vde:${options.path ?? ''}`;
    this.mtu = options.mtu ?? DEFAULT_MTU;
    this.memory = options.memory;
    this.timers = options.timers ?? SYSTEM_TIMERS;
    this.rejoins = options.rejoin ?? true;
    this.join = {
      path: options.path ?? '',
      port: options.port ?? ANY_PORT,
      group: options.group ?? '',
      mode: options.mode ?? -1,
      description: options.description,
    };
    this.tx = {
      frame: (b, off, len) => {
        if (this.socket !== null) this.socket.frame(b, off, len);
        else this.drops[Drop.LinkDown]!++;
      },
      flush: () => {
        if (this.socket !== null) this.socket.flush();
      },
    };
  }

  /**
   * Joins a switch. Rejects with ERR_VDE_NO_SWITCH when none listens (the text tells where was looked),
   * ERR_VDE_SWITCH_REFUSED when it gives no port, ERR_VDE_NO_NATIVE, ERR_VDE_BAD_ADDRESS, ERR_VDE_SYSTEM.
   */
  static async connect(options: VdeClientOptions): Promise<VdeClient> {
    const client = new VdeClient(options);
    client.use(await joinSwitch(client.api, client.join, client.timers, client.aborter.signal));
    return client;
  }

  get up(): boolean {
    return this.socket !== null;
  }

  get congested(): boolean {
    return this.socket !== null && this.socket.backlogged > 0;
  }

  hold(on: boolean): void {
    this.held = on;
    this.socket?.pause(on);
  }

  attach(sink: FrameSink): void {
    this.sink = sink;
    this.socket?.attach(sink);
  }

  async close(): Promise<void> {
    if (!this.closed) {
      this.closed = true;
      this.aborter.abort();
      this.timers.stop(this.retry);
      this.release();
    }
    await this.attempt;
  }

  private use(joined: Joined): void {
    const { ctl } = joined;
    this.directory = dirname(joined.where);
    this.ctl = ctl;
    this.upSince = this.timers.now();
    this.lastError = null;
    const down = () => this.down(ctl);
    // The switch sends nothing after the reply; reading on is how the end is noticed.
    ctl.on('data', () => {});
    ctl.on('end', down);
    ctl.on('close', down);
    ctl.on('error', down);
    this.socket = new VdeSocket(joined.fd, {
      memory: this.memory,
      maxTxFrame: this.mtu + FRAME_OVERHEAD,
      stats: this.stats,
      drops: this.drops,
      onGone: down,
    });
    this.socket.onRoom = () => this.onRoom?.();
    if (this.sink !== null) this.socket.attach(this.sink);
    if (this.held) this.socket.pause(true);
  }

  /** The connection that `ctl` was the lease of has ended. */
  private down(ctl: Socket): void {
    if (this.ctl !== ctl || this.closed) return;
    this.release();
    if (this.timers.now() - this.upSince >= LASTING_MS) this.backOffMs = BACK_OFF_MIN_MS;
    if (this.rejoins) this.schedule();
    else this.closed = true;
    this.onState?.(false);
  }

  private release(): void {
    this.ctl?.destroy();
    this.ctl = null;
    this.socket?.close();
    this.socket = null;
    this.onRoom?.();
  }

  private schedule(): void {
    this.retry = this.timers.start(() => {
      this.attempt = this.rejoin();
    }, this.backOffMs);
    this.backOffMs = Math.min(this.backOffMs * 2, BACK_OFF_MAX_MS);
  }

  private async rejoin(): Promise<void> {
    try {
      const joined = await joinSwitch(this.api, this.join, this.timers, this.aborter.signal);
      this.use(joined);
    } catch (error) {
      if (this.closed) return;
      this.lastError = error as Error;
      this.schedule();
      return;
    }
    if (this.closed) this.release();
    else this.onState?.(true);
  }
}
