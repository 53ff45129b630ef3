// What a vxlan:// or vxvde:// URL says.
//
//   vxlan://                             the group 239.0.0.1 (ff05:56de::1 with v6)
//   vxlan://239.1.2.3/vni=7/if=eth0      another group, on one interface
//   vxlan://192.0.2.7/vni=7              one peer, no group
//   vxlan:///peer=192.0.2.7,192.0.2.8    several
//
// The keys are plug4's, which may be cut short to any prefix (the first of the table that fits is meant), and peer, local
// and mtu, which are ours.

import { MAPPED, parseAddress } from '../core/address.ts';
import { VdeError } from '../core/errors.ts';
import type { FrameMemory } from '../core/frame.ts';
import { MAX_VNI, PORT } from '../wire/vxlan.ts';
import { MAX_RX_FRAME } from './limits.ts';

export type VxlanScheme = 'vxlan' | 'vxvde';

export interface VxlanSettings {
  /** `vxvde`: the variant of the plug library, where many ends live on one machine. */
  readonly scheme: VxlanScheme;
  readonly ipv6: boolean;
  /** Multicast group that unknown stations are looked for in, '' for none. */
  readonly group: string;
  /** Addresses of the other ends when there is no group. A zone (`%eth0`) may stand behind a link-local one. */
  readonly peers: readonly string[];
  /** UDP port of the other ends, and of ours with `vxlan`. */
  readonly port: number;
  readonly vni: number;
  /** TTL of what is sent; null: 1 to the group, the system's to peers. */
  readonly ttl: number | null;
  /** Stations remembered, and for how many seconds. */
  readonly hashSize: number;
  readonly expireSec: number;
  /** Interface of the group, '' for the one that the route to it has. */
  readonly interface: string;
  /** Own address, '' for all. */
  readonly local: string;
  /** Kernel's receive buffer, bytes; 0 for the default. */
  readonly receiveBuffer: number;
  /** Largest packet carried, bytes. */
  readonly mtu: number;
}

export interface VxlanOptions extends VxlanSettings {
  readonly memory: FrameMemory;
  /** Monotonic milliseconds; for tests. */
  readonly now?: () => number;
}

const GROUPS = { 4: '239.0.0.1', 6: 'ff05:56de::1' } as const;
const VXVDE_PORT = 14_789;
/** Other ends at most: what floods goes to each of them. */
export const MAX_PEERS = 64;
/** What guests expect. Longer datagrams than the path takes are cut by IP, not refused. */
const DEFAULT_MTU = 1500;
const MAX_MTU = MAX_RX_FRAME - 18;

/** Keys in the order of the plug library's tables; ours are last. */
const KEYS = ['v4', 'v6', 'port', 'vni', 'ttl', 'hashsize', 'expiretime', 'if', 'rcvbuf'] as const;
const VXVDE_KEYS = ['grp', 'bind'] as const;
const OWN_KEYS = ['peer', 'local', 'mtu'] as const;

/** Whether an address, as four words, is one of a group (RFC 1112 section 4, RFC 4291 section 2.7). */
export const isMulticast = (w: readonly number[]): boolean =>
  w[0] === 0 && w[1] === 0 && w[2] === MAPPED ? w[3]! >>> 28 === 14 : w[0]! >>> 24 === 0xff;

export const isIpv4 = (w: readonly number[]): boolean => w[0] === 0 && w[1] === 0 && w[2] === MAPPED;

/** Splits `fe80::1%eth0` into words and zone; null when it is no address. */
export function addressOf(text: string): { words: readonly number[]; zone: string } | null {
  const [host = '', zone = ''] = text.replace(/^\[(.*)\]$/, '$1').split('%');
  const words = parseAddress(host);
  return words === null ? null : { words, zone };
}

/**
 * Reads a URL.
 *
 * @param argument  what stands behind `vxlan://` or `vxvde://`
 * @throws VdeError  ERR_VDE_BAD_ADDRESS
 */
export function parseVxlanUrl(scheme: VxlanScheme, argument: string): VxlanSettings {
  const url = `${scheme}://${argument}`;
  const bad = (why: string): never => {
    throw new VdeError('ERR_VDE_BAD_ADDRESS', `vde: ${url}: ${why}`);
  };
  const [host = '', ...parts] = argument.split('/');
  const found = new Map<string, string>();
  const keys: readonly string[] = [...KEYS, ...(scheme === 'vxvde' ? VXVDE_KEYS : []), ...OWN_KEYS];
  for (const part of parts.filter((each) => each !== '')) {
    const equals = part.indexOf('=');
    const word = equals < 0 ? part : part.slice(0, equals);
    const key = keys.find((each) => each === word) ?? keys.find((each) => word !== '' && each.startsWith(word));
    if (key === undefined) return bad(`"${word}" is none of ${keys.join(', ')}`);
    if ((key === 'v4' || key === 'v6') !== equals < 0)
      return bad(equals < 0 ? `${key} needs a value` : `${key} has none`);
    found.set(key, part.slice(equals + 1));
  }
  const number = (key: string, low: number, high: number, otherwise: number): number => {
    const text = found.get(key);
    if (text === undefined) return otherwise;
    const value = Number(text);
    if (/^(\d+|0x[0-9a-f]+)$/i.test(text) && value >= low && value <= high) return value;
    return bad(`${key}=${text}: expected a number from ${low} to ${high}`);
  };

  const peers = (found.get('peer') ?? '').split(',').filter((each) => each !== '');
  const named = host === '' ? null : (addressOf(host) ?? bad(`"${host}" is not an address`));
  if (named !== null && !isMulticast(named.words)) peers.unshift(host.replace(/^\[(.*)\]$/, '$1'));
  const words = peers.map((peer) => (addressOf(peer) ?? bad(`peer "${peer}" is not an address`)).words);
  const first = named?.words ?? words[0];
  const ipv6 = first === undefined ? found.has('v6') && !found.has('v4') : !isIpv4(first);
  if (first !== undefined && found.has(ipv6 ? 'v4' : 'v6') && !found.has(ipv6 ? 'v6' : 'v4'))
    return bad('the address is of the other version');
  for (const each of words) {
    if (isMulticast(each)) return bad('a peer cannot be a group');
    if (isIpv4(each) === ipv6) return bad('all addresses must be of one version');
  }
  const group = peers.length > 0 ? '' : named === null ? GROUPS[ipv6 ? 6 : 4] : host.replace(/^\[(.*)\]$/, '$1');
  if (named !== null && isMulticast(named.words) && peers.length > 0)
    return bad('a group and peers exclude each other');
  if (scheme === 'vxvde' && peers.length > 0) return bad('vxvde works with groups only');
  if (peers.length > MAX_PEERS) return bad(`more than ${MAX_PEERS} peers`);
  const local = found.get('local') ?? found.get('bind') ?? '';
  if (local !== '') {
    const own = addressOf(local) ?? bad(`local address "${local}" is not an address`);
    if (isIpv4(own.words) === ipv6) return bad('all addresses must be of one version');
    if (scheme === 'vxlan' && group !== '')
      return bad('with a group, name the interface (if=) instead of an own address');
  }
  const id = number('grp', 0, 0xffff_ffff, -1);
  return {
    scheme,
    ipv6,
    group: id < 0 ? group : groupOf(group, id),
    peers,
    port: number('port', 1, 65_535, scheme === 'vxvde' ? VXVDE_PORT : PORT),
    vni: number('vni', 0, MAX_VNI, id < 0 ? 1 : id & MAX_VNI),
    ttl: found.has('ttl') ? number('ttl', 1, 255, 1) : null,
    hashSize: number('hashsize', 1, 1 << 16, 1024),
    expireSec: number('expiretime', 1, 86_400, 128),
    interface: found.get('if') ?? '',
    local,
    receiveBuffer: number('rcvbuf', 0, 1 << 28, 0),
    mtu: number('mtu', 68, MAX_MTU, DEFAULT_MTU),
  };
}

/** The group whose last three bytes are those of a group number, as vxvde's `grp=` has it. */
function groupOf(group: string, id: number): string {
  const bytes = [(id >>> 16) & 255, (id >>> 8) & 255, id & 255];
  const { words } = addressOf(group)!;
  if (isIpv4(words)) return `${words[3]! >>> 24}.${bytes.join('.')}`;
  const text = words.map((w) => w >>> 0);
  text[3] = ((text[3]! & 0xff00_0000) | (id & 0xff_ffff)) >>> 0;
  return text.flatMap((w) => [(w >>> 16).toString(16), (w & 0xffff).toString(16)]).join(':');
}
