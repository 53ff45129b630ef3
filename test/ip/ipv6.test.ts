import test from 'ava';
import fc from 'fast-check';
import { formatAddress, formatMac, parseAddress, parseIpv4Network, parseMac } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import type { Packet } from '../../src/core/packet.ts';
import { LinkAddresses } from '../../src/ip/link-addresses.ts';
import { NeighborState } from '../../src/ip/neighbor.ts';
import * as checksum from '../../src/wire/checksum.ts';
import * as icmp from '../../src/wire/icmpv6.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import * as mld from '../../src/wire/mld.ts';
import * as ndp from '../../src/wire/ndp.ts';
import { GUEST_MAC, ROUTER_MAC } from '../support/guest-frames.ts';
import {
  DNS6,
  echo6Frame,
  fragment6,
  fragments6,
  GUEST6,
  GUEST6_LINK,
  groupMac,
  icmp6Frame,
  ip6Frame,
  joined6,
  L4,
  nd6Frame,
  ROUTER6,
  ROUTER6_LINK,
  solicitedNode,
  tcp6Frame,
  udp6Frame,
  words6,
} from '../support/guest6-frames.ts';
import { hex, toHex } from '../support/hex.ts';
import { IpHarness, LINK6 } from '../support/ip-harness.ts';

const A = '52:54:00:00:00:0a';
const B = '52:54:00:00:00:0b';
const WORLD = '2001:db8:ffff::1';
const UDP = { sport: 1000, dport: 2000, data: Uint8Array.of(1, 2, 3) };
const NA = icmp.TYPE_NEIGHBOR_ADVERTISEMENT;

function harness(options: ConstructorParameters<typeof IpHarness>[0] = {}): IpHarness {
  const h = new IpHarness({ ipv6: LINK6, ...options });
  h.introduce6();
  return h;
}

const address = (f: Uint8Array, o: number): string => {
  const w = (i: number): number => (f[i]! << 24) | (f[i + 1]! << 16) | (f[i + 2]! << 8) | f[i + 3]!;
  return formatAddress(w(o), w(o + 4), w(o + 8), w(o + 12));
};
const src = (f: Uint8Array): string => address(f, 22);
const dst = (f: Uint8Array): string => address(f, 38);

/** Whether the checksum of an ICMPv6 frame without extension headers is right. */
function sumsUp(f: Uint8Array): boolean {
  const end = L4 + ipv6.payloadLen(f, 14);
  return icmp.check(f, L4, end, checksum.pseudoWords(...words6(src(f)), ...words6(dst(f)), 58)) === Drop.None;
}

/** `TYPE/CODE SOURCE REST` of an ICMPv6 error. */
const error = (f: Uint8Array): string =>
  `${icmp.type(f, L4)}/${icmp.code(f, L4)} ${src(f)} ${icmp.rest(f, L4)}${sumsUp(f) ? '' : ' bad checksum'}`;

function spoil(f: Uint8Array, change: (f: Uint8Array) => void): Uint8Array {
  change(f);
  return f;
}
const option = (next: string, kind: string): Uint8Array => hex(`${next} 00 ${kind}`);

// ---- input

const cases: { name: string; give: Uint8Array; want: Drop; icmp?: string }[] = [
  { name: 'cut short', give: udp6Frame({ ...UDP, dst: WORLD }).slice(0, 50), want: Drop.Ipv6Truncated },
  {
    name: 'version 4',
    give: spoil(udp6Frame({ ...UDP, dst: WORLD }), (f) => (f[14] = 0x45)),
    want: Drop.Ipv6BadVersion,
  },
  {
    name: 'payload beyond the frame',
    give: spoil(udp6Frame({ ...UDP, dst: WORLD }), (f) => (f[19] = 200)),
    want: Drop.Ipv6BadLength,
  },
  {
    name: 'source outside the prefix',
    give: udp6Frame({ ...UDP, src: '2001:db8:3::15', dst: WORLD }),
    want: Drop.Ipv6BadSource,
  },
  {
    name: 'source is the router: a claim, defended',
    give: udp6Frame({ ...UDP, src: ROUTER6, dst: WORLD }),
    want: Drop.Ipv6BadSource,
    icmp: `136/0 ${ROUTER6} ${0xa0000000}`,
  },
  {
    name: 'source is the router, link-local: a claim, defended',
    give: udp6Frame({ ...UDP, src: ROUTER6_LINK, dst: ROUTER6 }),
    want: Drop.Ipv6BadSource,
    icmp: `136/0 ${ROUTER6_LINK} ${0xa0000000}`,
  },
  { name: 'source is a group', give: udp6Frame({ ...UDP, src: 'ff02::1', dst: WORLD }), want: Drop.Ipv6BadSource },
  { name: 'source is loopback', give: udp6Frame({ ...UDP, src: '::1', dst: WORLD }), want: Drop.Ipv6BadSource },
  {
    name: 'source is mapped',
    give: udp6Frame({ ...UDP, src: '::ffff:10.0.2.15', dst: WORLD }),
    want: Drop.Ipv6BadSource,
  },
  {
    name: 'no source, to a unicast address',
    give: udp6Frame({ ...UDP, src: '::', dst: ROUTER6 }),
    want: Drop.Ipv6BadSource,
  },
  { name: 'no source, not ICMPv6', give: udp6Frame({ ...UDP, src: '::', dst: 'ff02::1' }), want: Drop.Ipv6BadSource },
  {
    name: 'a link-local source to the world',
    give: udp6Frame({ ...UDP, src: GUEST6_LINK, dst: WORLD }),
    want: Drop.Ipv6BadSource,
    icmp: `1/2 ${ROUTER6_LINK} 0`,
  },
  { name: 'destination ::', give: udp6Frame({ ...UDP, dst: '::' }), want: Drop.Ipv6BadDestination },
  { name: 'destination ::1', give: udp6Frame({ ...UDP, dst: '::1' }), want: Drop.Ipv6BadDestination },
  { name: 'destination ::127.0.0.1', give: udp6Frame({ ...UDP, dst: '::127.0.0.1' }), want: Drop.Ipv6BadDestination },
  { name: 'a group that was not joined', give: udp6Frame({ ...UDP, dst: 'ff02::fb' }), want: Drop.Ipv6BadDestination },
  {
    name: 'a unicast address in a group frame',
    give: udp6Frame({ ...UDP, dst: WORLD, dstMac: '33:33:00:00:00:01' }),
    want: Drop.Ipv6BadDestination,
  },
  {
    name: 'TCP to a group',
    give: tcp6Frame({ dst: 'ff02::1', sport: 1, dport: 2, flags: 'S' }),
    want: Drop.Ipv6BadDestination,
  },
  { name: 'destination on the link', give: udp6Frame({ ...UDP, dst: '2001:db8:2::77' }), want: Drop.Ipv6NotForUs },
  { name: 'a link-local destination', give: udp6Frame({ ...UDP, dst: 'fe80::99' }), want: Drop.Ipv6NotForUs },
  {
    name: 'hop limit 1 to the world',
    give: udp6Frame({ ...UDP, dst: WORLD, hops: 1 }),
    want: Drop.Ipv6HopLimitExceeded,
    icmp: `3/0 ${ROUTER6} 0`,
  },
  {
    name: 'unknown next header',
    give: ip6Frame({ dst: WORLD }, 132, new Uint8Array(20)),
    want: Drop.Ipv6UnknownHeader,
    icmp: `4/1 ${ROUTER6} 6`,
  },
  {
    name: 'ICMP of IPv4',
    give: ip6Frame({ dst: WORLD }, 1, new Uint8Array(20)),
    want: Drop.Ipv6UnknownHeader,
    icmp: `4/1 ${ROUTER6} 6`,
  },
  {
    name: 'unknown next header behind an extension header',
    give: ip6Frame(
      { dst: WORLD, extension: { next: 60, bytes: option('84', '0104 00000000') } },
      0,
      new Uint8Array(20),
    ),
    want: Drop.Ipv6UnknownHeader,
    icmp: `4/1 ${ROUTER6} 40`,
  },
  { name: 'no next header', give: ip6Frame({ dst: WORLD }, 59, new Uint8Array(0)), want: Drop.Ipv6UnknownHeader },
  {
    name: 'an unknown option that is to be told',
    give: ip6Frame(
      { dst: WORLD, extension: { next: 60, bytes: option('11', 'de04 00000000') } },
      0,
      new Uint8Array(20),
    ),
    want: Drop.Ipv6UnknownOption,
    icmp: `4/2 ${ROUTER6} 42`,
  },
  {
    name: 'an unknown option to a group, told when it says so',
    give: ip6Frame(
      { dst: 'ff02::1', extension: { next: 60, bytes: option('11', '9e04 00000000') } },
      0,
      new Uint8Array(20),
    ),
    want: Drop.Ipv6UnknownOption,
    icmp: `4/2 ${ROUTER6} 42`,
  },
  {
    name: 'an unknown option to a group, else not told',
    give: ip6Frame(
      { dst: 'ff02::1', extension: { next: 60, bytes: option('11', 'de04 00000000') } },
      0,
      new Uint8Array(20),
    ),
    want: Drop.Ipv6UnknownOption,
  },
  {
    name: 'RFC 5095 3: routing header type 0 with segments left',
    give: ip6Frame(
      { dst: WORLD, extension: { next: 43, bytes: hex('1102 0001 00000000 20010db8000000000000000000000001') } },
      0,
      new Uint8Array(20),
    ),
    want: Drop.Ipv6RoutingHeader,
    icmp: `4/0 ${ROUTER6} 42`,
  },
  {
    name: 'an ICMPv6 error that cannot go on is no reason for another',
    give: echo6Frame({ dst: WORLD, type: 1, id: 0, seq: 0, hops: 1 }),
    want: Drop.Ipv6HopLimitExceeded,
  },
  {
    name: 'bad ICMPv6 checksum',
    give: spoil(echo6Frame({ id: 1, seq: 1 }), (f) => f[56]!++),
    want: Drop.IcmpBadChecksum,
  },
];
for (const { name, give, want, icmp: told } of cases) {
  test(`IPv6 input: ${name}`, (t) => {
    const h = harness();
    h.introduce6(GUEST6_LINK);
    h.ip.handle(17, { packet: () => t.fail('was handed on') });
    h.ip.handle(1, { packet: () => t.fail('was handed on') });
    h.link.receive(give);
    h.settle();
    t.is(h.dropped(want), 1);
    t.deepEqual(h.link.take().map(error), told === undefined ? [] : [told]);
  });
}

test('an IPv6 packet reaches its handler with every field, extension headers passed, padding left out', (t) => {
  const h = harness();
  const seen: string[] = [];
  h.ip.handle(17, {
    packet: ({ b, l4, end, protocol, ttl, isIpv4, src3, dst0 }: Packet) => {
      seen.push(`${protocol} ${ttl} ${isIpv4} ${src3} ${dst0} ${toHex(b.slice(l4 + 8, end))}`);
    },
  });
  const plain = udp6Frame({ ...UDP, dst: WORLD });
  const f = ip6Frame({ dst: WORLD, extension: { next: 60, bytes: option('11', '0104 00000000') } }, 0, plain.slice(L4));
  h.link.receive(Uint8Array.of(...f, 0x77, 0x77));
  t.deepEqual(seen, [`17 64 false ${0x15} ${0x20010db8} 010203`]);
});

test('without IPv6 its frames are of an unknown type; without IPv4 there is no ARP answer', (t) => {
  const h = new IpHarness();
  h.link.receive(echo6Frame({ id: 1, seq: 1 }));
  t.is(h.dropped(Drop.EthUnknownType), 1);
  const own = new LinkAddresses([], [], LINK6, parseMac(ROUTER_MAC)!);
  t.deepEqual([own.hasIpv4, own.isOnLink4(0x0a000205), own.sourceFor(0, 0, 0xffff, 1)], [false, false, null]);
});

test('own addresses: several networks and prefixes of a link', (t) => {
  const second = { words: parseAddress('fd00:1::ff')!, prefixLen: 48 };
  const nets = [parseIpv4Network('10.0.2.2/24', 24), parseIpv4Network('192.168.7.1/30', 24)];
  const own = new LinkAddresses(
    nets,
    [0x0a000203],
    { ...LINK6, addresses: [...LINK6.addresses, second] },
    parseMac(ROUTER_MAC)!,
  );
  t.deepEqual(
    own.all.map((e) => e.host),
    ['10.0.2.2', '192.168.7.1', ROUTER6, 'fd00:1::ff', '10.0.2.3', DNS6, ROUTER6_LINK],
  );
  const from = (text: string): string => own.sourceFor(...parseAddress(text)!)!.host;
  t.deepEqual(
    ['10.0.2.9', '192.168.7.2', '203.0.113.1', GUEST6, 'fd00:1:0:9::1', 'fe80::1', '2001:4860::1', 'ff02::1'].map(from),
    ['10.0.2.2', '192.168.7.1', '10.0.2.2', ROUTER6, 'fd00:1::ff', ROUTER6_LINK, ROUTER6, ROUTER6_LINK],
  );
  const guest = (text: string): boolean => own.isGuest(...parseAddress(text)!);
  t.deepEqual(
    [
      '10.0.2.9',
      '10.0.2.2',
      '10.0.2.255',
      '192.168.7.2',
      '192.168.7.3',
      GUEST6,
      DNS6,
      'fd00:1:0:9::1',
      'fd00:2::1',
    ].map(guest),
    [true, false, false, true, false, true, false, true, false],
  );
  t.deepEqual(
    [ROUTER6, ROUTER6_LINK, DNS6, '10.0.2.3', '192.168.7.1'].map((a) => own.isGateway(...parseAddress(a)!)),
    [true, true, false, false, true],
  );
});

for (const to of [ROUTER6, DNS6, ROUTER6_LINK, 'ff02::1']) {
  test(`echo to ${to} is answered with the same id, sequence and data`, (t) => {
    const h = harness();
    const data = Uint8Array.from({ length: 500 }, (_, i) => i);
    h.link.receive(echo6Frame({ dst: to, id: 0x1234, seq: 7, data }));
    const [f] = h.link.take();
    t.true(sumsUp(f!));
    t.is(toHex(f!.slice(58)), `12340007${toHex(data)}`);
    t.is(src(f!), to === 'ff02::1' ? ROUTER6 : to);
    t.is(f![21], 64);
  });
}

// ---- Neighbor Discovery

test('RFC 4861 7.2.4: a solicitation of an address of ours is answered: router, solicited, override', (t) => {
  for (const target of [ROUTER6, DNS6, ROUTER6_LINK]) {
    const h = new IpHarness({ ipv6: LINK6 });
    h.link.receive(nd6Frame({ srcMac: A, dst: solicitedNode(target), target }));
    const [f, ...more] = h.link.take();
    t.is(more.length, 0);
    t.deepEqual([formatMac(f!, 0), formatMac(f!, 6), src(f!), dst(f!), f![21]], [A, ROUTER_MAC, target, GUEST6, 255]);
    t.true(sumsUp(f!));
    t.is(ndp.flags(f!, L4), 0xe0);
    t.is(address(f!, L4 + 8), target);
    const at = ndp.option(f!, L4, f!.length, ndp.OPTION_TARGET_LINK_ADDRESS);
    t.is(formatMac(f!, at + 2), ROUTER_MAC);
    t.is(h.ip.neighbors.size, 1, 'the asker is learnt');
  }
});

test('RFC 4862 5.4: a test of an address of ours for uniqueness is answered to all nodes', (t) => {
  const h = new IpHarness({ ipv6: LINK6 });
  h.link.receive(nd6Frame({ srcMac: A, src: '::', dst: solicitedNode(ROUTER6), target: ROUTER6, option: null }));
  const [f] = h.link.take();
  t.deepEqual(
    [formatMac(f!, 0), dst(f!), ndp.flags(f!, L4), address(f!, L4 + 8)],
    ['33:33:00:00:00:01', 'ff02::1', 0xa0, ROUTER6],
  );
  t.is(h.ip.neighbors.size, 0, 'it has no address yet');
});

for (const { name, give, want } of [
  {
    name: 'of an address that is not ours',
    give: nd6Frame({ dst: solicitedNode(ROUTER6), target: '2001:db8:2::99' }),
    want: Drop.None,
  },
  { name: 'with hop limit 254', give: nd6Frame({ dst: ROUTER6, target: ROUTER6, hops: 254 }), want: Drop.NdMalformed },
  {
    name: 'with another link-layer address',
    give: nd6Frame({ dst: ROUTER6, target: ROUTER6, option: B }),
    want: Drop.NdBadSender,
  },
  {
    name: 'without source, but with its link-layer address',
    give: nd6Frame({ src: '::', dst: solicitedNode(ROUTER6), target: ROUTER6 }),
    want: Drop.NdMalformed,
  },
  { name: 'of a group', give: nd6Frame({ dst: ROUTER6, target: 'ff02::1' }), want: Drop.NdMalformed },
  {
    name: 'with an option of length 0',
    give: icmp6Frame(
      { hops: 255 },
      hex(`8700000000000000 ${toHex(nd6Frame({ target: ROUTER6 }).slice(62, 78))} 0100 525400123456`),
    ),
    want: Drop.NdMalformed,
  },
  {
    name: 'in fragments',
    give: fragment6(nd6Frame({ dst: ROUTER6, target: ROUTER6 }), { from: 0, to: 32 }),
    want: Drop.NdMalformed,
  },
  {
    name: 'a router advertisement of a guest',
    give: icmp6Frame({ hops: 255, src: GUEST6_LINK, dst: 'ff02::1' }, hex('8600 0000 40000708 00000000 00000000')),
    want: Drop.NdIgnored,
  },
  {
    name: 'a redirect',
    give: icmp6Frame(
      { hops: 255, src: GUEST6_LINK },
      new Uint8Array(40).fill(0).map((_, i) => (i === 0 ? 137 : 0)),
    ),
    want: Drop.NdIgnored,
  },
]) {
  test(`Neighbor Discovery not answered: ${name}`, (t) => {
    const h = new IpHarness({ ipv6: LINK6 });
    h.link.receive(give);
    h.settle();
    t.deepEqual(h.link.takeSummaries(), []);
    if (want !== Drop.None) t.is(h.dropped(want), 1);
  });
}

test('a claim of an address of ours is dropped and answered with one defence per 10 s', (t) => {
  const h = harness();
  const claim = nd6Frame({ srcMac: A, src: '2001:db8:2::66', dst: 'ff02::1', type: NA, target: ROUTER6, flags: 0x20 });
  h.link.receive(claim, claim, claim);
  h.settle();
  t.deepEqual(h.link.take().map(dst), ['ff02::1']);
  t.is(h.dropped(Drop.NdSpoof), 3);
  t.deepEqual(h.claims, [`${ROUTER6} ${A.replaceAll(':', '')}`], 'and reported');
  h.advance(10_000);
  h.link.receive(claim);
  h.settle();
  t.is(h.link.take().length, 1);
});

test('who answers the test of an address of ours claims it: reported, defended, and the address stays in use', (t) => {
  const h = harness();
  h.ip.announce();
  h.settle();
  h.link.take();
  h.link.receive(
    nd6Frame({ srcMac: A, src: ROUTER6_LINK, dst: 'ff02::1', type: NA, target: ROUTER6_LINK, flags: 0x20 }),
  );
  t.is(h.dropped(Drop.Ipv6BadSource), 1, 'nobody else has our address as his source');
  h.link.receive(nd6Frame({ srcMac: A, src: 'fe80::a', dst: 'ff02::1', type: NA, target: ROUTER6_LINK, flags: 0x20 }));
  const ours = { srcMac: ROUTER_MAC, src: ROUTER6, dst: 'ff02::1', type: NA, target: ROUTER6 };
  h.link.receive(nd6Frame(ours));
  h.settle();
  t.deepEqual(h.claims, [`${ROUTER6_LINK} ${A.replaceAll(':', '')}`]);
  const [defence] = h.link.take();
  t.deepEqual([address(defence!, L4 + 8), dst(defence!), ndp.flags(defence!, L4)], [ROUTER6_LINK, 'ff02::1', 0xa0]);
  h.link.receive(echo6Frame({ dst: ROUTER6, id: 1, seq: 1 }));
  h.settle();
  t.is(h.link.take().length, 1, 'still answered');
});

test('an address belongs to its station: another gets it only when the owner fails to answer three probes', (t) => {
  const h = new IpHarness({ ipv6: LINK6 });
  h.introduce6(GUEST6, A);
  let got = 0;
  h.ip.handle(17, { packet: () => got++ });
  h.link.receive(udp6Frame({ ...UDP, srcMac: B, dst: WORLD }));
  h.settle();
  t.is(got, 0);
  t.is(h.dropped(Drop.NeighborMismatch), 1);
  const n = h.ip.neighbors.find(...words6(GUEST6))!;
  t.is(n.state, NeighborState.Probe);
  t.deepEqual(
    h.link.take().map((f) => [formatMac(f, 0), dst(f)]),
    [[A, GUEST6]],
    'asked by unicast',
  );
  h.link.receive(nd6Frame({ srcMac: A, dst: ROUTER6, type: NA, target: GUEST6, flags: 0x60 }));
  t.is(n.state, NeighborState.Reachable);
  h.advance(10_000);
  t.is(n.macLo & 0xff, 0x0a, 'the owner keeps it');
  h.link.receive(udp6Frame({ ...UDP, srcMac: B, dst: WORLD }));
  h.advance(5000);
  t.is(n.macLo & 0xff, 0x0b, 'the owner is gone');
});

test('an advertisement of a third station changes nothing, an unasked one makes no entry', (t) => {
  const h = new IpHarness({ ipv6: LINK6 });
  h.introduce6(GUEST6, A);
  h.link.receive(nd6Frame({ srcMac: B, src: 'fe80::b', dst: ROUTER6, type: NA, target: GUEST6, flags: 0x60 }));
  t.is(h.dropped(Drop.NdSpoof), 1);
  t.is(h.ip.neighbors.find(...words6(GUEST6))!.macLo & 0xff, 0x0a);
  h.link.receive(
    nd6Frame({ srcMac: B, src: 'fe80::b', dst: 'ff02::1', type: NA, target: '2001:db8:2::77', flags: 0x20 }),
  );
  t.is(h.ip.neighbors.find(...words6('2001:db8:2::77')), null);
});

test('packets to an unknown guest wait for its advertisement, and are dropped when none comes', (t) => {
  const h = new IpHarness({ ipv6: LINK6 });
  const target = '2001:db8:2::abcd:77';
  const send = (text: string): void => {
    const path = h.ip.path(...words6(WORLD), ...words6(text), 17)!;
    t.is(path.maxSegment, 1460);
    const o = path.reserve(8);
    t.is(o % 4, 0);
    h.ip.bytes.fill(9, o, o + 8);
    path.commit(o, 8);
    h.ip.flush();
  };
  send(target);
  h.settle();
  const [ns] = h.link.take();
  const group = solicitedNode(target);
  t.deepEqual([formatMac(ns!, 0), src(ns!), dst(ns!), address(ns!, L4 + 8)], [groupMac(group), ROUTER6, group, target]);
  t.true(sumsUp(ns!));
  h.link.receive(nd6Frame({ srcMac: B, src: target, dst: ROUTER6, type: NA, target, flags: 0x60 }));
  h.settle();
  const [f] = h.link.take();
  t.deepEqual(
    [formatMac(f!, 0), src(f!), dst(f!), f![20], toHex(f!.slice(54, 62))],
    [B, WORLD, target, 17, '09'.repeat(8)],
  );
  send('fe80::99');
  h.settle();
  t.is(src(h.link.take()[0]!), ROUTER6_LINK, 'a link-local neighbor is asked from the link-local address');
  h.advance(10_000);
  t.is(h.link.take().length, 2, 'three times in all');
  t.is(h.dropped(Drop.NeighborUnreachable), 1);
});

test('RFC 6583: a scan of a large prefix: 100 solicitations a second, 256 addresses under way', (t) => {
  const h = new IpHarness({ ipv6: LINK6 });
  const solicited = (): number => {
    h.settle();
    return h.link.take().filter((f) => icmp.type(f, L4) === icmp.TYPE_NEIGHBOR_SOLICITATION).length;
  };
  h.advance(1000);
  for (let i = 0; i < 600; i++) h.ip.path(...words6(WORLD), ...words6(`2001:db8:2::1:${i.toString(16)}`), 17);
  t.is(solicited(), 100);
  t.is(h.ip.neighbors.unresolved, 256);
  h.advance(1000);
  t.is(solicited(), 100);
  h.advance(10_000);
  t.is(h.ip.neighbors.size, 0, 'nobody answered: all is forgotten');
});

test('a station has 64 addresses: its own oldest without flows make room, those of others stay', (t) => {
  const h = new IpHarness({ ipv6: LINK6 });
  h.introduce6(GUEST6, A);
  for (let i = 0; i < 200; i++) {
    h.advance(1);
    h.link.receive(udp6Frame({ ...UDP, srcMac: B, src: `2001:db8:2::b:${i}`, dst: WORLD }));
    if (i === 0) h.ip.neighbors.find(...words6('2001:db8:2::b:0'))!.flows++;
  }
  t.is(h.ip.neighbors.size, 65);
  t.not(h.ip.neighbors.find(...words6(GUEST6)), null);
  t.not(h.ip.neighbors.find(...words6('2001:db8:2::b:0')), null, 'it has a flow');
  t.is(h.ip.neighbors.find(...words6('2001:db8:2::b:1')), null);
});

test('router solicitations reach whoever advertises; its messages leave with hop limit 255', (t) => {
  const h = new IpHarness({ ipv6: LINK6 });
  const seen: string[] = [];
  h.ip.nd!.onSolicitation = (p) => seen.push(formatAddress(p.src0, p.src1, p.src2, p.src3));
  const rs = (option: string): Uint8Array => hex(`8500 0000 00000000 ${option}`);
  h.link.receive(
    icmp6Frame({ srcMac: A, src: GUEST6_LINK, dst: 'ff02::2', hops: 255 }, rs(`0101 ${A.replaceAll(':', '')}`)),
  );
  h.link.receive(icmp6Frame({ srcMac: A, src: '::', dst: 'ff02::2', hops: 255 }, rs('')));
  h.link.receive(icmp6Frame({ srcMac: A, src: '::', dst: 'ff02::2', hops: 255 }, rs(`0101 ${A.replaceAll(':', '')}`)));
  h.link.receive(icmp6Frame({ srcMac: A, src: GUEST6_LINK, dst: 'ff02::2', hops: 64 }, rs('')));
  t.deepEqual(seen, [GUEST6_LINK, '::']);
  const ra = hex('8600 0000 40000708 00000000 00000000');
  h.ip.nd!.send(...words6('ff02::1'), ra);
  h.ip.nd!.send(...words6(GUEST6_LINK), ra);
  h.ip.flush();
  const frames = h.link.take();
  t.deepEqual(
    frames.map((f) => [formatMac(f, 0), src(f), dst(f), f[21], sumsUp(f)]),
    [
      ['33:33:00:00:00:01', ROUTER6_LINK, 'ff02::1', 255, true],
      [A, ROUTER6_LINK, GUEST6_LINK, 255, true],
    ],
  );
});

// ---- groups

/** What a listener report says: kind and group of each record. */
function report(f: Uint8Array): string[] {
  const o = L4 + 8;
  const end = L4 + ipv6.payloadLen(f, 14);
  if (f[20] !== 0 || toHex(f.slice(L4, L4 + 8)) !== '3a00050200000100') return ['no router alert'];
  if (icmp.check(f, o, end, checksum.pseudoWords(...words6(src(f)), ...words6(dst(f)), 58)) !== Drop.None)
    return ['bad sum'];
  const records = (f[o + 6]! << 8) | f[o + 7]!;
  return Array.from({ length: records }, (_, i) => `${f[o + 8 + 20 * i]} ${address(f, o + 12 + 20 * i)}`);
}
const GROUPS = ['ff02::2', solicitedNode(ROUTER6), solicitedNode(DNS6), solicitedNode(ROUTER6_LINK)];
const query = (group = '::', delay = 1000): Uint8Array => {
  const b = new Uint8Array(28);
  b[0] = icmp.TYPE_MLD_QUERY;
  b[4] = delay >>> 8;
  b[5] = delay;
  for (const [i, w] of words6(group).entries()) new DataView(b.buffer).setInt32(8 + 4 * i, w);
  return b;
};

test('at start addresses and groups are announced, groups again after a second; at the end they are left', (t) => {
  const h = new IpHarness({ ipv6: LINK6 });
  h.ip.announce();
  h.settle();
  const frames = h.link.take().filter((f) => f[12] === 0x86);
  const tests = frames.filter((f) => icmp.type(f, L4) === icmp.TYPE_NEIGHBOR_SOLICITATION);
  t.deepEqual(
    tests.map((f) => [address(f, L4 + 8), src(f), dst(f), f[21], ipv6.payloadLen(f, 14), sumsUp(f)]),
    [ROUTER6, DNS6, ROUTER6_LINK].map((a) => [a, '::', solicitedNode(a), 255, ndp.PLAIN_LEN, true]),
    'RFC 4862 5.4.2: tested',
  );
  const na = frames.filter((f) => f[20] === 58 && !tests.includes(f));
  t.deepEqual(
    na.map((f) => [address(f, L4 + 8), dst(f), ndp.flags(f, L4)]),
    [ROUTER6, DNS6, ROUTER6_LINK].map((a) => [a, 'ff02::1', 0xa0]),
  );
  const told = frames.filter((f) => f[20] === 0);
  t.deepEqual(
    told.map((f) => [src(f), dst(f), f[21]]),
    [[ROUTER6_LINK, 'ff02::16', 1]],
  );
  t.deepEqual(
    report(told[0]!),
    GROUPS.map((g) => `${mld.CHANGE_TO_EXCLUDE} ${g}`),
  );
  h.advance(1000);
  t.deepEqual(h.link.take().map(report), [GROUPS.map((g) => `${mld.CHANGE_TO_EXCLUDE} ${g}`)]);
  h.ip.close();
  h.ip.flush();
  t.deepEqual(h.link.take().map(report), [GROUPS.map((g) => `${mld.CHANGE_TO_INCLUDE} ${g}`)]);
});

test('queries are answered once, within their time; groups that were joined are told and heard', (t) => {
  const h = new IpHarness({ ipv6: LINK6 });
  h.ip.mld!.join(...words6('ff02::1:2'));
  const from = { src: 'fe80::77', hops: 1 };
  const ask = icmp6Frame({ ...from, dst: 'ff02::1' }, query());
  h.link.receive(ask, ask);
  t.is(h.link.take().length, 0, 'not at once');
  h.advance(1000);
  t.deepEqual(h.link.take().map(report), [[...GROUPS, 'ff02::1:2'].map((g) => `${mld.MODE_IS_EXCLUDE} ${g}`)]);
  h.link.receive(
    icmp6Frame({ ...from, dst: 'ff02::fb' }, query('ff02::fb')),
    icmp6Frame({ ...from, dst: 'ff02::1' }, query('ff02::fb')),
  );
  h.advance(1100);
  t.is(h.link.take().length, 0, 'not about other groups');
  h.link.receive(icmp6Frame({ ...from, dst: 'ff02::1' }, query().subarray(0, 24)));
  h.advance(1100);
  t.deepEqual(
    h.link.take().map((f) => [f[L4 + 8], dst(f)]),
    [...GROUPS, 'ff02::1:2'].map((g) => [icmp.TYPE_MLD_REPORT_V1, g]),
  );
  let got = 0;
  h.ip.handle(17, { packet: () => got++ });
  h.link.receive(udp6Frame({ src: GUEST6_LINK, dst: 'ff02::1:2', sport: 546, dport: 547 }));
  t.is(got, 1);
  for (const bad of [
    { src: 'fe80::77', hops: 64 },
    { src: GUEST6, hops: 1 },
  ])
    h.link.receive(icmp6Frame({ ...bad, dst: 'ff02::1' }, query()));
  t.is(h.dropped(Drop.MldMalformed), 2);
  t.is(h.dropped(Drop.IcmpIgnored), 0);
});

// ---- fragments

test('fragments in any order make one packet, a large echo is answered in fragments', (t) => {
  const h = harness();
  const data = Uint8Array.from({ length: 5000 }, (_, i) => i * 7);
  const whole = echo6Frame({ dst: ROUTER6, id: 1, seq: 2, data });
  h.link.receive(...fragments6(whole).reverse());
  const frames = h.link.take();
  t.is(frames.length, 4);
  t.true(frames.every((f) => f.length <= 1514));
  const all = joined6(frames);
  t.is(toHex(all.slice(8)), toHex(data));
  t.is(icmp.check(all, 0, all.length, checksum.pseudoWords(...words6(ROUTER6), ...words6(GUEST6), 58)), Drop.None);
  t.is(h.ip.reassembly.size, 0);
});

test('RFC 6946: a packet that is one fragment goes on alone, beside a set of the same identification', (t) => {
  const h = harness();
  const seen: number[] = [];
  h.ip.handle(17, { packet: (p) => seen.push(p.end - p.l4) });
  const whole = udp6Frame({ dst: WORLD, sport: 1, dport: 2, data: new Uint8Array(100) });
  h.link.receive(fragment6(whole, { from: 0, to: 48 }), fragment6(whole, { from: 0, to: 108 }));
  t.deepEqual(seen, [108]);
  h.link.receive(fragment6(whole, { from: 48, to: 108 }));
  t.deepEqual(seen, [108, 108]);
});

for (const { name, cuts, want } of [
  {
    name: 'RFC 5722: an overlap',
    cuts: [
      [0, 48],
      [40, 108],
    ],
    want: Drop.FragmentOverlap,
  },
  {
    name: 'RFC 7112: a first fragment without the UDP header',
    cuts: [
      [0, 0],
      [8, 108],
    ],
    want: Drop.FragmentMalformed,
  },
  { name: 'no multiple of 8', cuts: [[0, 20]], want: Drop.FragmentMalformed },
] as const) {
  test(`fragments refused: ${name}`, (t) => {
    const h = harness();
    h.ip.handle(17, { packet: () => t.fail('was handed on') });
    const whole = udp6Frame({ dst: WORLD, sport: 1, dport: 2, data: new Uint8Array(100) });
    for (const [from, to] of cuts) h.link.receive(fragment6(whole, { from, to }));
    h.link.receive(fragment6(whole, { from: 48, to: 108 }));
    t.is(h.dropped(want), 1);
    t.is(h.ip.reassembly.bytesHeld > 0 && want === Drop.FragmentOverlap, false);
  });
}

test('RFC 7112: a first fragment without its whole header chain refuses the packet', (t) => {
  const h = harness();
  h.ip.handle(17, { packet: () => t.fail('was handed on') });
  const plain = udp6Frame({ dst: WORLD, sport: 1, dport: 2, data: new Uint8Array(40) });
  const options = hex(`1101 010c 000000000000000000000000`);
  const whole = ip6Frame({ dst: WORLD, extension: { next: 60, bytes: options } }, 0, plain.slice(L4));
  h.link.receive(fragment6(whole, { from: 0, to: 8 }), fragment6(whole, { from: 8, to: 64 }));
  t.is(h.dropped(Drop.FragmentTiny), 1);
  const id = 7;
  let got = 0;
  h.ip.handle(17, { packet: () => got++ });
  h.link.receive(fragment6(whole, { from: 24, to: 64, id }), fragment6(whole, { from: 0, to: 24, id }));
  t.is(got, 1, 'with the whole chain it is fine');
});

test('RFC 5095 3: a routing header of type 0 without segments left is passed over', (t) => {
  const h = harness();
  const extension = { next: 43, bytes: hex(`3a02 0000 00000000 ${'20010db8000000000000000000000001'}`) };
  const plain = echo6Frame({ id: 7, seq: 9, data: hex('616263') });
  h.link.receive(ip6Frame({ extension }, 58, plain.slice(L4)));
  h.settle();
  const [reply] = h.link.take();
  t.is(icmp.type(reply!, L4), icmp.TYPE_ECHO_REPLY);
  t.is(icmp.echoSeq(reply!, L4), 9);
  t.is(h.dropped(Drop.Ipv6RoutingHeader), 0);
});

const LONG = udp6Frame({ dst: WORLD, sport: 1, dport: 2, data: new Uint8Array(200) });
const PING = echo6Frame({ dst: WORLD, id: 1, seq: 1, data: new Uint8Array(200) });
const ICMP_ERROR = icmp6Frame({ dst: WORLD }, Uint8Array.of(1, 0, 0, 0, ...new Uint8Array(100)));
const CHAIN = ip6Frame(
  { dst: WORLD, extension: { next: 60, bytes: hex('1101 010c 000000000000000000000000') } },
  0,
  LONG.slice(L4),
);
for (const { name, give, want, told } of [
  {
    name: 'first, no multiple of 8: at the payload length',
    give: fragment6(LONG, { from: 0, to: 20 }),
    want: Drop.FragmentMalformed,
    told: '4/0 4',
  },
  {
    name: 'in the middle, no multiple of 8: at the payload length',
    give: fragment6(LONG, { from: 48, to: 60 }),
    want: Drop.FragmentMalformed,
    told: '4/0 4',
  },
  {
    name: 'beyond 65,535 bytes: at the fragment offset',
    give: fragment6(LONG, { from: 65_528, to: 65_536, more: false }),
    want: Drop.FragmentTooLong,
    told: '4/0 42',
  },
  {
    name: 'RFC 7112 5: first, without the whole chain of headers: code 3, at 0',
    give: fragment6(CHAIN, { from: 0, to: 8 }),
    want: Drop.FragmentTiny,
    told: '4/3 0',
  },
  {
    name: 'a hop-by-hop header in the first one is out of its place: code 1, at what names it',
    give: fragment6(
      ip6Frame({ dst: WORLD, extension: { next: 0, bytes: hex('1100 0104 00000000') } }, 0, LONG.slice(L4)),
      {
        from: 0,
        to: 64,
      },
    ),
    want: Drop.Ipv6BadExtension,
    told: '4/1 40',
  },
  {
    name: 'a later one of an ICMPv6 message may be of an error: silence',
    give: fragment6(PING, { from: 48, to: 60 }),
    want: Drop.FragmentMalformed,
  },
  {
    name: 'a later one behind other headers may be of an error: silence',
    give: fragment6(CHAIN, { from: 48, to: 60 }),
    want: Drop.FragmentMalformed,
  },
  {
    name: 'the first one of an ICMPv6 error: silence',
    give: fragment6(ICMP_ERROR, { from: 0, to: 20 }),
    want: Drop.FragmentMalformed,
  },
  {
    name: 'without payload: silence',
    give: fragment6(LONG, { from: 48, to: 48, more: true }),
    want: Drop.FragmentMalformed,
  },
]) {
  test(`RFC 8200 4.5, a fragment: ${name}`, (t) => {
    const h = harness();
    h.ip.handle(17, { packet: () => t.fail('was handed on') });
    h.link.receive(give);
    h.settle();
    t.is(h.dropped(want), 1);
    const frames = h.link.take();
    t.deepEqual(
      frames.map((f) => error(f).replace(` ${ROUTER6}`, '')),
      told === undefined ? [] : [told],
    );
    for (const f of frames) t.is(toHex(f.slice(L4 + 8)), toHex(give.slice(14)), 'quotes the fragment');
  });
}

test('RFC 8200 4.5: headers before the fragment header count towards the 65,535 bytes', (t) => {
  const h = harness();
  const piece = fragment6(LONG, { from: 65_520, to: 65_528, more: false });
  const options = hex('2c00 0104 00000000');
  const longer = ip6Frame({ dst: WORLD, extension: { next: 60, bytes: options } }, 0, piece.slice(L4));
  h.link.receive(piece);
  t.is(h.dropped(Drop.FragmentTooLong), 0);
  h.link.receive(longer);
  h.settle();
  t.is(h.dropped(Drop.FragmentTooLong), 1);
  t.is(error(h.link.take()[0]!), `4/0 ${ROUTER6} 50`);
});

test('parameter problems are rate limited like all errors', (t) => {
  const h = harness();
  for (let i = 0; i < 60; i++) h.link.receive(fragment6(LONG, { from: 0, to: 20, id: i }));
  h.settle();
  t.is(h.link.take().length, 50);
  t.is(h.dropped(Drop.IcmpRateLimited), 10);
});

test('RFC 8200 4.5: after 60 s the sender is told, by its first fragment', (t) => {
  const h = harness();
  const whole = udp6Frame({ dst: WORLD, sport: 1, dport: 2, data: new Uint8Array(100) });
  h.link.receive(fragment6(whole, { from: 0, to: 48 }));
  h.advance(59_000);
  t.is(h.link.take().length, 0);
  h.advance(2000);
  const f = h.link.take().find((each) => icmp.type(each, L4) === icmp.TYPE_TIME_EXCEEDED);
  t.is(error(f!), `3/1 ${ROUTER6} 0`);
  t.is(toHex(f!.slice(62, 62 + 40 + 8 + 48)), toHex(fragment6(whole, { from: 0, to: 48 }).slice(14)));
});

// ---- any bytes

test('property: any IPv6 frame, valid or mutated, never throws', (t) => {
  const seeds = [
    ...cases.map((c) => c.give),
    ...fragments6(echo6Frame({ dst: ROUTER6, id: 1, seq: 2, data: new Uint8Array(3000) })),
    nd6Frame({ dst: solicitedNode(ROUTER6), target: ROUTER6 }),
    nd6Frame({ type: NA, target: GUEST6, dst: 'ff02::1' }),
    icmp6Frame({ src: 'fe80::77', dst: 'ff02::1', hops: 1 }, query()),
    icmp6Frame({ src: GUEST6_LINK, dst: 'ff02::2', hops: 255 }, hex('8500 0000 00000000 0101 525400123456')),
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 6 }),
      fc.nat(120),
      fc.boolean(),
      (seed, changes, cut, mend) => {
        const h = harness();
        const f = seed.slice(0, Math.max(0, seed.length - (cut < 60 ? 0 : cut - 60)));
        for (const [at, v] of changes) if (at < f.length) f[at] = v;
        if (mend && f.length > 60 && f[20] === 58) {
          const end = Math.min(f.length, L4 + ipv6.payloadLen(f, 14));
          icmp.writeChecksum(
            f,
            L4,
            Math.max(4, end - L4),
            checksum.pseudoWords(...words6(src(f)), ...words6(dst(f)), 58),
          );
        }
        h.link.receive(f);
        h.advance(70_000);
        t.deepEqual(h.defects, []);
      },
    ),
    { numRuns: 400 },
  );
});

test(`the harness's guest has the link-local address of its MAC`, (t) => {
  const own = new LinkAddresses([], [], { addresses: [] }, parseMac(GUEST_MAC)!);
  t.is(own.linkLocal.host, GUEST6_LINK);
});
