// Captures: what passes a link, as a pcapng (or pcap) file for Wireshark and tcpdump.
//
// `CapturedLink` wraps a link and, while a capture runs, shows each frame in both directions to a `CaptureFile` before it
// passes it on untouched. The file takes a copy and writes it behind the back of the data path, in large pieces. It never holds up
// or disturbs the link: when the disk is slower than the network, frames beyond QUEUE_BYTES are left out and counted;
// when the size limit is reached or a write fails (disk full), the capture stops, says why, and counts what it misses.
//
// The file is made with mode 0600 and through no symbolic link. A file of that name is overwritten only when it is a
// regular file of this user with no other name.

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { VdeError } from '../core/errors.ts';
import type { FrameSink, Link, LinkStats } from '../core/frame.ts';
import { pcapHeader, pcapRecord } from '../wire/pcap.ts';
import {
  DIRECTION_INBOUND,
  DIRECTION_OUTBOUND,
  enhancedPacket,
  interfaceDescription,
  sectionHeader,
} from '../wire/pcapng.ts';
import { effectiveUid } from './accounts.ts';

const QUEUE_BYTES = 4 << 20;
const DEFAULT_MAX_BYTES = 64 << 20;
const TIME_DIGITS = 6;

export interface CaptureOptions {
  path: string;
  /** `pcap` knows neither interfaces nor directions; default `pcapng`. */
  format?: 'pcapng' | 'pcap';
  /** The file grows no larger than this, bytes; default 64 MiB. */
  maxBytes?: number;
  /** Most bytes kept of a frame, 0 (the default) for all. */
  snapLen?: number;
  /** Written into the file as the program that made it. */
  application?: string;
  /** Wall time, milliseconds since 1970 with fractions; default the system's. */
  now?: () => number;
}

export class CaptureFile {
  readonly path: string;
  /** Frames written or waiting to be. */
  frames = 0;
  /** Frames left out: the queue was full or the capture had stopped. */
  missed = 0;
  /** Why the capture has stopped, in a few words; null while it runs. */
  stopped: string | null = null;
  private readonly handle: FileHandle;
  private readonly maxBytes: number;
  private readonly snapLen: number;
  private readonly pcap: boolean;
  private readonly now: () => number;
  private interfaces = 0;
  private queue: Uint8Array[] = [];
  private queuedBytes = 0;
  /** Bytes of the file, those in the queue included. */
  private size = 0;
  private writing: Promise<void> | null = null;
  private closed = false;

  private constructor(handle: FileHandle, options: CaptureOptions) {
    this.handle = handle;
    this.path = options.path;
    this.maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    this.snapLen = options.snapLen ?? 0;
    this.now = options.now ?? (() => performance.timeOrigin + performance.now());
    this.pcap = options.format === 'pcap';
    this.add(this.pcap ? pcapHeader(this.snapLen) : sectionHeader(options.application ?? 'vdenet'));
  }

  /** Makes the file; rejects with ERR_VDE_SYSTEM when it must not or cannot be written. */
  static async open(options: CaptureOptions): Promise<CaptureFile> {
    const { O_WRONLY, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
    let handle: FileHandle | null = null;
    try {
      handle = await open(options.path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
      const stats = await handle.stat();
      if (!stats.isFile() || stats.uid !== effectiveUid() || stats.nlink !== 1)
        throw new Error('it exists and is not a regular file of this user');
      await handle.chmod(0o600);
      await handle.truncate(0);
      return new CaptureFile(handle, options);
    } catch (error) {
      await handle?.close();
      const why = (error as Error).message;
      throw new VdeError('ERR_VDE_SYSTEM', `vde: cannot capture to ${options.path}: ${why}`, { cause: error });
    }
  }

  /** Adds an interface to the file; its number, for `packet`. */
  addInterface(name: string): number {
    if (!this.pcap) this.add(interfaceDescription(name, this.snapLen, TIME_DIGITS));
    return this.interfaces++;
  }

  /** Takes a copy of a frame. `direction` is DIRECTION_INBOUND or DIRECTION_OUTBOUND, seen from the interface. */
  packet(id: number, b: Uint8Array, off: number, len: number, direction: number): void {
    if (this.stopped !== null || this.queuedBytes >= QUEUE_BYTES) {
      this.missed++;
      return;
    }
    const ms = this.now();
    const seconds = Math.floor(ms / 1000);
    const nanoseconds = Math.floor((ms - seconds * 1000) * 1e6);
    const block = this.pcap
      ? pcapRecord(seconds, nanoseconds, b, off, len, this.snapLen)
      : enhancedPacket(id, TIME_DIGITS, seconds, nanoseconds, b, off, len, this.snapLen, direction, '');
    if (this.add(block)) this.frames++;
    else this.missed++;
  }

  /** Writes what is queued and closes the file; safe to call twice. */
  async close(): Promise<void> {
    this.stopped ??= 'closed';
    await this.writing;
    if (this.closed) return;
    this.closed = true;
    await this.handle.close();
  }

  private add(block: Uint8Array): boolean {
    if (this.stopped !== null) return false;
    if (this.size + block.length > this.maxBytes) {
      this.stopped = `the file reached its limit of ${this.maxBytes} bytes`;
      return false;
    }
    this.size += block.length;
    this.queuedBytes += block.length;
    this.queue.push(block);
    this.writing ??= this.write();
    return true;
  }

  private async write(): Promise<void> {
    await new Promise((done) => setImmediate(done)); // what else comes in this turn of the loop goes along
    try {
      while (this.queue.length > 0) {
        const bytes = Buffer.concat(this.queue);
        this.queue = [];
        for (let at = 0; at < bytes.length; ) at += (await this.handle.write(bytes, at)).bytesWritten;
        this.queuedBytes -= bytes.length;
      }
    } catch (error) {
      this.stopped = `cannot write: ${(error as Error).message}`;
      this.queue = [];
      this.queuedBytes = 0;
    }
    this.writing = null;
  }
}

/**
 * A link whose frames can be captured; stands in for the link everywhere. While nothing is captured its sinks are those
 * of the link itself, so it costs nothing then. Files stay their opener's.
 */
export class CapturedLink implements Link {
  readonly name: string;
  readonly mtu: number;
  readonly offload: boolean;
  readonly stats: LinkStats;
  readonly drops: Float64Array;
  tx: FrameSink;
  private readonly inner: Link;
  private sink: FrameSink | null = null;
  private file: CaptureFile | null = null;
  private id = 0;

  /** @param file  where frames go from now on; null: nowhere until `start` */
  constructor(inner: Link, file: CaptureFile | null) {
    this.inner = inner;
    this.name = inner.name;
    this.mtu = inner.mtu;
    this.offload = inner.offload === true;
    this.stats = inner.stats;
    this.drops = inner.drops;
    this.tx = inner.tx;
    if (file !== null) this.start(file);
  }

  get trusted(): boolean {
    return this.inner.trusted === true;
  }

  get onState(): ((up: boolean) => void) | null {
    return this.inner.onState;
  }

  set onState(listener: ((up: boolean) => void) | null) {
    this.inner.onState = listener;
  }

  /** Captures to `file`, instead of another one if there is one. Call outside of a wake-up of the link. */
  start(file: CaptureFile): void {
    this.file = file;
    this.id = file.addInterface(this.name);
    this.direct();
  }

  stop(): void {
    this.file = null;
    this.direct();
  }

  attach(sink: FrameSink): void {
    this.sink = sink;
    this.inner.attach(this.watched(sink, DIRECTION_INBOUND));
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  private direct(): void {
    this.tx = this.watched(this.inner.tx, DIRECTION_OUTBOUND);
    if (this.sink !== null) this.attach(this.sink);
  }

  private watched(sink: FrameSink, direction: number): FrameSink {
    const { file, id } = this;
    if (file === null) return sink;
    return {
      frame(b, off, len) {
        file.packet(id, b, off, len, direction);
        sink.frame(b, off, len);
      },
      flush() {
        sink.flush();
      },
    };
  }
}
