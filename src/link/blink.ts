// Blinking lights: a datagram `ID LR 62\n` for each frame that a cable has delivered, for programs that show traffic. The
// number is the length of the frame with the 2 bytes that wirefilter counts. Nobody needs to listen; what the socket does
// not take is lost.

import { VdeError } from '../core/errors.ts';
import { AF_UNIX, type Batch, type NativeApi, native, SOCK_DGRAM } from '../native/native.ts';
import { checkUnixPath } from '../native/unix-server.ts';
import { HEADER } from './impair.ts';
import { type Direction, LR } from './impair-model.ts';

const MAX_ID = 64;
const ZERO = 0x30;

export class Blink {
  private readonly api: NativeApi = native();
  private readonly path: string;
  private readonly fd: number;
  private readonly bytes = new Uint8Array(4 * MAX_ID + 16);
  private readonly batch: Batch;
  /** Where the letters of the direction begin. */
  private readonly at: number;
  private readonly oneWay: boolean;
  private connected = false;
  /** Frames until the next attempt to connect. */
  private wait = 0;

  /** Throws ERR_VDE_PATH_TOO_LONG, ERR_VDE_NO_NATIVE or ERR_VDE_SYSTEM. */
  constructor(path: string, id: string, oneWay: boolean) {
    checkUnixPath(path);
    this.path = path;
    this.oneWay = oneWay;
    this.fd = this.api.socket(AF_UNIX, SOCK_DGRAM, 0);
    if (this.fd < 0) throw new VdeError('ERR_VDE_SYSTEM', 'cannot make a datagram socket');
    this.at = new TextEncoder().encodeInto(`${id.slice(0, MAX_ID)} `, this.bytes).written;
    this.batch = this.api.newBatch(this.bytes, 1);
  }

  frame(direction: Direction, len: number): void {
    if (!this.connected && !this.connect()) return;
    const { bytes } = this;
    const side = this.oneWay ? '--' : direction === LR ? 'LR' : 'RL';
    let at = this.at;
    bytes[at++] = side.charCodeAt(0);
    bytes[at++] = side.charCodeAt(1);
    bytes[at++] = 0x20;
    const size = len + HEADER;
    let digits = 1;
    for (let n = size; n >= 10; n = Math.floor(n / 10)) digits++;
    for (let i = digits - 1, n = size; i >= 0; i--, n = Math.floor(n / 10)) bytes[at + i] = ZERO + (n % 10);
    at += digits;
    bytes[at++] = 0x0a;
    this.batch.lens[0] = at;
    if (this.api.send(this.fd, this.batch, 0, 1) < 0) this.connected = false;
  }

  close(): void {
    this.api.close(this.fd);
  }

  /** Tries to reach the listener, once in a hundred frames. */
  private connect(): boolean {
    if (this.wait-- > 0) return false;
    this.wait = 100;
    this.connected = this.api.connectUnix(this.fd, this.path) >= 0;
    return this.connected;
  }
}
