import test from 'ava';
import fc from 'fast-check';
import { formatMac, MAPPED, parseIpv4 } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import type { Packet } from '../../src/core/packet.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { fragment } from '../support/fragments.ts';
import { arpFrame, BROADCAST_MAC, echoFrame, ipFrame, udpFrame } from '../support/guest-frames.ts';
import { toHex } from '../support/hex.ts';
import { IpHarness } from '../support/ip-harness.ts';

const UDP = { sport: 1000, dport: 2000, data: Uint8Array.of(1, 2, 3) };

/** Spoils a frame and, where asked, puts the IP header checksum right again. */
function spoil(f: Uint8Array, change: (f: Uint8Array) => void, fix = true): Uint8Array {
  change(f);
  if (!fix) return f;
  f[24] = f[25] = 0;
  let sum = 0;
  for (let i = 14; i < 34; i += 2) sum += (f[i]! << 8) | f[i + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  f[24] = (~sum >>> 8) & 255;
  f[25] = ~sum & 255;
  return f;
}

const cases: { name: string; give: Uint8Array; want: Drop; icmp?: string }[] = [
  { name: 'short frame', give: new Uint8Array(13), want: Drop.FrameTooShort },
  {
    name: 'frame for another station',
    give: udpFrame({ ...UDP, dstMac: '52:54:00:00:00:99', dst: '192.0.2.1' }),
    want: Drop.EthNotForUs,
  },
  {
    name: 'group source MAC',
    give: udpFrame({ ...UDP, srcMac: '53:54:00:00:00:01', dst: '192.0.2.1' }),
    want: Drop.EthBadSource,
  },
  {
    name: 'unknown EtherType',
    give: spoil(udpFrame({ ...UDP, dst: '192.0.2.1' }), (f) => (f[13] = 0x99), false),
    want: Drop.EthUnknownType,
  },
  {
    name: 'bad header checksum',
    give: spoil(udpFrame({ ...UDP, dst: '192.0.2.1' }), (f) => f[24]!++, false),
    want: Drop.Ipv4BadChecksum,
  },
  {
    name: 'version 5',
    give: spoil(udpFrame({ ...UDP, dst: '192.0.2.1' }), (f) => (f[14] = 0x55)),
    want: Drop.Ipv4BadVersion,
  },
  {
    name: 'total length beyond the frame',
    give: spoil(udpFrame({ ...UDP, dst: '192.0.2.1' }), (f) => (f[17] = 200)),
    want: Drop.Ipv4BadLength,
  },
  {
    name: 'source outside the network',
    give: udpFrame({ ...UDP, src: '10.0.3.15', dst: '192.0.2.1' }),
    want: Drop.Ipv4BadSource,
  },
  {
    name: 'source is the router',
    give: udpFrame({ ...UDP, src: '10.0.2.2', dst: '192.0.2.1' }),
    want: Drop.Ipv4BadSource,
  },
  {
    name: 'source is the broadcast address',
    give: udpFrame({ ...UDP, src: '10.0.2.255', dst: '192.0.2.1' }),
    want: Drop.Ipv4BadSource,
  },
  {
    name: 'source 0.0.0.0 and not UDP',
    give: echoFrame({ src: '0.0.0.0', dst: '192.0.2.1', id: 1, seq: 1 }),
    want: Drop.Ipv4BadSource,
  },
  { name: 'destination on the guest network', give: udpFrame({ ...UDP, dst: '10.0.2.77' }), want: Drop.Ipv4NotForUs },
  { name: 'multicast destination', give: udpFrame({ ...UDP, dst: '224.0.0.251' }), want: Drop.Ipv4BadDestination },
  {
    name: 'ICMP to the broadcast address',
    give: echoFrame({ dst: '10.0.2.255', dstMac: BROADCAST_MAC, id: 1, seq: 1 }),
    want: Drop.Ipv4BadDestination,
  },
  {
    name: 'fragment to the broadcast address',
    give: fragment(udpFrame({ ...UDP, dst: '10.0.2.255', dstMac: BROADCAST_MAC, data: new Uint8Array(16) }), {
      from: 0,
      to: 16,
    }),
    want: Drop.Ipv4Fragment,
  },
  {
    name: 'TTL 1 to the world',
    give: udpFrame({ ...UDP, dst: '192.0.2.1', ttl: 1 }),
    want: Drop.Ipv4TtlExceeded,
    icmp: 'time exceeded',
  },
  {
    name: 'unknown protocol (SCTP)',
    give: ipFrame({ dst: '192.0.2.1' }, 132, new Uint8Array(20)),
    want: Drop.Ipv4UnknownProtocol,
    icmp: 'protocol',
  },
  {
    name: 'unknown protocol in a group frame is never answered',
    give: ipFrame({ dst: '10.0.2.255', dstMac: BROADCAST_MAC }, 132, new Uint8Array(20)),
    want: Drop.Ipv4BadDestination,
  },
];
for (const { name, give, want, icmp } of cases) {
  test(`input: ${name}`, (t) => {
    const h = new IpHarness();
    h.introduce();
    h.ip.handle(ipv4.PROTO_UDP, { packet: () => t.fail('was handed on') });
    h.link.receive(give);
    t.is(h.dropped(want), 1);
    const answers = h.link.takeSummaries();
    t.is(answers.length, icmp === undefined ? 0 : 1, answers.join('\n'));
    if (icmp !== undefined) t.true(answers[0]!.includes(icmp), answers[0]);
  });
}

test('a good packet reaches its handler with every field, padding left out', (t) => {
  const h = new IpHarness();
  const seen: string[] = [];
  h.ip.handle(ipv4.PROTO_UDP, {
    packet: (p: Packet) => {
      const { protocol, ttl, src3, dst3, l2Group, isIpv4 } = p;
      seen.push(
        JSON.stringify({ protocol, ttl, src3, dst3, l2Group, isIpv4, payload: toHex(p.b.slice(p.l4 + 8, p.end)) }),
      );
    },
  });
  const f = udpFrame({ ...UDP, dst: '192.0.2.1' });
  const padded = new Uint8Array(60).fill(0x77);
  padded.set(f);
  h.link.receive(padded);
  t.deepEqual(seen, [
    JSON.stringify({
      protocol: 17,
      ttl: 64,
      src3: parseIpv4('10.0.2.15') | 0,
      dst3: parseIpv4('192.0.2.1') | 0,
      l2Group: false,
      isIpv4: true,
      payload: '010203',
    }),
  ]);
});

test('DHCP from a host without address passes: UDP, 0.0.0.0, broadcast', (t) => {
  const h = new IpHarness();
  let got = 0;
  h.ip.handle(ipv4.PROTO_UDP, { packet: (p) => (got += p.l2Group ? 1 : 0) });
  h.link.receive(udpFrame({ sport: 68, dport: 67, src: '0.0.0.0', dst: '255.255.255.255', dstMac: BROADCAST_MAC }));
  t.is(got, 1);
  t.is(h.ip.neighbors.size, 0, '0.0.0.0 is nobody');
});

for (const address of ['10.0.2.2', '10.0.2.3']) {
  test(`echo to ${address} is answered with the same id, sequence and data`, (t) => {
    const h = new IpHarness();
    h.introduce();
    const data = Uint8Array.from({ length: 500 }, (_, i) => i);
    h.link.receive(echoFrame({ dst: address, id: 0x1234, seq: 7, data }));
    const [f] = h.link.take();
    t.is(toHex(f!.slice(34, 36)), '0000');
    t.is(toHex(f!.slice(38)), `12340007${toHex(data)}`);
    t.is(ipv4.src(f!, 14), parseIpv4(address));
    t.is(ipv4.check(f!, 14, f!.length), Drop.None);
  });
}

test('echo with a bad checksum is not answered', (t) => {
  const h = new IpHarness();
  h.introduce();
  const f = echoFrame({ dst: '10.0.2.2', id: 1, seq: 1, data: Uint8Array.of(1, 2) });
  f[42]!++;
  h.link.receive(f);
  t.deepEqual(h.link.take(), []);
  t.is(h.dropped(Drop.IcmpBadChecksum), 1);
});

test('RFC 1812 4.3.2.8: ICMP errors are bounded, and the bound recovers', (t) => {
  const h = new IpHarness();
  h.introduce();
  const bad = ipFrame({ dst: '192.0.2.1' }, 132, new Uint8Array(20));
  for (let i = 0; i < 200; i++) h.link.receive(bad);
  t.is(h.link.take().length, 50);
  t.is(h.dropped(Drop.IcmpRateLimited), 150);
  h.advance(100);
  for (let i = 0; i < 20; i++) h.link.receive(bad);
  t.is(h.link.take().length, 10);
});

test('RFC 1122 3.2.2: no ICMP error about an ICMP error', (t) => {
  const h = new IpHarness();
  h.introduce();
  h.link.receive(echoFrame({ dst: '192.0.2.1', type: 11, id: 0, seq: 0, data: new Uint8Array(28), ttl: 1 }));
  t.deepEqual(h.link.takeSummaries(), []);
  t.is(h.dropped(Drop.Ipv4TtlExceeded), 1);
});

test('a prepared path writes a correct header and follows the neighbor to a new MAC', (t) => {
  const h = new IpHarness();
  h.introduce();
  const path = h.ip.path(0, 0, MAPPED, parseIpv4('203.0.113.9') | 0, 0, 0, MAPPED, parseIpv4('10.0.2.15') | 0, 6)!;
  t.is(path.maxSegment, 1480);
  const send = (len: number): Uint8Array => {
    const o = path.reserve(len);
    t.is(o % 4, 0);
    h.ip.bytes.fill(0xab, o, o + len);
    path.commit(o, len);
    h.ip.flush();
    return h.link.take()[0]!;
  };
  const f = send(100);
  t.is(ipv4.check(f, 14, f.length), Drop.None);
  t.is(ipv4.totalLen(f, 14), 120);
  t.is(ipv4.src(f, 14), parseIpv4('203.0.113.9'));
  t.is(ipv4.dst(f, 14), parseIpv4('10.0.2.15'));
  t.true(ipv4.dontFragment(f, 14));
  t.is(formatMac(f, 0), '52:54:00:12:34:56');
  t.is(send(4).length, 60, 'padded to the Ethernet minimum');
  h.ip.neighbors.assign(0, 0, 0xffff, parseIpv4('10.0.2.15'), 0x0200, 9);
  t.is(formatMac(send(1480), 0), '02:00:00:00:00:09');
});

test('more frames in one wake-up than the arena holds: none is lost or overwritten', (t) => {
  const h = new IpHarness();
  h.introduce();
  const path = h.ip.path(0, 0, MAPPED, parseIpv4('203.0.113.9') | 0, 0, 0, MAPPED, parseIpv4('10.0.2.15') | 0, 17)!;
  for (let i = 0; i < 2000; i++) {
    const o = path.reserve(1400);
    h.ip.bytes.fill(i & 255, o, o + 1400);
    path.commit(o, 1400);
  }
  h.ip.flush();
  const frames = h.link.take();
  t.is(frames.length, 2000);
  t.true(frames.every((f, i) => f[34] === (i & 255) && f[1433] === (i & 255)));
});

test('flushSoon: many askers, one flush', (t) => {
  const h = new IpHarness();
  let flushes = 0;
  h.ip.onFlush = () => flushes++;
  for (let i = 0; i < 5; i++) h.ip.flushSoon();
  h.settle();
  t.is(flushes, 1);
  h.ip.flushSoon();
  h.settle();
  t.is(flushes, 2);
});

test('property: any frame, valid or mutated, never throws', (t) => {
  const seeds = [
    ...cases.map((c) => c.give),
    arpFrame({ spa: '10.0.2.15', tpa: '10.0.2.2' }),
    echoFrame({ id: 1, seq: 1 }),
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 6 }),
      fc.nat(80),
      (seed, changes, cut) => {
        const h = new IpHarness();
        h.introduce();
        const f = seed.slice(0, Math.max(0, seed.length - (cut < 40 ? 0 : cut - 40)));
        for (const [at, v] of changes) if (at < f.length) f[at] = v;
        h.link.receive(f);
        h.advance(5000);
        t.deepEqual(h.defects, []);
      },
    ),
    { numRuns: 500 },
  );
  t.pass();
});

test('a defect in a handler costs one frame, which is counted and reported', (t) => {
  const h = new IpHarness();
  h.introduce();
  let got = 0;
  h.ip.handle(ipv4.PROTO_UDP, {
    packet: () => {
      if (++got === 1) throw new Error('defect');
    },
  });
  h.link.receive(udpFrame({ ...UDP, dst: '192.0.2.1' }), udpFrame({ ...UDP, dst: '192.0.2.1' }));
  t.is(got, 2);
  t.is(h.dropped(Drop.InternalError), 1);
  t.regex(String(h.defects[0]), /defect/);
});
