// Which IP addresses are used behind a plug: tells each when it is first seen in a frame (vde_plug --iplog).
//
// Looked at are the source of IPv4 and IPv6 packets, and the sender of ARP messages, untagged or behind one VLAN tag.
// Remembered are SETS times WAYS addresses: one that falls out of its set, the one seen first of those, is told again when
// it comes back. Nothing is allocated for a frame.

import { formatAddress, MAPPED } from '../core/address.ts';
import { i32, u16 } from '../wire/bytes.ts';

const SETS = 1024;
const WAYS = 4;
/** Words of an entry: address, and VLAN plus one (0: the entry is free). */
const CELLS = 5;

const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV6 = 0x86dd;

export class AddressWatch {
  private readonly told: (address: string, version: 4 | 6, vlan: number) => void;
  private readonly entries = new Int32Array(SETS * WAYS * CELLS);
  /** The way of each set that is overwritten next. */
  private readonly next = new Uint8Array(SETS);

  /** @param told  hears of each new address; VLAN 0 is untagged */
  constructor(told: (address: string, version: 4 | 6, vlan: number) => void) {
    this.told = told;
  }

  /** Looks at a frame of at least 14 bytes. */
  frame(b: Uint8Array, off: number, len: number): void {
    const end = off + len;
    let at = off + 12;
    let vlan = 0;
    let type = u16(b, at);
    if (type === ETHERTYPE_VLAN && end - at >= 6) {
      vlan = u16(b, at + 2) & 0xfff;
      at += 4;
      type = u16(b, at);
    }
    at += 2;
    if (type === ETHERTYPE_IPV4 && end - at >= 20) this.see(0, 0, MAPPED, i32(b, at + 12), vlan);
    else if (type === ETHERTYPE_ARP && end - at >= 28) this.see(0, 0, MAPPED, i32(b, at + 14), vlan);
    else if (type === ETHERTYPE_IPV6 && end - at >= 40)
      this.see(i32(b, at + 8), i32(b, at + 12), i32(b, at + 16), i32(b, at + 20), vlan);
  }

  private see(w0: number, w1: number, w2: number, w3: number, vlan: number): void {
    if ((w0 | w1) === 0 && w3 === 0) return; // no address yet: DHCP, ARP probes, duplicate address detection
    const { entries, next } = this;
    let hash = Math.imul(w0 ^ Math.imul(w1, 31) ^ Math.imul(w2, 961) ^ Math.imul(w3, 29_791) ^ vlan, 0x9e3779b1);
    hash = (hash >>> 22) & (SETS - 1);
    const set = hash * WAYS * CELLS;
    for (let at = set; at < set + WAYS * CELLS; at += CELLS)
      if (
        entries[at] === w0 &&
        entries[at + 1] === w1 &&
        entries[at + 2] === w2 &&
        entries[at + 3] === w3 &&
        entries[at + 4] === vlan + 1
      )
        return;
    const at = set + next[hash]! * CELLS;
    next[hash] = (next[hash]! + 1) % WAYS;
    entries[at] = w0;
    entries[at + 1] = w1;
    entries[at + 2] = w2;
    entries[at + 3] = w3;
    entries[at + 4] = vlan + 1;
    const ipv4 = w0 === 0 && w1 === 0 && w2 === MAPPED;
    this.told(formatAddress(w0, w1, w2, w3), ipv4 ? 4 : 6, vlan);
  }
}
