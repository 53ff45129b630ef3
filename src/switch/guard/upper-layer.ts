// Where the upper-layer header of an IPv6 packet is, behind its extension headers (RFC 8200 section 4).
//
// Only what the guard needs: it does not judge the headers themselves. A packet whose chain is not whole in the first
// fragment may hide anything and is reported as such (RFC 7112, RFC 6980).

import { u16 } from '../../wire/bytes.ts';

const HEADER_LEN = 40;
const MAX_HEADERS = 8;
const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const AUTHENTICATION = 51;
const DESTINATION_OPTIONS = 60;

export const ICMPV6 = 58;
export const UDP = 17;

/** In place of a protocol: a fragment behind the first; a chain that cannot be followed. */
const LATER_FRAGMENT = -1;
export const HIDDEN = -2;

/** What `locate` found; one object, filled anew each time. */
export class UpperLayer {
  /** Protocol number, LATER_FRAGMENT or HIDDEN. */
  protocol = HIDDEN;
  /** Offset of the upper-layer header, and one past the packet. */
  at = 0;
  end = 0;
  /** There is a fragment header with more to come. */
  fragment = false;

  /** Looks into the packet at `o`; `end` is one past the frame. */
  locate(b: Uint8Array, o: number, end: number): void {
    this.protocol = HIDDEN;
    this.fragment = false;
    if (end - o < HEADER_LEN || b[o]! >>> 4 !== 6) return;
    this.end = Math.min(end, o + HEADER_LEN + u16(b, o + 4));
    let next = b[o + 6]!;
    let at = o + HEADER_LEN;
    for (let n = 0; n <= MAX_HEADERS; n++) {
      const isOptions = next === HOP_BY_HOP || next === ROUTING || next === DESTINATION_OPTIONS;
      if (!isOptions && next !== FRAGMENT && next !== AUTHENTICATION) {
        this.at = at;
        this.protocol = at < this.end ? next : HIDDEN;
        return;
      }
      if (this.end - at < 8) return;
      if (next === FRAGMENT) {
        if ((u16(b, at + 2) & 0xfff8) !== 0) {
          this.protocol = LATER_FRAGMENT;
          return;
        }
        this.fragment ||= (b[at + 3]! & 1) !== 0;
      }
      const len = next === FRAGMENT ? 8 : next === AUTHENTICATION ? (b[at + 1]! + 2) * 4 : (b[at + 1]! + 1) * 8;
      next = b[at]!;
      at += len;
    }
  }
}
