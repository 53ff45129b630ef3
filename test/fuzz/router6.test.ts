// The router under mutated frames of both families; router.test.ts has the long runs.
import test from 'ava';
import fc from 'fast-check';
import { parseEndpoint } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import * as icmpv6 from '../../src/wire/icmpv6.ts';
import { frame, frameNames } from '../support/frames.ts';
import { arpFrame, echoFrame, tcpFrame, udpFrame } from '../support/guest-frames.ts';
import {
  echo6Frame,
  fragments6,
  GUEST6,
  nd6Frame,
  ROUTER6,
  solicitedNode,
  tcp6Frame,
  udp6Frame,
} from '../support/guest6-frames.ts';
import { type RouterHarness, router6 } from '../support/router-harness.ts';

const bytes = (n: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => i);

/** Frames that reach every part of the router. */
const SEEDS: Uint8Array[] = [
  ...frameNames().map(frame),
  arpFrame({ spa: '10.0.2.15', tpa: '10.0.2.2' }),
  echoFrame({ dst: '192.0.2.1', id: 1, seq: 1, data: bytes(20) }),
  udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7, data: bytes(30) }),
  udpFrame({ dst: '10.0.2.3', sport: 5000, dport: 53, data: bytes(30) }),
  ...['S', 'SA', 'A', 'AP', 'AF', 'R', 'RA'].map((flags) =>
    tcpFrame({ dst: '192.0.2.1', sport: 4000, dport: 80, flags, seq: 1000, ack: 2000, data: bytes(40) }),
  ),
  nd6Frame({ dst: solicitedNode(ROUTER6), target: ROUTER6 }),
  nd6Frame({ dst: ROUTER6, type: icmpv6.TYPE_NEIGHBOR_ADVERTISEMENT, target: GUEST6, flags: 0x60 }),
  echo6Frame({ dst: '64:ff9b::c000:201', id: 1, seq: 1, data: bytes(20) }),
  ...['2001:db8:ffff::1', '64:ff9b::c000:201', '::ffff:192.0.2.1', ROUTER6].flatMap((dst) => [
    udp6Frame({ dst, sport: 5000, dport: 7, data: bytes(30) }),
    ...['S', 'A', 'AP', 'AF', 'R'].map((flags) =>
      tcp6Frame({ dst, sport: 4000, dport: 80, flags, seq: 1000, ack: 2000, data: bytes(40) }),
    ),
  ]),
  ...fragments6(udp6Frame({ dst: '64:ff9b::c000:201', sport: 5000, dport: 7, data: bytes(2000) })),
];

/** The same of an IPv6 packet without extension headers. */
function mend6(f: Uint8Array): void {
  const l4 = 54;
  const at = f[20] === 6 ? l4 + 16 : f[20] === 17 ? l4 + 6 : f[20] === 58 ? l4 + 2 : -1;
  const end = Math.min(f.length, l4 + ((f[18]! << 8) | f[19]!));
  if (at < 0 || at + 2 > end) return;
  f[at] = f[at + 1] = 0;
  let sum = f[20]! + end - l4;
  for (let i = 22; i < l4; i += 2) sum += (f[i]! << 8) | f[i + 1]!;
  for (let i = l4; i < end; i++) sum += i % 2 === 0 ? f[i]! << 8 : f[i]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  f[at] = (~sum >>> 8) & 255;
  f[at + 1] = ~sum & 255;
}

/** Puts lengths and checksums right as far as they are there, so that a mutation gets past the first check. */
function mend(f: Uint8Array): void {
  if (f.length >= 54 && f[12] === 0x86 && f[13] === 0xdd) mend6(f);
  if (f.length < 34 || f[12] !== 8 || f[13] !== 0) return;
  const headerLen = (f[14]! & 15) * 4;
  if (headerLen < 20 || 14 + headerLen > f.length) return;
  f[24] = f[25] = 0;
  let sum = 0;
  for (let i = 14; i < 14 + headerLen; i += 2) sum += (f[i]! << 8) | f[i + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  f[24] = (~sum >>> 8) & 255;
  f[25] = ~sum & 255;
  const l4 = 14 + headerLen;
  const at = f[23] === 6 ? l4 + 16 : f[23] === 17 ? l4 + 6 : f[23] === 1 ? l4 + 2 : -1;
  const end = Math.min(f.length, 14 + ((f[16]! << 8) | f[17]!));
  if (at < 0 || at + 2 > end) return;
  f[at] = f[at + 1] = 0;
  sum = f[23] === 1 ? 0 : f[23]! + end - l4;
  if (f[23] !== 1) for (let i = 26; i < 34; i += 2) sum += (f[i]! << 8) | f[i + 1]!;
  for (let i = l4; i < end; i++) sum += i % 2 === l4 % 2 ? f[i]! << 8 : f[i]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  f[at] = (~sum >>> 8) & 255;
  f[at + 1] = ~sum & 255;
}

/** A datagram from the server that the latest socket sent to. */
function deliver(h: RouterHarness): void {
  const socket = h.host.udp.at(-1);
  if (socket !== undefined)
    socket.deliver(parseEndpoint(socket.family === 4 ? '192.0.2.1' : '2001:db8:ffff::1', 7), bytes(100));
}

const mutation = fc.tuple(
  fc.nat(SEEDS.length - 1),
  fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 5 }),
  fc.boolean(),
  fc.option(fc.nat(100), { freq: 8, nil: null }),
);

test('mutated IPv6 frames in any order, with a host that answers at random: no exception, no stuck flow, bounded tables', (t) => {
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 50, maxLength: 400 }), fc.infiniteStream(fc.nat(9)), (frames, host) => {
      const h = router6({ maxFlows: 64 });
      const events = host[Symbol.iterator]();
      for (const [seed, changes, fix, cut] of frames) {
        const f = SEEDS[seed]!.slice(0, cut ?? undefined);
        for (const [at, value] of changes) if (at < f.length) f[at] = value;
        if (fix) mend(f);
        h.send(f);
        const s = h.host.tcp.at(-1);
        const event = events.next().value;
        if (s !== undefined && event === 0 && s.state === 'connecting') s.connect();
        else if (s !== undefined && event === 1) s.fail('ECONNRESET');
        else if (s !== undefined && event === 2 && s.state === 'connected') s.data(bytes(3000));
        else if (s !== undefined && event === 3 && s.state === 'connected') s.eof();
        else if (event === 4) deliver(h);
        else if (event === 5) h.host.pings.at(-1)?.reply();
        else if (event === 6) h.advance(event * 37);
        h.settle();
      }
      t.is(h.dropped(Drop.InternalError), 0);
      t.true(h.router.tcpNat.size <= 64 && h.router.udpNat.size <= 64);
      for (const s of h.host.tcp) if (s.state === 'connecting') s.fail('ECONNREFUSED');
      h.advance(8 * 3_600_000); // longer than any idle time: nothing may stay
      t.is(h.router.udpNat.size, 0);
      t.is(h.router.icmpNat.size, 0);
      for (const s of h.host.tcp) if (s.state === 'connected') s.fail('ECONNRESET');
      h.advance(8 * 3_600_000);
      t.is(h.router.tcpNat.size, 0, 'TCP flows');
      t.is(h.router.tcp.count, 0, 'TCP connections');
      t.deepEqual(
        [...h.router.ip.neighbors].filter((n) => n.flows !== 0),
        [],
        'pinned neighbors',
      );
    }),
    { numRuns: 250 },
  );
});
