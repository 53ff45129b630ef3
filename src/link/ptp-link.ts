// ptp://PATH: a cable between two processes of one machine, without a switch. Whoever comes first waits at PATH.
//
//   datagrams (plug4 4.0.1)     first:  binds PATH, and connects to PATH+ once that is there
//                               second: connects to PATH, binds PATH+
//                               a frame is a datagram; one of no bytes says goodbye (4.0.1 takes it, but sends none: so
//                               its name is looked at, too)
//   packets (plug4 since 2025)  first:  listens at PATH with sequenced packets
//                               second: connects to PATH and waits for one byte: 0, or the errno of a refusal
//
// The second takes whatever form it finds; the first has datagrams unless it is asked for packets. When one side goes the
// other is alone again and waits for the next, as first: the link comes back. Names of those that were killed are taken
// over, and ours are removed at the end.

import { fchmodSync, lstatSync } from 'node:fs';
import { constants } from 'node:os';
import { VdeError } from '../core/errors.ts';
import type { FrameMemory } from '../core/frame.ts';
import { errnoName } from '../native/errno.ts';
import {
  AF_UNIX,
  type Batch,
  DISCONNECT,
  type NativeApi,
  native,
  type Poll,
  READABLE,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
} from '../native/native.ts';
import { checkUnixPath } from '../native/unix-server.ts';
import { DescriptorLink } from './descriptor-link.ts';
import { removeSocket } from './socket-file.ts';
import { SYSTEM_TIMERS, type Timers } from './timers.ts';

/** How long the first may take to answer a second with packets (plug4 waits as long). */
const ANSWER_MS = 2000;
/**
 * How often the first looks whether PATH+ has come (a second that has not sent anything yet is not heard of), and each
 * whether the other's name is still there.
 */
const LOOK_MS = 250;
const RETRY_MS = 250;
/** From the goodbye of a peer until its name is looked at again: it removes that after the goodbye. */
const GONE_MS = 50;
const DEFAULT_MODE = 0o700;

export interface PtpOptions {
  readonly path: string;
  readonly memory: FrameMemory;
  /** Largest packet sent, bytes. */
  readonly mtu: number;
  /** Form of the link when we are the first: default datagrams, which is what 4.0.1 understands. */
  readonly packets?: boolean;
  /** Mode of our socket; default 0700. */
  readonly mode?: number;
  readonly timers?: Timers;
}

export class PtpLink extends DescriptorLink {
  private readonly api: NativeApi;
  private readonly options: PtpOptions;
  private readonly timers: Timers;
  /** One message of at most one byte, for hello and goodbye. */
  private readonly word: Uint8Array;
  private readonly batch: Batch;
  /** The socket that we wait with: bound to PATH, or listening there. */
  private waiting = -1;
  private poll: Poll | null = null;
  private timer: unknown = null;
  /** Our name, '' while we have none. */
  private ownPath = '';
  /** The descriptor in use, to say goodbye with; -1 for packets, whose end is told by the kernel. */
  private goodbye = -1;

  /**
   * Joins the one who waits at the path, or waits there. Rejects with ERR_VDE_LISTEN (the link is taken, or the path is no
   * socket's), ERR_VDE_PATH_TOO_LONG, ERR_VDE_SYSTEM or ERR_VDE_NO_NATIVE, and leaves nothing behind then.
   */
  static async open(options: PtpOptions): Promise<PtpLink> {
    checkUnixPath(`${options.path}+`);
    const link = new PtpLink(options);
    try {
      await link.begin();
    } catch (error) {
      link.leave();
      throw error;
    }
    return link;
  }

  private constructor(options: PtpOptions) {
    super(`ptp:${options.path}`, options.mtu, options.memory);
    this.api = native();
    this.options = options;
    this.timers = options.timers ?? SYSTEM_TIMERS;
    this.word = new Uint8Array(1);
    this.batch = this.api.newBatch(this.word, 1);
  }

  override async close(): Promise<void> {
    if (this.closed) return;
    if (this.goodbye >= 0) this.say(this.goodbye, null);
    this.leave();
    await super.close();
  }

  protected override gone(): void {
    this.timers.stop(this.timer);
    this.release();
    this.goodbye = -1;
    this.onState?.(false);
    // One who listens for packets goes on listening.
    if (this.waiting < 0) this.again(GONE_MS);
  }

  /** Tries to be the second, and else the first. */
  private async begin(): Promise<void> {
    const { path } = this.options;
    const fd = this.make(SOCK_DGRAM);
    const code = this.outcome(this.api.connectUnix(fd, path));
    if (code === '') return this.second(fd);
    this.api.close(fd);
    if (code === 'EPROTOTYPE') return this.secondWithPackets();
    if (code === 'ECONNREFUSED') this.takeOver(path);
    else if (code !== 'ENOENT') throw this.failure(code);
    this.first();
  }

  /** Tries again later, for as long as it takes. */
  private again(ms: number): void {
    this.leave();
    this.timer = this.timers.start(() => {
      this.begin().catch(() => {
        if (!this.closed) this.again(RETRY_MS);
      });
    }, ms);
  }

  // ---- datagrams

  private second(fd: number): void {
    const own = `${this.options.path}+`;
    let code = this.bind(fd, own);
    if (code === 'EADDRINUSE') {
      const probe = this.make(SOCK_DGRAM);
      const found = this.outcome(this.api.connectUnix(probe, own));
      this.api.close(probe);
      if (found === 'ECONNREFUSED') {
        this.takeOver(own);
        code = this.bind(fd, own);
      }
    }
    if (code !== '') {
      this.api.close(fd);
      throw this.failure(code);
    }
    this.joined(fd, this.options.path);
  }

  private first(): void {
    const { path, packets = false } = this.options;
    const fd = this.make(packets ? SOCK_SEQPACKET : SOCK_DGRAM);
    this.waiting = fd;
    const code = this.bind(fd, path) || (packets ? this.outcome(this.api.listen(fd, 1)) : '');
    if (code !== '') throw this.failure(code);
    if (packets) {
      this.poll = this.api.poll(fd, READABLE, () => this.accept());
      return;
    }
    this.poll = this.api.poll(fd, READABLE, () => this.look());
    const tick = (): void => {
      this.timer = this.timers.start(tick, LOOK_MS);
      this.look();
    };
    tick();
  }

  /** The first looks for the second: at times, and when something came in. */
  private look(): void {
    const fd = this.waiting;
    if (fd < 0) return;
    if (this.api.connectUnix(fd, `${this.options.path}+`) < 0) {
      this.api.recv(fd, this.batch, 0, 1, 1); // a late goodbye, or a stranger
      return;
    }
    this.stopWaiting();
    this.joined(fd, `${this.options.path}+`);
  }

  private joined(fd: number, peer: string): void {
    this.goodbye = fd;
    this.use(fd, { eof: true });
    const inode = inodeOf(peer);
    const tick = (): void => {
      this.timer = this.timers.start(() => {
        if (inodeOf(peer) === inode) tick();
        else this.gone();
      }, LOOK_MS);
    };
    tick();
    this.onState?.(true);
  }

  // ---- packets

  private async secondWithPackets(): Promise<void> {
    const fd = this.make(SOCK_SEQPACKET);
    const code = this.outcome(this.api.connectUnix(fd, this.options.path));
    if (code === 'ECONNREFUSED' || code === 'ENOENT') {
      this.api.close(fd);
      if (code === 'ECONNREFUSED') this.takeOver(this.options.path);
      return this.first();
    }
    const refusal = code === '' ? await this.answer(fd) : code;
    if (refusal === '' && !this.closed) {
      this.use(fd, { eof: true });
      this.onState?.(true);
      return;
    }
    this.api.close(fd);
    throw this.failure(refusal);
  }

  /** Waits for the byte of the first: '' when it takes us. */
  private answer(fd: number): Promise<string> {
    return new Promise((done) => {
      const finish = (why: string): void => {
        this.timers.stop(timer);
        this.api.pollClose(poll);
        done(why);
      };
      const timer = this.timers.start(() => finish('ETIMEDOUT'), ANSWER_MS);
      const poll = this.api.poll(fd, READABLE | DISCONNECT, () => {
        const n = this.api.recv(fd, this.batch, 0, 1, 1);
        if (n === 0) return;
        if (n < 0 || this.batch.lens[0] !== 1) finish('ECONNRESET');
        else finish(this.word[0] === 0 ? '' : errnoName(-this.word[0]!));
      });
    });
  }

  private accept(): void {
    const fd = this.api.accept(this.waiting);
    if (fd < 0) return;
    if (this.up) {
      this.say(fd, constants.errno.EISCONN);
      this.api.close(fd);
      return;
    }
    this.say(fd, 0);
    this.use(fd, { eof: true });
    this.onState?.(true);
  }

  // ---- common

  private make(type: number): number {
    const fd = this.api.socket(AF_UNIX, type, 0);
    if (fd < 0) throw new VdeError('ERR_VDE_SYSTEM', `vde: ptp: cannot make a socket: ${errnoName(fd)}`);
    return fd;
  }

  /** Gives a socket its name and mode; '' or the error. */
  private bind(fd: number, path: string): string {
    fchmodSync(fd, this.options.mode ?? DEFAULT_MODE); // the file gets it when it is made
    const code = this.outcome(this.api.bindUnix(fd, path));
    if (code === '') this.ownPath = path;
    return code;
  }

  private outcome(status: number): string {
    return status < 0 ? errnoName(status) : '';
  }

  /** Removes the socket of one who was killed. */
  private takeOver(path: string): void {
    if (!removeSocket(path)) throw this.failure('EADDRINUSE');
  }

  private say(fd: number, byte: number | null): void {
    this.word[0] = byte ?? 0;
    this.batch.offs[0] = 0;
    this.batch.lens[0] = byte === null ? 0 : 1;
    this.api.send(fd, this.batch, 0, 1);
  }

  /** Ends the wait; the socket and its name stay. */
  private stopWaiting(): void {
    this.timers.stop(this.timer);
    if (this.poll !== null) this.api.pollClose(this.poll);
    this.poll = null;
    this.waiting = -1;
  }

  /** Ends the wait and gives up our name. */
  private leave(): void {
    const fd = this.waiting;
    this.stopWaiting();
    if (fd >= 0) this.api.close(fd);
    if (this.ownPath !== '') removeSocket(this.ownPath);
    this.ownPath = '';
    this.goodbye = -1;
  }

  private failure(code: string): VdeError {
    const { path } = this.options;
    const taken = ['EPERM', 'EISCONN', 'EADDRINUSE'].includes(code);
    const why = taken ? `${code}; two others use it already, or another file is there` : code;
    return new VdeError('ERR_VDE_LISTEN', `vde: cannot join the ptp link ${path}: ${why}`);
  }
}

/** The inode of a file; 0 when there is none. */
const inodeOf = (path: string): number => lstatSync(path, { throwIfNoEntry: false })?.ino ?? 0;
