// A link over one descriptor at a time that keeps the borders of messages: what TAP devices, inherited sockets, UDP and
// ptp have in common. How a descriptor is come by, and what follows its end, is theirs.

import { Drop, newDropCounters } from '../core/drop.ts';
import { type FrameMemory, type FrameSink, type Link, newLinkStats } from '../core/frame.ts';
import type { Paced } from './cable.ts';
import { FRAME_OVERHEAD } from './limits.ts';
import { VdeSocket, type VdeSocketOptions } from './vde-socket.ts';

/** How VdeSocket is to treat the descriptor. */
export type DescriptorKind = Pick<VdeSocketOptions, 'io' | 'eof' | 'onRefused'>;

export abstract class DescriptorLink implements Link, Paced {
  readonly name: string;
  readonly mtu: number;
  readonly tx: FrameSink;
  readonly stats = newLinkStats();
  readonly drops = newDropCounters();
  onState: ((up: boolean) => void) | null = null;
  onRoom: (() => void) | null = null;
  protected readonly memory: FrameMemory;
  protected sink: FrameSink | null = null;
  protected closed = false;
  private socket: VdeSocket | null = null;
  private held = false;

  constructor(name: string, mtu: number, memory: FrameMemory) {
    this.name = name;
    this.mtu = mtu;
    this.memory = memory;
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

  /** True while there is somebody to send to. */
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
    if (this.closed) return;
    this.closed = true;
    const { up } = this;
    this.release();
    if (up) this.onState?.(false);
  }

  /** Sends and receives on `fd`, which is the link's from now on. */
  protected use(fd: number, kind: DescriptorKind = {}): void {
    const { memory, stats, drops } = this;
    const maxTxFrame = this.mtu + FRAME_OVERHEAD;
    this.socket = new VdeSocket(fd, { memory, maxTxFrame, stats, drops, ...kind, onGone: () => this.gone() });
    this.socket.onRoom = () => this.onRoom?.();
    if (this.sink !== null) this.socket.attach(this.sink);
    if (this.held) this.socket.pause(true);
  }

  /** Closes the descriptor, if there is one. */
  protected release(): void {
    this.socket?.close();
    this.socket = null;
    this.onRoom?.();
  }

  /** The peer is gone; never called from inside `frame` or `flush`. The link is over, unless a subclass knows better. */
  protected gone(): void {
    this.release();
    this.closed = true;
    this.onState?.(false);
  }
}
