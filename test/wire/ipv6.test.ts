import test from 'ava';
import fc from 'fast-check';
import { Endpoint, formatAddress, formatIpv4, parseAddress, parseIpv4 } from '../../src/core/address.ts';
import { Drop, type DropName } from '../../src/core/drop.ts';
import { TranslatedError } from '../../src/wire/icmp-translate.ts';
import * as icmp from '../../src/wire/icmpv6.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import * as mld from '../../src/wire/mld.ts';
import { embed, extract, holds, type Nat64Prefix, PREFIX_LENGTHS } from '../../src/wire/nat64.ts';
import * as ndp from '../../src/wire/ndp.ts';
import { packet6Summary } from '../../src/wire/summary.ts';
import { hex } from '../support/hex.ts';

const ADDRESSES = '20010db8000200000000000000000015 20010db8000200000000000000000001';
/** A packet of a next header, and what follows the IPv6 header. */
const packet = (next: string, rest = '', len = hex(rest).length): Uint8Array =>
  hex(`60000000 ${len.toString(16).padStart(4, '0')} ${next} 40 ${ADDRESSES} ${rest}`);

for (const { name, give, want } of [
  { name: 'cut short', give: packet('3b').subarray(0, 39), want: Drop.Ipv6Truncated },
  { name: 'version 4', give: Uint8Array.from(packet('3b'), (x, i) => (i === 0 ? 0x45 : x)), want: Drop.Ipv6BadVersion },
  { name: 'payload beyond the frame', give: packet('3b', '00', 2), want: Drop.Ipv6BadLength },
  { name: 'padding behind it is fine', give: packet('3b', '0000', 1), want: Drop.None },
  { name: 'no payload', give: packet('3b'), want: Drop.None },
]) {
  test(`ipv6.check: ${name}`, (t) => t.is(ipv6.check(give, 0, give.length), want));
}

test('fields of a header', (t) => {
  const b = new Uint8Array(40);
  const src = parseAddress('fe80::1')!;
  const dst = parseAddress('ff02::1:ff00:15')!;
  ipv6.writeHeader(b, 0, 32, 58, 255, ...src, ...dst);
  t.deepEqual(
    [ipv6.payloadLen(b, 0), ipv6.nextHeader(b, 0), ipv6.hopLimit(b, 0), ipv6.trafficClass(b, 0)],
    [32, 58, 255, 0],
  );
  t.deepEqual(
    [0, 1, 2, 3].map((i) => ipv6.src(b, 0, i)),
    src,
  );
  t.deepEqual(
    [0, 1, 2, 3].map((i) => ipv6.dst(b, 0, i)),
    dst,
  );
});

const PAD6 = '0104 00000000';
const padded = (next: string, kind: string): string => `${next} 00 ${kind}`;
const chains: { name: string; next: string; rest: string; want: string }[] = [
  { name: 'none', next: '11', rest: '', want: '17 at 40' },
  { name: 'hop-by-hop with padding', next: '00', rest: padded('06', PAD6), want: '6 at 48' },
  { name: 'router alert', next: '00', rest: padded('3a', '0502 0000 0100'), want: '58 at 48' },
  {
    name: 'destination options twice',
    next: '3c',
    rest: `${padded('3c', PAD6)} ${padded('11', PAD6)}`,
    want: '17 at 56',
  },
  { name: 'an unknown option to skip', next: '3c', rest: padded('11', '1e04 00000000'), want: '17 at 48' },
  { name: 'an unknown option: discard', next: '3c', rest: padded('11', '5e04 00000000'), want: 'Ipv6UnknownOption -1' },
  {
    name: 'an unknown option: tell all',
    next: '3c',
    rest: padded('11', '9e04 00000000'),
    want: 'Ipv6UnknownOption 2 42 even',
  },
  { name: 'an unknown option: tell', next: '3c', rest: padded('11', '0100 de02 0000'), want: 'Ipv6UnknownOption 2 44' },
  { name: 'a jumbo payload option', next: '00', rest: padded('11', 'c204 00010000'), want: 'Ipv6UnknownOption 2 42' },
  { name: 'an option past the end', next: '3c', rest: padded('11', '0105 00000000'), want: 'Ipv6BadExtension -1' },
  { name: 'an option without length', next: '3c', rest: padded('11', '0000 0000 0001'), want: 'Ipv6BadExtension -1' },
  { name: 'a header cut short', next: '3c', rest: '1100 0104', want: 'Ipv6BadExtension -1' },
  { name: 'a header longer than the packet', next: '3c', rest: '1101 0104 00000000', want: 'Ipv6BadExtension -1' },
  {
    name: 'hop-by-hop not first',
    next: '3c',
    rest: `${padded('00', PAD6)} ${padded('11', PAD6)}`,
    want: 'Ipv6BadExtension 1 40',
  },
  { name: 'RFC 5095 3: routing type 0, used up', next: '2b', rest: '1100 0000 00000000', want: '17 at 48' },
  {
    name: 'RFC 5095 3: routing type 0, with segments left',
    next: '2b',
    rest: '1102 0001 00000000 20010db8000000000000000000000001',
    want: 'Ipv6RoutingHeader 0 42',
  },
  { name: 'routing of another type, used up', next: '2b', rest: '1100 0400 00000000', want: '17 at 48' },
  {
    name: 'routing of another type, with segments left',
    next: '2b',
    rest: '1100 0401 00000000',
    want: 'Ipv6RoutingHeader 0 42',
  },
  { name: 'a fragment header', next: '2c', rest: '1100 0001 12345678', want: '44 at 40' },
  { name: 'a fragment header cut short', next: '2c', rest: '1100 0001', want: 'Ipv6BadExtension -1' },
  { name: 'eight headers', next: '3c', rest: padded('3c', PAD6).repeat(7) + padded('11', PAD6), want: '17 at 104' },
  {
    name: 'nine headers',
    next: '3c',
    rest: padded('3c', PAD6).repeat(8) + padded('11', PAD6),
    want: 'Ipv6TooManyExtensions -1',
  },
  {
    name: 'too many bytes',
    next: '3c',
    rest: `1120 01ff ${'00'.repeat(255)} ${'00'.repeat(5)}`,
    want: 'Ipv6TooManyExtensions -1',
  },
  { name: 'no next header', next: '3b', rest: '', want: '59 at 40' },
];
for (const { name, next, rest, want } of chains) {
  test(`extension headers: ${name}`, (t) => {
    const b = packet(next, rest);
    const chain = new ipv6.HeaderChain();
    const why = chain.walk(b, 0, ipv6.nextHeader(b, 0), 40, 6, b.length);
    const name = Object.keys(Drop).find((key) => Drop[key as DropName] === why);
    const told = chain.problem < 0 ? '-1' : `${chain.problem} ${chain.pointer}${chain.evenToGroup ? ' even' : ''}`;
    t.is(why === Drop.None ? `${chain.protocol} at ${chain.at}` : `${name} ${told}`, want);
  });
}

test('a fragment header says what it was given', (t) => {
  const b = new Uint8Array(8);
  ipv6.writeFragment(b, 0, 17, 1232, true, 0x89abcdef);
  t.deepEqual(
    [b[0], ipv6.fragOffset(b, 0), ipv6.moreFragments(b, 0), ipv6.fragId(b, 0)],
    [17, 1232, true, 0x89abcdef | 0],
  );
  t.is(ipv6.fragmentSummary(b, 0), 'frag 89abcdef:1232+');
});

// ---- Neighbor Discovery

const NS = '8700 0000 00000000 20010db8000200000000000000000001';
for (const { name, give, want } of [
  { name: 'a solicitation without options', give: NS, want: Drop.None },
  { name: 'with a source link-layer address', give: `${NS} 0101 525400123456`, want: Drop.None },
  { name: 'with options that are not known', give: `${NS} fd01 000000000000 0e01 010203040506`, want: Drop.None },
  { name: 'an option of length 0', give: `${NS} 0100 525400123456`, want: Drop.NdMalformed },
  { name: 'an option past the end', give: `${NS} 0102 525400123456`, want: Drop.NdMalformed },
  { name: 'half an option', give: `${NS} 0101 5254`, want: Drop.NdMalformed },
  { name: 'cut short', give: NS.slice(0, 41), want: Drop.NdMalformed },
  { name: 'a router solicitation', give: '8500 0000 00000000 0101 525400123456', want: Drop.None },
]) {
  test(`ndp.check: ${name}`, (t) => t.is(ndp.check(hex(give), 0, hex(give).length), want));
}

test('an advertisement reads as it was written', (t) => {
  const b = new Uint8Array(ndp.MESSAGE_LEN);
  const target = parseAddress('2001:db8:2::1')!;
  ndp.write(
    b,
    0,
    icmp.TYPE_NEIGHBOR_ADVERTISEMENT,
    ndp.FLAG_ROUTER | ndp.FLAG_SOLICITED,
    ...target,
    0x5255,
    0x0a000202,
  );
  t.is(ndp.check(b, 0, b.length), Drop.None);
  t.deepEqual(
    [0, 1, 2, 3].map((i) => ndp.target(b, 0, i)),
    target,
  );
  t.is(ndp.flags(b, 0), 0xc0);
  const at = ndp.option(b, 0, b.length, ndp.OPTION_TARGET_LINK_ADDRESS);
  t.deepEqual([at, ndp.linkHi(b, at), ndp.linkLo(b, at)], [24, 0x5255, 0x0a000202]);
  t.is(ndp.option(b, 0, b.length, ndp.OPTION_SOURCE_LINK_ADDRESS), -1);
});

// ---- MLD

test('RFC 3810 5.1.3: the response time of a query', (t) => {
  const query = (code: number, len = 28): number =>
    mld.maxResponseMs(Uint8Array.of(130, 0, 0, 0, code >>> 8, code, ...new Array(len - 6).fill(0)), 0, len);
  t.is(query(1000), 1000);
  t.is(query(0x8000), 0x1000 << 3);
  t.is(query(0xffff), 0x1fff << 10);
  t.is(query(0xffff, 24), 0xffff, 'version 1 has no such form');
});

// ---- RFC 6052

const nat = (text: string, prefixLen: number): Nat64Prefix => ({ words: parseAddress(text)!, prefixLen });
// The table of RFC 6052 section 2.4.
for (const [prefix, len, want] of [
  ['2001:db8::', 32, '2001:db8:c000:221::'],
  ['2001:db8:100::', 40, '2001:db8:1c0:2:21::'],
  ['2001:db8:122::', 48, '2001:db8:122:c000:2:2100::'],
  ['2001:db8:122:300::', 56, '2001:db8:122:3c0:0:221::'],
  ['2001:db8:122:344::', 64, '2001:db8:122:344:c0:2:2100:0'],
  ['2001:db8:122:344::', 96, '2001:db8:122:344::c000:221'],
] as const) {
  test(`RFC 6052 2.4: 192.0.2.33 under ${prefix}/${len}`, (t) => {
    const p = nat(prefix, len);
    const out = embed(p, parseIpv4('192.0.2.33'), 80, new Endpoint());
    t.is(out.host, formatAddress(...parseAddress(want)!));
    t.is(out.port, 80);
    t.true(holds(p, out.w0, out.w1, out.w2));
    t.is(formatIpv4(extract(p, out.w1, out.w2, out.w3)), '192.0.2.33');
    t.false(holds(p, out.w0 ^ 1, out.w1, out.w2));
  });
}

test('property: what is embedded is extracted, for all prefix lengths', (t) => {
  const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  fc.assert(
    fc.property(fc.constantFrom(...PREFIX_LENGTHS), word, word, fc.nat(0xffffff), word, (prefixLen, w0, w1, w2, v4) => {
      const mask = (i: number): number => {
        const bits = prefixLen - 32 * i;
        return bits >= 32 ? -1 : bits <= 0 ? 0 : -1 << (32 - bits);
      };
      const p: Nat64Prefix = { words: [w0 & mask(0), w1 & mask(1), w2 & mask(2), 0], prefixLen };
      const out = embed(p, v4, 0, new Endpoint());
      return holds(p, out.w0, out.w1, out.w2) && extract(p, out.w1, out.w2, out.w3) === v4 && out.w2 >>> 24 === 0;
    }),
  );
  t.pass();
});

// ---- RFC 7915

for (const [type, code, value, want] of [
  [3, 0, 0, '1/0 0'],
  [3, 1, 0, '1/0 0'],
  [3, 2, 0, '4/1 6'],
  [3, 3, 0, '1/4 0'],
  [3, 4, 1400, '2/0 1420'],
  [3, 4, 0, '2/0 1280'],
  [3, 9, 0, '1/1 0'],
  [3, 10, 0, '1/1 0'],
  [3, 13, 0, '1/1 0'],
  [3, 14, 0, 'none'],
  [3, 15, 0, '1/1 0'],
  [11, 0, 0, '3/0 0'],
  [11, 1, 0, '3/1 0'],
  [12, 0, 8, '4/0 7'],
  [12, 0, 4, 'none'],
  [12, 1, 0, 'none'],
  [4, 0, 0, 'none'],
  [5, 0, 0, 'none'],
] as const) {
  test(`RFC 7915 4.2: ICMP ${type}/${code} with ${value} is ${want}`, (t) => {
    const out = new TranslatedError();
    t.is(out.fromIpv4(type, code, value) ? `${out.type}/${out.code} ${out.rest}` : 'none', want);
  });
}
for (const [type, code, value, want] of [
  [1, 0, 0, '3/1 0'],
  [1, 1, 0, '3/10 0'],
  [1, 2, 0, '3/1 0'],
  [1, 3, 0, '3/1 0'],
  [1, 4, 0, '3/3 0'],
  [1, 9, 0, 'none'],
  [2, 0, 1400, '3/4 1380'],
  [3, 0, 0, '11/0 0'],
  [4, 0, 7, 'none'],
  [4, 1, 6, '3/2 0'],
  [100, 0, 0, 'none'],
] as const) {
  test(`RFC 7915 5.2: ICMPv6 ${type}/${code} with ${value} is ${want}`, (t) => {
    const out = new TranslatedError();
    t.is(out.fromIpv6(type, code, value) ? `${out.type}/${out.code} ${out.rest}` : 'none', want);
  });
}

test('property: any bytes give a verdict and a summary', (t) => {
  const chain = new ipv6.HeaderChain();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(0, 43, 44, 60, 58, 6), (bytes, next) => {
      const b = Uint8Array.of(0x60, 0, 0, 0, 0, bytes.length, next, 64, ...hex(ADDRESSES), ...bytes);
      const why = chain.walk(b, 0, next, 40, 6, b.length);
      ndp.check(b, 40, b.length);
      t.true(why !== Drop.None || (chain.at >= 40 && chain.at <= b.length));
      t.true(packet6Summary(b, 0, b.length).startsWith('IPv6'));
    }),
  );
});
