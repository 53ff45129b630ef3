import test from 'ava';
import fc from 'fast-check';
import { Drop } from '../../src/core/drop.ts';
import { pseudoIpv4 } from '../../src/wire/checksum.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as tcp from '../../src/wire/tcp.ts';
import { frame, frameNames } from '../support/frames.ts';
import { hex, toHex } from '../support/hex.ts';

const header = (offsetAndFlags: string, ports = '9c40 0050'): string =>
  `${ports} 00000001 00000002 ${offsetAndFlags} faf0 0000 0000`;

const cases = [
  { name: '19 bytes', give: header('5010').slice(0, -2), want: Drop.TcpTruncated },
  { name: 'an ACK alone', give: header('5010'), want: Drop.None },
  { name: 'data offset 4', give: header('4010'), want: Drop.TcpBadOffset },
  { name: 'data offset beyond the packet', give: header('6010'), want: Drop.TcpBadOffset },
  { name: 'data offset 6 with options', give: `${header('6010')} 01010101`, want: Drop.None },
  { name: 'SYN', give: header('5002'), want: Drop.None },
  { name: 'SYN with ECE and CWR (RFC 3168)', give: header('50c2'), want: Drop.None },
  { name: 'SYN with PSH', give: header('500a'), want: Drop.None },
  { name: 'RST', give: header('5004'), want: Drop.None },
  { name: 'RST,ACK,FIN', give: header('5015'), want: Drop.None },
  { name: 'SYN,FIN', give: header('5003'), want: Drop.TcpBadFlags },
  { name: 'SYN,RST', give: header('5006'), want: Drop.TcpBadFlags },
  { name: 'SYN,ACK,FIN', give: header('5013'), want: Drop.TcpBadFlags },
  { name: 'no flags', give: header('5000'), want: Drop.TcpBadFlags },
  { name: 'ECE and CWR alone', give: header('50c0'), want: Drop.TcpBadFlags },
  { name: 'all flags', give: header('50ff'), want: Drop.TcpBadFlags },
  { name: 'source port 0', give: header('5010', '0000 0050'), want: Drop.TcpBadPort },
  { name: 'destination port 0', give: header('5010', '9c40 0000'), want: Drop.TcpBadPort },
];
for (const { name, give, want } of cases) {
  test(`tcp.check: ${name}`, (t) => t.is(tcp.check(hex(give), 0, hex(give).length), want));
}

test('fields of a captured SYN,ACK', (t) => {
  const b = frame('tcp-syn-ack');
  t.is(tcp.check(b, 34, b.length), Drop.None);
  t.is(tcp.srcPort(b, 34), 8080);
  t.is(tcp.dstPort(b, 34), 43352);
  t.is(tcp.seq(b, 34), 409986374);
  t.is(tcp.ack(b, 34), 3512828844);
  t.is(tcp.dataOffset(b, 34), 40);
  t.is(tcp.flags(b, 34), tcp.SYN | tcp.ACK);
  t.is(tcp.window(b, 34), 65160);
  t.is(tcp.urgent(b, 34), 0);
  t.is(tcp.payload(b, 34), 74);
});

const pseudoOf = (b: Uint8Array): number => pseudoIpv4(ipv4.src(b, 14), ipv4.dst(b, 14), ipv4.PROTO_TCP);

for (const name of frameNames().filter((n) => n.startsWith('tcp-'))) {
  test(`${name}: the checksum is right, wrong after one bit, and written the same`, (t) => {
    const b = frame(name);
    t.true(tcp.checksumOk(b, 34, b.length, pseudoOf(b)));
    const out = b.slice();
    out[b.length - 1]! ^= 0x10;
    t.false(tcp.checksumOk(out, 34, b.length, pseudoOf(b)));
    out[b.length - 1]! ^= 0x10;
    out.fill(0, 50, 52);
    tcp.writeChecksum(out, 34, b.length - 34, pseudoOf(b));
    t.is(toHex(out), toHex(b));
  });
}

test('writeHeader gives the captured header of an RST', (t) => {
  const b = frame('tcp-rst');
  const out = b.slice();
  out.fill(0xee, 34);
  tcp.writeHeader(out, 34, 9999, 55724, 0, tcp.ack(b, 34), 20, tcp.RST | tcp.ACK, 0);
  tcp.writeChecksum(out, 34, 20, pseudoOf(b));
  t.is(toHex(out), toHex(b));
});

test('what writeHeader writes reads the same', (t) => {
  const port = fc.integer({ min: 1, max: 0xffff });
  fc.assert(
    fc.property(
      port,
      port,
      fc.integer(),
      fc.integer(),
      fc.nat(10),
      fc.nat(0xff),
      fc.nat(0xffff),
      (sp, dp, s, a, words, flags, win) => {
        const b = new Uint8Array(64).fill(0xee);
        tcp.writeHeader(b, 2, sp, dp, s, a, 20 + 4 * words, flags, win);
        t.is(tcp.srcPort(b, 2), sp);
        t.is(tcp.dstPort(b, 2), dp);
        t.is(tcp.seq(b, 2), s >>> 0);
        t.is(tcp.ack(b, 2), a >>> 0);
        t.is(tcp.dataOffset(b, 2), 20 + 4 * words);
        t.is(tcp.flags(b, 2), flags);
        t.is(tcp.window(b, 2), win);
        t.is(tcp.checksum(b, 2), 0);
        t.is(tcp.urgent(b, 2), 0);
        t.is(b[22], 0xee);
      },
    ),
    { numRuns: 100 },
  );
});

const summaries = [
  {
    give: 'tcp-syn',
    want: 'TCP 43352 > 8080 [S] seq 3512828843 win 64240 <mss 1460,sackOK,TS val 897928039 ecr 0,wscale 10> len 0',
  },
  { give: 'tcp-rst', want: 'TCP 9999 > 55724 [R.] seq 0 ack 1674350258 win 0 len 0' },
  {
    give: 'tcp-ack-sack1',
    want: 'TCP 8080 > 43352 [.] seq 409986375 ack 3512833188 win 73 <TS val 3007739926 ecr 897928039,sack 3512834636:3512845228> len 0',
  },
];
for (const { give, want } of summaries) {
  test(`tcp.summary: ${want}`, (t) => t.is(tcp.summary(frame(give), 34, frame(give).length), want));
}

test('tcp.summary: broken segments', (t) => {
  const line = (text: string): string => tcp.summary(hex(text), 0, hex(text).length);
  t.is(line('9c40 0050'), 'TCP [tcp_truncated]');
  t.is(line(header('f010')), 'TCP 40000 > 80 [.] seq 1 ack 2 win 64240 [tcp_bad_offset]');
  t.is(line(header('5003')), 'TCP 40000 > 80 [FS] seq 1 win 64240 len 0 [tcp_bad_flags]');
  t.is(line(header('5000')), 'TCP 40000 > 80 [none] seq 1 win 64240 len 0 [tcp_bad_flags]');
  t.is(line(header('5030')), 'TCP 40000 > 80 [U.] seq 1 ack 2 win 64240 urg 0 len 0');
});
