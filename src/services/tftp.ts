// TFTP server, read-only (RFC 1350): takes requests at port 69, and makes one transfer (tftp-transfer.ts) for each, with
// a server port of its own.
//
// A transfer belongs to one address and port of one guest. Another sender at its port gets error 5 and changes nothing
// (RFC 1350 section 4); a second request from the same port replaces a transfer that is under way, and before that makes
// the answer be sent again. Errors sent: 1 no such file, 2 writing or forbidden, 4 unknown mode or operation, 5 not your
// transfer, 0 too many transfers.
//
// Limits: transfers in all and of one guest; requests of 1024 bytes; one block of memory for each transfer. How names
// become files is the business of whoever implements TftpFiles.

import type { Endpoint } from '../core/address.ts';
import { Drop, type DropCounters } from '../core/drop.ts';
import type { TimerWheel } from '../core/timer-wheel.ts';
import * as tftp from '../wire/tftp.ts';
import { type TftpFile, TftpTransfer, type TftpTransferOwner } from './tftp-transfer.ts';

export type { TftpFile } from './tftp-transfer.ts';

export const TRANSFERS_MAX = 20;
export const TRANSFERS_PER_GUEST = 10;
const FIRST_PORT = 49_152; // RFC 6335 section 6: dynamic ports
const PORTS = 16_384;

/** The served directory. */
export interface TftpFiles {
  /**
   * Opens a file for reading.
   *
   * @param name  as the guest wrote it
   * @param done  called once, within the call or later: the file, or why there is none
   */
  open(name: string, done: (file: TftpFile | null, why: 'missing' | 'forbidden') => void): void;
}

export interface TftpServerOptions {
  readonly files: TftpFiles;
  readonly wheel: TimerWheel;
  readonly drops: DropCounters;
  /** Of the guest's link, bytes. */
  readonly mtu: number;
  /** An unpredictable number, 0 to 2^32 - 1. */
  readonly random: () => number;
  /** Sends a datagram from one of our ports. `client` and `b` are on loan. */
  readonly send: (client: Endpoint, serverPort: number, b: Uint8Array, len: number) => void;
}

export class TftpServer implements TftpTransferOwner {
  readonly wheel: TimerWheel;
  readonly send: TftpServerOptions['send'];
  /** May change at run time: for requests from then on. */
  files: TftpFiles;
  private readonly drops: DropCounters;
  private readonly mtu: number;
  private readonly random: () => number;
  private readonly transfers = new Map<number, TftpTransfer>();

  constructor(options: TftpServerOptions) {
    this.wheel = options.wheel;
    this.send = options.send;
    this.files = options.files;
    this.drops = options.drops;
    this.mtu = options.mtu;
    this.random = options.random;
  }

  /** Transfers under way. */
  get size(): number {
    return this.transfers.size;
  }

  /** A guest's datagram to `port`, on loan; false when the port is none of ours. */
  handle(client: Endpoint, port: number, b: Uint8Array, off: number, end: number): boolean {
    const transfer = this.transfers.get(port);
    if (port !== tftp.PORT && transfer === undefined) return false;
    if (end - off < tftp.HEADER_LEN) this.drops[Drop.TftpMalformed]!++;
    else if (transfer === undefined) this.request(client, b, off, end);
    else if (transfer.client.same(client)) transfer.take(b, off);
    else this.stranger(client, port, b, off);
    return true;
  }

  transferOver(transfer: TftpTransfer): void {
    this.transfers.delete(transfer.port);
  }

  close(): void {
    for (const transfer of [...this.transfers.values()]) transfer.end();
  }

  private stranger(client: Endpoint, port: number, b: Uint8Array, off: number): void {
    this.drops[Drop.TftpMalformed]!++;
    // An error is never answered: two of them would go on for ever.
    if (tftp.opcode(b, off) !== tftp.OP_ERROR) this.refuse(client, port, tftp.ERROR_UNKNOWN_ID, 'unknown transfer id');
  }

  private request(client: Endpoint, b: Uint8Array, off: number, end: number): void {
    const op = tftp.opcode(b, off);
    if (op === tftp.OP_ERROR) return;
    const request = op === tftp.OP_READ || op === tftp.OP_WRITE ? tftp.parseRequest(b, off, end) : null;
    if (request === null) {
      this.drops[Drop.TftpMalformed]!++;
      this.refuse(client, tftp.PORT, tftp.ERROR_ILLEGAL, 'illegal operation');
      return;
    }
    if (op === tftp.OP_WRITE) {
      this.refuse(client, tftp.PORT, tftp.ERROR_ACCESS, 'this server is read-only');
      return;
    }
    if (request.mode !== 'octet' && request.mode !== 'netascii') {
      this.refuse(client, tftp.PORT, tftp.ERROR_ILLEGAL, 'unknown mode');
      return;
    }
    let ofGuest = 0;
    for (const known of this.transfers.values()) {
      if (known.client.same(client)) {
        if (!known.underWay && known.name === request.file) {
          known.repeat();
          return;
        }
        known.end();
      } else if (sameAddress(known.client, client)) {
        ofGuest++;
      }
    }
    if (this.transfers.size >= TRANSFERS_MAX || ofGuest >= TRANSFERS_PER_GUEST) {
      this.drops[Drop.TftpOverload]!++;
      this.refuse(client, tftp.PORT, tftp.ERROR_UNDEFINED, 'too many transfers');
      return;
    }
    const transfer = new TftpTransfer(this, client, this.freePort(), request.file, request.mode === 'netascii');
    this.transfers.set(transfer.port, transfer);
    this.files.open(request.file, (file, why) => {
      if (file !== null) transfer.begin(file, request.options, this.mtu);
      else if (why === 'missing') transfer.fail(tftp.ERROR_NOT_FOUND, 'no such file');
      else transfer.fail(tftp.ERROR_ACCESS, 'access violation');
    });
  }

  private freePort(): number {
    let port: number;
    do port = FIRST_PORT + (this.random() % PORTS);
    while (this.transfers.has(port));
    return port;
  }

  private refuse(client: Endpoint, port: number, code: number, text: string): void {
    const message = tftp.writeError(code, text);
    this.send(client, port, message, message.length);
  }
}

const sameAddress = (a: Endpoint, b: Endpoint): boolean =>
  a.w3 === b.w3 && a.w2 === b.w2 && a.w1 === b.w1 && a.w0 === b.w0;
