// A VXLAN tunnel end point (VTEP), RFC 7348: frames in UDP datagrams to the other ends, which may be Linux's vxlan devices,
// Open vSwitch, or the vxlan:// of the plug library. The way to more than one machine.
//
//   frame, destination known   --> the end that the station was heard from last
//   frame, all others          --> each peer, or the multicast group
//   datagram                   <-- source address must be a peer (with a group: any); VNI must be ours; stations learned
//
// One UDP socket sends and receives, bound to the port that the others send to. The source port is always ours, not a hash
// of the frame as section 5 suggests for the sake of routers with several paths. Ends of Linux do not mind.
//
// vxvde is the plug library's variant for many ends on one machine. Each has a socket of its own with a port of its own,
// which it sends from; unknown stations are looked for at the group, whose port all share; answers go to the address and
// port that a station was heard from. All 8 bytes of the header must be right. A datagram of a header only says that the
// stations behind its sender are gone. What an end sends to the group comes back to itself, and is told by its source.
//
// Datagrams are trusted as much as the network that carries them: there is no authentication (section 7). A unicast setup
// takes nothing from strangers' addresses, which is no more than a filter.
//
// Bounds: SLOTS frames wait for `flush`, the kernel's buffer holds the rest, and what it refuses is dropped and counted.

import { networkInterfaces } from 'node:os';
import { copyInto } from '../core/copy.ts';
import { Drop, newDropCounters } from '../core/drop.ts';
import { VdeError } from '../core/errors.ts';
import { type FrameSink, type Link, newLinkStats, RX_SLOTS, RX_STRIDE } from '../core/frame.ts';
import { errnoName } from '../native/errno.ts';
import * as n from '../native/native.ts';
import { dstHi, dstLo, srcHi, srcLo } from '../wire/ethernet.ts';
import * as vxlan from '../wire/vxlan.ts';
import { FRAME_OVERHEAD, MAX_RX_FRAME, MIN_FRAME } from './limits.ts';
import { StationTable } from './station-table.ts';
import { addressOf, isIpv4, type VxlanOptions } from './vxlan-options.ts';

export { parseVxlanUrl, type VxlanOptions, type VxlanScheme, type VxlanSettings } from './vxlan-options.ts';

const SLOTS = 64;
const MAX_ROUNDS = 4;
const BUFFER = 1 << 20;
/** For how long a list of the machine's own addresses is good. */
const OWN_MS = 1000;
/** Linux: IP_MTU_DISCOVER and IPV6_MTU_DISCOVER; 0 lets routers and the kernel cut datagrams. */
const IP_MTU_DISCOVER = 10;
const IPV6_MTU_DISCOVER = 23;
const MAY_FRAGMENT = 0;

/**
 * Opens a VTEP. Rejects with ERR_VDE_NO_NATIVE, ERR_VDE_BAD_ADDRESS (an interface that is not there) or ERR_VDE_LISTEN
 * (the port is taken, the group cannot be joined), and leaves nothing behind then.
 */
export async function openVxlan(options: VxlanOptions): Promise<VxlanLink> {
  return new VxlanLink(options);
}

export class VxlanLink implements Link {
  readonly name: string;
  readonly mtu: number;
  readonly tx: FrameSink;
  readonly stats = newLinkStats();
  readonly drops = newDropCounters();
  onState: ((up: boolean) => void) | null = null;
  private readonly api = n.native();
  private readonly options: VxlanOptions;
  private readonly now: () => number;
  private readonly stations: StationTable;
  private readonly maxTxFrame: number;
  /** Whom a frame for an unknown station goes to: ADDRESS_CELLS words each. */
  private readonly flood: Int32Array;
  /** Sends, and receives what is for this end alone. */
  private readonly fd: number;
  /** Receives what is for the group; -1 where that is the same socket. */
  private readonly groupFd: number;
  private readonly ownPort: number;
  private readonly polls: n.Poll[] = [];
  private readonly rx: n.AddressedBatch;
  private readonly out: Uint8Array;
  private readonly outStride: number;
  private readonly batch: n.AddressedBatch;
  /** Frames in `out`, and datagrams made of them. */
  private slots = 0;
  private queued = 0;
  private sink: FrameSink | null = null;
  private ownAddresses: readonly (readonly number[])[] = [];
  private ownUntil = Number.NEGATIVE_INFINITY;
  private closed = false;

  /** Used by openVxlan. */
  constructor(options: VxlanOptions) {
    const { scheme, group, peers, vni, port, mtu } = options;
    this.options = options;
    this.name = `${scheme}:${group === '' ? peers.join(',') : group} vni ${vni}`;
    this.mtu = mtu;
    this.now = options.now ?? (() => performance.now());
    this.stations = new StationTable(
      options.hashSize,
      options.expireSec * 1000,
      crypto.getRandomValues(new Int32Array(1))[0]!,
    );
    this.maxTxFrame = mtu + FRAME_OVERHEAD;
    this.flood = Int32Array.from((group === '' ? peers : [group]).flatMap((text) => this.cellsOf(text, port)));
    this.rx = this.api.newAddressedBatch(options.memory.bytes, RX_SLOTS);
    this.outStride = (vxlan.HEADER_LEN + this.maxTxFrame + 3) & ~3;
    this.out = new Uint8Array(SLOTS * this.outStride);
    for (let i = 0; i < SLOTS; i++) vxlan.write(this.out, i * this.outStride, vni);
    this.batch = this.api.newAddressedBatch(this.out, SLOTS);
    const shared = scheme === 'vxvde';
    this.fd = this.open(shared ? 0 : port, options.local);
    try {
      this.groupFd = shared ? this.open(port, group) : -1;
    } catch (error) {
      this.api.close(this.fd);
      throw error;
    }
    this.ownPort = this.api.localPort(this.fd);
    this.tx = { frame: (b, off, len) => this.send(b, off, len), flush: () => this.transmit() };
  }

  attach(sink: FrameSink): void {
    const first = this.sink === null;
    this.sink = sink;
    if (!first || this.closed) return;
    for (const fd of this.fds()) this.polls.push(this.api.poll(fd, n.READABLE, () => this.receive(fd)));
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.transmit();
    if (this.options.scheme === 'vxvde') {
      this.batch.lens[0] = vxlan.HEADER_LEN;
      this.push(0, this.flood, 0);
      this.transmit();
    }
    this.closed = true;
    for (const poll of this.polls) this.api.pollClose(poll);
    for (const fd of this.fds()) this.api.close(fd);
    this.onState?.(false);
  }

  private fds(): number[] {
    return this.groupFd < 0 ? [this.fd] : [this.fd, this.groupFd];
  }

  // ---- opening

  private cellsOf(text: string, port: number): number[] {
    const { words, zone } = addressOf(text)!;
    return [...words, port, zone === '' ? 0 : this.index(zone), 0, 0];
  }

  private index(name: string): number {
    const index = this.api.ifIndex(name);
    if (index < 0) throw new VdeError('ERR_VDE_BAD_ADDRESS', `vde: ${this.name}: there is no interface ${name}`);
    return index;
  }

  /** A socket bound to a port of an own address, a group or (text '') all addresses; a member of the group if there is one. */
  private open(port: number, text: string): number {
    const { api, options } = this;
    const { ipv6, group, receiveBuffer } = options;
    const level = ipv6 ? n.IPPROTO_IPV6 : n.IPPROTO_IP;
    const fd = api.socket(ipv6 ? n.AF_INET6 : n.AF_INET, n.SOCK_DGRAM, 0);
    const fail = (what: string, status: number, help: string): never => {
      if (fd >= 0) api.close(fd);
      throw new VdeError('ERR_VDE_LISTEN', `vde: ${this.name}: cannot ${what}: ${errnoName(status)}${help}`);
    };
    if (fd < 0) return fail('make a UDP socket', fd, '');
    api.setsockopt(fd, n.SOL_SOCKET, n.SO_RCVBUF, receiveBuffer === 0 ? BUFFER : receiveBuffer);
    api.setsockopt(fd, n.SOL_SOCKET, n.SO_SNDBUF, BUFFER);
    if (ipv6) api.setsockopt(fd, level, n.IPV6_V6ONLY, 1);
    api.setsockopt(fd, level, ipv6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, MAY_FRAGMENT);
    this.setTtl(fd, level);
    if (options.scheme === 'vxvde' && port !== 0) {
      api.setsockopt(fd, n.SOL_SOCKET, n.SO_REUSEADDR, 1);
      api.setsockopt(fd, n.SOL_SOCKET, n.SO_REUSEPORT, 1);
    }
    const at = text === '' ? new Uint8Array(ipv6 ? 16 : 4) : bytesOf(text);
    const bound = api.bindInet(fd, at, port);
    if (bound < 0) return fail(`take UDP port ${port}`, bound, bindHelp(bound));
    if (group === '') return fd;
    api.setsockopt(fd, level, ipv6 ? n.IPV6_MULTICAST_ALL : n.IP_MULTICAST_ALL, 0);
    const loop = options.scheme === 'vxvde' ? 1 : 0;
    api.setsockopt(fd, level, ipv6 ? n.IPV6_MULTICAST_LOOP : n.IP_MULTICAST_LOOP, loop);
    let index = 0;
    try {
      if (options.interface !== '') index = this.index(options.interface);
    } catch (error) {
      api.close(fd);
      throw error;
    }
    const joined = api.joinGroup(fd, bytesOf(group), index);
    if (joined < 0) return fail(`join the group ${group}`, joined, '; name an interface that can: /if=NAME');
    return fd;
  }

  private setTtl(fd: number, level: number): void {
    const { ipv6, ttl } = this.options;
    this.api.setsockopt(fd, level, ipv6 ? n.IPV6_MULTICAST_HOPS : n.IP_MULTICAST_TTL, ttl ?? 1);
    if (ttl !== null) this.api.setsockopt(fd, level, ipv6 ? n.IPV6_UNICAST_HOPS : n.IP_TTL, ttl);
  }

  // ---- sending

  private send(b: Uint8Array, off: number, len: number): void {
    if (len < MIN_FRAME || len > this.maxTxFrame) {
      this.drops[len < MIN_FRAME ? Drop.FrameTooShort : Drop.FrameTooLong]!++;
      return;
    }
    if (this.closed) {
      this.drops[Drop.LinkDown]!++;
      return;
    }
    if (this.slots === SLOTS) this.transmit();
    const slot = this.slots++;
    copyInto(b, off, len, this.out, slot * this.outStride + vxlan.HEADER_LEN);
    this.stats.txFrames++;
    this.stats.txBytes += len;
    const known = (b[off]! & 1) !== 0 ? -1 : this.stations.find(dstHi(b, off), dstLo(b, off), this.now());
    if (known >= 0) this.put(slot, len, this.stations.cells, StationTable.addressOf(known));
    else for (let i = 0; i < this.flood.length; i += n.ADDRESS_CELLS) this.put(slot, len, this.flood, i);
  }

  private put(slot: number, len: number, to: Int32Array, at: number): void {
    if (this.queued === SLOTS) this.sendQueued();
    this.batch.lens[this.queued] = vxlan.HEADER_LEN + len;
    this.push(slot, to, at);
  }

  /** Queues a datagram whose length is set. */
  private push(slot: number, to: Int32Array, at: number): void {
    const i = this.queued++;
    this.batch.offs[i] = slot * this.outStride;
    const base = i * n.ADDRESS_CELLS;
    for (let c = 0; c <= n.Cell.Scope; c++) this.batch.addresses[base + c] = to[at + c]!;
  }

  private transmit(): void {
    if (this.queued > 0) this.sendQueued();
    this.slots = 0;
  }

  private sendQueued(): void {
    const count = this.queued;
    this.queued = 0;
    let done = 0;
    while (done < count) {
      const sent = this.api.sendTo(this.fd, this.batch, done, count - done);
      if (sent === 0) {
        this.drops[Drop.TxQueueFull]! += count - done;
        return;
      }
      if (sent < 0) this.drops[Drop.TxError]!++;
      done += sent < 0 ? 1 : sent;
    }
  }

  // ---- receiving

  private receive(fd: number): void {
    const { memory } = this.options;
    for (let round = 0; round < MAX_ROUNDS && !this.closed; round++) {
      const count = this.api.recvFrom(fd, this.rx, memory.rxBase, RX_STRIDE, RX_SLOTS);
      if (count === 0) return;
      if (count < 0) {
        this.drops[Drop.TxError]!++; // an error that waited on the socket, of a datagram that was sent
        continue;
      }
      const now = this.now();
      for (let i = 0; i < count && !this.closed; i++) this.datagram(i, now);
      if (!this.closed) this.sink!.flush();
      if (count < RX_SLOTS) return;
    }
  }

  private datagram(i: number, now: number): void {
    const { bytes } = this.options.memory;
    const { addresses } = this.rx;
    const at = i * n.ADDRESS_CELLS;
    const off = this.rx.offs[i]!;
    const len = this.rx.lens[i]! - vxlan.HEADER_LEN;
    const strict = this.options.scheme === 'vxvde';
    if (strict && addresses[at + n.Cell.Port] === this.ownPort && this.isOwn(addresses, at)) return;
    let why = vxlan.check(bytes, off, this.rx.lens[i]!, this.options.vni);
    if (why === Drop.None && strict && !vxlan.isExact(bytes, off)) why = Drop.VxlanBadHeader;
    if (why === Drop.None && !this.isPeer(addresses, at)) why = Drop.VxlanBadPeer;
    if (why === Drop.None && len > MAX_RX_FRAME) why = Drop.FrameTooLong;
    if (why === Drop.None && len === 0 && strict) {
      this.stations.forget(addresses, at);
      return;
    }
    if (why === Drop.None && len < MIN_FRAME) why = Drop.FrameTooShort;
    if (why !== Drop.None) {
      this.drops[why]!++;
      return;
    }
    // Where to answer: to the port that this network has, or (vxvde) to the one it came from.
    if (!strict) addresses[at + n.Cell.Port] = this.options.port;
    const frame = off + vxlan.HEADER_LEN;
    if ((bytes[frame + 6]! & 1) === 0) {
      this.stations.learn(srcHi(bytes, frame), srcLo(bytes, frame), addresses, at, now);
    }
    this.stats.rxFrames++;
    this.stats.rxBytes += len;
    this.sink!.frame(bytes, frame, len);
  }

  /** With a group anybody may be a peer. */
  private isPeer(cells: Int32Array, at: number): boolean {
    if (this.options.group !== '') return true;
    for (let i = 0; i < this.flood.length; i += n.ADDRESS_CELLS) {
      let same = true;
      for (let w = 0; same && w < 4; w++) same = this.flood[i + w] === cells[at + w];
      if (same) return true;
    }
    return false;
  }

  /** Whether an address is one of this machine. */
  private isOwn(cells: Int32Array, at: number): boolean {
    const now = this.now();
    if (now >= this.ownUntil) {
      this.ownUntil = now + OWN_MS;
      const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
      this.ownAddresses = addresses.map(({ address }) => addressOf(address)!.words);
    }
    return this.ownAddresses.some((own) => own.every((word, i) => word === cells[at + i]));
  }
}

/** Bytes of an address in network order, 4 or 16. */
function bytesOf(text: string): Uint8Array {
  const { words } = addressOf(text)!;
  const used = isIpv4(words) ? words.slice(3) : words;
  return Uint8Array.from(used.flatMap((w) => [w >>> 24, (w >>> 16) & 255, (w >>> 8) & 255, w & 255]));
}

const bindHelp = (status: number): string =>
  errnoName(status) === 'EADDRINUSE' ? '; another program, or a vxlan device of the kernel, has it (ss -lun)' : '';
