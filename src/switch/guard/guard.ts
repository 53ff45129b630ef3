// The guard: what ports that are not trusted may say (first-hop security).
//
//   bpdu     bridges: BPDUs (a root is never elected because of such a port)
//   arp      who an address belongs to: ARP, and neighbor discovery of IPv6 (RFC 4861, RFC 6980)
//   dhcp     servers: DHCPv4 from port 67, DHCPv6 from port 547
//   ra       routers: advertisements and redirects, whatever they hide behind (RFC 6105, RFC 7113)
//   source   IP sources: only addresses bound to the port and station (SAVI, RFC 7513); 0.0.0.0 and :: where they belong
//
// Each is off, warn (counted in `Port.warnings` and forwarded) or enforce (counted in `Port.drops` and dropped). What is
// not off is checked on every port that is not trusted. Bindings are learned from DHCP acknowledgements and ARP of
// trusted ports, and from duplicate address detection; so trusted ports are listened to while arp or source is on.
//
// Nothing is allocated for frames that pass, but for DHCP messages.

import { MAPPED } from '../../core/address.ts';
import type { Clock } from '../../core/clock.ts';
import { Drop } from '../../core/drop.ts';
import * as arp from '../../wire/arp.ts';
import { i32, u16 } from '../../wire/bytes.ts';
import { partial, partialAdd, pseudoWords } from '../../wire/checksum.ts';
import * as dhcp from '../../wire/dhcpv4.ts';
import * as ethernet from '../../wire/ethernet.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as udp from '../../wire/udp.ts';
import type { Port } from '../port.ts';
import type { Member } from '../vlan-table.ts';
import { type Binding, BindingTable } from './bindings.ts';
import { HIDDEN, ICMPV6, UDP, UpperLayer } from './upper-layer.ts';

export type GuardKind = 'bpdu' | 'arp' | 'dhcp' | 'ra' | 'source';
export const GUARD_KINDS: readonly GuardKind[] = ['bpdu', 'arp', 'dhcp', 'ra', 'source'];
export type GuardMode = 'off' | 'warn' | 'enforce';

/** What the guard asks of the switch. */
export interface GuardHost {
  readonly clock: Clock;
  /** The port where a station was heard, or -1. */
  locate(vlan: number, macHi: number, macLo: number): number;
  /** The port of a number, or null. */
  portOf(number: number): Port | null;
  /** What is guarded has changed. */
  changed(): void;
}

const DHCPV6_SERVER = 547;
/** Protocol of an IPv4 packet and next header of an IPv6 one, bytes from the start of the frame. */
const PROTOCOL_AT = 23;
const NEXT_HEADER_AT = 20;
const TCP = 6;
const FIRST_MULTICAST = 224 * 2 ** 24;
const ROUTER_SOLICITATION = 133;
const ROUTER_ADVERTISEMENT = 134;
const NEIGHBOR_SOLICITATION = 135;
const NEIGHBOR_ADVERTISEMENT = 136;
const REDIRECT = 137;
/** Length of each neighbor discovery message before its options (RFC 4861 section 4). */
const ND_LENGTHS: Readonly<Record<number, number>> = { 133: 8, 134: 16, 135: 24, 136: 24, 137: 40 };
const MLD_QUERY = 130;
const MLD_DONE = 132;
const MLD2_REPORT = 143;
/** An IPv6 address is bound for an hour from its duplicate address detection, and while its owner sends. */
const OBSERVED_SEC = 3600;
const LEASE_MIN_SEC = 60;
/** Between two calls of `onObjection`. */
const TELL_MS = 1000;

export class Guard {
  readonly bindings: BindingTable;
  /** A BPDU that the guard drops also closes its port, until that is enabled again. */
  closesPorts = false;
  /** Hears of what is objected to, once a second at most. */
  onObjection: ((port: Port, reason: Drop) => void) | null = null;
  private watchesSources = false;
  private toldAt = Number.NEGATIVE_INFINITY;
  private readonly host: GuardHost;
  private readonly modes: Record<GuardKind, GuardMode> = {
    bpdu: 'off',
    arp: 'off',
    dhcp: 'off',
    ra: 'off',
    source: 'off',
  };
  private readonly upper = new UpperLayer();

  constructor(host: GuardHost) {
    this.host = host;
    this.bindings = new BindingTable(host.clock);
  }

  mode(kind: GuardKind): GuardMode {
    return this.modes[kind];
  }

  setMode(kind: GuardKind, mode: GuardMode): void {
    this.modes[kind] = mode;
    this.watchesSources = this.modes.source !== 'off';
    this.host.changed();
  }

  /** Whether incoming frames of a port are to be shown to the guard. */
  screens(port: Port): boolean {
    const { bpdu, arp: neighbors, dhcp: servers, ra, source } = this.modes;
    if (neighbors !== 'off' || source !== 'off') return true;
    return !port.trusted && (bpdu !== 'off' || servers !== 'off' || ra !== 'off');
  }

  /** Whether an untagged frame is one that no guard looks into: TCP, while sources are not watched. */
  ignores(b: Uint8Array, off: number, len: number): boolean {
    if (this.watchesSources || len <= PROTOCOL_AT) return false;
    const type = ethernet.type(b, off);
    if (type === ethernet.TYPE_IPV4) return b[off + PROTOCOL_AT] === TCP;
    return type === ethernet.TYPE_IPV6 && b[off + NEXT_HEADER_AT] === TCP;
  }

  /** A BPDU has come in by a port; false when it is to be dropped, counted. */
  admitBpdu(port: Port): boolean {
    return port.trusted || this.modes.bpdu === 'off' || this.object('bpdu', port, Drop.GuardBpdu);
  }

  /**
   * A frame has come in; false when it is to be dropped, counted.
   *
   * @param payload  offset of its type, behind a tag
   * @param end      one past the frame
   */
  admit(from: Member, b: Uint8Array, off: number, payload: number, end: number): boolean {
    const l3 = payload + 2;
    switch (u16(b, payload)) {
      case ethernet.TYPE_ARP:
        return this.admitArp(from, b, off, l3, end);
      case ethernet.TYPE_IPV4:
        return this.admitIpv4(from, b, off, l3, end);
      case ethernet.TYPE_IPV6:
        return this.admitIpv6(from, b, off, l3, end);
      default:
        return true;
    }
  }

  /** The port is inactive: what was learned of it is forgotten. */
  portDown(port: Port): void {
    this.bindings.drop((entry) => entry.port === port.number && entry.source !== 'static');
  }

  /** A VLAN is gone, with all that was bound in it. */
  vlanRemoved(vlan: number): void {
    this.bindings.drop((entry) => entry.vlan === vlan);
  }

  /** Counts what a guard objects to; true when the frame may pass all the same. */
  private object(kind: GuardKind, port: Port, reason: Drop): boolean {
    const enforced = this.modes[kind] === 'enforce';
    (enforced ? port.drops : port.warnings)[reason]!++;
    if (this.onObjection !== null) this.tell(port, reason);
    return !enforced;
  }

  private tell(port: Port, reason: Drop): void {
    const now = this.host.clock.now();
    if (now - this.toldAt < TELL_MS) return;
    this.toldAt = now;
    this.onObjection!(port, reason);
  }

  // ---- ARP

  private admitArp({ port, vlan }: Member, b: Uint8Array, off: number, l3: number, end: number): boolean {
    const sound = arp.check(b, l3, end) === Drop.None;
    const spa = sound ? arp.senderIp(b, l3) : 0;
    const macHi = ethernet.srcHi(b, off);
    const macLo = ethernet.srcLo(b, off);
    const honest = sound && arp.senderMacHi(b, l3) === macHi && arp.senderMacLo(b, l3) === macLo;
    if (port.trusted) {
      const owner = { macHi, macLo, port: port.number, source: 'trusted', lifetimeSec: OBSERVED_SEC } as const;
      if (honest && spa !== 0 && spa < FIRST_MULTICAST) this.bindings.bind(vlan.id, 0, 0, MAPPED, spa | 0, owner);
      return true;
    }
    const owner = spa === 0 ? null : this.bindings.find(vlan.id, 0, 0, MAPPED, spa | 0);
    const theirs = owner !== null && !owns(owner, port, macHi, macLo);
    if (this.modes.arp !== 'off' && (!honest || spa >= FIRST_MULTICAST || theirs)) {
      if (!this.object('arp', port, Drop.GuardArp)) return false;
    }
    if (this.modes.source === 'off' || (sound && spa === 0) || (owner !== null && !theirs)) return true;
    return this.object('source', port, Drop.GuardSource);
  }

  // ---- IPv4

  private admitIpv4(from: Member, b: Uint8Array, off: number, l3: number, end: number): boolean {
    const { port, vlan } = from;
    if (ipv4.check(b, l3, end) !== Drop.None) {
      return port.trusted || this.modes.source === 'off' || this.object('source', port, Drop.GuardSource);
    }
    const l4 = l3 + ipv4.headerLen(b, l3);
    const packetEnd = l3 + ipv4.totalLen(b, l3);
    const isUdp = ipv4.protocol(b, l3) === ipv4.PROTO_UDP && ipv4.fragOffset(b, l3) === 0 && packetEnd - l4 >= 8;
    const ports = isUdp ? i32(b, l4) : 0;
    const fromServer = ports >>> 16 === dhcp.SERVER_PORT;
    const fromClient = ports === ((dhcp.CLIENT_PORT << 16) | dhcp.SERVER_PORT);
    if (port.trusted) {
      if (fromServer) this.snoopServer(vlan.id, b, udp.payload(b, l4), packetEnd);
      return true;
    }
    if (fromServer && this.modes.dhcp !== 'off' && !this.object('dhcp', port, Drop.GuardDhcp)) return false;
    const src = ipv4.src(b, l3);
    if (fromClient) this.snoopClient(from, b, off, udp.payload(b, l4), packetEnd);
    if (this.modes.source === 'off' || (src === 0 && fromClient)) return true;
    return this.admitSource(from, b, off, 0, 0, MAPPED, src | 0);
  }

  private admitSource(
    { port, vlan }: Member,
    b: Uint8Array,
    off: number,
    a0: number,
    a1: number,
    a2: number,
    a3: number,
  ): boolean {
    const owner = this.bindings.find(vlan.id, a0, a1, a2, a3);
    if (owner !== null && owns(owner, port, ethernet.srcHi(b, off), ethernet.srcLo(b, off))) {
      if (owner.source === 'nd') owner.expiresAt = this.host.clock.now() + OBSERVED_SEC * 1000;
      return true;
    }
    return this.object('source', port, Drop.GuardSource);
  }

  /** A server has confirmed a lease: the address is the client's, where that was heard. */
  private snoopServer(vlan: number, b: Uint8Array, at: number, end: number): void {
    const message = dhcp.parse(b, at, end);
    if (message === null || message.op !== dhcp.OP_REPLY || message.chaddr.length !== 6) return;
    if (dhcp.messageType(message) !== dhcp.ACK || message.yiaddr === 0) return;
    const macHi = u16(message.chaddr, 0);
    const macLo = i32(message.chaddr, 2);
    const port = this.host.locate(vlan, macHi, macLo);
    if (port < 0 || this.host.portOf(port)?.trusted !== false) return;
    const lease = message.options.get(dhcp.OPTION_LEASE_TIME);
    const seconds = lease?.length === 4 ? i32(lease, 0) >>> 0 : OBSERVED_SEC;
    const owner = { macHi, macLo, port, source: 'dhcp', lifetimeSec: Math.max(LEASE_MIN_SEC, seconds) } as const;
    this.bindings.bind(vlan, 0, 0, MAPPED, message.yiaddr | 0, owner);
  }

  /** A client gives its address back. */
  private snoopClient({ port, vlan }: Member, b: Uint8Array, off: number, at: number, end: number): void {
    const message = dhcp.parse(b, at, end);
    if (message === null) return;
    const kind = dhcp.messageType(message);
    if (kind !== dhcp.RELEASE) return;
    const entry = this.bindings.find(vlan.id, 0, 0, MAPPED, message.ciaddr | 0);
    if (entry === null || entry.source !== 'dhcp') return;
    if (owns(entry, port, ethernet.srcHi(b, off), ethernet.srcLo(b, off)))
      this.bindings.unbind(vlan.id, 0, 0, MAPPED, message.ciaddr | 0);
  }

  // ---- IPv6

  private admitIpv6(from: Member, b: Uint8Array, off: number, l3: number, end: number): boolean {
    const { port } = from;
    const { upper } = this;
    upper.locate(b, l3, end);
    const icmp = upper.protocol === ICMPV6 ? b[upper.at]! : -1;
    const isNd = icmp >= ROUTER_SOLICITATION && icmp <= REDIRECT;
    if (port.trusted) {
      if (isNd && ndIsSound(b, l3, upper)) this.learnNeighbor(from, b, off, l3, icmp);
      return true;
    }
    if (upper.protocol === HIDDEN && (this.modes.ra !== 'off' || this.modes.dhcp !== 'off')) {
      if (!this.object(this.modes.ra !== 'off' ? 'ra' : 'dhcp', port, Drop.GuardFragment)) return false;
    }
    const isRouter = icmp === ROUTER_ADVERTISEMENT || icmp === REDIRECT;
    if (isRouter && this.modes.ra !== 'off' && !this.object('ra', port, Drop.GuardRa)) return false;
    const isServer = upper.protocol === UDP && upper.end - upper.at >= 8 && u16(b, upper.at) === DHCPV6_SERVER;
    if (isServer && this.modes.dhcp !== 'off' && !this.object('dhcp', port, Drop.GuardDhcp)) return false;
    const isSound = !isNd || ndIsSound(b, l3, upper);
    if (this.modes.arp !== 'off' && isNd && !(isSound && this.isOwnNeighbor(from, b, off, l3, icmp))) {
      if (!this.object('arp', port, Drop.GuardNd)) return false;
    }
    if (isNd && isSound) this.learnNeighbor(from, b, off, l3, icmp);
    if (this.modes.source === 'off') return true;
    if (end - l3 < 40) return this.object('source', port, Drop.GuardSource);
    const s = l3 + 8;
    if (i32(b, s) === 0 && i32(b, s + 4) === 0 && i32(b, s + 8) === 0 && i32(b, s + 12) === 0) {
      return mayBeUnspecified(icmp) || this.object('source', port, Drop.GuardSource);
    }
    return this.admitSource(from, b, off, i32(b, s), i32(b, s + 4), i32(b, s + 8), i32(b, s + 12));
  }

  /** Whether what a neighbor discovery message says of an address is not another's to say. */
  private isOwnNeighbor({ port, vlan }: Member, b: Uint8Array, off: number, l3: number, icmp: number): boolean {
    const claims = icmp === NEIGHBOR_ADVERTISEMENT ? this.upper.at + 8 : l3 + 8;
    const owner = this.bindings.find(
      vlan.id,
      i32(b, claims),
      i32(b, claims + 4),
      i32(b, claims + 8),
      i32(b, claims + 12),
    );
    return owner === null || owns(owner, port, ethernet.srcHi(b, off), ethernet.srcLo(b, off));
  }

  /** Binds the address that a station tests before it uses it (RFC 4862 section 5.4), if nobody has it. */
  private learnNeighbor({ port, vlan }: Member, b: Uint8Array, off: number, l3: number, icmp: number): void {
    const s = l3 + 8;
    const isDad = icmp === NEIGHBOR_SOLICITATION && (i32(b, s) | i32(b, s + 4) | i32(b, s + 8) | i32(b, s + 12)) === 0;
    const claim = isDad || (port.trusted && icmp === NEIGHBOR_ADVERTISEMENT) ? this.upper.at + 8 : -1;
    if (claim < 0) return;
    this.bindings.bind(vlan.id, i32(b, claim), i32(b, claim + 4), i32(b, claim + 8), i32(b, claim + 12), {
      macHi: ethernet.srcHi(b, off),
      macLo: ethernet.srcLo(b, off),
      port: port.number,
      source: port.trusted ? 'trusted' : 'nd',
      lifetimeSec: OBSERVED_SEC,
    });
  }
}

const owns = (entry: Binding, port: Port, macHi: number, macLo: number): boolean =>
  entry.port === port.number && entry.macHi === macHi && entry.macLo === macLo;

/** ICMPv6 that is sent before there is an address: solicitations and listener reports. */
const mayBeUnspecified = (icmp: number): boolean =>
  icmp === NEIGHBOR_SOLICITATION ||
  icmp === ROUTER_SOLICITATION ||
  icmp === MLD2_REPORT ||
  (icmp > MLD_QUERY && icmp <= MLD_DONE);

/** What RFC 4861 section 6.1 and 7.1, and RFC 6980, ask of every neighbor discovery message. */
function ndIsSound(b: Uint8Array, l3: number, upper: UpperLayer): boolean {
  const { at, end } = upper;
  const fixed = ND_LENGTHS[b[at]!]!;
  if (upper.fragment || b[l3 + 7] !== 255 || end - at < fixed || b[at + 1] !== 0) return false;
  for (let o = at + fixed; o < end; ) {
    const len = o + 1 < end ? b[o + 1]! * 8 : 0;
    if (len === 0 || len > end - o) return false;
    o += len;
  }
  const w = (o: number): number => i32(b, l3 + 8 + o);
  const pseudo = pseudoWords(w(0), w(4), w(8), w(12), w(16), w(20), w(24), w(28), ICMPV6);
  return partial(b, at, end - at, partialAdd(pseudo, end - at)) === 0xffff;
}
