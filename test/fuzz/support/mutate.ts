// Changes to frames that a parser may not have thought of, and the repair of lengths and checksums that lets a changed
// frame get past the first checks.

import { putU16, u16 } from '../../../src/wire/bytes.ts';
import * as checksum from '../../../src/wire/checksum.ts';
import * as ipv4 from '../../../src/wire/ipv4.ts';
import type { Random } from './random.ts';

const L3 = 14;
const LONGEST = 4000;
/** Numbers at the edges of fields. */
const EDGES = [0, 1, 2, 3, 4, 5, 7, 8, 19, 20, 39, 40, 0x3f, 0x40, 0x45, 0x4f, 0x7f, 0x80, 0xc0, 0xfe, 0xff];
const EDGES16 = [0, 1, 7, 8, 20, 28, 53, 67, 68, 69, 576, 1480, 1500, 0x1fff, 0x2000, 0x4000, 0x7fff, 0x8000, 0xffff];

/** A frame with one to four changes: its own copy, which may be longer or shorter. */
export function mutate(frame: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  let b: Uint8Array = frame.slice();
  for (let n = 1 + random.below(4); n > 0 && b.length > 0; n--) b = change(b, other, random);
  return b;
}

function change(b: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  // Headers are where decisions are made.
  const at = random.below(random.chance(70) ? Math.min(b.length, 90) : b.length);
  switch (random.below(9)) {
    case 0:
      b[at]! ^= 1 << random.below(8);
      return b;
    case 1:
      b[at] = random.pick(EDGES);
      return b;
    case 2:
      b[at] = random.next();
      return b;
    case 3:
      if (at + 2 <= b.length) putU16(b, at & ~1, random.pick(EDGES16));
      return b;
    case 4:
      if (at + 2 <= b.length) putU16(b, at & ~1, (u16(b, at & ~1) + random.below(9) - 4) & 0xffff);
      return b;
    case 5:
      return b.slice(0, random.below(b.length + 1));
    case 6: {
      const longer = new Uint8Array(Math.min(LONGEST, b.length + random.below(200)));
      longer.set(b.subarray(0, longer.length));
      return longer;
    }
    case 7: {
      const spliced = new Uint8Array(Math.max(at, other.length)); // the rest of another frame
      spliced.set(other);
      spliced.set(b.subarray(0, at));
      return spliced;
    }
    default: {
      const from = random.below(b.length); // a piece of it again
      b.copyWithin(at, from, from + random.below(24));
      return b;
    }
  }
}

/**
 * Puts right what a receiver checks first, as far as the frame has it: with `lengths` the IP and UDP lengths become what
 * is there; the checksums always.
 */
export function mend(f: Uint8Array, lengths: boolean): void {
  if (f.length < L3 + ipv4.HEADER_LEN || u16(f, 12) !== 0x0800) return;
  const headerLen = ipv4.headerLen(f, L3);
  if (headerLen < ipv4.HEADER_LEN || L3 + headerLen > f.length) return;
  if (lengths) putU16(f, L3 + 2, Math.min(f.length - L3, ipv4.MAX_LEN));
  putU16(f, L3 + 10, 0);
  putU16(f, L3 + 10, checksum.finish(checksum.partial(f, L3, headerLen, 0)));
  const end = Math.min(f.length, L3 + ipv4.totalLen(f, L3));
  if (!ipv4.isFragment(f, L3)) mendTransport(f, L3 + headerLen, end, lengths);
}

function mendTransport(f: Uint8Array, l4: number, end: number, lengths: boolean): void {
  const protocol = ipv4.protocol(f, L3);
  const len = end - l4;
  const at = protocol === ipv4.PROTO_TCP ? 16 : protocol === ipv4.PROTO_UDP ? 6 : protocol === ipv4.PROTO_ICMP ? 2 : -1;
  if (at < 0 || len < at + 2) return;
  if (protocol === ipv4.PROTO_UDP && lengths) putU16(f, l4 + 4, len);
  putU16(f, l4 + at, 0);
  let sum = 0;
  if (protocol !== ipv4.PROTO_ICMP) {
    sum = checksum.partialAdd(checksum.pseudoIpv4(ipv4.src(f, L3), ipv4.dst(f, L3), protocol), len);
  }
  putU16(f, l4 + at, checksum.finish(checksum.partial(f, l4, len, sum)));
}
