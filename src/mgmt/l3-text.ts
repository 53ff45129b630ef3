// What users of vde_l3 write: networks with a mask in either form, routes, interfaces, and policies of traffic shaping.

import { ipv4Mask, parseIpv4 } from '../core/address.ts';
import { VdeError } from '../core/errors.ts';
import { MAX_QUEUE_BYTES, type Policy, type Route } from '../l3/index.ts';

const bad = (message: string): VdeError => new VdeError('ERR_VDE_BAD_ADDRESS', message);

/** A netmask, `255.255.255.0` or `24`; unsigned. Throws ERR_VDE_BAD_ADDRESS. */
export function parseMask(text: string): number {
  if (/^\d{1,2}$/.test(text) && Number(text) <= 32) return ipv4Mask(Number(text));
  const mask = parseIpv4(text);
  const rest = ~mask >>> 0;
  if (mask >= 0 && (rest & (rest + 1)) === 0) return mask;
  throw bad(`'${text}' is no netmask; write 24 or 255.255.255.0`);
}

/** An address of a host; unsigned. Throws ERR_VDE_BAD_ADDRESS. */
export function parseHost(text: string): number {
  const address = parseIpv4(text);
  const first = address >>> 24;
  if (address < 0 || first === 0 || first === 127 || first >= 224) throw bad(`'${text}' is no IPv4 address of a host`);
  return address;
}

export interface AddressMask {
  readonly address: number;
  readonly mask: number;
}

/** `ADDRESS/MASK` of an interface. Throws ERR_VDE_BAD_ADDRESS. */
export function parseInterfaceAddress(text: string): AddressMask {
  const [address = '', mask, ...more] = text.split('/');
  if (mask === undefined || more.length > 0) throw bad(`'${text}' is not ADDRESS/MASK`);
  return checkHost(parseHost(address), parseMask(mask), text);
}

/** Refuses addresses that no station of the network can have. */
export function checkHost(address: number, mask: number, text: string): AddressMask {
  const host = (address & ~mask) >>> 0;
  if (mask < 0xfffffffe && (host === 0 || host === ~mask >>> 0))
    throw bad(`${text}: no station can have the first or the last address of its network`);
  return { address, mask };
}

/** `NETWORK/MASK` of a route; host bits are an error. Throws ERR_VDE_BAD_ADDRESS. */
export function parseNetwork(text: string): { readonly network: number; readonly mask: number } {
  const [address = '', mask, ...more] = text.split('/');
  const network = parseIpv4(address);
  if (network < 0 || mask === undefined || more.length > 0) throw bad(`'${text}' is not NETWORK/MASK`);
  const bits = parseMask(mask);
  if ((network & ~bits) !== 0) throw bad(`${text}: the address has bits outside of its mask`);
  return { network, mask: bits };
}

/** `NETWORK/MASK:GATEWAY`. Throws ERR_VDE_BAD_ADDRESS. */
export function parseRoute(text: string): Route {
  const [network = '', gateway, ...more] = text.split(':');
  if (gateway === undefined || more.length > 0) throw bad(`'${text}' is not NETWORK/MASK:GATEWAY`);
  return { ...parseNetwork(network), gateway: parseHost(gateway) };
}

/** `SWITCH:ADDRESS/MASK`; the switch may be a URL and is '' for the default one. Throws ERR_VDE_BAD_ADDRESS. */
export function parseInterface(text: string): AddressMask & { readonly socket: string } {
  const colon = text.lastIndexOf(':');
  if (colon < 0) throw bad(`'${text}' is not SWITCH:ADDRESS/MASK`);
  return { socket: text.slice(0, colon), ...parseInterfaceAddress(text.slice(colon + 1)) };
}

export const POLICY_FORMS: readonly string[] = [
  'ufifo',
  'pfifo limit PACKETS',
  'bfifo limit BYTES',
  'tbf rate SPEED[K|M] ( limit BYTES | latency MS )',
];

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1 << 20 };
const MAX_RATE = 2 ** 32;

/** The words behind `tc set DEV`. Throws ERR_VDE_BAD_OPTION that names the forms. */
export function parsePolicy(words: readonly string[]): Policy {
  const [kind = '', ...rest] = words;
  const fail = (why: string): never => {
    throw new VdeError('ERR_VDE_BAD_OPTION', `${why}; policies: ${POLICY_FORMS.join(', ')}`);
  };
  const values = new Map<string, number>();
  const known = kind === 'tbf' ? ['rate', 'limit', 'latency'] : kind === 'ufifo' ? [] : ['limit'];
  if (!['ufifo', 'pfifo', 'bfifo', 'tbf'].includes(kind)) fail(`there is no policy '${kind}'`);
  for (let i = 0; i < rest.length; i += 2) {
    const [key = '', text = ''] = [rest[i], rest[i + 1]];
    const match = /^(\d{1,10})([KM]?)$/i.exec(text);
    const value = match === null ? 0 : Number(match[1]) * UNITS[match[2]!.toUpperCase()]!;
    if (!known.includes(key) || values.has(key)) fail(`'${key}' makes no sense for ${kind}`);
    if (value < 1 || value > MAX_RATE) fail(`${key} '${text}' is not a number from 1 on`);
    values.set(key, value);
  }
  const limit = values.get('limit');
  if (kind === 'ufifo') return { kind };
  if (kind === 'pfifo' || kind === 'bfifo') return { kind, limit: limit ?? fail(`${kind} needs a limit`) };
  const rate = values.get('rate') ?? fail('tbf needs a rate');
  const latency = values.get('latency');
  if ((limit === undefined) === (latency === undefined)) fail('tbf needs either a limit or a latency');
  const bytes = limit ?? Math.ceil((rate * latency!) / 1000);
  if (bytes > MAX_QUEUE_BYTES) fail(`a queue of ${bytes} bytes is too long, ${MAX_QUEUE_BYTES} is the most`);
  return { kind: 'tbf', rate, limit: bytes };
}
