// The messages of the VDE control protocol: one request on the `ctl` stream, one reply. Nothing is sent afterwards; the
// open stream is the lease of the port, its end is the end of the endpoint. There is no error reply: failure is EOF.
//
//   request, version 3                                      request, version 1 (before 2004)
//     0   4  magic 0xfeedface                                 0   4  magic
//     4   4  version 3                                        4   4  type: 0 any port, 1 port 0
//     8   4  type: low 8 bits 0 port, 1 port 0;               8   6  MAC, ignored
//            upper 24 bits port number, 0 any                14   2  sun_family
//    12   2  sun_family AF_UNIX                              16 108  sun_path
//    14 108  sun_path of the client's datagram socket       124   n  description
//   122   n  description, not terminated
//
//   reply: 110 bytes, sun_family and sun_path of the switch's datagram socket, padded with NULs
//
// Numbers are in the byte order of the machine: both ends are on it. All machines Node runs VDE on are little-endian;
// the captured fixtures are, too.

const MAGIC = 0xfeedface;
const VERSION = 3;
const TYPE_PORT = 0;
const TYPE_PORT0 = 1;
const FAMILY_UNIX = 1;

const PATH_BYTES = 108;
const V1_LEN = 124;
const V3_LEN = 122;

/** Bytes of a reply. */
export const REPLY_LEN = 110;
/** Longest path in a socket address: 108 bytes with the NUL that ends it. */
export const MAX_PATH = PATH_BYTES - 1;
/** Largest port number that a request can carry: 24 bits, of which the first is a sign. */
export const MAX_PORT = 0x7fffff;
/** Most bytes of a description that the classic switch takes, which reads a request with one call of 256 bytes. */
export const MAX_DESCRIPTION = 127;
/** Longest request the server takes. */
export const MAX_REQUEST = 1024;
/** Any port: how the project writes "no number asked for". */
export const ANY_PORT = -1;

export interface PortRequestMessage {
  /** Port number, or ANY_PORT. */
  port: number;
  /** Path of the client's datagram socket. */
  path: string;
  /** Text without control characters, to be shown to people. */
  description: string;
}

/**
 * A version 3 request.
 *
 * @param port         port number 0 to MAX_PORT, or ANY_PORT
 * @param path         absolute path, at most MAX_PATH bytes
 * @param description  cut to MAX_DESCRIPTION bytes, at a character border
 */
export function encodeRequest(port: number, path: string, description: string): Buffer {
  const text = cut(description);
  const message = Buffer.alloc(V3_LEN + text.length);
  message.writeUInt32LE(MAGIC, 0);
  message.writeUInt32LE(VERSION, 4);
  message.writeUInt32LE(port === 0 ? TYPE_PORT0 : port === ANY_PORT ? TYPE_PORT : port * 256, 8);
  putAddress(message, 12, path);
  text.copy(message, V3_LEN);
  return message;
}

function cut(description: string): Buffer {
  const text = Buffer.from(description);
  let end = Math.min(text.length, MAX_DESCRIPTION);
  while (end < text.length && end > 0 && (text[end]! & 0xc0) === 0x80) end--;
  return text.subarray(0, end);
}

/**
 * Reads a request. The caller has collected what came up to now.
 *
 * @returns the request; null when more bytes are needed; or why it is refused, in a few words
 */
export function parseRequest(message: Buffer): PortRequestMessage | string | null {
  if (message.length > MAX_REQUEST) return 'request too long';
  if (message.length < 8) return null;
  if (message.readUInt32LE(0) !== MAGIC) return 'not a VDE request';
  const version = message.readUInt32LE(4);
  if (version <= TYPE_PORT0) return message.length < V1_LEN ? null : fields(message, version, 14, V1_LEN);
  if (version !== VERSION) return `request of version ${version}`;
  return message.length < V3_LEN ? null : fields(message, message.readInt32LE(8), 12, V3_LEN);
}

function fields(message: Buffer, type: number, address: number, end: number): PortRequestMessage | string {
  const kind = type & 0xff;
  if (kind !== TYPE_PORT && kind !== TYPE_PORT0) return `request of type ${kind}`;
  const path = getAddress(message, address);
  if (path === null) return 'no path of a Unix socket in the request';
  const number = type >> 8;
  const port = kind === TYPE_PORT0 || number < 0 ? 0 : number === 0 ? ANY_PORT : number;
  return { port, path, description: printable(message.subarray(end)) };
}

/** The reply that names the switch's datagram socket. */
export function encodeReply(path: string): Buffer {
  const reply = Buffer.alloc(REPLY_LEN);
  putAddress(reply, 0, path);
  return reply;
}

/** The path in a reply of REPLY_LEN bytes, or null when there is none. */
export const parseReply = (reply: Buffer): string | null => getAddress(reply, 0);

function putAddress(message: Buffer, at: number, path: string): void {
  message.writeUInt16LE(FAMILY_UNIX, at);
  message.write(path, at + 2, MAX_PATH);
}

function getAddress(message: Buffer, at: number): string | null {
  if (message.readUInt16LE(at) !== FAMILY_UNIX) return null;
  const field = message.subarray(at + 2, at + 2 + PATH_BYTES);
  const end = field.indexOf(0);
  const path = field.toString('utf8', 0, end < 0 ? MAX_PATH : end);
  // Relative paths would be looked up from the switch's own directory; empty and abstract names have no owner.
  return path.startsWith('/') ? path : null;
}

function printable(text: Buffer): string {
  const end = text.indexOf(0);
  return text.toString('utf8', 0, end < 0 ? text.length : end).replace(/[\x00-\x1f\x7f-\x9f]/g, '?');
}
