// Cutting whole frames into fragments as a guest's IP layer would, and putting those of the router together.

import * as ethernet from '../../src/wire/ethernet.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';

const L3 = ethernet.HEADER_LEN;
const L4 = L3 + ipv4.HEADER_LEN;

export interface Cut {
  /** Where the piece starts and ends in the payload, bytes. */
  from: number;
  to: number;
  /** More-fragments flag; default: set unless the piece is the end. */
  more?: boolean;
  id?: number;
}

/** One fragment of a whole frame; bytes beyond its payload are 0xaa. */
export function fragment(whole: Uint8Array, { from, to, more = to < whole.length - L4, id = 0x1234 }: Cut): Uint8Array {
  const b = new Uint8Array(L4 + to - from).fill(0xaa);
  b.set(whole.subarray(0, L3));
  const [src, dst, ttl] = [ipv4.src(whole, L3), ipv4.dst(whole, L3), ipv4.ttl(whole, L3)];
  ipv4.writeHeader(b, L3, b.length - L3, id, ttl, ipv4.protocol(whole, L3), src, dst, 0, false);
  ipv4.setFragment(b, L3, from, more);
  b.set(whole.subarray(L4 + from, L4 + to), L4);
  return b;
}

/** All fragments of a frame, `size` bytes of payload each. */
export function fragments(whole: Uint8Array, size = 1480, id = 0x1234): Uint8Array[] {
  const out: Uint8Array[] = [];
  const len = whole.length - L4;
  for (let from = 0; from < len; from += size) out.push(fragment(whole, { from, to: Math.min(len, from + size), id }));
  return out;
}

/** The IP payload of fragments of one packet, checked to be gapless and in order. */
export function joined(frames: readonly Uint8Array[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 0;
  frames.forEach((f, i) => {
    const part = f.slice(L4, L3 + ipv4.totalLen(f, L3));
    if (ipv4.fragOffset(f, L3) !== at) throw new Error(`fragment ${i} is at ${ipv4.fragOffset(f, L3)}, not ${at}`);
    if (ipv4.moreFragments(f, L3) !== i < frames.length - 1) throw new Error(`fragment ${i}: more-fragments is wrong`);
    if (ipv4.id(f, L3) !== ipv4.id(frames[0]!, L3)) throw new Error(`fragment ${i} has another identification`);
    if (ipv4.dontFragment(f, L3)) throw new Error(`fragment ${i} has DF`);
    parts.push(part);
    at += part.length;
  });
  return Uint8Array.from(parts.flatMap((p) => [...p]));
}
