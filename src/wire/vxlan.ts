// VXLAN header, RFC 7348 section 5: 8 bytes in front of a whole Ethernet frame without FCS, in one UDP datagram.
//
//    0                   1                   2                   3
//   |R|R|R|R|I|R|R|R|            reserved                           |    I: the VNI is valid
//   |                VXLAN network identifier (VNI) |   reserved    |

import { Drop } from '../core/drop.ts';
import { u32 } from './bytes.ts';

export const HEADER_LEN = 8;
/** IANA's port (RFC 7348 section 8). */
export const PORT = 4789;
export const MAX_VNI = 0xff_ffff;
const FLAG_VNI = 0x08;

/** Writes the header of `vni` at `o`. */
export function write(b: Uint8Array, o: number, vni: number): void {
  b.fill(0, o, o + HEADER_LEN);
  b[o] = FLAG_VNI;
  b[o + 4] = vni >>> 16;
  b[o + 5] = vni >>> 8;
  b[o + 6] = vni;
}

/**
 * Tells whether a datagram carries a frame of `vni`. Reserved bits are ignored, as section 5 asks.
 *
 * @returns `Drop.None`, or the reason to drop
 */
export function check(b: Uint8Array, o: number, len: number, vni: number): Drop {
  if (len < HEADER_LEN || (b[o]! & FLAG_VNI) === 0) return Drop.VxlanBadHeader;
  return u32(b, o + 4) >>> 8 === vni ? Drop.None : Drop.VxlanOtherVni;
}

/** Whether all reserved bits of a header are 0, which vxvde wants. */
export const isExact = (b: Uint8Array, o: number): boolean => u32(b, o) === FLAG_VNI * 2 ** 24 && b[o + 7] === 0;
