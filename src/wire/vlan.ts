// 802.1Q tag, IEEE 802.1Q-2022 clause 9.
//
//    12       14            16
//   +--------+-------------+--------
//   | 0x8100 | PCP DEI VID | type     offsets within the frame; the type of the untagged frame follows
//   +--------+-------------+--------

import { Drop } from '../core/drop.ts';
import { u16 } from './bytes.ts';
import { HEADER_LEN, TYPE_VLAN } from './ethernet.ts';

export const TPID = TYPE_VLAN;
export const TAG_LEN = 4;
/** Length of a tagged frame's header. */
export const TAGGED_HEADER_LEN = HEADER_LEN + TAG_LEN;
/** The VLAN id within the TCI. */
export const ID_MASK = 0x0fff;

/** Tells whether the frame has room for the tag and the type behind it. */
export const check = (_b: Uint8Array, o: number, end: number): Drop =>
  end - o < TAGGED_HEADER_LEN ? Drop.VlanTagTruncated : Drop.None;

export const isTagged = (b: Uint8Array, o: number): boolean => u16(b, o + 12) === TPID;
/** Priority, drop eligibility and VLAN id. */
export const tci = (b: Uint8Array, o: number): number => u16(b, o + 14);
export const id = (b: Uint8Array, o: number): number => tci(b, o) & ID_MASK;
/** Type of the frame behind the tag. */
export const innerType = (b: Uint8Array, o: number): number => u16(b, o + 16);

/** `vlan 10 p 3`: the tag only. Any bytes. */
export const summary = (b: Uint8Array, o: number): string => `vlan ${id(b, o)} p ${tci(b, o) >>> 13}`;
