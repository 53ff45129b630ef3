// Trivial File Transfer Protocol messages: RFC 1350 section 5, options of RFC 2347 section 3.
//
//    0        2                              0        2        4
//   +--------+------+---+------+---+--...    +--------+--------+----------        +--------+------+---+-------+---+
//   | 1 or 2 | file | 0 | mode | 0 | options | 3 or 4 | block  | data (3)          | 6      | name | 0 | value | 0 |
//   +--------+------+---+------+---+--...    +--------+--------+----------        +--------+------+---+-------+---+
//                                              5: code, text, 0
//
// A request with bytes behind its last NUL is read without them, as all servers do.

import { putU16, u16 } from './bytes.ts';

export const PORT = 69;
export const HEADER_LEN = 4;

export const OP_READ = 1;
export const OP_WRITE = 2;
export const OP_DATA = 3;
export const OP_ACK = 4;
export const OP_ERROR = 5;
export const OP_OACK = 6;

export const ERROR_UNDEFINED = 0;
export const ERROR_NOT_FOUND = 1;
export const ERROR_ACCESS = 2;
export const ERROR_ILLEGAL = 4;
export const ERROR_UNKNOWN_ID = 5;

const MAX_REQUEST = 1024;
const MAX_OPTIONS = 16;

export interface TftpRequest {
  /** As the guest wrote it, one character per byte: check it before any use. */
  readonly file: string;
  /** Lower case. */
  readonly mode: string;
  /** Names in lower case; the first of a name counts. */
  readonly options: ReadonlyMap<string, string>;
}

export const opcode = (b: Uint8Array, o: number): number => u16(b, o);
export const block = (b: Uint8Array, o: number): number => u16(b, o + 2);

/** Reads the request in [off, end), or gives null when it is malformed. */
export function parseRequest(b: Uint8Array, off: number, end: number): TftpRequest | null {
  if (end - off > MAX_REQUEST) return null;
  const words: string[] = [];
  let word = '';
  for (let at = off + 2; at < end; at++) {
    if (b[at] !== 0) word += String.fromCharCode(b[at]!);
    else {
      words.push(word);
      word = '';
    }
  }
  const [file, mode, ...rest] = words;
  if (file === undefined || mode === undefined || rest.length > 2 * MAX_OPTIONS) return null;
  const options = new Map<string, string>();
  for (let i = 0; i + 1 < rest.length; i += 2) {
    const name = rest[i]!.toLowerCase();
    if (!options.has(name)) options.set(name, rest[i + 1]!);
  }
  return { file, mode: mode.toLowerCase(), options };
}

/** Writes the header of a DATA message at the start of `out`. */
export function writeDataHeader(out: Uint8Array, number: number): void {
  putU16(out, 0, OP_DATA);
  putU16(out, 2, number);
}

export function writeError(code: number, text: string): Uint8Array {
  const message = new TextEncoder().encode(text);
  const out = new Uint8Array(HEADER_LEN + message.length + 1);
  putU16(out, 0, OP_ERROR);
  putU16(out, 2, code);
  out.set(message, HEADER_LEN);
  return out;
}

export function writeOptionAck(options: ReadonlyMap<string, string>): Uint8Array {
  let text = '';
  for (const [name, value] of options) text += `${name}\0${value}\0`;
  const body = new TextEncoder().encode(text);
  const out = new Uint8Array(2 + body.length);
  putU16(out, 0, OP_OACK);
  out.set(body, 2);
  return out;
}

/** `TFTP RRQ "pxelinux.0" octet blksize=1432`, `TFTP DATA 7, 512 bytes`. Any bytes. */
export function summary(b: Uint8Array, o: number, end: number): string {
  if (end - o < HEADER_LEN) return 'TFTP [malformed]';
  const op = opcode(b, o);
  switch (op) {
    case OP_READ:
    case OP_WRITE: {
      const request = parseRequest(b, o, end);
      if (request === null) return 'TFTP [malformed]';
      const options = [...request.options].map(([name, value]) => ` ${name}=${value}`).join('');
      return `TFTP ${op === OP_READ ? 'RRQ' : 'WRQ'} ${JSON.stringify(request.file)} ${request.mode}${options}`;
    }
    case OP_DATA:
      return `TFTP DATA ${block(b, o)}, ${end - o - HEADER_LEN} bytes`;
    case OP_ACK:
      return `TFTP ACK ${block(b, o)}`;
    case OP_ERROR:
      return `TFTP ERROR ${block(b, o)}`;
    case OP_OACK:
      return 'TFTP OACK';
    default:
      return `TFTP opcode ${op}`;
  }
}
