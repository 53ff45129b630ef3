// TCP options: maximum segment size, RFC 9293 section 3.7.1; window scale and timestamps, RFC 7323; selective
// acknowledgment, RFC 2018. Unknown options are skipped by their length; a malformed one ends the walk, and what was read
// before it stands.
//
// What is written is padded with NOPs in front so that 32-bit fields are aligned, in the layout that other stacks have
// fast paths for:
//
//   SYN    MSS(4)  SACK-permitted(2) TS(10)  or  NOP NOP TS(10)  NOP WS(3)
//   data   NOP NOP TS(10)   NOP NOP SACK(2 + 8n)

import { i32, putU16, putU32, u16, u32 } from './bytes.ts';

/** Bytes of options that a header holds. */
export const MAX_OPTIONS_LEN = 40;
/** SACK blocks that fit into a header; 3 beside timestamps. */
export const MAX_SACK_BLOCKS = 4;
/** Larger shift counts are taken as this one (RFC 7323 section 2.3). */
export const MAX_WINDOW_SCALE = 14;

const HEADER_LEN = 20;
const END = 0;
const NOP = 1;
const MSS = 2;
const WINDOW_SCALE = 3;
const SACK_PERMITTED = 4;
const SACK = 5;
const TIMESTAMPS = 8;

const MSS_LEN = 4;
const WINDOW_SCALE_LEN = 3;
const SACK_PERMITTED_LEN = 2;
const TIMESTAMPS_LEN = 10;

const PADDED_TIMESTAMPS_LEN = 12;
/** NOP NOP TS 10: how the options of nearly every data segment begin. */
const TIMESTAMPS_PREFIX = (NOP << 24) | (NOP << 16) | (TIMESTAMPS << 8) | TIMESTAMPS_LEN;

/** The options of one segment. One object serves all segments: `parse` sets every field. */
export class TcpOptions {
  /** Maximum segment size, bytes; 0 when absent. */
  mss = 0;
  /** Shift count 0 to 14; -1 when absent. */
  windowScale = -1;
  sackPermitted = false;
  hasTimestamp = false;
  /** Timestamp value and echo reply, unsigned; 0 when absent. */
  tsVal = 0;
  tsEcr = 0;
  /** Number of SACK blocks, 0 to 4; block i is [sackLeft[i], sackRight[i]) as received, not checked for order. */
  sackCount = 0;
  readonly sackLeft = new Uint32Array(MAX_SACK_BLOCKS);
  readonly sackRight = new Uint32Array(MAX_SACK_BLOCKS);

  /** Reads the options of the header at `o`, which has passed `tcp.check`. */
  parse(b: Uint8Array, o: number): void {
    this.mss = 0;
    this.windowScale = -1;
    this.sackPermitted = false;
    this.hasTimestamp = false;
    this.tsVal = 0;
    this.tsEcr = 0;
    this.sackCount = 0;
    const end = o + ((b[o + 12]! >>> 4) << 2);
    let at = o + HEADER_LEN;
    if (end - at >= PADDED_TIMESTAMPS_LEN && i32(b, at) === TIMESTAMPS_PREFIX) {
      this.setTimestamps(b, at + 2);
      at += PADDED_TIMESTAMPS_LEN;
    }
    if (at < end) this.walk(b, at, end);
  }

  private walk(b: Uint8Array, from: number, end: number): void {
    let o = from;
    while (o < end) {
      const kind = b[o]!;
      if (kind === END) return;
      if (kind === NOP) {
        o++;
        continue;
      }
      const len = o + 1 < end ? b[o + 1]! : 0;
      if (len < 2 || len > end - o) return;
      this.take(b, o, kind, len);
      o += len;
    }
  }

  /** One option of `len` bytes at `o`; one that has not the length of its kind is passed over. */
  private take(b: Uint8Array, o: number, kind: number, len: number): void {
    if (kind === TIMESTAMPS) {
      if (len === TIMESTAMPS_LEN) this.setTimestamps(b, o);
    } else if (kind === SACK) {
      this.setSack(b, o + 2, len - 2);
    } else if (kind === MSS) {
      if (len === MSS_LEN) this.mss = u16(b, o + 2);
    } else if (kind === WINDOW_SCALE) {
      if (len === WINDOW_SCALE_LEN) this.windowScale = Math.min(b[o + 2]!, MAX_WINDOW_SCALE);
    } else if (kind === SACK_PERMITTED) {
      if (len === SACK_PERMITTED_LEN) this.sackPermitted = true;
    }
  }

  private setTimestamps(b: Uint8Array, o: number): void {
    this.hasTimestamp = true;
    this.tsVal = u32(b, o + 2);
    this.tsEcr = u32(b, o + 6);
  }

  private setSack(b: Uint8Array, o: number, len: number): void {
    if (len === 0 || (len & 7) !== 0 || len > 8 * MAX_SACK_BLOCKS) return;
    this.sackCount = len >>> 3;
    for (let i = 0; i < this.sackCount; i++) {
      this.sackLeft[i] = u32(b, o + 8 * i);
      this.sackRight[i] = u32(b, o + 8 * i + 4);
    }
  }

  /** `mss 1460,sackOK,TS val 1 ecr 0,wscale 7`. */
  toString(): string {
    const parts: string[] = [];
    if (this.mss > 0) parts.push(`mss ${this.mss}`);
    if (this.sackPermitted) parts.push('sackOK');
    if (this.hasTimestamp) parts.push(`TS val ${this.tsVal} ecr ${this.tsEcr}`);
    if (this.windowScale >= 0) parts.push(`wscale ${this.windowScale}`);
    for (let i = 0; i < this.sackCount; i++) parts.push(`sack ${this.sackLeft[i]}:${this.sackRight[i]}`);
    return parts.join(',');
  }
}

/** Bytes that `writeSynOptions` writes with everything present. */
export const SYN_OPTIONS_MAX_LEN = 20;

/** Bytes that `writeSynOptions` writes for the same arguments. */
export function synOptionsLen(windowScale: number, sackPermitted: boolean, hasTimestamp: boolean): number {
  const sackOrTimestamp = hasTimestamp ? PADDED_TIMESTAMPS_LEN : sackPermitted ? 4 : 0;
  return MSS_LEN + sackOrTimestamp + (windowScale >= 0 ? 4 : 0);
}

/**
 * Writes the options of a SYN or SYN,ACK at `o`, the offset of the first option.
 *
 * @param mss          bytes, 1 to 65535
 * @param windowScale  shift count 0 to 14, or -1 for none
 * @returns            bytes written, a multiple of 4, at most SYN_OPTIONS_MAX_LEN
 */
export function writeSynOptions(
  b: Uint8Array,
  o: number,
  mss: number,
  windowScale: number,
  sackPermitted: boolean,
  hasTimestamp: boolean,
  tsVal: number,
  tsEcr: number,
): number {
  b[o] = MSS;
  b[o + 1] = MSS_LEN;
  putU16(b, o + 2, mss);
  let at = o + MSS_LEN;
  if (sackPermitted || hasTimestamp) {
    b[at] = sackPermitted ? SACK_PERMITTED : NOP;
    b[at + 1] = sackPermitted ? SACK_PERMITTED_LEN : NOP;
    at += 2;
    if (hasTimestamp) {
      at = writeTimestamps(b, at, tsVal, tsEcr);
    } else {
      putU16(b, at, (NOP << 8) | NOP);
      at += 2;
    }
  }
  if (windowScale >= 0) {
    b[at] = NOP;
    b[at + 1] = WINDOW_SCALE;
    b[at + 2] = WINDOW_SCALE_LEN;
    b[at + 3] = windowScale;
    at += 4;
  }
  return at - o;
}

/** Bytes that `writeDataOptions` writes for the same arguments. */
export const dataOptionsLen = (hasTimestamp: boolean, sackCount: number): number =>
  (hasTimestamp ? PADDED_TIMESTAMPS_LEN : 0) + (sackCount > 0 ? 4 + 8 * sackCount : 0);

/**
 * Writes the options of a segment on a synchronised connection at `o`, the offset of the first option.
 *
 * @param sackCount  blocks to write from the start of `sackLeft` and `sackRight`: 0 to 4, at most 3 with timestamps
 * @returns          bytes written, a multiple of 4, at most 40
 */
export function writeDataOptions(
  b: Uint8Array,
  o: number,
  hasTimestamp: boolean,
  tsVal: number,
  tsEcr: number,
  sackCount: number,
  sackLeft: Uint32Array,
  sackRight: Uint32Array,
): number {
  let at = o;
  if (hasTimestamp) {
    putU16(b, at, (NOP << 8) | NOP);
    at = writeTimestamps(b, at + 2, tsVal, tsEcr);
  }
  if (sackCount > 0) {
    putU32(b, at, (NOP << 24) | (NOP << 16) | (SACK << 8) | (2 + 8 * sackCount));
    at += 4;
    for (let i = 0; i < sackCount; i++) {
      putU32(b, at, sackLeft[i]!);
      putU32(b, at + 4, sackRight[i]!);
      at += 8;
    }
  }
  return at - o;
}

function writeTimestamps(b: Uint8Array, o: number, tsVal: number, tsEcr: number): number {
  b[o] = TIMESTAMPS;
  b[o + 1] = TIMESTAMPS_LEN;
  putU32(b, o + 2, tsVal);
  putU32(b, o + 6, tsEcr);
  return o + TIMESTAMPS_LEN;
}
