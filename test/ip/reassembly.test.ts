import test from 'ava';
import fc from 'fast-check';
import { Drop } from '../../src/core/drop.ts';
import type { Packet } from '../../src/core/packet.ts';
import * as icmp from '../../src/wire/icmpv4.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { fragment, fragments, joined } from '../support/fragments.ts';
import { BROADCAST_MAC, echoFrame, ipFrame, tcpFrame, udpFrame } from '../support/guest-frames.ts';
import { toHex } from '../support/hex.ts';
import { IpHarness } from '../support/ip-harness.ts';

const bytes = (n: number, seed = 0): Uint8Array =>
  Uint8Array.from({ length: n }, (_, i) => (i * 7 + (i >>> 8) + seed) & 255);

/** A harness with a guest, and the UDP payloads (header included) that came through whole. */
function harness(): { h: IpHarness; got: string[]; packets: { ttl: number; len: number }[] } {
  const h = new IpHarness();
  h.introduce();
  const got: string[] = [];
  const packets: { ttl: number; len: number }[] = [];
  const take = (p: Packet): void => {
    got.push(toHex(p.b.slice(p.l4, p.end)));
    packets.push({ ttl: p.ttl, len: ipv4.totalLen(p.b, p.l3) });
    if (ipv4.check(p.b, p.l3, p.end) !== Drop.None) throw new Error('the whole header is not sound');
  };
  for (const protocol of [ipv4.PROTO_UDP, ipv4.PROTO_TCP]) h.ip.handle(protocol, { packet: take });
  return { h, got, packets };
}

const datagram = (n: number, seed = 0): Uint8Array =>
  udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7, data: bytes(n, seed) });
const payloadOf = (frame: Uint8Array): string => toHex(frame.slice(34));

for (const [name, order] of [
  ['in order', (f: Uint8Array[]) => f],
  ['last first', (f: Uint8Array[]) => f.reverse()],
  ['even ones first', (f: Uint8Array[]) => [...f.filter((_, i) => i % 2 === 0), ...f.filter((_, i) => i % 2 === 1)]],
] as const) {
  for (const size of [3000, 65_507]) {
    test(`a datagram of ${size} bytes in fragments, ${name}`, (t) => {
      const { h, got, packets } = harness();
      const whole = datagram(size);
      for (const f of order(fragments(whole))) h.link.receive(f);
      t.deepEqual(got, [payloadOf(whole)]);
      t.deepEqual(packets, [{ ttl: 64, len: whole.length - 14 }]);
      t.is(h.ip.reassembly.size + h.ip.reassembly.bytesHeld, 0);
      t.deepEqual(h.defects, []);
    });
  }
}

test('interleaved packets are told apart by source, destination, protocol and identification', (t) => {
  const { h, got } = harness();
  h.introduce('10.0.2.16', '52:54:00:00:00:16');
  const other = { src: '10.0.2.16', srcMac: '52:54:00:00:00:16' };
  const ports = { sport: 5000, dport: 7 };
  const wholes = [
    datagram(2000, 1),
    udpFrame({ dst: '192.0.2.2', ...ports, data: bytes(2000, 2) }),
    udpFrame({ ...other, dst: '192.0.2.1', ...ports, data: bytes(2000, 3) }),
    tcpFrame({ dst: '192.0.2.1', ...ports, flags: 'A', data: bytes(2000, 4) }),
  ];
  const sets = [...wholes.map((w) => fragments(w)), fragments(datagram(2000, 5), 1480, 99)];
  for (let i = 0; i < 2; i++) for (const set of sets) h.link.receive(set[i]!);
  t.deepEqual(got, [...wholes.map(payloadOf), payloadOf(datagram(2000, 5))]);
});

test('the first fragment gives the header, whenever it comes', (t) => {
  const { h, packets } = harness();
  const [first, second] = [9, 200].map((ttl) =>
    udpFrame({ dst: '192.0.2.1', sport: 1, dport: 7, ttl, data: bytes(2000) }),
  );
  h.link.receive(fragments(second!)[1]!, fragments(first!)[0]!);
  t.deepEqual(packets, [{ ttl: 9, len: 2028 }]);
});

const WHOLE = datagram(3992); // 4000 bytes of payload

for (const { name, give, want } of [
  {
    name: 'RFC 5722: a fragment that overlaps the one before',
    give: [
      { from: 0, to: 1600 },
      { from: 1592, to: 3200 },
    ],
    want: Drop.FragmentOverlap,
  },
  {
    name: 'a fragment that overlaps the one behind',
    give: [
      { from: 1600, to: 3200 },
      { from: 0, to: 1608 },
    ],
    want: Drop.FragmentOverlap,
  },
  {
    name: 'a fragment inside another',
    give: [
      { from: 0, to: 1600 },
      { from: 8, to: 16 },
    ],
    want: Drop.FragmentOverlap,
  },
  {
    name: 'RFC 1858: another first fragment, with less',
    give: [
      { from: 0, to: 1600 },
      { from: 0, to: 8, more: true },
    ],
    want: Drop.FragmentOverlap,
  },
  {
    name: 'two last fragments that disagree',
    give: [
      { from: 3200, to: 4000 },
      { from: 1600, to: 2000, more: false },
    ],
    want: Drop.FragmentOverlap,
  },
  {
    name: 'a last fragment before the end of another',
    give: [
      { from: 1600, to: 3200 },
      { from: 800, to: 1600, more: false },
    ],
    want: Drop.FragmentOverlap,
  },
  {
    name: 'more behind the last fragment',
    give: [
      { from: 1600, to: 2000, more: false },
      { from: 2400, to: 3200 },
    ],
    want: Drop.FragmentOverlap,
  },
]) {
  test(`${name}: refused as a whole, also what follows`, (t) => {
    const { h, got } = harness();
    for (const cut of give) h.link.receive(fragment(WHOLE, cut));
    t.is(h.dropped(want), 1);
    t.is(h.ip.reassembly.bytesHeld, 0);
    for (const f of fragments(WHOLE, 1600)) h.link.receive(f);
    t.deepEqual(got, []);
    t.is(h.dropped(Drop.Ipv4Fragment), 3);
    h.advance(31_000);
    t.is(h.ip.reassembly.size, 0);
    t.deepEqual(h.link.takeSummaries(), [], 'and nothing is said about it');
    for (const f of fragments(WHOLE, 1600)) h.link.receive(f);
    t.is(got.length, 1, 'the identification can be used again');
  });
}

test('a first fragment without the whole TCP header (options included) refuses the packet', (t) => {
  const { h, got } = harness();
  const options = Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 0);
  const whole = tcpFrame({ dst: '192.0.2.1', sport: 1, dport: 2, flags: 'S', options, data: bytes(100) });
  h.link.receive(fragment(whole, { from: 24, to: whole.length - 34 }));
  h.link.receive(fragment(whole, { from: 0, to: 24 }));
  t.is(h.dropped(Drop.FragmentTiny), 1);
  h.link.receive(fragment(whole, { from: 0, to: 8, id: 7 }));
  t.is(h.dropped(Drop.FragmentTiny), 2);
  t.deepEqual(got, []);
});

test('the same fragment twice is dropped once', (t) => {
  const { h, got } = harness();
  for (const f of fragments(WHOLE)) {
    h.link.receive(f);
    if (ipv4.moreFragments(f, 14)) h.link.receive(f);
  }
  t.deepEqual(got, [payloadOf(WHOLE)]);
  t.is(h.dropped(Drop.FragmentDuplicate), 2);
});

test('no payload, or a length before the end that is no multiple of 8: dropped, the packet can still be completed', (t) => {
  const { h, got } = harness();
  h.link.receive(fragment(WHOLE, { from: 0, to: 1001 }), fragment(WHOLE, { from: 8, to: 8 }));
  t.is(h.dropped(Drop.FragmentMalformed), 2);
  for (const f of fragments(WHOLE)) h.link.receive(f);
  t.is(got.length, 1);
});

test('ping of death: nothing reaches beyond 65,535 bytes', (t) => {
  const { h, got } = harness();
  const long = new Uint8Array(34 + 70_000);
  long.set(datagram(100).subarray(0, 42));
  h.link.receive(fragment(long, { from: 65_528, to: 65_528 + 400, more: false }));
  t.is(h.dropped(Drop.FragmentTooLong), 1);
  // With a header of 20 bytes the last byte a payload can have is the 65,515th.
  h.link.receive(fragment(long, { from: 65_512, to: 65_516, more: false, id: 2 }));
  t.is(h.dropped(Drop.FragmentTooLong), 2);
  h.link.receive(fragment(long, { from: 65_512, to: 65_515, more: false, id: 3 }));
  t.is(h.dropped(Drop.FragmentTooLong), 2);
  t.deepEqual(got, []);
});

test('30 s without the rest: forgotten, and ICMP 11/1 quotes the first fragment', (t) => {
  const { h, got } = harness();
  const [first, , last] = fragments(WHOLE);
  h.link.receive(first!, last!);
  h.link.receive(fragment(datagram(2000), { from: 1480, to: 2008, id: 8 }));
  h.link.take();
  h.advance(29_000);
  t.is(h.link.take().length, 0);
  h.advance(2000);
  const sent = h.link.take();
  t.is(sent.length, 1, 'none about a packet whose first fragment never came');
  const f = sent[0]!;
  t.is(icmp.type(f, 34), icmp.TYPE_TIME_EXCEEDED);
  t.is(icmp.code(f, 34), icmp.CODE_REASSEMBLY);
  t.is(toHex(f.slice(42, 14 + ipv4.totalLen(f, 14))), toHex(first!.slice(14, 14 + icmp.MAX_QUOTE)));
  t.is(h.dropped(Drop.FragmentTimeout), 2);
  t.is(h.ip.reassembly.size + h.ip.reassembly.bytesHeld, 0);
  t.deepEqual(got, []);
});

test('an ICMP error that never completes causes none', (t) => {
  const { h } = harness();
  const error = ipFrame({ dst: '192.0.2.1' }, ipv4.PROTO_ICMP, Uint8Array.of(3, 1, 0, 0, 0, 0, 0, 0, 0x45, 0, 0, 0));
  h.link.receive(fragment(error, { from: 0, to: 8 }));
  h.advance(31_000);
  t.is(h.dropped(Drop.FragmentTimeout), 1);
  t.is(h.link.take().length, 0);
});

test('bounds: 64 fragments a packet, 256 KiB and 64 packets a guest, 4 MiB in all', (t) => {
  const { h, got } = harness();
  const small = datagram(8 * 70 - 8);
  for (const f of fragments(small, 8).slice(0, 69)) h.link.receive(f);
  t.is(h.dropped(Drop.FragmentLimit), 1);
  t.is(h.dropped(Drop.Ipv4Fragment), 4);
  for (let id = 1; id <= 100; id++) h.link.receive(fragment(WHOLE, { from: 0, to: 1480, id }));
  t.is(h.ip.reassembly.size, 64);
  const big = datagram(60_000);
  for (let id = 200; id < 220; id++) {
    for (const f of fragments(big, 1480, id).slice(1)) h.link.receive(f);
    t.true(h.ip.reassembly.bytesHeld <= 256 << 10);
  }
  // A newcomer is served by what it pushes out.
  for (const f of fragments(WHOLE, 1480, 7777)) h.link.receive(f);
  t.is(got.length, 1);
  for (let guest = 16; guest < 36; guest++) {
    const srcMac = `52:54:00:00:00:${guest.toString(16)}`;
    const src = `10.0.2.${guest}`;
    h.introduce(src, srcMac);
    const whole = udpFrame({ src, srcMac, dst: '192.0.2.1', sport: 1, dport: 2, data: bytes(20_000) });
    for (let id = 1; id <= 16; id++) {
      for (const f of fragments(whole, 4000, id).slice(1)) h.link.receive(f);
      t.true(h.ip.reassembly.bytesHeld <= 4 << 20);
    }
  }
  t.true(h.ip.reassembly.bytesHeld > 3 << 20);
  h.advance(31_000);
  t.is(h.ip.reassembly.size + h.ip.reassembly.bytesHeld, 0);
  t.deepEqual(h.defects, []);
});

test('fragments to a group address, and of hosts without address, are dropped', (t) => {
  const { h } = harness();
  const dhcp = udpFrame({
    src: '0.0.0.0',
    dst: '255.255.255.255',
    dstMac: BROADCAST_MAC,
    sport: 68,
    dport: 67,
    data: bytes(2000),
  });
  for (const f of fragments(dhcp)) h.link.receive(f);
  t.is(h.dropped(Drop.Ipv4Fragment), 2);
  t.is(h.ip.reassembly.size, 0);
});

test('a fragment with its TTL used up: time exceeded for the first one only', (t) => {
  const { h } = harness();
  const whole = udpFrame({ dst: '192.0.2.1', sport: 1, dport: 2, ttl: 1, data: bytes(2000) });
  for (const f of fragments(whole)) h.link.receive(f);
  t.is(h.dropped(Drop.Ipv4TtlExceeded), 2);
  t.is(h.link.take().length, 1);
});

test('echo to the gateway: 65,507 bytes there and back in fragments', (t) => {
  const { h } = harness();
  const request = echoFrame({ id: 7, seq: 1, data: bytes(65_507) });
  for (const f of fragments(request)) h.link.receive(f);
  h.settle();
  const sent = h.link.take();
  t.is(sent.length, 45);
  const reply = joined(sent);
  t.is(icmp.check(reply, 0, reply.length), Drop.None);
  t.is(reply[0], icmp.TYPE_ECHO_REPLY);
  t.is(toHex(reply.slice(4)), toHex(request.slice(38)));
});

test('identifications of what leaves in fragments: no two alike in 65,536, no constant step', (t) => {
  const { h } = harness();
  const n = h.ip.neighbors.find(0, 0, 0xffff, 0x0a00020f)!;
  const seen = new Set<number>();
  const steps = new Map<number, number>();
  let before = 0;
  for (let i = 0; i < 65_536; i++) {
    const o = h.ip.stage(n, 1481);
    h.ip.sendStaged(n, o, 1481, 0, 0, 0xffff, 0x0a000202, ipv4.PROTO_UDP, 64);
    h.ip.flush();
    const id = ipv4.id(h.link.take()[0]!, 14);
    seen.add(id);
    const step = (id - before) & 0xffff;
    steps.set(step, (steps.get(step) ?? 0) + 1);
    before = id;
  }
  t.is(seen.size, 65_536);
  t.true(Math.max(...steps.values()) < 40);
});

test('any fragments in any order: bytes that come out are those of one packet that was sent', (t) => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ which: fc.integer({ min: 0, max: 2 }), from: fc.nat(60), len: fc.nat(30), last: fc.boolean() }),
        {
          maxLength: 60,
        },
      ),
      (cuts) => {
        const { h, got } = harness();
        const wholes = [datagram(400, 1), datagram(408, 2), datagram(416, 3)];
        for (const { which, from, len, last } of cuts) {
          const whole = wholes[which]!;
          const size = whole.length - 34;
          const start = Math.min(from * 8, size - 8);
          const to = last ? size : Math.min(start + (len + 1) * 8, size);
          h.link.receive(fragment(whole, { from: start, to, id: which }));
        }
        const sent = wholes.map(payloadOf);
        return h.defects.length === 0 && got.every((g) => sent.includes(g));
      },
    ),
    { numRuns: 300 },
  );
  t.pass();
});
