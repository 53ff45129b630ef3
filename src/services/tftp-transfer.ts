// One file on its way to one guest: RFC 1350 section 2 with the options of RFC 2347 to 2349 and RFC 7440.
//
//   opening --file--> OACK (if options were accepted) --ACK 0--> DATA 1 --ACK 1--> DATA 2 ... short DATA --ACK--> end
//
// Up to `windowsize` messages are outstanding (one unless the option says more, WINDOW_MAX at most) and are kept until they
// are acknowledged, so that a file in netascii can be repeated too:
//
//   file:   ... acknowledged | outstanding: sent, repeated from the first one | not yet read ...
//                        base^                                            ^base + outstanding.length
//
// An ACK inside of the window moves it there, and what is behind goes again: the guest has missed something (RFC 7440
// section 4). An ACK of the base repeats a window of several blocks once; one block it does not repeat, so a delayed
// duplicate never doubles the traffic ("sorcerer's apprentice", RFC 1123 section 4.2.3.1). Others are ignored. Block
// numbers wrap to 0. Repeated after 1, 2, 4, 5, 5 ... s, or as often as the `timeout` option says; given up after 30 s
// without progress.
//
// In mode netascii a line feed is sent as CR LF and a carriage return as CR NUL (RFC 764, NVT).

import { Endpoint } from '../core/address.ts';
import type { Timer, TimerWheel } from '../core/timer-wheel.ts';
import * as tftp from '../wire/tftp.ts';

export const FIRST_TIMEOUT_MS = 1000;
export const MAX_TIMEOUT_MS = 5000;
export const IDLE_MS = 30_000;
export const DEFAULT_BLOCK = 512;
const MIN_BLOCK = 8; // RFC 2348
const MAX_BLOCK = 65_464;
/** Blocks outstanding at most (RFC 7440 section 3 lets the server lower what was asked for): memory, and a burst on the link. */
export const WINDOW_MAX = 16;
/** IP and UDP header and ours (RFC 2348: what is left of the MTU). */
const BLOCK_OVERHEAD = 32;
const RAW_CHUNK = 4096;

const CR = 13;
const LF = 10;

/** An open file of the served directory. */
export interface TftpFile {
  /** Length when it was opened, bytes. */
  readonly size: number;
  /** Reads from `position` into `b`, as much as there is; `done` gets the number of bytes, 0 at the end, -1 for a failure. */
  read(position: number, b: Uint8Array, done: (n: number) => void): void;
  close(): void;
}

export interface TftpTransferOwner {
  readonly wheel: TimerWheel;
  send(client: Endpoint, serverPort: number, b: Uint8Array, len: number): void;
  transferOver(transfer: TftpTransfer): void;
}

export class TftpTransfer {
  readonly client = new Endpoint();
  /** Our port. */
  readonly port: number;
  /** The file that was asked for, as the guest wrote it. */
  readonly name: string;
  /** A message was acknowledged: a further request from the same port is a new transfer. */
  underWay = false;
  private readonly owner: TftpTransferOwner;
  private readonly netascii: boolean;
  private readonly timer: Timer;
  private file: TftpFile | null = null;
  private blockSize = DEFAULT_BLOCK;
  private windowSize = 1;
  /** Number of the last block acknowledged; -1 while the OACK is outstanding. */
  private base = 0;
  /** Messages sent and not acknowledged, from number base + 1 on, and buffers that can be used again. */
  private readonly outstanding: Uint8Array[] = [];
  private readonly spare: Uint8Array[] = [];
  /** The block that is being filled; null between reads. */
  private filling: Uint8Array | null = null;
  /** The last block of the file is among those outstanding. */
  private last = false;
  /** The window was repeated because of an ACK, and nothing new was acknowledged since. */
  private wentBack = false;
  private over = false;
  private timeoutMs = FIRST_TIMEOUT_MS;
  /** What the guest asked for by option; 0: it did not. */
  private fixedTimeoutMs = 0;
  private giveUpAt: number;
  private position = 0;
  /** netascii: bytes read and not yet translated, and the second byte of a pair (-1: none). */
  private readonly raw: Uint8Array;
  private rawAt = 0;
  private rawLen = 0;
  private second = -1;

  constructor(owner: TftpTransferOwner, client: Endpoint, port: number, name: string, netascii: boolean) {
    this.owner = owner;
    this.client.copy(client);
    this.port = port;
    this.name = name;
    this.netascii = netascii;
    this.raw = new Uint8Array(netascii ? RAW_CHUNK : 0);
    this.timer = owner.wheel.timer(() => this.overdue());
    this.giveUpAt = owner.wheel.clock.now() + IDLE_MS;
    this.timer.setAt(this.giveUpAt);
  }

  /** The file is open: sends the first message. Closes the file when the transfer has ended meanwhile. */
  begin(file: TftpFile, asked: ReadonlyMap<string, string>, mtu: number): void {
    if (this.over) {
      file.close();
      return;
    }
    this.file = file;
    const accepted = this.accept(asked, mtu);
    if (accepted.size === 0) {
      this.fillWindow();
      return;
    }
    this.base = -1;
    this.sendNew(tftp.writeOptionAck(accepted));
  }

  /** A message of this guest to our port, at least a header long. */
  take(b: Uint8Array, off: number): void {
    switch (tftp.opcode(b, off)) {
      case tftp.OP_ACK:
        this.acknowledged((tftp.block(b, off) - this.base) & 0xffff);
        break;
      case tftp.OP_ERROR:
        this.end();
        break;
      default:
        this.fail(tftp.ERROR_ILLEGAL, 'illegal operation');
    }
  }

  /** The guest repeats its request: the answer was lost. */
  repeat(): void {
    for (const message of this.outstanding) this.owner.send(this.client, this.port, message, message.length);
  }

  /** Ends the transfer with an error message. */
  fail(code: number, text: string): void {
    if (this.over) return;
    const message = tftp.writeError(code, text);
    this.owner.send(this.client, this.port, message, message.length);
    this.end();
  }

  /** Ends the transfer without a word. */
  end(): void {
    if (this.over) return;
    this.over = true;
    this.timer.cancel();
    this.file?.close();
    this.file = null;
    this.owner.transferOver(this);
  }

  private accept(asked: ReadonlyMap<string, string>, mtu: number): Map<string, string> {
    const accepted = new Map<string, string>();
    const block = numberOf(asked.get('blksize'));
    if (block >= MIN_BLOCK && block <= MAX_BLOCK) {
      this.blockSize = Math.min(block, mtu - BLOCK_OVERHEAD);
      accepted.set('blksize', String(this.blockSize));
    }
    const seconds = numberOf(asked.get('timeout'));
    if (seconds >= 1 && seconds * 1000 <= MAX_TIMEOUT_MS) {
      this.fixedTimeoutMs = seconds * 1000;
      accepted.set('timeout', String(seconds));
    }
    const window = numberOf(asked.get('windowsize'));
    if (window >= 1 && window <= 0xffff) {
      this.windowSize = Math.min(window, WINDOW_MAX);
      accepted.set('windowsize', String(this.windowSize));
    }
    // How long a translated file gets is not known beforehand.
    if (asked.has('tsize') && !this.netascii) accepted.set('tsize', String(this.file!.size));
    return accepted;
  }

  /** `n` messages behind the base have come whole, says the guest. */
  private acknowledged(n: number): void {
    if (n > this.outstanding.length) return;
    if (n === 0) {
      if (this.windowSize === 1 || this.wentBack || this.base < 0) return;
      this.wentBack = true;
      this.repeat();
      return;
    }
    this.underWay = true;
    this.wentBack = false;
    this.base += n;
    this.spare.push(...this.outstanding.splice(0, n));
    this.progress();
    if (this.last && this.outstanding.length === 0) {
      this.end();
      return;
    }
    this.repeat();
    this.fillWindow();
  }

  /** Reads and sends a block, and then the next (`sendBlock`), until the window is full or the file has ended. */
  private fillWindow(): void {
    if (this.filling !== null || this.last || this.over || this.outstanding.length >= this.windowSize) return;
    const size = tftp.HEADER_LEN + this.blockSize;
    const spare = this.spare.pop();
    this.filling = spare?.length === size ? spare : new Uint8Array(size);
    tftp.writeDataHeader(this.filling, (this.base + this.outstanding.length + 1) & 0xffff);
    this.fill(tftp.HEADER_LEN);
  }

  /** Fills the block from offset `at` on, and sends it when it is full or the file has ended. */
  private fill(at: number): void {
    const message = this.filling!;
    const from = this.netascii ? this.translate(message, at) : at;
    if (from === message.length) {
      this.sendBlock(from);
      return;
    }
    const into = this.netascii ? this.raw : message.subarray(from);
    this.file!.read(this.position, into, (n) => {
      if (this.over) return;
      if (n < 0) {
        this.fail(tftp.ERROR_UNDEFINED, 'the file cannot be read');
        return;
      }
      this.position += n;
      if (n === 0) {
        this.sendBlock(from);
      } else if (this.netascii) {
        this.rawAt = 0;
        this.rawLen = n;
        this.fill(from);
      } else {
        this.fill(from + n);
      }
    });
  }

  /** Moves what was read into the block, translated; returns the offset behind it. */
  private translate(message: Uint8Array, at: number): number {
    let o = at;
    while (o < message.length && (this.second >= 0 || this.rawAt < this.rawLen)) {
      if (this.second >= 0) {
        message[o++] = this.second;
        this.second = -1;
        continue;
      }
      const c = this.raw[this.rawAt++]!;
      if (c === LF || c === CR) this.second = c === LF ? LF : 0;
      message[o++] = c === LF ? CR : c;
    }
    return o;
  }

  private sendBlock(len: number): void {
    const message = this.filling!;
    this.filling = null;
    this.last = len < message.length;
    this.sendNew(this.last ? message.subarray(0, len) : message);
    this.fillWindow();
  }

  private sendNew(message: Uint8Array): void {
    this.outstanding.push(message);
    this.progress();
    this.owner.send(this.client, this.port, message, message.length);
  }

  /** Something new was sent or acknowledged: the times start anew. */
  private progress(): void {
    this.giveUpAt = this.owner.wheel.clock.now() + IDLE_MS;
    this.timeoutMs = this.fixedTimeoutMs || FIRST_TIMEOUT_MS;
    this.timer.set(this.timeoutMs);
  }

  private overdue(): void {
    const now = this.owner.wheel.clock.now();
    if (now >= this.giveUpAt) {
      this.end();
      return;
    }
    this.timeoutMs = this.fixedTimeoutMs || Math.min(2 * this.timeoutMs, MAX_TIMEOUT_MS);
    this.timer.setAt(Math.min(now + this.timeoutMs, this.giveUpAt));
    this.repeat();
  }
}

const numberOf = (text: string | undefined): number =>
  text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : -1;
