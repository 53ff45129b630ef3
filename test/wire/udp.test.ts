import test from 'ava';
import fc from 'fast-check';
import { Drop } from '../../src/core/drop.ts';
import { pseudoIpv4 } from '../../src/wire/checksum.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as udp from '../../src/wire/udp.ts';
import { frame } from '../support/frames.ts';
import { hex, toHex } from '../support/hex.ts';

const cases = [
  { name: 'header cut short', give: '0035 a001 0008', want: Drop.UdpTruncated },
  { name: 'length below the header', give: '0035 a001 0007 0000', want: Drop.UdpBadLength },
  { name: 'length beyond the packet', give: '0035 a001 000a 0000 41', want: Drop.UdpBadLength },
  { name: 'length 0 (no jumbograms over IPv4)', give: '0035 a001 0000 0000', want: Drop.UdpBadLength },
  { name: 'a header alone', give: '0035 a001 0008 0000', want: Drop.None },
  { name: 'trailing padding is fine', give: '0035 a001 0008 0000 0000', want: Drop.None },
  { name: 'source port 0 wants no answer', give: '0000 a001 0008 0000', want: Drop.None },
  { name: 'destination port 0', give: '0035 0000 0008 0000', want: Drop.UdpBadPort },
];
for (const { name, give, want } of cases) {
  test(`udp.check: ${name}`, (t) => t.is(udp.check(hex(give), 0, hex(give).length), want));
}

const pseudoOf = (b: Uint8Array): number => pseudoIpv4(ipv4.src(b, 14), ipv4.dst(b, 14), ipv4.PROTO_UDP);

test('fields and checksum of a captured datagram', (t) => {
  const b = frame('udp-dns-query');
  t.is(udp.check(b, 34, b.length), Drop.None);
  t.is(udp.srcPort(b, 34), 33838);
  t.is(udp.dstPort(b, 34), 53);
  t.is(udp.length(b, 34), 64);
  t.is(udp.payload(b, 34), 42);
  t.true(udp.checksumOk(b, 34, pseudoOf(b)));
  b[60]! ^= 1;
  t.false(udp.checksumOk(b, 34, pseudoOf(b)));
});

test('RFC 768: a checksum of 0 means that there is none', (t) => {
  const b = frame('udp-dns-query');
  b.fill(0, 40, 42);
  t.true(udp.checksumOk(b, 34, pseudoOf(b)));
});

test('write and writeChecksum give the captured header', (t) => {
  const b = frame('udp-dns-query');
  const out = b.slice();
  out.fill(0xee, 34, 42);
  udp.write(out, 34, 33838, 53, 64);
  t.is(udp.checksum(out, 34), 0);
  udp.writeChecksum(out, 34, pseudoOf(b));
  t.is(toHex(out), toHex(b));
});

test('what is written passes, and its checksum is never 0', (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 100 }),
      fc.nat(0xffff),
      fc.integer({ min: 1, max: 0xffff }),
      (data, src, dst) => {
        const b = new Uint8Array(8 + data.length);
        b.set(data, 8);
        udp.write(b, 0, src, dst, b.length);
        // A pseudo-header sum that makes the total come out as 0xffff: the case RFC 768 makes an exception for.
        udp.writeChecksum(b, 0, 0);
        const pseudo = udp.checksum(b, 0);
        b.fill(0, 6, 8);
        udp.writeChecksum(b, 0, pseudo);
        t.is(udp.checksum(b, 0), 0xffff);
        t.is(udp.check(b, 0, b.length), Drop.None);
        t.true(udp.checksumOk(b, 0, pseudo));
      },
    ),
    { numRuns: 100 },
  );
});

test('udp.summary', (t) => {
  const line = (text: string): string => udp.summary(hex(text), 0, hex(text).length);
  t.is(line('0035 a001 0009 0000 41'), 'UDP 53 > 40961 len 1');
  t.is(line('0035 a001 000a 0000 41'), 'UDP 53 > 40961 len 2 [udp_bad_length]');
  t.is(line('0035 a001'), 'UDP [udp_truncated]');
});
