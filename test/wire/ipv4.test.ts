import test from 'ava';
import fc from 'fast-check';
import { parseIpv4 } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import { putU16 } from '../../src/wire/bytes.ts';
import { finish, partial } from '../../src/wire/checksum.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { frame } from '../support/frames.ts';
import { hex, toHex } from '../support/hex.ts';

/** Fills in the header checksum, so that a case shows one fault only. */
function summed(text: string): Uint8Array {
  const b = hex(text);
  const len = Math.min((b[0]! & 15) * 4, b.length);
  putU16(b, 10, 0);
  putU16(b, 10, finish(partial(b, 0, len, 0)));
  return b;
}

const ADDRESSES = '0a00020f 01010101';
const plain = (first: string, total: string, rest = ''): string =>
  `${first}00 ${total} 1234 4000 40 11 0000 ${ADDRESSES} ${rest}`;

const cases = [
  { name: 'a header alone', give: summed(plain('45', '0014')), want: Drop.None },
  { name: 'Ethernet padding behind it', give: summed(plain('45', '0014', '00000000')), want: Drop.None },
  { name: '19 bytes', give: summed(plain('45', '0014')).slice(0, 19), want: Drop.Ipv4Truncated },
  { name: 'no bytes', give: new Uint8Array(0), want: Drop.Ipv4Truncated },
  { name: 'version 6', give: summed(plain('65', '0014')), want: Drop.Ipv4BadVersion },
  { name: 'header length 16', give: summed(plain('44', '0014')), want: Drop.Ipv4BadHeaderLength },
  { name: 'header longer than the frame', give: summed(plain('46', '0018')), want: Drop.Ipv4BadHeaderLength },
  { name: 'total length below the header', give: summed(plain('45', '0013')), want: Drop.Ipv4BadLength },
  {
    name: 'total length below a header with options',
    give: summed(plain('46', '0014', '01010101')),
    want: Drop.Ipv4BadLength,
  },
  { name: 'total length beyond the frame', give: summed(plain('45', '0015')), want: Drop.Ipv4BadLength },
  { name: 'wrong checksum', give: hex(plain('45', '0014')), want: Drop.Ipv4BadChecksum },
  { name: 'options: NOP and end', give: summed(plain('46', '0018', '01010000')), want: Drop.None },
  { name: 'options: router alert', give: summed(plain('46', '0018', '94040000')), want: Drop.None },
  {
    name: 'options: record route is ignored',
    give: summed(plain('47', '001c', '0707 04 00000000 00')),
    want: Drop.None,
  },
  {
    name: 'options: loose source route',
    give: summed(plain('47', '001c', '8307 04 08080808 00')),
    want: Drop.Ipv4SourceRoute,
  },
  {
    name: 'options: strict source route behind NOP',
    give: summed(plain('47', '001c', '01 8907 04 08080808')),
    want: Drop.Ipv4SourceRoute,
  },
  {
    name: 'options: source route behind the end is data',
    give: summed(plain('47', '001c', '00 8907 04 08080808')),
    want: Drop.None,
  },
  { name: 'options: length 0', give: summed(plain('46', '0018', '44000000')), want: Drop.Ipv4BadOption },
  { name: 'options: length 1', give: summed(plain('46', '0018', '44010000')), want: Drop.Ipv4BadOption },
  {
    name: 'options: length beyond the header',
    give: summed(plain('46', '0018', '44050000')),
    want: Drop.Ipv4BadOption,
  },
  { name: 'options: length byte missing', give: summed(plain('46', '0018', '01010144')), want: Drop.Ipv4BadOption },
];
for (const { name, give, want } of cases) {
  test(`ipv4.check: ${name}`, (t) => t.is(ipv4.check(give, 0, give.length), want));
}

test('fields of a captured packet', (t) => {
  const b = frame('tcp-syn');
  t.is(ipv4.check(b, 14, b.length), Drop.None);
  t.is(ipv4.headerLen(b, 14), 20);
  t.is(ipv4.tos(b, 14), 0);
  t.is(ipv4.totalLen(b, 14), 60);
  t.is(ipv4.id(b, 14), 0x9606);
  t.true(ipv4.dontFragment(b, 14));
  t.false(ipv4.isFragment(b, 14));
  t.is(ipv4.ttl(b, 14), 64);
  t.is(ipv4.protocol(b, 14), ipv4.PROTO_TCP);
  t.is(ipv4.src(b, 14), parseIpv4('10.9.0.1'));
  t.is(ipv4.dst(b, 14), parseIpv4('10.9.0.2'));
});

test('fields of a captured last fragment', (t) => {
  const b = frame('icmp-fragment-last');
  t.true(ipv4.isFragment(b, 14));
  t.false(ipv4.moreFragments(b, 14));
  t.false(ipv4.dontFragment(b, 14));
  t.is(ipv4.fragOffset(b, 14), 1480);
});

test('a first fragment is a fragment, an atomic packet with DF is not', (t) => {
  const b = hex(plain('45', '0014'));
  t.false(ipv4.isFragment(b, 0));
  putU16(b, 6, 0x2000);
  t.true(ipv4.isFragment(b, 0));
  t.true(ipv4.moreFragments(b, 0));
  t.is(ipv4.fragOffset(b, 0), 0);
  putU16(b, 6, 0x1fff);
  t.is(ipv4.fragOffset(b, 0), 65528);
});

test('writeHeader gives the header of a captured packet', (t) => {
  const b = frame('tcp-syn');
  const out = new Uint8Array(22);
  ipv4.writeHeader(out, 2, 60, 0x9606, 64, 6, parseIpv4('10.9.0.1'), parseIpv4('10.9.0.2'), 0, true);
  t.is(toHex(out), `0000${toHex(b.slice(14, 34))}`);
});

test('what writeHeader writes passes check and reads the same', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 20, max: 1500 }),
      fc.nat(0xffff),
      fc.nat(255),
      fc.nat(255),
      fc.integer(),
      fc.integer(),
      fc.nat(255),
      fc.boolean(),
      (totalLen, id, ttl, protocol, src, dst, tos, df) => {
        const b = new Uint8Array(1500).fill(0xee);
        ipv4.writeHeader(b, 0, totalLen, id, ttl, protocol, src, dst, tos, df);
        t.is(ipv4.check(b, 0, b.length), Drop.None);
        t.is(ipv4.totalLen(b, 0), totalLen);
        t.is(ipv4.id(b, 0), id);
        t.is(ipv4.ttl(b, 0), ttl);
        t.is(ipv4.protocol(b, 0), protocol);
        t.is(ipv4.src(b, 0), src >>> 0);
        t.is(ipv4.dst(b, 0), dst >>> 0);
        t.is(ipv4.tos(b, 0), tos);
        t.is(ipv4.dontFragment(b, 0), df);
        t.false(ipv4.isFragment(b, 0));
        t.is(b[20], 0xee);
      },
    ),
    { numRuns: 200 },
  );
});

test('setFragment marks a part and keeps the checksum right', (t) => {
  const b = new Uint8Array(28);
  ipv4.writeHeader(b, 0, 28, 7, 64, 17, 0x0a000001, 0x0a000002, 0, false);
  ipv4.setFragment(b, 0, 1480, true);
  t.is(ipv4.check(b, 0, 28), Drop.None);
  t.is(ipv4.fragOffset(b, 0), 1480);
  t.true(ipv4.moreFragments(b, 0));
  ipv4.setFragment(b, 0, 2960, false);
  t.is(ipv4.check(b, 0, 28), Drop.None);
  t.is(ipv4.fragOffset(b, 0), 2960);
  t.false(ipv4.moreFragments(b, 0));
});

const summaries = [
  { give: frame('tcp-syn').slice(14), want: 'IPv4 10.9.0.1 > 10.9.0.2 proto 6 ttl 64 len 60 DF' },
  {
    give: frame('icmp-fragment-last').slice(14),
    want: 'IPv4 10.9.0.1 > 10.9.0.2 proto 1 ttl 64 len 548 frag 28504:1480',
  },
  { give: hex(plain('45', '0014')), want: 'IPv4 10.0.2.15 > 1.1.1.1 proto 17 ttl 64 len 20 DF [ipv4_bad_checksum]' },
  { give: hex('45 00'), want: 'IPv4 [ipv4_truncated]' },
];
for (const { give, want } of summaries) {
  test(`ipv4.summary: ${want}`, (t) => t.is(ipv4.summary(give, 0, give.length), want));
}
