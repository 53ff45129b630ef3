// A link that is a network interface of this machine: raw frames, by an AF_PACKET socket. Needs CAP_NET_RAW.
//
// What comes in from the wire, and what the machine itself sends out by the interface, comes in here; what is sent here goes
// out to the wire, not to the machine itself. The interface is made to take frames for other stations too (promiscuous),
// for as long as the link is open. VLAN tags and checksums that the kernel has taken off or left to the device are put
// back by the addon; frames in which the kernel has gathered several segments (GRO, TSO) are longer than any frame on the
// wire: they are dropped and counted (FrameTooLong), and `onOversize` says so once, because `ethtool -K IF gro off` helps.
//
//   open() --> UP --interface goes down or away--> DOWN --every second: is it there and up again?--> UP

import { Drop, newDropCounters } from '../core/drop.ts';
import { VdeError } from '../core/errors.ts';
import { type FrameMemory, type FrameSink, type Link, newLinkStats } from '../core/frame.ts';
import { errnoName } from '../native/errno.ts';
import { type NativeApi, native } from '../native/native.ts';
import { FRAME_OVERHEAD } from './limits.ts';
import { SYSTEM_TIMERS, type Timers } from './timers.ts';
import { VdeSocket } from './vde-socket.ts';

const LOOK_MS = 1000;

export interface PacketOptions {
  readonly interface: string;
  readonly memory: FrameMemory;
  /** Largest packet sent, bytes; the device refuses what is too long for it. Default 1500. */
  readonly mtu?: number;
  /** Default true. */
  readonly promiscuous?: boolean;
  readonly timers?: Timers;
}

export class PacketLink implements Link {
  readonly name: string;
  readonly mtu: number;
  readonly tx: FrameSink;
  readonly stats = newLinkStats();
  readonly drops = newDropCounters();
  onState: ((up: boolean) => void) | null = null;
  /** Hears once that frames came in which are longer than any on a wire. */
  onOversize: (() => void) | null = null;
  private readonly api: NativeApi = native();
  private readonly options: PacketOptions;
  private readonly timers: Timers;
  private socket: VdeSocket | null = null;
  private sink: FrameSink | null = null;
  private timer: unknown = null;
  private told = false;
  private closed = false;

  /** Throws ERR_VDE_NO_NATIVE, ERR_VDE_BAD_ADDRESS (no such interface), or ERR_VDE_SYSTEM (not allowed). */
  constructor(options: PacketOptions) {
    this.options = options;
    this.name = `packet:${options.interface}`;
    this.mtu = options.mtu ?? 1500;
    this.timers = options.timers ?? SYSTEM_TIMERS;
    this.tx = {
      frame: (b, off, len) => {
        if (this.socket !== null) this.socket.frame(b, off, len);
        else this.drops[Drop.LinkDown]!++;
      },
      flush: () => this.socket?.flush(),
    };
    const status = this.open();
    if (status >= 0) return;
    const at = `vde: cannot use interface ${options.interface}`;
    const code = errnoName(status);
    if (code === 'ENODEV' || code === 'ENAMETOOLONG')
      throw new VdeError('ERR_VDE_BAD_ADDRESS', `${at}: there is none of that name; ip link lists them`);
    const help = code === 'EPERM' ? '; raw frames need root or CAP_NET_RAW' : '';
    throw new VdeError('ERR_VDE_SYSTEM', `${at}: ${code}${help}`);
  }

  get up(): boolean {
    return this.socket !== null;
  }

  attach(sink: FrameSink): void {
    this.sink = {
      frame: (b, off, len) => sink.frame(b, off, len),
      flush: () => {
        sink.flush();
        if (!this.told && this.drops[Drop.FrameTooLong]! > 0) this.tell();
      },
    };
    this.socket?.attach(this.sink);
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.timers.stop(this.timer);
    this.release();
    this.onState?.(false);
  }

  private tell(): void {
    this.told = true;
    this.onOversize?.();
  }

  /** Opens the socket; negative: why not. */
  private open(): number {
    const { memory, promiscuous } = this.options;
    const index = this.api.ifIndex(this.options.interface);
    if (index < 0) return index;
    const fd = this.api.packet(index, promiscuous ?? true);
    if (fd < 0) return fd;
    this.socket = new VdeSocket(fd, {
      memory,
      maxTxFrame: this.mtu + FRAME_OVERHEAD,
      stats: this.stats,
      drops: this.drops,
      io: { recv: this.api.recvPackets, send: this.api.sendPackets },
      onGone: () => this.lose(),
    });
    if (this.sink !== null) this.socket.attach(this.sink);
    return 0;
  }

  private release(): void {
    this.socket?.close();
    this.socket = null;
  }

  private lose(): void {
    const wasUp = this.socket !== null;
    this.release();
    this.schedule();
    if (wasUp) this.onState?.(false);
  }

  private schedule(): void {
    this.timer = this.timers.start(() => {
      // A socket on an interface that is down says so when it is read: then `lose` runs again.
      if (this.open() < 0) this.schedule();
      else this.onState?.(true);
    }, LOOK_MS);
  }
}
