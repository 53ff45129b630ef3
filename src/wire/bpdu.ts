// Bridge protocol data units: IEEE 802.1D-2004 clause 9.3 (configuration, TCN, RST), and the classic VDE switch's use of
// the RST layout.
//
// Behind the 802.3 length and the LLC header 42 42 03; offsets from the protocol identifier:
//
//    0     2      3      4      5       13     17       25     27     29      31     33      35
//   +-----+------+------+------+-------+------+--------+------+------+-------+------+-------+------
//   | 0   | vers | type | flags| root  | cost | bridge | port | age  | maxage| hello| fwd   | v1 length 0
//   +-----+------+------+------+-------+------+--------+------+------+-------+------+-------+------
//
// A TCN ends behind the type, a configuration BPDU before the version 1 length. Times are in 1/256 s.

import { Drop } from '../core/drop.ts';
import { u16, u32 } from './bytes.ts';
import { HEADER_LEN } from './ethernet.ts';

/** 802.3 length (2) and LLC (3) in front of the protocol identifier. */
export const LLC_LEN = 5;
export const RST_LEN = 36;
export const CONFIG_LEN = 35;
export const TCN_LEN = 4;
/** An RST BPDU as an untagged frame, without padding. */
export const RST_FRAME_LEN = 12 + LLC_LEN + RST_LEN;

export const TYPE_CONFIG = 0x00;
export const TYPE_RST = 0x02;
export const TYPE_TCN = 0x80;

/** Flags of RST BPDUs (802.1D-2004 9.3.3). */
export const FLAG_TC = 0x01;
export const FLAG_PROPOSAL = 0x02;
export const FLAG_ROLE = 0x0c;
export const FLAG_LEARNING = 0x10;
export const FLAG_FORWARDING = 0x20;
export const FLAG_AGREEMENT = 0x40;
export const FLAG_TC_ACK = 0x80;

/** Values of the role bits, in place. */
export const ROLE_ALTERNATE_BACKUP = 0x04;
export const ROLE_ROOT = 0x08;
export const ROLE_DESIGNATED = 0x0c;

/** Length of root, cost, bridge and port: the priority vector, which is compared as bytes (802.1D-2004 17.5). */
export const VECTOR_LEN = 22;
/** Offset of the vector behind the protocol identifier. */
export const VECTOR_OFF = 5;

/**
 * Tells whether a BPDU that every accessor below is safe for starts at the length field.
 *
 * @param o    offset of the 802.3 length field
 * @param end  offset one past the frame
 */
export function check(b: Uint8Array, o: number, end: number): Drop {
  const p = o + LLC_LEN;
  if (end - p < TCN_LEN || b[o + 2] !== 0x42 || b[o + 3] !== 0x42 || b[o + 4] !== 0x03) return Drop.BpduMalformed;
  if (u16(b, p) !== 0) return Drop.BpduMalformed;
  const kind = type(b, o);
  if (kind === TYPE_TCN) return Drop.None;
  if (kind !== TYPE_CONFIG && kind !== TYPE_RST) return Drop.BpduMalformed;
  return end - p < (kind === TYPE_RST ? RST_LEN - 1 : CONFIG_LEN) ? Drop.BpduMalformed : Drop.None;
}

export const version = (b: Uint8Array, o: number): number => b[o + LLC_LEN + 2]!;
export const type = (b: Uint8Array, o: number): number => b[o + LLC_LEN + 3]!;
export const flags = (b: Uint8Array, o: number): number => b[o + LLC_LEN + 4]!;
/** Offset of the priority vector. */
export const vectorAt = (o: number): number => o + LLC_LEN + VECTOR_OFF;
export const cost = (b: Uint8Array, o: number): number => u32(b, o + LLC_LEN + 13);
/** Times, 1/256 s. */
export const messageAge = (b: Uint8Array, o: number): number => u16(b, o + LLC_LEN + 27);
export const maxAge = (b: Uint8Array, o: number): number => u16(b, o + LLC_LEN + 29);
export const helloTime = (b: Uint8Array, o: number): number => u16(b, o + LLC_LEN + 31);
export const forwardDelay = (b: Uint8Array, o: number): number => u16(b, o + LLC_LEN + 33);

/** Compares `n` bytes as a number: below, at or above 0 as `a` is less than, equal to or greater than `b`. */
export function compareBytes(a: Uint8Array, ao: number, b: Uint8Array, bo: number, n: number): number {
  for (let i = 0; i < n; i++) {
    const d = a[ao + i]! - b[bo + i]!;
    if (d !== 0) return d;
  }
  return 0;
}

/**
 * Writes the parts of a BPDU's frame that do not depend on a tree: addresses, length, LLC, protocol, version and type.
 *
 * @param b  the frame, zeroed, as long as its BPDU needs (no padding)
 */
export function writeFrame(b: Uint8Array, macHi: number, macLo: number, version: number, type: number): void {
  b.set([0x01, 0x80, 0xc2, 0, 0, 0, macHi >>> 8, macHi, macLo >>> 24, macLo >>> 16, macLo >>> 8, macLo], 0);
  b.set([0, b.length - HEADER_LEN, 0x42, 0x42, 0x03, 0, 0, version, type], 12);
}

/** The same for an RST BPDU: 53 bytes. */
export const writeRstFrame = (b: Uint8Array, macHi: number, macLo: number): void =>
  writeFrame(b, macHi, macLo, 2, TYPE_RST);
