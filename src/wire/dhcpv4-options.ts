// DHCPv4 option codes and values: RFC 2132; RFC 3397 (domain search), RFC 3442 (classless routes), RFC 4702 (client
// FQDN), RFC 8910 (captive portal), RFC 8925 (IPv6-only preferred). Framing of options is in dhcpv4.ts.
//
// Readers take the value of an option, or undefined when the option is absent, and give -1, '' or [] for both an absent
// value and one of the wrong length. Writers give a new value.

import { putU16, putU32, u16, u32 } from './bytes.ts';

export const OPTION_PAD = 0;
export const OPTION_SUBNET_MASK = 1;
export const OPTION_ROUTERS = 3;
export const OPTION_DNS_SERVERS = 6;
export const OPTION_HOST_NAME = 12;
export const OPTION_DOMAIN_NAME = 15;
export const OPTION_INTERFACE_MTU = 26;
export const OPTION_BROADCAST_ADDRESS = 28;
export const OPTION_NTP_SERVERS = 42;
export const OPTION_REQUESTED_ADDRESS = 50;
export const OPTION_LEASE_TIME = 51;
export const OPTION_OVERLOAD = 52;
export const OPTION_MESSAGE_TYPE = 53;
export const OPTION_SERVER_ID = 54;
export const OPTION_PARAMETER_LIST = 55;
export const OPTION_MESSAGE = 56;
export const OPTION_MAX_MESSAGE_SIZE = 57;
export const OPTION_RENEWAL_TIME = 58;
export const OPTION_REBINDING_TIME = 59;
export const OPTION_VENDOR_CLASS = 60;
export const OPTION_CLIENT_ID = 61;
export const OPTION_TFTP_SERVER_NAME = 66;
export const OPTION_BOOT_FILE_NAME = 67;
export const OPTION_USER_CLASS = 77;
export const OPTION_RAPID_COMMIT = 80;
export const OPTION_CLIENT_FQDN = 81;
export const OPTION_RELAY_AGENT = 82;
export const OPTION_IPV6_ONLY = 108;
export const OPTION_CAPTIVE_PORTAL = 114;
export const OPTION_DOMAIN_SEARCH = 119;
export const OPTION_CLASSLESS_ROUTES = 121;
/** The same value as option 121, under the code that Windows had for it first (Microsoft's [MS-DHCPE]). */
export const OPTION_MS_CLASSLESS_ROUTES = 249;
export const OPTION_END = 255;

/** Number of one byte, or -1. */
export const readU8 = (v: Uint8Array | undefined): number => (v?.length === 1 ? v[0]! : -1);
/** Number of two bytes, or -1. */
export const readU16 = (v: Uint8Array | undefined): number => (v?.length === 2 ? u16(v, 0) : -1);
/** Number of four bytes, or -1. */
export const readU32 = (v: Uint8Array | undefined): number => (v?.length === 4 ? u32(v, 0) : -1);
/** IPv4 address, unsigned, or -1. */
export const readAddress = readU32;

/** IPv4 addresses, unsigned. */
export function readAddresses(v: Uint8Array | undefined): number[] {
  if (v === undefined || (v.length & 3) !== 0) return [];
  return Array.from({ length: v.length >>> 2 }, (_, i) => u32(v, 4 * i));
}

/** Text up to the first NUL, one character per byte. It is a guest's: check it before any use. */
export function readText(v: Uint8Array | undefined): string {
  let text = '';
  for (const c of v ?? []) {
    if (c === 0) break;
    text += String.fromCharCode(c);
  }
  return text;
}

export const writeU8 = (v: number): Uint8Array => Uint8Array.of(v);

export function writeU16(v: number): Uint8Array {
  const out = new Uint8Array(2);
  putU16(out, 0, v);
  return out;
}

export function writeU32(v: number): Uint8Array {
  const out = new Uint8Array(4);
  putU32(out, 0, v);
  return out;
}

/** One or more IPv4 addresses, signed or unsigned. */
export function writeAddresses(...addresses: readonly number[]): Uint8Array {
  const out = new Uint8Array(4 * addresses.length);
  for (let i = 0; i < addresses.length; i++) putU32(out, 4 * i, addresses[i]!);
  return out;
}

/** Text in UTF-8 without a terminating NUL (RFC 2132 section 2). */
export const writeText = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A route of option 121. */
export interface ClasslessRoute {
  /** Network address, signed or unsigned; bits behind the prefix must be 0. */
  network: number;
  /** 0 to 32; 0 is the default route. */
  prefixLen: number;
  /** Router; 0.0.0.0 when the network is on the link itself. */
  router: number;
}

/** Routes with only the significant bytes of each network (RFC 3442, "Classless Route Option Format"). */
export function writeClasslessRoutes(routes: readonly ClasslessRoute[]): Uint8Array {
  const out: number[] = [];
  for (const { network, prefixLen, router } of routes) {
    out.push(prefixLen);
    for (let bit = 0; bit < prefixLen; bit += 8) out.push((network >>> (24 - bit)) & 255);
    for (let shift = 24; shift >= 0; shift -= 8) out.push((router >>> shift) & 255);
  }
  return Uint8Array.from(out);
}

const MAX_LABEL = 63; // RFC 1035 section 2.3.4
const MAX_NAME = 255;
const POINTER = 0xc000;
const MAX_POINTER = 0x3fff;

/**
 * Search list in DNS encoding, compressed within the option (RFC 3397 section 2, RFC 1035 section 4.1.4).
 *
 * @param names  domain names, a final dot allowed; names that have no encoding are left out
 */
export function writeDomainSearch(names: readonly string[]): Uint8Array {
  const out: number[] = [];
  const places = new Map<string, number>();
  for (const name of names) {
    const labels = encodeLabels(name);
    if (labels !== null) appendName(out, labels, places);
  }
  return Uint8Array.from(out);
}

function encodeLabels(name: string): Uint8Array[] | null {
  const labels = name.replace(/\.$/, '').split('.').map(writeText);
  let len = 1;
  for (const label of labels) {
    if (label.length === 0 || label.length > MAX_LABEL) return null;
    len += 1 + label.length;
  }
  return len <= MAX_NAME ? labels : null;
}

function appendName(out: number[], labels: readonly Uint8Array[], places: Map<string, number>): void {
  for (let i = 0; i < labels.length; i++) {
    const rest = labels.slice(i).map(readText).join('.').toLowerCase();
    const known = places.get(rest);
    if (known !== undefined) {
      out.push((POINTER | known) >>> 8, known & 255);
      return;
    }
    if (out.length <= MAX_POINTER) places.set(rest, out.length);
    out.push(labels[i]!.length, ...labels[i]!);
  }
  out.push(0);
}
