// What the guests of a fuzzed router send: messages of every protocol the router speaks, in and out of turn, answers to
// what the router has sent before, fragments of all of them, and captured frames; many of them changed (mutate.ts).

import { formatIpv4 } from '../../../src/core/address.ts';
import * as arp from '../../../src/wire/arp.ts';
import { putU16, putU32, u16, u32 } from '../../../src/wire/bytes.ts';
import * as dhcp from '../../../src/wire/dhcpv4.ts';
import * as icmp from '../../../src/wire/icmpv4.ts';
import * as ipv4 from '../../../src/wire/ipv4.ts';
import * as tcp from '../../../src/wire/tcp.ts';
import * as tftp from '../../../src/wire/tftp.ts';
import { type Cut, fragment } from '../../support/fragments.ts';
import { frame, frameNames } from '../../support/frames.ts';
import { type Addressing, arpFrame, echoFrame, ipFrame, tcpFrame, udpFrame } from '../../support/guest-frames.ts';
import { mend, mutate } from './mutate.ts';
import type { Random } from './random.ts';

const L3 = 14;
const L4 = 34;
const GATEWAY = '10.0.2.2';
const DNS = '10.0.2.3';
/** Frames of the router that are kept to be answered. */
const HEARD = 32;
/** Unchanged frames that are kept to be changed: making one costs more than changing one. */
const SOUND = 128;
/** Fragments that are still to be sent. */
const PIECES_MAX = 64;

interface Guest {
  readonly srcMac: string;
  readonly src: string;
}
const GUESTS: readonly Guest[] = [0, 1, 2, 3, 4].map((i) => ({
  srcMac: `52:54:00:12:34:${(0x56 + i).toString(16)}`,
  src: `10.0.2.${15 + i}`,
}));

const NEAR = [GATEWAY, DNS, '192.0.2.1', '192.0.2.2', '203.0.113.9'];
const ODD = [
  ...['10.0.2.16', '10.0.2.99', '10.0.2.255', '10.0.2.0', '255.255.255.255', '224.0.0.251', '127.0.0.1', '0.0.0.0'],
  ...['169.254.169.254', '240.0.0.1', '10.0.2.15', '198.51.100.53'],
];
/** Few, so that flows meet again; 7000 to 7003 are forwards and services of the driver. */
const PORTS = [0, 7, 53, 67, 68, 69, 80, 443, 1024, 4000, 4001, 5000, 6000, 7000, 7001, 7002, 7003, 65535];
const NAMES = [
  'gateway',
  'alpha',
  'alpha.lab.test',
  'nas.test',
  'www.example.com',
  'localhost',
  '2.2.0.10.in-addr.arpa',
];
const FLAGS = ['S', 'S', 'S', 'A', 'A', 'AP', 'AF', 'R', 'RA', 'SA', 'F', 'SF', ''];
const WINDOWS = [0, 1, 100, 1460, 65535];
/** As many as a SYN has; lengths that lie are among them. */
const OPTIONS = [
  [],
  [2, 4, 5, 180],
  [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7],
  [2, 4, 0, 0],
  [2, 4, 0, 1, 1, 3, 3, 14],
  [1, 1, 5, 10, 0, 0, 3, 232, 0, 0, 4, 76],
  [3, 0, 0, 0],
  [5, 255, 1, 1],
];
const DHCP_TYPES = [dhcp.DISCOVER, dhcp.DISCOVER, dhcp.REQUEST, dhcp.DECLINE, dhcp.RELEASE, dhcp.INFORM, dhcp.OFFER, 0];

const macBytes = (text: string): Uint8Array =>
  Uint8Array.from(text.split(':').map((part) => Number.parseInt(part, 16)));

export class Traffic {
  private readonly random: Random;
  private readonly captured: readonly Uint8Array[] = frameNames().map(frame);
  private readonly heard: Uint8Array[] = [];
  private heardAt = 0;
  private readonly pieces: Uint8Array[] = [];
  private readonly sound: Uint8Array[] = [...this.captured];
  private soundAt = 0;

  constructor(random: Random) {
    this.random = random;
  }

  /** The router has sent this: an answer may come of it. */
  hear(f: Uint8Array): void {
    this.heard[this.heardAt++ % HEARD] = f;
  }

  /** The next frame of some guest. */
  next(): Uint8Array {
    const { random } = this;
    if (this.pieces.length > 0 && random.chance(40)) {
      return this.pieces.splice(random.below(this.pieces.length), 1)[0]!;
    }
    if (random.chance(60)) {
      const f = mutate(random.pick(this.sound), random.pick(this.sound), random);
      if (random.chance(80)) mend(f, random.chance(70));
      return f;
    }
    const f = this.whole();
    this.sound[this.soundAt++ % SOUND] = f;
    if (random.chance(5) && f.length > L4 + 8 && u16(f, 12) === 0x0800) return this.cut(f);
    return f;
  }

  private whole(): Uint8Array {
    const { random } = this;
    const kind = random.below(100);
    if (kind < 42) return this.answer() ?? this.segment();
    if (kind < 55) return this.segment();
    if (kind < 66) return this.datagram();
    if (kind < 72) return this.query();
    if (kind < 78) return this.dhcp();
    if (kind < 82) return this.arp();
    if (kind < 85) return this.echo();
    if (kind < 89) return this.error();
    if (kind < 92) return this.tftp();
    if (kind < 94) return ipFrame(this.addresses(), random.below(256), random.bytes(random.below(60)));
    if (kind < 98) return random.pick(this.captured).slice();
    return random.bytes(random.below(120));
  }

  private addresses(): Addressing {
    const { random } = this;
    const guest = random.pick(GUESTS);
    const dst = random.chance(85) ? random.pick(NEAR) : random.pick(ODD);
    const group = dst === '255.255.255.255' || random.chance(2);
    const spoofed = random.chance(2) ? { src: random.pick(ODD) } : {};
    return {
      ...guest,
      ...spoofed,
      dst,
      ttl: random.chance(90) ? 64 : random.below(3),
      ...(group ? { dstMac: 'ff:ff:ff:ff:ff:ff' } : {}),
    };
  }

  private payload(): Uint8Array {
    const { random } = this;
    return random.bytes(random.chance(90) ? random.below(40) : random.below(1400));
  }

  private segment(): Uint8Array {
    const { random } = this;
    const flags = random.pick(FLAGS);
    return tcpFrame({
      ...this.addresses(),
      sport: random.pick(PORTS),
      dport: random.pick(PORTS),
      seq: random.chance(50) ? 1000 : random.next(),
      ack: random.chance(50) ? 2000 : random.next(),
      flags,
      window: random.pick(WINDOWS),
      options: Uint8Array.from(random.pick(OPTIONS)),
      ...(random.chance(50) ? {} : { data: this.payload() }),
    });
  }

  private datagram(): Uint8Array {
    const { random } = this;
    const ports = { sport: random.pick(PORTS), dport: random.pick(PORTS) };
    return udpFrame({ ...this.addresses(), ...ports, data: this.payload() });
  }

  private query(): Uint8Array {
    const { random } = this;
    const name = random.chance(70) ? random.pick(NAMES) : `n${random.below(1000)}.test`;
    const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)]);
    const type = random.pick([1, 2, 12, 16, 28, 33, 64, 255, 65535]);
    const edns = random.chance(30) ? [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0] : [];
    const head = [
      random.below(256),
      random.below(256),
      random.below(256),
      0,
      0,
      1,
      0,
      0,
      0,
      0,
      0,
      edns.length > 0 ? 1 : 0,
    ];
    if (random.chance(80)) head[2] = 1; // a plain query
    const data = Uint8Array.from([...head, ...labels, 0, type >> 8, type & 255, 0, 1, ...edns]);
    return udpFrame({ ...random.pick(GUESTS), dst: DNS, sport: random.pick(PORTS), dport: 53, data });
  }

  private dhcp(): Uint8Array {
    const { random } = this;
    const guest = random.pick(GUESTS);
    const address = u32(Uint8Array.of(10, 0, 2, 15 + random.below(8)), 0);
    const options = new Map<number, Uint8Array>();
    const type = random.pick(DHCP_TYPES);
    if (type !== 0) options.set(dhcp.OPTION_MESSAGE_TYPE, dhcp.writeU8(type));
    if (random.chance(40)) options.set(dhcp.OPTION_REQUESTED_ADDRESS, dhcp.writeU32(address));
    if (random.chance(40)) options.set(dhcp.OPTION_SERVER_ID, Uint8Array.of(10, 0, 2, random.chance(80) ? 2 : 77));
    if (random.chance(50))
      options.set(dhcp.OPTION_HOST_NAME, dhcp.writeText(random.pick(['alpha', 'beta', 'a b', ''])));
    if (random.chance(30)) options.set(dhcp.OPTION_CLIENT_ID, random.bytes(random.below(20)));
    if (random.chance(50)) options.set(dhcp.OPTION_PARAMETER_LIST, random.bytes(random.below(30)));
    if (random.chance(20)) options.set(dhcp.OPTION_CLIENT_FQDN, random.bytes(random.below(30)));
    if (random.chance(10)) options.set(dhcp.OPTION_MAX_MESSAGE_SIZE, dhcp.writeU16(random.below(65536)));
    const message = new Uint8Array(240 + 1472);
    message.set([1, 1, 6, 0]);
    putU32(message, 4, random.next());
    if (random.chance(30)) putU16(message, 10, dhcp.FLAG_BROADCAST);
    if (random.chance(25)) putU32(message, 12, address);
    message.set(macBytes(guest.srcMac), 28);
    message.set([99, 130, 83, 99], 236);
    let end = 240;
    for (const [code, value] of options) {
      message.set([code, value.length, ...value], end);
      end += 2 + value.length;
    }
    message[end++] = 255;
    const [src, dst] = random.chance(75) ? ['0.0.0.0', '255.255.255.255'] : [guest.src, GATEWAY];
    const dstMac = dst === GATEWAY ? {} : { dstMac: 'ff:ff:ff:ff:ff:ff' };
    return udpFrame({ ...guest, src, dst, ...dstMac, sport: 68, dport: 67, data: message.slice(0, end) });
  }

  private arp(): Uint8Array {
    const { random } = this;
    const guest = random.pick(GUESTS);
    const spa = random.chance(80) ? guest.src : random.pick([...NEAR, ...ODD, ...GUESTS.map((g) => g.src)]);
    const tpa = random.pick([GATEWAY, DNS, ...ODD]);
    return arpFrame({ op: 1 + random.below(2), srcMac: guest.srcMac, spa, tpa });
  }

  private echo(): Uint8Array {
    const { random } = this;
    const type = random.chance(80) ? icmp.TYPE_ECHO : random.below(20);
    return echoFrame({ ...this.addresses(), id: random.below(4), seq: random.below(9), data: this.payload(), type });
  }

  /** An ICMP error about something the router has sent. */
  private error(): Uint8Array {
    const { random } = this;
    const about = this.heard.length === 0 ? random.pick(this.sound) : random.pick(this.heard);
    const quote = about.slice(L3, L3 + 20 + random.below(40));
    const type = random.pick([icmp.TYPE_UNREACHABLE, icmp.TYPE_TIME_EXCEEDED, icmp.TYPE_REDIRECT, 12, 4]);
    const message = new Uint8Array(8 + quote.length);
    message.set([type, type === 3 ? random.below(16) : random.below(2)]);
    putU32(message, 4, random.pick([0, 68, 552, 576, 1280, 1400, 65535]));
    message.set(quote, 8);
    const f = ipFrame({ ...random.pick(GUESTS), dst: random.pick(NEAR) }, ipv4.PROTO_ICMP, message);
    mend(f, false);
    return f;
  }

  private tftp(): Uint8Array {
    const { random } = this;
    const words = [random.pick(['boot', 'large', '../x', '']), random.pick(['octet', 'netascii', 'mail'])];
    for (const [name, values] of [
      ['blksize', ['8', '1428', '65464', '7', 'x']],
      ['timeout', ['1', '255']],
      ['tsize', ['0']],
      ['windowsize', ['1', '4', '64', '65535', '0']],
    ] as const) {
      if (random.chance(40)) words.push(name, random.pick(values));
    }
    const data = Uint8Array.from([0, 1 + random.below(2), ...Buffer.from(words.map((word) => `${word}\0`).join(''))]);
    return udpFrame({ ...random.pick(GUESTS), dst: GATEWAY, sport: random.pick(PORTS), dport: 69, data });
  }

  /** What a guest says to a frame of the router, if anything. */
  private answer(): Uint8Array | null {
    const { random } = this;
    if (this.heard.length === 0) return null;
    const f = random.pick(this.heard);
    if (u16(f, 12) === 0x0806) {
      if (arp.op(f, L3) !== arp.OP_REQUEST) return null;
      const spa = formatIpv4(arp.targetIp(f, L3));
      const guest = GUESTS.find((g) => g.src === spa) ?? random.pick(GUESTS);
      return arpFrame({ op: arp.OP_REPLY, srcMac: guest.srcMac, spa, tpa: formatIpv4(arp.senderIp(f, L3)) });
    }
    const src = formatIpv4(ipv4.dst(f, L3));
    const guest = GUESTS.find((g) => g.src === src) ?? random.pick(GUESTS);
    const addressing = { srcMac: guest.srcMac, src, dst: formatIpv4(ipv4.src(f, L3)) };
    if (ipv4.isFragment(f, L3)) return null;
    if (ipv4.protocol(f, L3) === ipv4.PROTO_TCP) return this.answerSegment(f, addressing);
    if (ipv4.protocol(f, L3) !== ipv4.PROTO_UDP) return null;
    const ports = { sport: u16(f, L4 + 2), dport: u16(f, L4) };
    if (ports.dport === 67) return this.dhcp();
    const op = f.length > L4 + 12 && ports.dport >= 49_152 ? tftp.opcode(f, L4 + 8) : 0;
    if (op === tftp.OP_DATA || op === tftp.OP_OACK) {
      const n = op === tftp.OP_OACK ? 0 : tftp.block(f, L4 + 8);
      return udpFrame({ ...addressing, ...ports, data: Uint8Array.of(0, 4, n >> 8, n & 255) });
    }
    return udpFrame({ ...addressing, ...ports, data: this.payload() });
  }

  private answerSegment(f: Uint8Array, addressing: Addressing): Uint8Array {
    const { random } = this;
    const bits = tcp.flags(f, L4);
    const len = L3 + ipv4.totalLen(f, L3) - tcp.payload(f, L4);
    const flags =
      bits & tcp.SYN && !(bits & tcp.ACK)
        ? random.pick(['SA', 'SA', 'SA', 'RA', 'A'])
        : random.pick(['A', 'A', 'A', 'AP', 'AP', 'AP', 'AF', 'RA', 'S']);
    const seq = bits & tcp.ACK ? tcp.ack(f, L4) : random.next();
    const off = random.chance(80) ? 0 : random.below(4000) - 2000;
    return tcpFrame({
      ...addressing,
      sport: tcp.dstPort(f, L4),
      dport: tcp.srcPort(f, L4),
      seq: (seq + off) >>> 0,
      ack: (tcp.seq(f, L4) + len + (bits & (tcp.SYN | tcp.FIN) ? 1 : 0) + (random.chance(90) ? 0 : off)) >>> 0,
      flags,
      window: random.chance(60) ? 65535 : random.pick(WINDOWS),
      options: Uint8Array.from(random.pick(OPTIONS)),
      ...(flags === 'AP' ? { data: this.payload() } : {}),
    });
  }

  /** The first piece of a frame; the others come later, in any order, perhaps twice, overlapping or not at all. */
  private cut(f: Uint8Array): Uint8Array {
    const { random } = this;
    const total = f.length - L4;
    const size = Math.max(8, (random.below(total) >> 3) << 3);
    const id = random.below(4);
    const cuts: Cut[] = [];
    for (let from = 0; from < total; from += size) cuts.push({ from, to: Math.min(total, from + size), id });
    if (random.chance(15)) cuts.push({ from: 8 * random.below(8), to: 64 + 8 * random.below(9), id });
    for (const each of cuts.slice(0, PIECES_MAX)) {
      if (this.pieces.length < PIECES_MAX && each.to > each.from) this.pieces.push(fragment(f, each));
    }
    return this.pieces.shift() ?? f;
  }
}
