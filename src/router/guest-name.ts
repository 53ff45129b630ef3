// Guests by name: which addresses a host name or a hardware address has now, and which name an address has.
//
// Names come from DHCP leases of either family. What a station has besides its leases (addresses that it made itself from
// the router's advertisements) is found by its hardware address among the neighbors, so a guest with a DHCPv4 name has
// AAAA records without asking for anything. Addresses of other links (fe80::/10) have no names.

import { Endpoint, parseMac } from '../core/address.ts';
import type { AddressWords } from '../core/ipv6-network.ts';
import { isLinkLocal, type Neighbor } from '../ip/index.ts';
import type { DhcpServer, Dhcpv6Server, LocalHosts } from '../services/index.ts';
import { i32, u16 } from '../wire/bytes.ts';

interface Neighbors extends Iterable<Neighbor> {
  find(w0: number, w1: number, w2: number, w3: number): Neighbor | null;
}

export class GuestNames implements LocalHosts {
  private readonly dhcp: DhcpServer | null;
  private readonly dhcp6: Dhcpv6Server | null;
  private readonly neighbors: Neighbors;

  /** @param neighbors  stations heard of: what guests have without DHCP is found there */
  constructor(dhcp: DhcpServer | null, dhcp6: Dhcpv6Server | null, neighbors: Neighbors) {
    this.dhcp = dhcp;
    this.dhcp6 = dhcp6;
    this.neighbors = neighbors;
  }

  addressOf(name: string): number {
    return this.dhcp?.addressOf(name) ?? -1;
  }

  /** Those leased first, then the others, the one heard of last in front. */
  addressesOf6(name: string): readonly AddressWords[] {
    const owner4 = this.dhcp?.ownerOf(name) ?? -1;
    const owner = owner4 >= 0 ? owner4 : (this.dhcp6?.ownerOf(name) ?? -1);
    if (owner < 0) return [];
    const hi = Math.floor(owner / 2 ** 32);
    const lo = owner % 2 ** 32;
    const out = this.dhcp6?.addressesOfStation(hi, lo) ?? [];
    for (const { w0, w1, w2, w3 } of this.ofStation(hi, lo | 0)) {
      if (!out.some((a) => a[0] === w0 && a[1] === w1 && a[2] === w2 && a[3] === w3)) out.push([w0, w1, w2, w3]);
    }
    return out;
  }

  nameOf(address: number): string {
    return this.dhcp?.nameOf(address) ?? '';
  }

  nameOf6(words: AddressWords): string {
    const n = this.neighbors.find(...words);
    const leased = this.dhcp6?.holderOf(words) ?? -1;
    if (leased < 0 && (n === null || !n.resolved)) return '';
    const hi = leased >= 0 ? Math.floor(leased / 2 ** 32) : n!.macHi & 0xffff;
    const lo = leased >= 0 ? leased % 2 ** 32 : n!.macLo >>> 0;
    return this.dhcp?.nameOfStation(hi, lo) || (this.dhcp6?.nameOfStation(hi, lo) ?? '');
  }

  /**
   * Where a forward goes, port 0, or null: the guest's IPv4 address before an IPv6 one.
   *
   * @param name  host name, or hardware address as `aa:bb:cc:dd:ee:ff`: of that the IPv4 address heard of last, else the
   *              last of its IPv6 ones that is not link-local
   */
  resolve(name: string): Endpoint | null {
    const leased = this.addressOf(name);
    if (leased >= 0) return new Endpoint().setIpv4(leased, 0);
    const mac = parseMac(name);
    if (mac === null) {
      const [words] = this.addressesOf6(name);
      return words === undefined ? null : new Endpoint().set(...words, 0);
    }
    const all = this.ofStation(u16(mac, 0), i32(mac, 2), true);
    const best = all.find((n) => n.isIpv4) ?? all[0];
    return best === undefined ? null : new Endpoint().set(best.w0, best.w1, best.w2, best.w3, 0);
  }

  /** What a hardware address was heard of with, last first: IPv6 addresses, or those of both families. */
  private ofStation(macHi: number, macLo: number, both = false): Neighbor[] {
    const out: Neighbor[] = [];
    for (const n of this.neighbors) {
      if (!n.resolved || n.macLo !== macLo || (n.macHi & 0xffff) !== macHi || isLinkLocal(n.w0)) continue;
      if (both || !n.isIpv4) out.push(n);
    }
    return out.sort((a, b) => b.heardAt - a.heardAt);
  }
}
