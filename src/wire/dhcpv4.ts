// Dynamic Host Configuration Protocol for IPv4, messages: RFC 2131 section 2, RFC 951 (BOOTP); options: RFC 2132.
//
//    0     1     2     3     4           8       10      12        16        20        24        28
//   +-----+-----+-----+-----+-----------+-------+-------+---------+---------+---------+---------+
//   | op  |htype|hlen |hops | xid       | secs  | flags | ciaddr  | yiaddr  | siaddr  | giaddr  |
//   +-----+-----+-----+-----+-----------+-------+-------+---------+---------+---------+---------+
//   | 28 chaddr (16) | 44 sname (64) | 108 file (128) | 236 cookie (4) | 240 options ...
//   +----------------+---------------+----------------+----------------+--------------------
//
// Messages are read into plain objects of their own memory: the frame may go away. What is read:
// - Options in the options field; then, when option 52 says so, in `file`, then in `sname` (RFC 2131 section 4.1). An
//   option 52 in those two is ignored, so overloading cannot loop.
// - Parts of a split option are joined in that order (RFC 3396 section 7).
// - An option that runs past its field makes the whole message malformed. A missing end option does not: the field ends.
// - A cookie of zeros is plain BOOTP without vendor information (RFC 951); any other unknown cookie is malformed.

import { formatIpv4, formatMac } from '../core/address.ts';
import { Drop, dropLabel } from '../core/drop.ts';
import { copyBytes } from '../core/frame.ts';
import { putU16, putU32, u16, u32 } from './bytes.ts';
import {
  OPTION_END,
  OPTION_MAX_MESSAGE_SIZE,
  OPTION_MESSAGE_TYPE,
  OPTION_OVERLOAD,
  OPTION_PAD,
  OPTION_REQUESTED_ADDRESS,
  OPTION_SERVER_ID,
  readAddress,
  readText,
  readU8,
  readU16,
  writeText,
} from './dhcpv4-options.ts';

export * from './dhcpv4-options.ts';

export const SERVER_PORT = 67;
export const CLIENT_PORT = 68;

export const OP_REQUEST = 1;
export const OP_REPLY = 2;
export const HTYPE_ETHERNET = 1;
/** The only defined bit of `flags`: the client cannot take unicast before it has an address (RFC 2131 section 2). */
export const FLAG_BROADCAST = 0x8000;

/** Values of option 53. */
export const DISCOVER = 1;
export const OFFER = 2;
export const REQUEST = 3;
export const DECLINE = 4;
export const ACK = 5;
export const NAK = 6;
export const RELEASE = 7;
export const INFORM = 8;

/** Shortest message sent: what BOOTP clients and relays expect (RFC 1542 section 2.1). */
export const MIN_LEN = 300;
/** What every client takes: a datagram of 576 bytes without its IP and UDP headers (RFC 2131 section 2). */
export const DEFAULT_MAX_LEN = 548;
/** Longest message read or written: what an unfragmented Ethernet frame holds. */
export const MAX_LEN = 1472;

const CHADDR = 28;
const CHADDR_LEN = 16;
const SNAME = 44;
const SNAME_LEN = 64;
const FILE = 108;
const FILE_LEN = 128;
const COOKIE = 236;
const OPTIONS = 240;
const MAGIC_COOKIE = 0x63825363; // RFC 2131 section 3
const IP_UDP_HEADERS = 28;
const OVERLOAD_FILE = 1; // bits of option 52
const OVERLOAD_SNAME = 2;
const MAX_OPTION_PART = 255;

export interface DhcpMessage {
  op: number;
  htype: number;
  hops: number;
  /** Transaction id, unsigned. */
  xid: number;
  /** Seconds since the client began. */
  secs: number;
  flags: number;
  /** Addresses, unsigned; 0 when not given. */
  ciaddr: number;
  yiaddr: number;
  siaddr: number;
  giaddr: number;
  /** Hardware address: as many bytes as `hlen` says, 0 to 16. */
  chaddr: Uint8Array;
  /** Server name and boot file, '' when not given or taken by options. */
  sname: string;
  file: string;
  /** Values by code, in the order of first appearance, without pad, end and overload. */
  options: Map<number, Uint8Array>;
}

/**
 * Reads the message in [off, end) of `b`, or gives null when it is malformed. Nothing of `b` is kept.
 */
export function parse(b: Uint8Array, off: number, end: number): DhcpMessage | null {
  const len = end - off;
  if (len < COOKIE || len > MAX_LEN) return null;
  const op = b[off]!;
  const hlen = b[off + 2]!;
  if ((op !== OP_REQUEST && op !== OP_REPLY) || hlen > CHADDR_LEN) return null;
  const options = new Map<number, Uint8Array>();
  const overload = parseOptions(b, off, end, options);
  if (overload < 0) return null;
  return {
    op,
    htype: b[off + 1]!,
    hops: b[off + 3]!,
    xid: u32(b, off + 4),
    secs: u16(b, off + 8),
    flags: u16(b, off + 10),
    ciaddr: u32(b, off + 12),
    yiaddr: u32(b, off + 16),
    siaddr: u32(b, off + 20),
    giaddr: u32(b, off + 24),
    chaddr: copyBytes(b, off + CHADDR, off + CHADDR + hlen),
    sname: overload & OVERLOAD_SNAME ? '' : readText(b.subarray(off + SNAME, off + SNAME + SNAME_LEN)),
    file: overload & OVERLOAD_FILE ? '' : readText(b.subarray(off + FILE, off + FILE + FILE_LEN)),
    options,
  };
}

/** Reads the options of all fields; returns the bits of option 52, or -1 when an option runs past its field. */
function parseOptions(b: Uint8Array, off: number, end: number, options: Map<number, Uint8Array>): number {
  const cookie = end - off < OPTIONS ? 0 : u32(b, off + COOKIE);
  if (cookie !== MAGIC_COOKIE) return cookie === 0 ? 0 : -1;
  if (!parseField(b, off + OPTIONS, end, options)) return -1;
  const overload = Math.max(0, readU8(options.get(OPTION_OVERLOAD)));
  if (overload & OVERLOAD_FILE && !parseField(b, off + FILE, off + FILE + FILE_LEN, options)) return -1;
  if (overload & OVERLOAD_SNAME && !parseField(b, off + SNAME, off + SNAME + SNAME_LEN, options)) return -1;
  options.delete(OPTION_OVERLOAD);
  return overload;
}

function parseField(b: Uint8Array, from: number, end: number, options: Map<number, Uint8Array>): boolean {
  let o = from;
  while (o < end) {
    const code = b[o]!;
    if (code === OPTION_END) return true;
    if (code === OPTION_PAD) {
      o++;
      continue;
    }
    if (o + 2 > end) return false;
    const next = o + 2 + b[o + 1]!;
    if (next > end) return false;
    const part = b.subarray(o + 2, next);
    const before = options.get(code);
    options.set(code, before === undefined ? copyBytes(part, 0, part.length) : concat(before, part));
    o = next;
  }
  return true;
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

/**
 * Writes a message of its own memory, padded with zeros to MIN_LEN. Text that is longer than its field is cut; so is a
 * hardware address. Options are written in the order of the map, those longer than 255 bytes in parts (RFC 3396).
 *
 * When the options do not fit `maxLen`, `file` and `sname` take options as well as far as they are empty (option 52, RFC
 * 2131 section 4.1): an option goes whole into the first field with room for it, else in parts into all of them. One that
 * does not fit that way either is left out, so the important ones go first.
 *
 * @param maxLen  longest result, bytes, MIN_LEN to MAX_LEN; see `maxReplyLen`
 */
export function write(m: DhcpMessage, maxLen: number = DEFAULT_MAX_LEN): Uint8Array {
  const out = new Uint8Array(Math.max(MIN_LEN, Math.min(maxLen, MAX_LEN)));
  const chaddr = m.chaddr.subarray(0, CHADDR_LEN);
  out[0] = m.op;
  out[1] = m.htype;
  out[2] = chaddr.length;
  out[3] = m.hops;
  putU32(out, 4, m.xid);
  putU16(out, 8, m.secs);
  putU16(out, 10, m.flags);
  putU32(out, 12, m.ciaddr);
  putU32(out, 16, m.yiaddr);
  putU32(out, 20, m.siaddr);
  putU32(out, 24, m.giaddr);
  out.set(chaddr, CHADDR);
  out.set(writeText(m.sname).subarray(0, SNAME_LEN - 1), SNAME);
  out.set(writeText(m.file).subarray(0, FILE_LEN - 1), FILE);
  putU32(out, COOKIE, MAGIC_COOKIE);
  return out.slice(0, Math.max(MIN_LEN, writeOptions(out, m)));
}

/** Where options may go: from `at` up to `end`, which is one byte short of the field's end: that is for option 255. */
interface Room {
  at: number;
  readonly end: number;
}

/** Writes all options; returns the length of the message. */
function writeOptions(out: Uint8Array, m: DhcpMessage): number {
  const main: Room = { at: OPTIONS, end: out.length - 1 };
  const rooms = [main];
  let needed = 0;
  for (const value of m.options.values()) needed += writtenLen(value);
  if (needed > main.end - main.at) {
    // The order of the fields is the order in which parts are joined (RFC 3396 section 5).
    const overload = (m.file === '' ? OVERLOAD_FILE : 0) | (m.sname === '' ? OVERLOAD_SNAME : 0);
    if (overload & OVERLOAD_FILE) rooms.push({ at: FILE, end: FILE + FILE_LEN - 1 });
    if (overload & OVERLOAD_SNAME) rooms.push({ at: SNAME, end: SNAME + SNAME_LEN - 1 });
    if (overload !== 0) main.at = writeOption(out, main.at, OPTION_OVERLOAD, Uint8Array.of(overload));
  }
  for (const [code, value] of m.options) {
    const len = writtenLen(value);
    const room = rooms.find(({ at, end }) => len <= end - at);
    if (room !== undefined) room.at = writeOption(out, room.at, code, value);
    else splitOption(out, rooms, code, value);
  }
  for (const { at } of rooms) out[at] = OPTION_END;
  return main.at + 1;
}

/** Writes a value in parts over several fields, if all of it fits. */
function splitOption(out: Uint8Array, rooms: readonly Room[], code: number, value: Uint8Array): void {
  const shares = rooms.map(({ at, end }) => dataRoom(end - at));
  if (shares.reduce((sum, n) => sum + n, 0) < value.length) return;
  let from = 0;
  for (const [i, room] of rooms.entries()) {
    const part = value.subarray(from, from + shares[i]!);
    if (part.length > 0) room.at = writeOption(out, room.at, code, part);
    from += part.length;
  }
}

/** True when these options fit the options field of a message of at most `maxLen` bytes, so that `write` leaves none out. */
export function fits(options: ReadonlyMap<number, Uint8Array>, maxLen: number): boolean {
  let needed = OPTIONS + 1;
  for (const value of options.values()) needed += writtenLen(value);
  return needed <= maxLen;
}

/** Bytes of an option with the headers of all its parts; an empty value is one part. */
const writtenLen = (value: Uint8Array): number =>
  value.length + 2 * Math.max(1, Math.ceil(value.length / MAX_OPTION_PART));

/** Bytes of one option's value that `room` bytes hold, headers of parts not counted. */
function dataRoom(room: number): number {
  const whole = Math.floor(room / (MAX_OPTION_PART + 2));
  return whole * MAX_OPTION_PART + Math.max(0, room - whole * (MAX_OPTION_PART + 2) - 2);
}

function writeOption(out: Uint8Array, at: number, code: number, value: Uint8Array): number {
  let o = at;
  let from = 0;
  do {
    const part = value.subarray(from, from + MAX_OPTION_PART);
    out[o] = code;
    out[o + 1] = part.length;
    out.set(part, o + 2);
    o += 2 + part.length;
    from += part.length;
  } while (from < value.length);
  return o;
}

/** Longest reply that the sender of `request` takes (option 57, RFC 2132 section 9.10), bytes for `write`. */
export function maxReplyLen(request: DhcpMessage): number {
  const asked = readU16(request.options.get(OPTION_MAX_MESSAGE_SIZE)) - IP_UDP_HEADERS;
  return Math.min(Math.max(asked, DEFAULT_MAX_LEN), MAX_LEN);
}

/** Value of option 53, or 0 for plain BOOTP. */
export const messageType = (m: DhcpMessage): number => Math.max(0, readU8(m.options.get(OPTION_MESSAGE_TYPE)));

const TYPE_NAMES = ['BOOTP', 'DISCOVER', 'OFFER', 'REQUEST', 'DECLINE', 'ACK', 'NAK', 'RELEASE', 'INFORM'];

/** `DHCP REQUEST xid 0x1b2c3d4e chaddr 52:54:00:12:34:56 requested 10.0.2.15 server 10.0.2.2`. Any bytes. */
export function summary(b: Uint8Array, o: number, end: number): string {
  const m = parse(b, o, end);
  if (m === null) return `DHCP [${dropLabel(Drop.DhcpMalformed)}]`;
  const type = messageType(m);
  let text = `DHCP ${TYPE_NAMES[type] ?? `type ${type}`} xid 0x${m.xid.toString(16).padStart(8, '0')}`;
  if (m.chaddr.length === 6) text += ` chaddr ${formatMac(m.chaddr)}`;
  if (m.ciaddr !== 0) text += ` ciaddr ${formatIpv4(m.ciaddr)}`;
  if (m.yiaddr !== 0) text += ` yiaddr ${formatIpv4(m.yiaddr)}`;
  const requested = readAddress(m.options.get(OPTION_REQUESTED_ADDRESS));
  if (requested >= 0) text += ` requested ${formatIpv4(requested)}`;
  const server = readAddress(m.options.get(OPTION_SERVER_ID));
  return server >= 0 ? `${text} server ${formatIpv4(server)}` : text;
}
