// One file on its way to one guest: RFC 1350 section 2 with the options of RFC 2347 to 2349.
//
//   opening --file--> OACK (if options were accepted) --ACK 0--> DATA 1 --ACK 1--> DATA 2 ... short DATA --ACK--> end
//
// One message is outstanding at a time and is repeated until its ACK comes; an ACK of anything else is ignored, so a
// delayed duplicate never doubles the traffic ("sorcerer's apprentice", RFC 1123 section 4.2.3.1). Block numbers wrap to 0.
// Repeated after 1, 2, 4, 5, 5 ... s, or as often as the `timeout` option says; given up after 30 s without progress.
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
  private message: Uint8Array = new Uint8Array(0);
  private messageLen = 0;
  private number = 0;
  private last = false;
  private busy = true;
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
      this.nextBlock();
      return;
    }
    this.message = tftp.writeOptionAck(accepted);
    this.sendNew(this.message.length);
  }

  /** A message of this guest to our port, at least a header long. */
  take(b: Uint8Array, off: number): void {
    switch (tftp.opcode(b, off)) {
      case tftp.OP_ACK:
        if (tftp.block(b, off) === this.number && !this.busy) this.acknowledged();
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
    if (!this.busy) this.owner.send(this.client, this.port, this.message, this.messageLen);
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
    // How long a translated file gets is not known beforehand.
    if (asked.has('tsize') && !this.netascii) accepted.set('tsize', String(this.file!.size));
    return accepted;
  }

  private acknowledged(): void {
    this.underWay = true;
    if (this.last) {
      this.end();
      return;
    }
    this.nextBlock();
  }

  private nextBlock(): void {
    this.busy = true;
    this.giveUpAt = this.owner.wheel.clock.now() + IDLE_MS;
    this.timer.setAt(this.giveUpAt);
    const size = tftp.HEADER_LEN + this.blockSize;
    if (this.message.length !== size) this.message = new Uint8Array(size);
    this.number = (this.number + 1) & 0xffff;
    tftp.writeDataHeader(this.message, this.number);
    this.fill(tftp.HEADER_LEN);
  }

  /** Fills the block from offset `at` on, and sends it when it is full or the file has ended. */
  private fill(at: number): void {
    const full = tftp.HEADER_LEN + this.blockSize;
    const from = this.netascii ? this.translate(at) : at;
    if (from === full) {
      this.sendBlock(full);
      return;
    }
    const into = this.netascii ? this.raw : this.message.subarray(from);
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
  private translate(at: number): number {
    let o = at;
    while (o < this.message.length && (this.second >= 0 || this.rawAt < this.rawLen)) {
      if (this.second >= 0) {
        this.message[o++] = this.second;
        this.second = -1;
        continue;
      }
      const c = this.raw[this.rawAt++]!;
      if (c === LF || c === CR) this.second = c === LF ? LF : 0;
      this.message[o++] = c === LF ? CR : c;
    }
    return o;
  }

  private sendBlock(len: number): void {
    this.last = len < tftp.HEADER_LEN + this.blockSize;
    this.sendNew(len);
  }

  private sendNew(len: number): void {
    this.busy = false;
    this.messageLen = len;
    this.giveUpAt = this.owner.wheel.clock.now() + IDLE_MS;
    this.timeoutMs = this.fixedTimeoutMs || FIRST_TIMEOUT_MS;
    this.timer.set(this.timeoutMs);
    this.owner.send(this.client, this.port, this.message, len);
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
