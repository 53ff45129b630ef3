// Initial sequence numbers, RFC 6528: ISN = M + F(local, remote, secret).
//
// M is a clock that ticks every 4 microseconds, F is SipHash-2-4 under a key of 128 bits that nobody outside the process
// knows. Numbers of one 4-tuple rise with time, those of different ones have nothing to do with each other.

import type { Endpoint } from '../core/address.ts';
import { sipHash24, sipHashHigh } from '../core/siphash.ts';

const WORDS = 9;

export class IsnGenerator {
  private readonly key: Int32Array;
  private readonly input = new Int32Array(WORDS);

  /** @param key  four random words */
  constructor(key: Int32Array) {
    this.key = key;
  }

  /** F, signed. */
  private hash(local: Endpoint, remote: Endpoint): number {
    const w = this.input;
    w[0] = local.w0;
    w[1] = local.w1;
    w[2] = local.w2;
    w[3] = local.w3;
    w[4] = remote.w0;
    w[5] = remote.w1;
    w[6] = remote.w2;
    w[7] = remote.w3;
    w[8] = (local.port << 16) | remote.port;
    return sipHash24(this.key, w, WORDS);
  }

  /** The number for a connection opened at `nowMs` (monotonic), signed 32-bit. */
  next(local: Endpoint, remote: Endpoint, nowMs: number): number {
    return (this.hash(local, remote) + Math.floor(nowMs * 250)) | 0;
  }

  /** A number under the same key for any other purpose, signed. */
  mix(n: number): number {
    const w = this.input;
    w[0] = n;
    return sipHash24(this.key, w, 1);
  }

  /** Offset of the timestamps clock (RFC 7323 section 5.4): the other half of the hash, so that it tells nothing of F. */
  timestampOffset(local: Endpoint, remote: Endpoint): number {
    this.hash(local, remote);
    return sipHashHigh();
  }
}
