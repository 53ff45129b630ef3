// IP addresses: four 32-bit words inside, text at the edges.
//
// Both families share one form, so that one table, one policy and one TCP engine serve both: IPv6 as its four words in
// network order, IPv4 a.b.c.d as the mapped words 0, 0, 0xffff, abcd (RFC 4291 section 2.5.5.2). All words are signed
// 32-bit integers (`| 0`), which is what typed arrays and comparisons like best.

import { VdeError } from './errors.ts';

/** Third word of an IPv4 address in mapped form. */
export const MAPPED = 0xffff;

/** An address and a port that can be set again: lookups and calls reuse one object instead of making strings. */
export class Endpoint {
  w0 = 0;
  w1 = 0;
  w2 = 0;
  w3 = 0;
  port = 0;
  /** Interface of a link-local IPv6 address on the host, '' where none is named; not part of the identity. */
  zone = '';
  private text = '';

  /** Sets address and port; the zone is cleared. */
  set(w0: number, w1: number, w2: number, w3: number, port: number): this {
    if (w0 !== this.w0 || w1 !== this.w1 || w2 !== this.w2 || w3 !== this.w3) this.text = '';
    this.w0 = w0 | 0;
    this.w1 = w1 | 0;
    this.w2 = w2 | 0;
    this.w3 = w3 | 0;
    this.port = port;
    this.zone = '';
    return this;
  }

  setIpv4(address: number, port: number): this {
    return this.set(0, 0, MAPPED, address, port);
  }

  copy(other: Endpoint): this {
    this.set(other.w0, other.w1, other.w2, other.w3, other.port);
    this.zone = other.zone;
    return this;
  }

  same(other: Endpoint): boolean {
    return (
      this.w3 === other.w3 &&
      this.port === other.port &&
      this.w2 === other.w2 &&
      this.w1 === other.w1 &&
      this.w0 === other.w0
    );
  }

  get isIpv4(): boolean {
    return this.w0 === 0 && this.w1 === 0 && this.w2 === MAPPED;
  }

  /** The address as text with its zone (`fe80::1%eth0`), without the port; kept until the address changes. */
  get host(): string {
    if (this.text === '') this.text = formatAddress(this.w0, this.w1, this.w2, this.w3);
    return this.zone === '' ? this.text : `${this.text}%${this.zone}`;
  }

  /** `10.0.2.15:80` or `[2001:db8::1]:80`. */
  toString(): string {
    return this.isIpv4 ? `${this.host}:${this.port}` : `[${this.host}]:${this.port}`;
  }
}

export const endpointIpv4 = (address: number, port: number): Endpoint => new Endpoint().setIpv4(address, port);

/** Endpoint from text (either family). Throws ERR_VDE_BAD_ADDRESS. */
export function parseEndpoint(host: string, port: number): Endpoint {
  const words = parseAddress(host);
  if (words === null) throw new VdeError('ERR_VDE_BAD_ADDRESS', `not an IP address: ${host}`);
  return new Endpoint().set(words[0], words[1], words[2], words[3], port);
}

/** Dotted quad to an unsigned 32-bit number, or -1 when it is not one (four decimal parts, 0 to 255, no signs or blanks). */
export function parseIpv4(text: string): number {
  const m = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (m === null) return -1;
  let v = 0;
  for (let i = 1; i <= 4; i++) {
    const n = Number(m[i]);
    if (n > 255) return -1;
    v = v * 256 + n;
  }
  return v;
}

export const formatIpv4 = (v: number): string => `${v >>> 24}.${(v >>> 16) & 255}.${(v >>> 8) & 255}.${v & 255}`;

/** The four words of an address of either family (IPv4 mapped), or null. Zone indices are not taken. */
export function parseAddress(text: string): [number, number, number, number] | null {
  const v4 = parseIpv4(text);
  if (v4 >= 0) return [0, 0, MAPPED, v4 | 0];
  const groups = parseIpv6Groups(text);
  if (groups === null) return null;
  const word = (i: number): number => (groups[i]! << 16) | groups[i + 1]! | 0;
  return [word(0), word(2), word(4), word(6)];
}

function parseIpv6Groups(text: string): number[] | null {
  if (!/^[0-9a-fA-F:.]{2,45}$/.test(text)) return null;
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const side = (s: string, last: boolean): number[] | null => {
    if (s === '') return [];
    const out: number[] = [];
    const parts = s.split(':');
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i]!;
      if (part.includes('.')) {
        const v4 = parseIpv4(part);
        if (v4 < 0 || !last || i !== parts.length - 1) return null;
        out.push(v4 >>> 16, v4 & 0xffff);
      } else {
        if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return null;
        out.push(Number.parseInt(part, 16));
      }
    }
    return out;
  };
  const head = side(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? side(halves[1]!, true) : [];
  if (head === null || tail === null) return null;
  if (halves.length === 2 ? head.length + tail.length > 7 : head.length !== 8) return null;
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}

/** Text of an address: dotted quad for mapped words, else the form of RFC 5952. */
export function formatAddress(w0: number, w1: number, w2: number, w3: number): string {
  if (w0 === 0 && w1 === 0 && w2 === MAPPED) return formatIpv4(w3);
  const g = [w0 >>> 16, w0 & 0xffff, w1 >>> 16, w1 & 0xffff, w2 >>> 16, w2 & 0xffff, w3 >>> 16, w3 & 0xffff];
  let best = -1;
  let bestLen = 1;
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && g[i + n] === 0) n++;
    if (n > bestLen) {
      best = i;
      bestLen = n;
    }
    if (n > 0) i += n - 1;
  }
  const hex = (part: number[]): string => part.map((x) => x.toString(16)).join(':');
  return best < 0 ? hex(g) : `${hex(g.slice(0, best))}::${hex(g.slice(best + bestLen))}`;
}

/** An IPv4 network. */
export interface Ipv4Network {
  /** Address as written, host part included, unsigned. */
  address: number;
  /** Network address, unsigned. */
  network: number;
  prefixLen: number;
  /** Netmask, unsigned. */
  mask: number;
}

/** Netmask of a prefix length 0 to 32, unsigned. */
export const ipv4Mask = (prefixLen: number): number => (prefixLen === 0 ? 0 : (0xffffffff << (32 - prefixLen)) >>> 0);

/** `a.b.c.d[/len]`; `defaultLen` where no length is written. Throws ERR_VDE_BAD_ADDRESS. */
export function parseIpv4Network(text: string, defaultLen: number): Ipv4Network {
  const slash = text.indexOf('/');
  const address = parseIpv4(slash < 0 ? text : text.slice(0, slash));
  const lenText = slash < 0 ? String(defaultLen) : text.slice(slash + 1);
  const prefixLen = /^\d{1,2}$/.test(lenText) ? Number(lenText) : -1;
  if (address < 0 || prefixLen < 0 || prefixLen > 32) {
    throw new VdeError(
      'ERR_VDE_BAD_ADDRESS',
      `not an IPv4 network: ${text}; expected a.b.c.d/len, for example 10.0.2.0/24`,
    );
  }
  const mask = ipv4Mask(prefixLen);
  return { address, network: (address & mask) >>> 0, prefixLen, mask };
}

/** `aa:bb:cc:dd:ee:ff` of six bytes at `off`. */
export function formatMac(b: Uint8Array, off = 0): string {
  let s = '';
  for (let i = 0; i < 6; i++) s += (i > 0 ? ':' : '') + b[off + i]!.toString(16).padStart(2, '0');
  return s;
}

/** Six bytes of `aa:bb:cc:dd:ee:ff` (also with `.` or `-` between), or null. */
export function parseMac(text: string): Uint8Array | null {
  const m =
    /^([0-9a-f]{1,2})([:.-])([0-9a-f]{1,2})\2([0-9a-f]{1,2})\2([0-9a-f]{1,2})\2([0-9a-f]{1,2})\2([0-9a-f]{1,2})$/i.exec(
      text,
    );
  if (m === null) return null;
  return Uint8Array.from([m[1], m[3], m[4], m[5], m[6], m[7]], (h) => Number.parseInt(h!, 16));
}
