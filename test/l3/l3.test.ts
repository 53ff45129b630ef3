import test from 'ava';
import fc from 'fast-check';
import { parseIpv4 } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import { FrameArena, FrameMemory } from '../../src/core/frame.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { Forwarder, L3Interface, MAX_ROUTES, type Policy } from '../../src/l3/index.ts';
import { l3Commands } from '../../src/mgmt/l3-commands.ts';
import { parseInterface, parsePolicy, parseRoute } from '../../src/mgmt/l3-text.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { arpFrame, echoFrame, ipFrame, udpFrame } from '../support/guest-frames.ts';
import { TestLink } from '../support/test-link.ts';

const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
const VD0 = '00:aa:0a:00:00:01';
const VD1 = '00:aa:0a:01:00:01';

/** Two networks, 10.0.0.0/24 with station A at .10 and 10.1.0.0/24 with B at .10, both known to the router. */
function world(mtu1 = 1500) {
  const clock = new FakeClock();
  const wheel = new TimerWheel(clock);
  const arena = new FrameArena(new FrameMemory(), 128 << 10);
  const router = new Forwarder(arena, wheel);
  const links = [new TestLink(), new TestLink(mtu1)];
  const faces = links.map((link, i) => {
    const address = parseIpv4(`10.${i}.0.1`);
    const face = new L3Interface({ name: `vd${i}`, link, wheel, arena, seed: 1, address, mask: 0xffffff00 });
    router.add(face);
    return face;
  });
  links[0]!.receive(arpFrame({ srcMac: A, sha: A, spa: '10.0.0.10', tpa: '10.0.0.1' }));
  links[1]!.receive(arpFrame({ srcMac: B, sha: B, spa: '10.1.0.10', tpa: '10.1.0.1' }));
  const entries = l3Commands(router, ['vde_l3']);
  const ask = async (line: string) => {
    const [path, ...words] = line.split(' ');
    return entries.find((entry) => entry.path === path)!.run!(words, words.join(' '));
  };
  return { clock, router, faces, a: links[0]!, b: links[1]!, ask };
}

const FROM_A = { srcMac: A, dstMac: VD0, src: '10.0.0.10', dst: '10.1.0.10' };

test('ARP for the own address is answered, and for no other', (t) => {
  const { a } = world();
  t.deepEqual(a.takeSummaries(), [`${VD0} > ${A} ARP len 42: ARP reply 10.0.0.1 is-at ${VD0}`]);
  a.receive(arpFrame({ srcMac: A, sha: A, spa: '10.0.0.10', tpa: '10.0.0.7' }));
  t.deepEqual(a.take(), []);
});

test('a packet crosses with TTL and checksum adjusted, nothing else', (t) => {
  const { a, b } = world();
  b.take();
  const sent = udpFrame({ ...FROM_A, sport: 1, dport: 2, data: Uint8Array.of(7, 8, 9), ttl: 9 });
  a.receive(sent);
  const [got, ...more] = b.take();
  t.deepEqual(more, []);
  const want = ipFrame({ srcMac: VD1, dstMac: B, src: '10.0.0.10', dst: '10.1.0.10', ttl: 8 }, 17, sent.subarray(34));
  t.deepEqual(Buffer.from(got!), Buffer.from(want));
  a.receive(Buffer.concat([sent, Buffer.alloc(20, 1)]));
  t.is(b.take()[0]!.length, want.length, 'padding is not forwarded');
});

test('a next hop that is not known is asked for, the packet waits', (t) => {
  const { a, b } = world();
  b.take();
  a.receive(udpFrame({ ...FROM_A, dst: '10.1.0.77', sport: 1, dport: 2 }));
  t.deepEqual(b.takeSummaries(), [`${VD1} > ff:ff:ff:ff:ff:ff ARP len 42: ARP who-has 10.1.0.77 tell 10.1.0.1`]);
  b.receive(arpFrame({ op: 2, srcMac: B, dstMac: VD1, sha: B, spa: '10.1.0.77', tha: VD1, tpa: '10.1.0.1' }));
  t.regex(b.takeSummaries()[0]!, new RegExp(`^${VD1} > ${B} .*10\\.1\\.0\\.77`));
});

test('the sender is told when nobody answers for the next hop: host unreachable, for each packet that waited', (t) => {
  const { a, b, clock } = world();
  a.take();
  b.take();
  const lost = udpFrame({ ...FROM_A, dst: '10.1.0.77', sport: 1, dport: 2 });
  a.receive(lost, lost);
  clock.advance(10_000);
  t.deepEqual(
    b.takeSummaries().map((line) => /who-has 10\.1\.0\.77/.test(line)),
    [true, true, true],
  );
  const said = a.takeSummaries();
  t.is(said.length, 2);
  for (const line of said) t.regex(line, /10\.0\.0\.1 > 10\.0\.0\.10.*unreachable \(host\)/);
  t.is(b.drops[Drop.NeighborUnreachable], 2);
});

test('nobody is told of what the router itself has sent: no error about an error, nor about an echo reply', (t) => {
  const { a, b, clock } = world();
  a.take();
  b.take();
  const far = { srcMac: A, dstMac: VD0, src: '10.1.0.88' };
  a.receive(udpFrame({ ...far, dst: '10.9.0.1', sport: 1, dport: 2 }));
  a.receive(echoFrame({ ...far, dst: '10.1.0.1', id: 1, seq: 1, data: new Uint8Array(8) }));
  clock.advance(10_000);
  t.deepEqual(a.takeSummaries(), []);
  t.true(b.takeSummaries().every((line) => line.includes('who-has 10.1.0.88')));
  t.is(b.drops[Drop.NeighborUnreachable], 2);
});

test('ping of every own address, from either side', (t) => {
  const { a } = world();
  a.take();
  for (const dst of ['10.0.0.1', '10.1.0.1']) {
    a.receive(echoFrame({ ...FROM_A, dst, id: 5, seq: 6, data: new Uint8Array(30) }));
    t.regex(
      a.takeSummaries()[0]!,
      new RegExp(`^${VD0} > ${A} .*${dst} > 10\\.0\\.0\\.10.* echo reply id 5 seq 6 len 30`),
    );
  }
});

const refusals: { name: string; give: Uint8Array; answer: RegExp; reason: number }[] = [
  {
    name: 'TTL used up',
    give: udpFrame({ ...FROM_A, sport: 1, dport: 2, ttl: 1 }),
    answer: /time exceeded \(ttl\)/,
    reason: Drop.Ipv4TtlExceeded,
  },
  {
    name: 'no route',
    give: udpFrame({ ...FROM_A, dst: '10.9.0.1', sport: 1, dport: 2 }),
    answer: /unreachable \(net\)/,
    reason: Drop.NoRoute,
  },
  {
    name: 'UDP to the router',
    give: udpFrame({ ...FROM_A, dst: '10.0.0.1', sport: 1, dport: 2 }),
    answer: /unreachable \(port\)/,
    reason: Drop.Ipv4UnknownProtocol,
  },
];
for (const { name, give, answer, reason } of refusals) {
  test(`the sender is told: ${name}`, (t) => {
    const { a, clock } = world();
    a.take();
    a.receive(give);
    const [said = ''] = a.takeSummaries();
    t.regex(said, answer);
    t.regex(said, /10\.0\.0\.1 > 10\.0\.0\.10/);
    t.is(a.drops[reason], 1);
    for (let i = 0; i < 150; i++) a.receive(give);
    t.is(a.take().length, 99, 'at most 100 errors a second');
    t.is(a.drops[Drop.IcmpRateLimited], 51);
    clock.advance(1000);
    a.receive(give);
    t.is(a.take().length, 1);
  });
}

const silent: [name: string, give: Uint8Array, reason: number][] = [
  ['for another station', udpFrame({ ...FROM_A, dstMac: B, sport: 1, dport: 2 }), Drop.EthNotForUs],
  [
    'broadcast of the other network',
    udpFrame({ ...FROM_A, dst: '10.1.0.255', sport: 1, dport: 2 }),
    Drop.Ipv4BadDestination,
  ],
  ['loopback', udpFrame({ ...FROM_A, dst: '127.0.0.1', sport: 1, dport: 2 }), Drop.Ipv4BadDestination],
  [
    'multicast',
    udpFrame({ ...FROM_A, dstMac: '01:00:5e:00:00:01', dst: '224.0.0.1', sport: 1, dport: 2 }),
    Drop.Ipv4BadDestination,
  ],
  ['link-local', udpFrame({ ...FROM_A, dst: '169.254.0.1', sport: 1, dport: 2 }), Drop.Ipv4BadDestination],
  ['our own address as source', udpFrame({ ...FROM_A, src: '10.1.0.1', sport: 1, dport: 2 }), Drop.Ipv4BadSource],
  ['broadcast as source', udpFrame({ ...FROM_A, src: '10.0.0.255', sport: 1, dport: 2 }), Drop.Ipv4BadSource],
  ['an error about nothing', echoFrame({ ...FROM_A, dst: '10.9.0.1', type: 3, id: 0, seq: 0 }), Drop.NoRoute],
  ['ARP for our address by another', arpFrame({ srcMac: A, sha: A, spa: '10.0.0.1', tpa: '10.0.0.1' }), Drop.ArpSpoof],
  ['ARP of another network', arpFrame({ srcMac: A, sha: A, spa: '10.7.0.1', tpa: '10.0.0.1' }), Drop.ArpBadSender],
  ['ARP with another source', arpFrame({ srcMac: A, sha: B, spa: '10.0.0.9', tpa: '10.0.0.1' }), Drop.ArpBadSender],
];
for (const [name, give, reason] of silent) {
  test(`dropped without a word: ${name}`, (t) => {
    const { a, b } = world();
    a.take();
    b.take();
    a.receive(give);
    t.deepEqual([...a.takeSummaries(), ...b.takeSummaries()], []);
    t.is(a.drops[reason], 1);
  });
}

test('a smaller network: too big is told with its size, without DF the packet goes in pieces', (t) => {
  const { a, b } = world(576);
  a.take();
  b.take();
  const big = udpFrame({ ...FROM_A, sport: 1, dport: 2, data: new Uint8Array(1200).fill(5) });
  a.receive(big);
  t.regex(a.takeSummaries()[0]!, /unreachable \(fragmentation needed, mtu 576\)/);
  ipv4.writeHeader(big, 14, big.length - 14, 77, 64, 17, ipv4.src(big, 14), ipv4.dst(big, 14), 0, false);
  a.receive(big);
  const pieces = b.take();
  t.deepEqual(
    pieces.map((f) => [
      ipv4.check(f, 14, f.length),
      ipv4.id(f, 14),
      ipv4.fragOffset(f, 14),
      ipv4.moreFragments(f, 14),
      f.length - 34,
    ]),
    [
      [0, 77, 0, true, 552],
      [0, 77, 552, true, 552],
      [0, 77, 1104, false, 104],
    ],
  );
  t.deepEqual(Buffer.concat(pieces.map((f) => f.subarray(34))), Buffer.from(big.subarray(34)));
});

test('routes: longest prefix first, and the default', async (t) => {
  const { a, b, ask, router } = world();
  a.take();
  b.take();
  const to = (dst: string): string => {
    a.receive(udpFrame({ ...FROM_A, dst, sport: 1, dport: 2 }));
    return [...a.takeSummaries(), ...b.takeSummaries()].join();
  };
  t.is((await ask('route net 172.16.0.0/255.240.0.0 gw 10.1.0.10')).status, 'OK');
  t.is((await ask('route default gw 10.0.0.99')).status, 'OK');
  t.regex(to('172.17.1.1'), new RegExp(`> ${B} `));
  t.regex(to('8.8.8.8'), /who-has 10\.0\.0\.99/);
  t.is((await ask('route net 172.17.0.0/16 gw 10.0.0.10')).status, 'OK');
  t.regex(to('172.17.1.1'), new RegExp(`> ${A} `));
  t.is((await ask('route del 172.17.0.0/16')).status, 'OK');
  t.is((await ask('route del 172.17.0.0/16')).status, 'ENOENT');
  t.regex(to('172.17.1.1'), new RegExp(`> ${B} `));
  t.is((await ask('route net 1.0.0.0/8 gw 9.9.9.9')).status, 'EADDRNOTAVAIL');
  t.is((await ask('route net 1.0.0.0/8')).status, 'EINVAL');
  t.deepEqual((await ask('route list')).data, [
    'Destination\tGateway\t\tGenmask\t\tIface',
    '10.0.0.0\t0.0.0.0\t\t255.255.255.0\t\tvd0',
    '10.1.0.0\t0.0.0.0\t\t255.255.255.0\t\tvd1',
    '172.16.0.0\t10.1.0.10\t\t255.240.0.0\t\tvd1',
    '0.0.0.0\t10.0.0.99\t\t0.0.0.0\t\tvd0',
  ]);
  for (let i = 2; i < MAX_ROUTES; i++) router.routes.set({ network: (i << 8) >>> 0, mask: 0xffffff00, gateway: 1 });
  t.throws(() => router.routes.set({ network: 0x7b000000, mask: 0xff000000, gateway: 1 }), { message: /no more than/ });
});

test('ifconfig prints as the original does (vde_l3-mgmt) and changes an address', async (t) => {
  const { ask, a } = world();
  a.take();
  t.deepEqual((await ask('ifconfig vd0')).data, [
    'vd0\tLink encap: vde HWaddr 00:AA:0A:00:00:01',
    '\tinet addr:10.0.0.1 Netmask:255.255.255.0',
    '',
  ]);
  t.is((await ask('ifconfig')).data!.length, 6);
  t.is((await ask('ifconfig vd7')).status, 'ENODEV');
  t.is((await ask('ifconfig vd0 10.1.0.1')).status, 'EADDRINUSE');
  await t.throwsAsync(async () => ask('ifconfig vd0 10.0.0.0'), { message: /no station can have/ });
  t.is((await ask('ifconfig vd0 10.3.0.1 netmask 255.255.0.0')).status, 'OK');
  t.regex(a.takeSummaries()[0]!, /ARP announce 10\.3\.0\.1/);
  t.regex((await ask('ifconfig vd0')).data![1]!, /inet addr:10\.3\.0\.1 Netmask:255\.255\.0\.0/);
  t.regex((await ask('showinfo')).data!.join('\n'), /vd0 in 0 frames, out \d+ frames/);
});

test('tc: tbf holds back what exceeds the rate, and drops beyond the limit', async (t) => {
  const { a, b, ask, clock, faces } = world();
  b.take();
  t.deepEqual((await ask('tc ls')).data![1], 'vd1: ufifo. No Statistics Available.');
  t.is((await ask('tc set vd1 tbf rate 100K limit 20000')).status, 'OK');
  const frame = udpFrame({ ...FROM_A, sport: 1, dport: 2, data: new Uint8Array(958) }); // 1000 bytes
  a.receive(...Array.from({ length: 40 }, () => frame));
  t.is(b.take().length, 9, 'the bucket: one frame of the largest size');
  t.is(faces[1]!.out.backlog, 19_000);
  t.is(b.drops[Drop.ShaperFull], 12);
  for (let i = 0; i < 10; i++) clock.advance(10);
  const after = b.take().length;
  t.true(after >= 9 && after <= 11, `${after} frames in 100 ms at 100 KiB/s`);
  for (let i = 0; i < 20; i++) clock.advance(10);
  t.is(after + b.take().length, 19);
  t.is(
    (await ask('tc ls')).data![1],
    'vd1: tbf. Shaping at Rate = 102400 Bytes/s, bucket limit: 20000 bytes. Overlimits: 12 packets. MTU=1500',
  );
  t.is((await ask('tc set vd1 pfifo limit 3')).status, 'OK');
  a.receive(...Array.from({ length: 5 }, () => frame));
  a.receive(frame);
  t.is(b.take().length, 4);
  t.is((await ask('tc set vd1 bfifo limit 2500')).status, 'OK');
  a.receive(...Array.from({ length: 5 }, () => frame));
  t.is(b.take().length, 2);
  t.is((await ask('tc set vd9 ufifo')).status, 'ENODEV');
  t.is((await ask('tc')).status, 'EINVAL');
});

test('what users write: interfaces, routes, policies', (t) => {
  const host = parseIpv4('10.0.0.1');
  t.deepEqual(parseInterface('/a.ctl:10.0.0.1/24'), { socket: '/a.ctl', address: host, mask: 0xffffff00 });
  t.deepEqual(parseInterface('vde:///a[7]:10.0.0.1/255.255.0.0'), {
    socket: 'vde:///a[7]',
    address: host,
    mask: 0xffff0000,
  });
  t.is(parseInterface(':10.0.0.1/8').socket, '');
  for (const text of [
    '10.0.0.1/24',
    'a:10.0.0.1',
    'a:10.0.0.1/33',
    'a:10.0.0.1/255.0.255.0',
    'a:10.0.0.0/24',
    'a:10.0.0.255/24',
    'a:224.0.0.1/24',
  ])
    t.throws(() => parseInterface(text), { code: 'ERR_VDE_BAD_ADDRESS' }, text);
  t.deepEqual(parseRoute('172.16.0.0/12:10.0.0.1'), {
    network: parseIpv4('172.16.0.0'),
    mask: 0xfff00000,
    gateway: host,
  });
  for (const text of [
    '172.16.0.0/12',
    '172.16.0.1/12:10.0.0.1',
    '172.16.0.0:10.0.0.1',
    'x/8:10.0.0.1',
    '1.0.0.0/8:0.0.0.0',
  ])
    t.throws(() => parseRoute(text), { code: 'ERR_VDE_BAD_ADDRESS' }, text);
  const policies: [string, Policy][] = [
    ['ufifo', { kind: 'ufifo' }],
    ['pfifo limit 5', { kind: 'pfifo', limit: 5 }],
    ['tbf rate 1M limit 2K', { kind: 'tbf', rate: 1 << 20, limit: 2048 }],
    ['tbf latency 100 rate 50000', { kind: 'tbf', rate: 50_000, limit: 5000 }],
  ];
  for (const [text, want] of policies) t.deepEqual(parsePolicy(text.split(' ')), want);
  for (const text of [
    '',
    'red',
    'pfifo',
    'pfifo limit',
    'pfifo limit 0',
    'tbf rate 5',
    'tbf limit 5',
    'tbf rate 5 limit 5 latency 5',
    'tbf qlen 50000 rate 1',
    'tbf rate 5 limit 4096M',
    'ufifo limit 5',
  ])
    t.throws(() => parsePolicy(text.split(' ')), { code: 'ERR_VDE_BAD_OPTION' }, text);
});

test('any bytes from a station: no exception, nothing unbounded', (t) => {
  const { a, clock } = world();
  const seeds = [
    udpFrame({ ...FROM_A, sport: 1, dport: 2 }),
    arpFrame({ srcMac: A, sha: A, spa: '10.0.0.10', tpa: '10.0.0.1' }),
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.array(fc.tuple(fc.nat(41), fc.nat(255)), { maxLength: 6 }),
      fc.nat(60),
      (seed, spoilt, len) => {
        const bytes = Uint8Array.from(seed);
        for (const [at, value] of spoilt) bytes[at % bytes.length] = value;
        a.receive(bytes.subarray(0, Math.max(1, Math.min(len, bytes.length))), bytes);
        clock.advance(1);
      },
    ),
    { numRuns: 2000 },
  );
  t.pass();
});
