// Codecs and checksums: what a packet passes on its way.

import { parseIpv4, parseMac } from '../../src/core/address.ts';
import * as checksum from '../../src/wire/checksum.ts';
import * as dhcpv4 from '../../src/wire/dhcpv4.ts';
import * as dns from '../../src/wire/dns.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import * as tcp from '../../src/wire/tcp.ts';
import * as udp from '../../src/wire/udp.ts';
import type { Case } from './case.ts';

const b = new Uint8Array(new ArrayBuffer(4096));
const L3 = 16;
const SRC = parseIpv4('10.0.2.15');
const DST = parseIpv4('198.51.100.2');
let sink = 0;

const each =
  (operation: () => number) =>
  (n: number): void => {
    for (let i = 0; i < n; i++) sink = (sink + operation()) | 0;
  };

/** A DISCOVER as a Linux guest sends it. */
function discover(): Uint8Array {
  const m = new Uint8Array(300);
  m.set([1, 1, 6, 0, 1, 2, 3, 4]);
  m.set(parseMac('52:54:00:12:34:56')!, 28);
  m.set([99, 130, 83, 99, 53, 1, 1, 57, 2, 2, 64, 55, 7, 1, 3, 6, 12, 15, 28, 42, 60, 4, 117, 100, 104, 112, 255], 236);
  return m;
}

/** A query for www.example.org with EDNS, as resolvers send it. */
function query(): Uint8Array {
  const name = dns.writeName('www.example.org');
  const m = new Uint8Array(dns.HEADER_LEN + name.length + 4 + dns.OPT_LEN);
  m.set([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
  m.set(name, dns.HEADER_LEN);
  m.set([0, dns.TYPE_A, 0, dns.CLASS_IN], dns.HEADER_LEN + name.length);
  dns.writeOpt(m, m.length - dns.OPT_LEN);
  return m;
}

const WIRE: readonly Case[] = [
  {
    name: 'checksum: 1460 bytes',
    prepare: () => each(() => checksum.partial(b, 64, 1460, 0)),
  },
  {
    name: 'checksum: 40 bytes',
    prepare: () => each(() => checksum.partial(b, 64, 40, 0)),
  },
  {
    name: 'ipv4: check a header',
    prepare: () => {
      ipv4.writeHeader(b, L3, 1500, 0, 64, ipv4.PROTO_TCP, SRC, DST, 0, true);
      return each(() => ipv4.check(b, L3, L3 + 1500));
    },
  },
  {
    name: 'ipv4: write a header',
    prepare: () =>
      each(() => {
        ipv4.writeHeader(b, L3, 1500, 0, 64, ipv4.PROTO_TCP, SRC, DST, 0, true);
        return 1;
      }),
  },
  {
    name: 'tcp: check a segment of 1460 bytes with its checksum',
    prepare: () => {
      const m = new Uint8Array(1480);
      m[12] = 0x50;
      m[13] = tcp.ACK;
      const pseudo = checksum.pseudoIpv4(SRC, DST, ipv4.PROTO_TCP);
      tcp.writeChecksum(m, 0, m.length, pseudo);
      return each(() => tcp.check(m, 0, m.length) + (tcp.checksumOk(m, 0, m.length, pseudo) ? 1 : 0));
    },
  },
  {
    name: 'udp: check a datagram of 64 bytes with its checksum',
    prepare: () => {
      const m = new Uint8Array(72);
      const pseudo = checksum.pseudoIpv4(SRC, DST, ipv4.PROTO_UDP);
      udp.write(m, 0, 1024, 53, m.length);
      udp.writeChecksum(m, 0, pseudo);
      return each(() => udp.check(m, 0, m.length) + (udp.checksumOk(m, 0, pseudo) ? 1 : 0));
    },
  },
  {
    name: 'ipv6: check a header',
    prepare: () => {
      const m = new Uint8Array(60);
      m.set([0x60, 0, 0, 0, 0, 20, 6, 64]);
      m.set([0x20, 1, 0x0d, 0xb8], 8);
      m.set([0x20, 1, 0x0d, 0xb8], 24);
      m[39] = 2;
      return each(() => ipv6.check(m, 0, m.length));
    },
  },
  {
    name: 'dhcp: parse a DISCOVER',
    prepare: () => {
      const m = discover();
      return each(() => dhcpv4.parse(m, 0, m.length)!.op);
    },
  },
  {
    name: 'dhcp: parse, and write it again',
    prepare: () => {
      const m = discover();
      return each(() => dhcpv4.write(dhcpv4.parse(m, 0, m.length)!).length);
    },
  },
  {
    name: 'dns: check a query',
    prepare: () => {
      const m = query();
      return each(() => dns.check(m, 0, m.length) + dns.qtype(m, 0, m.length) + dns.ednsUdpSize(m, 0, m.length));
    },
  },
];

export default WIRE;
