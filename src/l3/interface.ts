// One interface of vde_l3: an address on a network, the stations there, ARP, and the shaping of what goes out.

import { formatIpv4, MAPPED } from '../core/address.ts';
import { Drop } from '../core/drop.ts';
import type { FrameArena, Link } from '../core/frame.ts';
import type { TimerWheel } from '../core/timer-wheel.ts';
import { type Neighbor, NeighborCache } from '../ip/neighbor.ts';
import * as arp from '../wire/arp.ts';
import { putU16, putU32 } from '../wire/bytes.ts';
import * as ethernet from '../wire/ethernet.ts';
import { Shaper } from './shaper.ts';

export interface L3InterfaceOptions {
  /** `vd0` and so on. */
  readonly name: string;
  readonly link: Link;
  readonly wheel: TimerWheel;
  /** Room for frames made here; given back by the forwarder at the end of each wake-up. */
  readonly arena: FrameArena;
  readonly seed: number;
  /** Unsigned. */
  readonly address: number;
  readonly mask: number;
}

export class L3Interface {
  readonly name: string;
  readonly link: Link;
  readonly out: Shaper;
  /** The original's: 00:aa and the first address. */
  readonly macHi = 0x00aa;
  readonly macLo: number;
  address: number;
  mask: number;
  neighbors: NeighborCache;
  /** Hears of each frame whose next hop does not answer; the bytes are on loan. */
  onUnreachable: ((b: Uint8Array) => void) | null = null;
  /** Something was sent since the last flush. */
  dirty = false;
  private readonly options: L3InterfaceOptions;

  constructor(options: L3InterfaceOptions) {
    const { name, link, wheel, address, mask } = options;
    this.options = options;
    this.name = name;
    this.link = link;
    this.out = new Shaper(link.tx, wheel, link.drops);
    this.macLo = address | 0;
    this.address = address;
    this.mask = mask;
    this.neighbors = this.newCache();
  }

  get network(): number {
    return (this.address & this.mask) >>> 0;
  }

  get broadcast(): number {
    return (this.address | ~this.mask) >>> 0;
  }

  isOnLink(address: number): boolean {
    return ((address ^ this.address) & this.mask) === 0;
  }

  /** Gives the interface another address; what is known of stations is forgotten. */
  configure(address: number, mask: number): void {
    this.address = address;
    this.mask = mask;
    this.neighbors = this.newCache();
    this.announce();
  }

  /** Tells the stations by gratuitous ARP where the address is. */
  announce(): void {
    this.sendArp(arp.OP_REQUEST, 0, 0, this.address, ethernet.BROADCAST_HI, ethernet.BROADCAST_LO);
    this.flush();
  }

  /** An ARP message in the frame at [off, end). */
  arp(b: Uint8Array, off: number, end: number): void {
    const o = off + ethernet.HEADER_LEN;
    const { drops } = this.link;
    const why = arp.check(b, o, end);
    if (why !== Drop.None) {
      drops[why]!++;
      return;
    }
    const macHi = arp.senderMacHi(b, o);
    const macLo = arp.senderMacLo(b, o);
    const sender = arp.senderIp(b, o);
    if (macHi !== ethernet.srcHi(b, off) || macLo !== ethernet.srcLo(b, off)) drops[Drop.ArpBadSender]!++;
    else if (sender === this.address) drops[Drop.ArpSpoof]!++;
    else {
      if (sender !== 0 && this.isHost(sender)) {
        const now = this.options.wheel.clock.now();
        if (this.neighbors.heard(0, 0, MAPPED, sender | 0, macHi, macLo, now) === null) drops[Drop.ArpSpoof]!++;
      } else if (sender !== 0) {
        drops[Drop.ArpBadSender]!++;
        return;
      }
      if (arp.op(b, o) === arp.OP_REQUEST && arp.targetIp(b, o) === this.address)
        this.sendArp(arp.OP_REPLY, macHi, macLo, sender, macHi, macLo);
    }
  }

  /** Sends the packet behind the Ethernet header at `off` to a station of this network; the header is filled in. */
  send(b: Uint8Array, off: number, len: number, nextHop: number): void {
    const n = this.neighbors.resolve(0, 0, MAPPED, nextHop | 0);
    if (n === null) return; // counted by the cache
    if (!n.resolved) {
      this.neighbors.enqueue(n, b, off, len);
      return;
    }
    this.neighbors.refresh(n, this.options.wheel.clock.now());
    this.deliver(n, b, off, len);
  }

  flush(): void {
    if (!this.dirty) return;
    this.dirty = false;
    this.out.flush();
  }

  /** `vd0 10.0.0.1`, for messages. */
  toString(): string {
    return `${this.name} ${formatIpv4(this.address)}`;
  }

  private isHost(address: number): boolean {
    return (
      this.isOnLink(address) &&
      (this.mask >>> 0 >= 0xfffffffe || (address !== this.network && address !== this.broadcast))
    );
  }

  private newCache(): NeighborCache {
    return new NeighborCache({
      wheel: this.options.wheel,
      drops: this.link.drops,
      seed: this.options.seed,
      solicit: (n, unicast) => {
        const [hi, lo] = unicast ? [n.macHi, n.macLo] : [ethernet.BROADCAST_HI, ethernet.BROADCAST_LO];
        this.sendArp(arp.OP_REQUEST, 0, 0, n.w3 >>> 0, hi!, lo!);
        this.flush();
      },
      release: (n, frame) => {
        this.deliver(n, frame, 0, frame.length);
        this.flush();
      },
      failed: (frame) => this.onUnreachable?.(frame),
    });
  }

  private deliver(n: Neighbor, b: Uint8Array, off: number, len: number): void {
    putU16(b, off, n.macHi);
    putU32(b, off + 2, n.macLo);
    putU16(b, off + 6, this.macHi);
    putU32(b, off + 8, this.macLo);
    putU16(b, off + 12, ethernet.TYPE_IPV4);
    this.transmit(b, off, len);
  }

  private transmit(b: Uint8Array, off: number, len: number): void {
    this.dirty = true;
    this.out.frame(b, off, len);
  }

  private sendArp(op: number, thaHi: number, thaLo: number, tpa: number, dstHi: number, dstLo: number): void {
    const len = ethernet.HEADER_LEN + arp.MESSAGE_LEN;
    const { arena } = this.options;
    const off = arena.alloc(len);
    if (off < 0) {
      this.link.drops[Drop.TxQueueFull]!++;
      return;
    }
    const b = arena.bytes;
    ethernet.write(b, off, dstHi, dstLo, this.macHi, this.macLo, ethernet.TYPE_ARP);
    const o = off + ethernet.HEADER_LEN;
    arp.write(b, o, op, this.macHi, this.macLo, this.address, thaHi, thaLo, tpa);
    this.transmit(b, off, len);
  }
}
