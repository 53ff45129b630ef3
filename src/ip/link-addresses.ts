// The addresses of one IP layer and the networks of its link, of both families.
//
// A link has any number of IPv4 networks and IPv6 prefixes, or none of one family. In each network one address is ours:
// the gateway's, as its guests see it. Further own addresses (aliases) serve something of their own, DNS for one. With
// IPv6 there is a link-local address too, and fe80::/10 is on the link.
//
// Look-ups happen for every packet: they walk typed arrays, whose length is the number of networks.

import { Endpoint, type Ipv4Network, MAPPED } from '../core/address.ts';

/** An IPv6 address of ours, and how many of its leading bits are the prefix of the link. */
export interface Ipv6Address {
  readonly words: readonly [number, number, number, number];
  /** 0 to 128. */
  readonly prefixLen: number;
}

export interface Ipv6Link {
  /** Our addresses, in the order of preference; may be empty: then the link is served by the link-local address alone. */
  readonly addresses: readonly Ipv6Address[];
  /** Further own addresses. */
  readonly aliases?: readonly (readonly [number, number, number, number])[];
  /** Own link-local address; default: made of the MAC address (RFC 4291 appendix A). */
  readonly linkLocal?: readonly [number, number, number, number];
}

const LINK_LOCAL = 0xfe800000 | 0;
const LINK_LOCAL_MASK = 0xffc00000 | 0;

/** Whether the first word of an address is one of fe80::/10. */
export const isLinkLocal = (w0: number): boolean => (w0 & LINK_LOCAL_MASK) === LINK_LOCAL;
/** Whether the first word of an address is one of ff00::/8. */
export const isMulticast = (w0: number): boolean => w0 >>> 24 === 0xff;
/** Whether words are an IPv4 address in mapped form. */
export const isMapped = (w0: number, w1: number, w2: number): boolean => w2 === MAPPED && (w0 | w1) === 0;

/** The mask of a prefix length in word `i`, 0 to 3, signed. */
export function maskWord(prefixLen: number, i: number): number {
  const bits = prefixLen - 32 * i;
  return bits >= 32 ? -1 : bits <= 0 ? 0 : -1 << (32 - bits);
}

export class LinkAddresses {
  /** IPv4 networks with our addresses in them, and the mask of the first; empty: there is no IPv4. */
  readonly networks: readonly Ipv4Network[];
  /** IPv6 addresses with their prefixes; empty with IPv6 on link-local addresses only, null without IPv6. */
  readonly prefixes: readonly Ipv6Address[] | null;
  /** All own addresses: the gateway's of each network in front, the link-local one last. */
  readonly all: readonly Endpoint[];
  /** Our link-local address; all zero without IPv6. */
  readonly linkLocal = new Endpoint();
  /** Own IPv4 addresses; network, mask and broadcast address of each network; all signed. */
  private readonly own4: Int32Array;
  private readonly nets4: Int32Array;
  private readonly masks4: Int32Array;
  private readonly broadcasts4: Int32Array;
  /** Own IPv6 addresses, and prefixes with their masks, four words each. */
  private readonly own6: Int32Array;
  private readonly nets6: Int32Array;
  private readonly masks6: Int32Array;
  /** Our addresses in each network and prefix. */
  private readonly gateways4: readonly Endpoint[];
  private readonly gateways6: readonly Endpoint[];

  /**
   * @param networks  `address` of each is ours
   * @param aliases   further own IPv4 addresses, unsigned
   * @param ipv6      null: no IPv6
   * @param mac       own MAC address, 6 bytes
   */
  constructor(networks: readonly Ipv4Network[], aliases: readonly number[], ipv6: Ipv6Link | null, mac: Uint8Array) {
    this.networks = networks;
    this.prefixes = ipv6 === null ? null : ipv6.addresses;
    const at = (words: readonly [number, number, number, number]): Endpoint => new Endpoint().set(...words, 0);
    this.gateways4 = networks.map(({ address }) => new Endpoint().setIpv4(address, 0));
    this.gateways6 = (ipv6?.addresses ?? []).map(({ words }) => at(words));
    if (ipv6 !== null) this.linkLocal.copy(at(ipv6.linkLocal ?? fromMac(mac)));
    const all = [
      ...this.gateways4,
      ...this.gateways6,
      ...aliases.map((address) => new Endpoint().setIpv4(address, 0)),
      ...(ipv6?.aliases ?? []).map(at),
      ...(ipv6 === null ? [] : [this.linkLocal]),
    ];
    this.all = all.filter((each, i) => all.findIndex((other) => other.same(each)) === i);
    this.own4 = Int32Array.from(this.all.filter((each) => each.isIpv4).map((each) => each.w3));
    this.nets4 = Int32Array.from(networks.map(({ network }) => network | 0));
    this.masks4 = Int32Array.from(networks.map(({ mask }) => mask | 0));
    this.broadcasts4 = Int32Array.from(networks.map(({ network, mask }) => network | ~mask));
    this.own6 = Int32Array.from(this.all.filter((each) => !each.isIpv4).flatMap((e) => [e.w0, e.w1, e.w2, e.w3]));
    const masks = (ipv6?.addresses ?? []).flatMap(({ prefixLen }) => [0, 1, 2, 3].map((i) => maskWord(prefixLen, i)));
    this.masks6 = Int32Array.from(masks);
    this.nets6 = Int32Array.from((ipv6?.addresses ?? []).flatMap(({ words }) => [...words])).map(
      (w, i) => w & masks[i]!,
    );
  }

  get hasIpv4(): boolean {
    return this.nets4.length > 0;
  }

  get hasIpv6(): boolean {
    return this.prefixes !== null;
  }

  // ---- IPv4 addresses by their last word, signed

  isLocal4(address: number): boolean {
    const list = this.own4;
    for (let i = 0; i < list.length; i++) if (list[i] === address) return true;
    return false;
  }

  isOnLink4(address: number): boolean {
    const { nets4, masks4 } = this;
    for (let i = 0; i < nets4.length; i++) if ((address & masks4[i]!) === nets4[i]) return true;
    return false;
  }

  /** Broadcast address of a network, or 255.255.255.255. */
  isBroadcast4(address: number): boolean {
    const list = this.broadcasts4;
    for (let i = 0; i < list.length; i++) if (list[i] === address) return true;
    return address === -1;
  }

  /** Address of a network itself or its broadcast address: no station has it. */
  isReserved4(address: number): boolean {
    const list = this.nets4;
    for (let i = 0; i < list.length; i++) if (list[i] === address) return true;
    return this.isBroadcast4(address);
  }

  // ---- addresses of both families by their words

  /** Whether an address is one of ours. */
  isLocal(w0: number, w1: number, w2: number, w3: number): boolean {
    return isMapped(w0, w1, w2) ? this.isLocal4(w3) : this.isLocal6(w0, w1, w2, w3);
  }

  /** The same in an IPv6 packet, where mapped words are not our IPv4 addresses. */
  isLocal6(w0: number, w1: number, w2: number, w3: number): boolean {
    const list = this.own6;
    for (let i = 0; i < list.length; i += 4) {
      if (list[i + 3] === w3 && list[i + 2] === w2 && list[i + 1] === w1 && list[i] === w0) return true;
    }
    return false;
  }

  /** The address of ours with these words; null: none has them. A walk: not for each frame. */
  find(w0: number, w1: number, w2: number, w3: number): Endpoint | null {
    const { all } = this;
    for (let i = 0; i < all.length; i++) {
      const e = all[i]!;
      if (e.w3 === w3 && e.w2 === w2 && e.w1 === w1 && e.w0 === w0) return e;
    }
    return null;
  }

  /** Whether an address is one of the link's networks. */
  isOnLink(w0: number, w1: number, w2: number, w3: number): boolean {
    return isMapped(w0, w1, w2) ? this.isOnLink4(w3) : this.isOnLink6(w0, w1, w2, w3);
  }

  /** The same in an IPv6 packet. */
  isOnLink6(w0: number, w1: number, w2: number, w3: number): boolean {
    return this.hasIpv6 && (isLinkLocal(w0) || this.prefixOf(w0, w1, w2, w3) >= 0);
  }

  /** Whether a guest could have this address: on the link, a single station's, and not ours. */
  isGuest(w0: number, w1: number, w2: number, w3: number): boolean {
    if (isMapped(w0, w1, w2)) return this.isOnLink4(w3) && !this.isReserved4(w3) && !this.isLocal4(w3);
    return this.isOnLink(w0, w1, w2, w3) && !this.isLocal(w0, w1, w2, w3);
  }

  /** Whether an address of ours is a gateway's: of a network, not an alias. The link-local one counts. */
  isGateway(w0: number, w1: number, w2: number, w3: number): boolean {
    const list = isMapped(w0, w1, w2) ? this.gateways4 : this.gateways6;
    for (let i = 0; i < list.length; i++) {
      const e = list[i]!;
      if (e.w3 === w3 && e.w2 === w2 && e.w1 === w1 && e.w0 === w0) return true;
    }
    const l = this.linkLocal;
    return this.hasIpv6 && l.w3 === w3 && l.w2 === w2 && l.w1 === w1 && l.w0 === w0;
  }

  /**
   * Our address for what goes to this one: the gateway's of its network, else the first of its family. Null: none of
   * that family.
   */
  sourceFor(w0: number, w1: number, w2: number, w3: number): Endpoint | null {
    if (isMapped(w0, w1, w2)) {
      const { nets4, masks4 } = this;
      for (let i = 0; i < nets4.length; i++) if ((w3 & masks4[i]!) === nets4[i]) return this.gateways4[i]!;
      return this.gateways4[0] ?? null;
    }
    if (!this.hasIpv6) return null;
    if (isLinkLocal(w0) || (isMulticast(w0) && ((w0 >>> 16) & 15) === 2)) return this.linkLocal;
    return this.gateways6[Math.max(0, this.prefixOf(w0, w1, w2, w3))] ?? this.linkLocal;
  }

  /** Place of the prefix that holds an address, or -1. */
  private prefixOf(w0: number, w1: number, w2: number, w3: number): number {
    const { nets6: n, masks6: m } = this;
    for (let i = 0; i < n.length; i += 4) {
      if (
        (w0 & m[i]!) === n[i] &&
        (w1 & m[i + 1]!) === n[i + 1] &&
        (w2 & m[i + 2]!) === n[i + 2] &&
        (w3 & m[i + 3]!) === n[i + 3]
      ) {
        return i >>> 2;
      }
    }
    return -1;
  }
}

/** The link-local address of a MAC address: fe80::/64 and the modified EUI-64. */
function fromMac(mac: Uint8Array): readonly [number, number, number, number] {
  const high = ((mac[0]! ^ 2) << 24) | (mac[1]! << 16) | (mac[2]! << 8) | 0xff;
  return [LINK_LOCAL, 0, high, (0xfe << 24) | (mac[3]! << 16) | (mac[4]! << 8) | mac[5]!];
}
