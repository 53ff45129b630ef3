// Transmission Control Protocol header, RFC 9293 section 3.1; ECN bits, RFC 3168. Options are in tcp-options.ts.
//
//    0                 2                 4                                   8
//   +-----------------+-----------------+-----------------------------------+
//   | source port     | dest. port      | sequence number                   |
//   +-----------------+----+------------+-----------------+-----------------+
//   | acknowledgment number | off | flags | window        |                      off: header length in words
//   +-----------------+----+------------+-----------------+-----------------+
//   | checksum        | urgent pointer  | options, 0 to 40 bytes, then payload
//   +-----------------+-----------------+

import { Drop, dropLabel } from '../core/drop.ts';
import { putU16, putU32, u16, u32 } from './bytes.ts';
import { finish, partial, partialAdd } from './checksum.ts';
import { TcpOptions } from './tcp-options.ts';

export {
  dataOptionsLen,
  MAX_OPTIONS_LEN,
  MAX_SACK_BLOCKS,
  MAX_WINDOW_SCALE,
  SYN_OPTIONS_MAX_LEN,
  synOptionsLen,
  TcpOptions,
  writeDataOptions,
  writeSynOptions,
} from './tcp-options.ts';

/** Header without options, bytes. */
export const HEADER_LEN = 20;
/** Header with the most options, bytes. */
export const MAX_HEADER_LEN = 60;

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;
export const URG = 32;
export const ECE = 64;
export const CWR = 128;

/**
 * Tells whether a header with its options lies in the packet, and whether its ports and flags can be a segment's.
 * After `Drop.None` every accessor below is safe for the same `b` and `o`.
 *
 * @param b    frame bytes
 * @param o    offset of the TCP header, bytes
 * @param end  offset one past the IP payload, bytes
 */
export function check(b: Uint8Array, o: number, end: number): Drop {
  const room = end - o;
  if (room < HEADER_LEN) return Drop.TcpTruncated;
  const header = dataOffset(b, o);
  if (header < HEADER_LEN || header > room) return Drop.TcpBadOffset;
  const f = b[o + 13]!;
  // SYN with FIN or RST opens and ends at once; every segment has at least one of these six.
  if (((f & SYN) !== 0 && (f & (FIN | RST)) !== 0) || (f & (FIN | SYN | RST | ACK | PSH | URG)) === 0) {
    return Drop.TcpBadFlags;
  }
  return srcPort(b, o) === 0 || dstPort(b, o) === 0 ? Drop.TcpBadPort : Drop.None;
}

export const srcPort = (b: Uint8Array, o: number): number => u16(b, o);
export const dstPort = (b: Uint8Array, o: number): number => u16(b, o + 2);
/** Sequence and acknowledgment numbers, unsigned; compare them with core/seq.ts only. */
export const seq = (b: Uint8Array, o: number): number => u32(b, o + 4);
export const ack = (b: Uint8Array, o: number): number => u32(b, o + 8);
/** Header length with options, bytes. */
export const dataOffset = (b: Uint8Array, o: number): number => (b[o + 12]! >>> 4) << 2;
/** FIN to CWR, see the constants. */
export const flags = (b: Uint8Array, o: number): number => b[o + 13]!;
/** Window field, not scaled. */
export const window = (b: Uint8Array, o: number): number => u16(b, o + 14);
export const checksum = (b: Uint8Array, o: number): number => u16(b, o + 16);
export const urgent = (b: Uint8Array, o: number): number => u16(b, o + 18);
/** Offset of the payload. */
export const payload = (b: Uint8Array, o: number): number => o + dataOffset(b, o);

/**
 * Verifies the checksum of a segment that passed `check`.
 *
 * @param end        offset one past the segment, bytes
 * @param pseudoSum  partial sum of the pseudo-header without the length, see checksum.ts
 */
export const checksumOk = (b: Uint8Array, o: number, end: number, pseudoSum: number): boolean =>
  partial(b, o, end - o, partialAdd(pseudoSum, end - o)) === 0xffff;

/**
 * Writes the first 20 bytes of a header; checksum and urgent pointer are 0.
 *
 * @param headerLen  header with options, bytes, a multiple of 4, 20 to 60
 * @param window     window field, already scaled down, 0 to 65535
 */
export function writeHeader(
  b: Uint8Array,
  o: number,
  srcPort: number,
  dstPort: number,
  seq: number,
  ack: number,
  headerLen: number,
  flags: number,
  window: number,
): void {
  putU16(b, o, srcPort);
  putU16(b, o + 2, dstPort);
  putU32(b, o + 4, seq);
  putU32(b, o + 8, ack);
  b[o + 12] = headerLen << 2;
  b[o + 13] = flags;
  putU16(b, o + 14, window);
  putU32(b, o + 16, 0);
}

/**
 * Sums the segment of `len` bytes at `o`, header and payload in place and the checksum field 0, and fills it in.
 *
 * @param pseudoSum  partial sum of the pseudo-header without the length, see checksum.ts
 */
export function writeChecksum(b: Uint8Array, o: number, len: number, pseudoSum: number): void {
  putU16(b, o + 16, finish(partial(b, o, len, partialAdd(pseudoSum, len))));
}

/** Flags as tcpdump writes them: `S.` for SYN,ACK. */
export function formatFlags(flags: number): string {
  let text = '';
  if (flags & FIN) text += 'F';
  if (flags & SYN) text += 'S';
  if (flags & RST) text += 'R';
  if (flags & PSH) text += 'P';
  if (flags & URG) text += 'U';
  if (flags & ECE) text += 'E';
  if (flags & CWR) text += 'W';
  if (flags & ACK) text += '.';
  return text === '' ? 'none' : text;
}

/** `TCP 40000 > 80 [S] seq 1 win 64240 <mss 1460,sackOK,wscale 7> len 0`. Any bytes. */
export function summary(b: Uint8Array, o: number, end: number): string {
  const why = check(b, o, end);
  if (why === Drop.TcpTruncated) return `TCP [${dropLabel(why)}]`;
  let text = `TCP ${srcPort(b, o)} > ${dstPort(b, o)} [${formatFlags(flags(b, o))}] seq ${seq(b, o)}`;
  if (flags(b, o) & ACK) text += ` ack ${ack(b, o)}`;
  text += ` win ${window(b, o)}`;
  if (flags(b, o) & URG) text += ` urg ${urgent(b, o)}`;
  if (why === Drop.TcpBadOffset) return `${text} [${dropLabel(why)}]`;
  if (dataOffset(b, o) > HEADER_LEN) {
    const options = new TcpOptions();
    options.parse(b, o);
    text += ` <${options.toString()}>`;
  }
  text += ` len ${end - payload(b, o)}`;
  return why === Drop.None ? text : `${text} [${dropLabel(why)}]`;
}
