// pcapng blocks for captures that Wireshark and tcpdump read: the "PCAP Next Generation (pcapng) Capture File Format"
// (draft-ietf-opsawg-pcapng), sections 4.1 (section header), 4.2 (interface description), 4.3 (enhanced packet).
//
//   +------------+--------------+----------------+------------------+--------------+
//   | block type | total length | body, padded   | options, padded  | total length |     little-endian, 32-bit aligned
//   +------------+--------------+----------------+------------------+--------------+
//
// A file is one section header, one description per interface in the order of their ids, then packets; descriptions may
// come between packets. Every function gives one whole block of its own memory; writing it is left to the caller.

const BLOCK_SECTION = 0x0a0d0d0a;
const BLOCK_INTERFACE = 1;
const BLOCK_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const BLOCK_OVERHEAD = 12;

const LINKTYPE_ETHERNET = 1;

const OPT_END = 0;
const OPT_COMMENT = 1;
const SHB_USERAPPL = 4;
const IF_NAME = 2;
const IF_TSRESOL = 9;
const EPB_FLAGS = 2;

/** Where a packet went, seen from the interface (bits 0 and 1 of epb_flags). */
export const DIRECTION_UNKNOWN = 0;
export const DIRECTION_INBOUND = 1;
export const DIRECTION_OUTBOUND = 2;

/** Decimal digits of a second that the timestamps of an interface have: microseconds or nanoseconds. */
export type TimeDigits = 6 | 9;

/** An option: its code and its bytes. */
type Option = readonly [code: number, value: Uint8Array];

const align = (n: number): number => (n + 3) & ~3;
const text = (s: string): Uint8Array => new TextEncoder().encode(s).subarray(0, 0xffff);

const optionsLen = (options: readonly Option[]): number =>
  options.length === 0 ? 0 : options.reduce((sum, [, value]) => sum + 4 + align(value.length), 4);

/** A block of zeros with its type, lengths and options; the body of `bodyLen` bytes at 8 is still to be filled in. */
function block(type: number, bodyLen: number, options: readonly Option[]): { bytes: Uint8Array; view: DataView } {
  const total = BLOCK_OVERHEAD + align(bodyLen) + optionsLen(options);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, total, true);
  view.setUint32(total - 4, total, true);
  let o = 8 + align(bodyLen);
  for (const [code, value] of options) {
    view.setUint16(o, code, true);
    view.setUint16(o + 2, value.length, true);
    bytes.set(value, o + 4);
    o += 4 + align(value.length);
  }
  if (options.length > 0) view.setUint16(o, OPT_END, true);
  return { bytes, view };
}

/** The block that begins a file. `application` is the name and version of what writes it, '' for none. */
export function sectionHeader(application: string): Uint8Array {
  const { bytes, view } = block(BLOCK_SECTION, 16, application === '' ? [] : [[SHB_USERAPPL, text(application)]]);
  view.setUint32(8, BYTE_ORDER_MAGIC, true);
  view.setUint16(12, 1, true); // version 1.0
  view.setUint16(14, 0, true);
  view.setInt32(16, -1, true); // section length not known
  view.setInt32(20, -1, true);
  return bytes;
}

/**
 * Describes an Ethernet interface. The first description of a file has id 0, the next 1, and so on.
 *
 * @param snapLen  most bytes of a packet that are kept, 0 for all
 * @param digits   resolution of its timestamps
 */
export function interfaceDescription(name: string, snapLen: number, digits: TimeDigits): Uint8Array {
  const { bytes, view } = block(BLOCK_INTERFACE, 8, [
    [IF_NAME, text(name)],
    [IF_TSRESOL, Uint8Array.of(digits)],
  ]);
  view.setUint16(8, LINKTYPE_ETHERNET, true);
  view.setUint32(12, snapLen, true);
  return bytes;
}

/**
 * One frame.
 *
 * @param interfaceId  number of its interface description
 * @param digits       resolution given in that description
 * @param seconds      wall time, whole seconds since 1970, below 2^32
 * @param nanoseconds  0 to 999,999,999
 * @param b            frame bytes; `len` bytes at `off` are copied, `snapLen` at most when that is not 0
 * @param direction    one of the DIRECTION constants
 * @param comment      shown beside the packet, '' for none
 */
export function enhancedPacket(
  interfaceId: number,
  digits: TimeDigits,
  seconds: number,
  nanoseconds: number,
  b: Uint8Array,
  off: number,
  len: number,
  snapLen: number,
  direction: number,
  comment: string,
): Uint8Array {
  const kept = snapLen > 0 ? Math.min(len, snapLen) : len;
  const options: Option[] = [];
  if (comment !== '') options.push([OPT_COMMENT, text(comment)]);
  if (direction !== DIRECTION_UNKNOWN) options.push([EPB_FLAGS, Uint8Array.of(direction, 0, 0, 0)]);
  const { bytes, view } = block(BLOCK_PACKET, 20 + kept, options);
  view.setUint32(8, interfaceId, true);
  setTime(view, 12, seconds, digits === 9 ? 1e9 : 1e6, digits === 9 ? nanoseconds : Math.floor(nanoseconds / 1000));
  view.setUint32(20, kept, true);
  view.setUint32(24, len, true);
  bytes.set(b.subarray(off, off + kept), 28);
  return bytes;
}

/** `seconds * perSecond + part` as 64 bits, the high word first; exact although nanoseconds do not fit a double. */
function setTime(view: DataView, o: number, seconds: number, perSecond: number, part: number): void {
  const high = Math.floor(seconds / 0x10000) * perSecond; // in units of 2^16
  const low = (high % 0x10000) * 0x10000 + (seconds % 0x10000) * perSecond + part;
  view.setUint32(o, Math.floor(high / 0x10000) + Math.floor(low / 0x100000000), true);
  view.setUint32(o + 4, low % 0x100000000, true);
}
