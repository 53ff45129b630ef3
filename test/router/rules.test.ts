// Rules of docs/reference/conformance-net.md that are nobody else's: what is said to whom, what never leaves, what is
// bounded.

import test from 'ava';
import { MAPPED, parseEndpoint, parseIpv4 } from '../../src/core/address.ts';
import { Drop, newDropCounters } from '../../src/core/drop.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { NeighborCache } from '../../src/ip/neighbor.ts';
import * as icmp from '../../src/wire/icmpv4.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as tcp from '../../src/wire/tcp.ts';
import * as udp from '../../src/wire/udp.ts';
import { leaseTo } from '../support/dhcp-exchange.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { fragment } from '../support/fragments.ts';
import { arpFrame, BROADCAST_MAC, echoFrame, ipFrame, tcpFrame, udpFrame } from '../support/guest-frames.ts';
import { tcp6Frame, udp6Frame } from '../support/guest6-frames.ts';
import { toHex } from '../support/hex.ts';
import { GuestTcp, RouterHarness, router6 } from '../support/router-harness.ts';

// ---- who is answered

test('the DNS address: DNS and echo only, all else is refused, UDP by port unreachable and TCP by RST,ACK', (t) => {
  const h = new RouterHarness();
  const [error] = h.send(udpFrame({ dst: '10.0.2.3', sport: 5000, dport: 69 }));
  t.deepEqual([icmp.type(error!, 34), icmp.code(error!, 34)], [3, 3]);
  t.is(ipv4.dst(error!, 42), parseIpv4('10.0.2.3'));
  t.is(ipv4.src(error!, 14), parseIpv4('10.0.2.3'), 'as the host at that address would: nmap calls it closed then');
  const [reset] = h.send(tcpFrame({ dst: '10.0.2.3', sport: 5000, dport: 80, flags: 'S', seq: 7 }));
  t.deepEqual([tcp.flags(reset!, 34), tcp.ack(reset!, 34)], [tcp.RST | tcp.ACK, 8]);
  const [reply] = h.send(echoFrame({ dst: '10.0.2.3', id: 1, seq: 1 }));
  t.is(icmp.type(reply!, 34), icmp.TYPE_ECHO_REPLY);
  t.is(h.host.udp.length + h.host.tcp.length, 0);
});

test('other addresses of the guest network are nobody’s here: no ARP answer, no error, no socket', (t) => {
  const h = new RouterHarness();
  const dst = '10.0.2.99';
  const frames = [
    arpFrame({ spa: '10.0.2.15', tpa: dst }),
    udpFrame({ dst, sport: 1, dport: 7 }),
    tcpFrame({ dst, sport: 1, dport: 80, flags: 'S' }),
    echoFrame({ dst, id: 1, seq: 1 }),
  ];
  t.deepEqual(h.send(...frames), []);
  t.is(h.dropped(Drop.Ipv4NotForUs), 3);
  t.is(h.host.udp.length + h.host.tcp.length + h.host.pings.length, 0);
});

for (const dst of [
  '255.255.255.255',
  '10.0.2.255',
  '224.0.0.1',
  '239.255.255.250',
  '240.0.0.1',
  '127.0.0.1',
  '0.0.0.0',
]) {
  test(`${dst}: TCP, UDP, echo and unknown protocols, whatever the MAC address: silence, and no socket (RFC 1122 3.2.2)`, (t) => {
    const h = new RouterHarness();
    for (const dstMac of [BROADCAST_MAC, '01:00:5e:00:00:01', '52:55:0a:00:02:02']) {
      const frames = [
        tcpFrame({ dst, dstMac, sport: 1, dport: 80, flags: 'S' }),
        udpFrame({ dst, dstMac, sport: 1, dport: 7 }),
        echoFrame({ dst, dstMac, id: 1, seq: 1 }),
        udpFrame({ dst, dstMac, sport: 1, dport: 7, ttl: dst.startsWith('2') ? 1 : 64 }),
      ];
      t.deepEqual(h.send(...frames), []);
      if (dst > '2') t.deepEqual(h.send(ipFrame({ dst, dstMac }, 132, new Uint8Array(20))), []);
    }
    t.is(h.host.udp.length + h.host.tcp.length + h.host.pings.length, 0);
  });
}

const UNANSWERED: readonly [name: string, give: () => Uint8Array][] = [
  ['a frame to all with a unicast destination', () => ipFrame({ dst: '192.0.2.1', dstMac: BROADCAST_MAC }, 132, DATA)],
  ['a frame to a group, TTL 1', () => udpFrame({ dst: '192.0.2.1', dstMac: '01:00:5e:00:00:01', ...PORTS, ttl: 1 })],
  ['a source of 0.0.0.0', () => udpFrame({ src: '0.0.0.0', dst: '192.0.2.1', ...PORTS, ttl: 1 })],
  ['a source that is a broadcast address', () => udpFrame({ src: '10.0.2.255', dst: '192.0.2.1', ...PORTS, ttl: 1 })],
  ['a source that is a group', () => udpFrame({ src: '224.0.0.1', dst: '192.0.2.1', ...PORTS, ttl: 1 })],
  ['a source of class E', () => udpFrame({ src: '240.0.0.1', dst: '192.0.2.1', ...PORTS, ttl: 1 })],
  ['a source on loopback', () => udpFrame({ src: '127.0.0.1', dst: '192.0.2.1', ...PORTS, ttl: 1 })],
  ['a source that is ours, to itself', () => udpFrame({ src: '10.0.2.2', dst: '10.0.2.2', ...PORTS })],
  ['an ICMP error', () => echoFrame({ dst: '192.0.2.1', type: 3, id: 0, seq: 0, data: new Uint8Array(28), ttl: 1 })],
  ['a redirect', () => echoFrame({ dst: '192.0.2.1', type: 5, id: 0, seq: 0, data: new Uint8Array(28), ttl: 1 })],
  [
    'a later fragment',
    () => fragment(udpFrame({ dst: '192.0.2.1', ...PORTS, ttl: 1, data: new Uint8Array(32) }), { from: 16, to: 40 }),
  ],
];
const DATA = new Uint8Array(20);
const PORTS = { sport: 5000, dport: 7 };

for (const [name, give] of UNANSWERED) {
  test(`no ICMP error about ${name} (RFC 1122 3.2.2)`, (t) => {
    const h = new RouterHarness();
    t.deepEqual(h.send(give()), []);
    t.is(h.host.udp.length, 0);
  });
}

test('an ICMP error quotes as much as fits 576 bytes', (t) => {
  const h = new RouterHarness();
  const packet = ipFrame(
    { dst: '192.0.2.1' },
    132,
    Uint8Array.from({ length: 1400 }, (_, i) => i),
  );
  const [error] = h.send(packet);
  t.is(ipv4.totalLen(error!, 14), 576);
  t.is(toHex(error!.slice(42)), toHex(packet.slice(14, 14 + 548)));
});

// ---- what leaves

test('echo: padding of the request is not in the reply, which is never longer', (t) => {
  const h = new RouterHarness();
  for (const len of [0, 1, 7]) {
    const request = new Uint8Array(60).fill(0x77);
    request.set(echoFrame({ id: 1, seq: 2, data: new Uint8Array(len).fill(0x55) }));
    const [reply] = h.send(request);
    t.is(ipv4.totalLen(reply!, 14), 28 + len);
    t.true(
      reply!.subarray(42 + len).every((b) => b === 0),
      'zeros behind it',
    );
  }
});

test('old bytes of the memory that frames are built in never leave', (t) => {
  const h = router6();
  const spoil = (): void => void h.router.ip.bytes.fill(0xa5);
  const sent: Uint8Array[] = [];
  const hear = (...frames: Uint8Array[]): void => {
    for (const f of frames) {
      spoil();
      sent.push(...h.send(f));
    }
  };
  hear(
    arpFrame({ spa: '10.0.2.15', tpa: '10.0.2.2' }),
    echoFrame({ id: 1, seq: 1 }),
    echoFrame({ id: 1, seq: 2, data: new Uint8Array(1400) }),
    udpFrame({ dst: '10.0.2.3', sport: 1, dport: 9 }),
    udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7, ttl: 1 }),
    ipFrame({ dst: '192.0.2.1' }, 132, new Uint8Array(1400)),
    tcpFrame({ dst: '10.0.2.2', sport: 9, dport: 99, flags: 'A' }),
    tcpFrame({ dst: '192.0.2.1', sport: 9, dport: 80, flags: 'S' }),
    udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7 }),
    udp6Frame({ dst: '64:ff9b::c000:201', sport: 5000, dport: 7 }),
    tcp6Frame({ dst: '64:ff9b::c000:201', sport: 9, dport: 80, flags: 'S' }),
  );
  const then = (run: () => void): void => {
    spoil();
    run();
    h.settle();
    sent.push(...h.link.take());
  };
  then(() => h.host.tcp[0]!.connect());
  then(() => h.host.tcp[1]!.connect());
  then(() => h.host.udp[0]!.deliver(parseEndpoint('192.0.2.1', 7), new Uint8Array(1)));
  then(() => h.host.udp[0]!.deliver(parseEndpoint('192.0.2.1', 7), new Uint8Array(4001)));
  then(() => h.host.udp[1]!.deliver(parseEndpoint('192.0.2.1', 7), new Uint8Array(4001)));
  then(() => leaseTo(h, '02:00:00:00:00:31', 'name'));
  t.true(sent.length >= 16, `${sent.length}`);
  for (const f of sent) t.false(toHex(f).includes('a5a5'), toHex(f).slice(0, 200));
});

test('no application is looked into: FTP’s PORT passes as it is', (t) => {
  const h = new RouterHarness();
  const guest = new GuestTcp(h, '192.0.2.1', 21);
  guest.send('S');
  h.host.lastTcp.connect();
  guest.poll();
  guest.send('A');
  const line = Buffer.from('PORT 10,0,2,15,156,64\r\n');
  guest.send('PA', line);
  t.is(Buffer.from(h.host.lastTcp.written()).toString(), line.toString());
});

test('RFC 6056: a client whose port is taken at the gateway gets a random one of the dynamic ports', async (t) => {
  const h = new RouterHarness();
  const rule = { listen: parseEndpoint('127.0.0.1', 8022), guest: parseEndpoint('10.0.2.15', 22) } as const;
  await h.router.addForward({ protocol: 'tcp', ...rule });
  await h.router.addForward({ protocol: 'udp', ...rule });
  const ports: Record<'tcp' | 'udp', Set<number>> = { tcp: new Set(), udp: new Set() };
  for (let i = 1; i <= 40; i++) {
    h.host.listeners[0]!.incoming(parseEndpoint(`127.0.0.${i}`, 3000));
    h.host.lastUdp.deliver(parseEndpoint(`127.0.0.${i}`, 3000), new Uint8Array(1));
    h.settle();
    for (const f of h.link.take()) {
      if (f[23] === 6) ports.tcp.add(tcp.srcPort(f, 34));
      if (f[23] === 17) ports.udp.add(udp.srcPort(f, 34));
    }
  }
  for (const kind of ['tcp', 'udp'] as const) {
    const [first, ...others] = ports[kind];
    t.is(first, 3000, 'the client’s own while it is free');
    t.is(others.length, 39, 'none twice');
    t.true(others.every((port) => port >= 49_152));
    const steps = new Set(others.slice(1).map((port, i) => port - others[i]!));
    t.true(steps.size > 30, 'no constant step');
  }
});

// ---- neighbors

const cache = (solicit: () => void = () => {}) => {
  const clock = new FakeClock();
  const drops = newDropCounters();
  const options = { wheel: new TimerWheel(clock), drops, seed: 7, solicit, release: () => {} };
  return { clock, drops, neighbors: new NeighborCache(options) };
};
const address = (i: number): [number, number, number, number] => [0, 0, MAPPED, 0x0a000000 + i];
const address6 = (i: number): [number, number, number, number] => [0x20010db8, 0, 0, i];

test('gratuitous ARP and requests for others teach who has an address', (t) => {
  const h = new RouterHarness();
  h.send(arpFrame({ srcMac: '02:00:00:00:00:71', spa: '10.0.2.71', tpa: '10.0.2.71' }));
  h.send(arpFrame({ srcMac: '02:00:00:00:00:72', spa: '10.0.2.72', tpa: '10.0.2.99' }));
  h.send(arpFrame({ op: 2, srcMac: '02:00:00:00:00:73', spa: '10.0.2.73', tpa: '10.0.2.99' }));
  for (const last of [71, 72, 73]) {
    const n = h.router.ip.neighbors.find(0, 0, MAPPED, 0x0a000200 + last);
    t.is(n?.macLo, Number.parseInt(`${last}`, 16), `${last}`);
  }
});

test('a flood of addresses of one family pushes out its own oldest, not the other family’s, nor who carries flows', (t) => {
  const { neighbors } = cache();
  t.truthy(neighbors.heard(...address6(1), 2, 1, 1));
  const flowing = neighbors.heard(...address(1), 2, 1, 1)!;
  flowing.flows = 1;
  for (let i = 2; i < 5000; i++) t.truthy(neighbors.heard(...address(i), 2, i, i));
  t.is(neighbors.size, 1025);
  t.truthy(neighbors.find(...address6(1)));
  t.is(neighbors.find(...address(1)), flowing);
  t.is(neighbors.find(...address(3)), null);
  t.truthy(neighbors.find(...address(4999)));
  t.truthy(neighbors.find(...address(4000)), 'the oldest went');
});

test('who talks all the time stays, whoever else comes', (t) => {
  const { neighbors } = cache();
  const regular = neighbors.heard(...address(1), 2, 1, 1)!;
  for (let i = 2; i < 5000; i++) {
    neighbors.heard(...address(i), 2, i, i);
    neighbors.confirm(regular, i);
  }
  t.is(neighbors.find(...address(1)), regular);
});

test('addresses asked for in vain: 256 at once, the oldest makes room, 100 solicitations a second, gone after three', (t) => {
  let asked = 0;
  const { neighbors, clock } = cache(() => asked++);
  for (let i = 0; i < 1000; i++) t.truthy(neighbors.resolve(...address6(i + 1)));
  t.deepEqual([neighbors.unresolved, neighbors.size, asked], [256, 256, 100]);
  t.is(neighbors.find(...address6(1)), null);
  clock.advance(1000);
  t.true(asked <= 200, `${asked}`);
  clock.advance(10_000);
  t.deepEqual([neighbors.unresolved, neighbors.size], [0, 0]);
  t.true(asked <= 400, `${asked}`);
});

test('RFC 6583: unresolved entries that carry flows do not block others for ever', (t) => {
  const { neighbors } = cache();
  for (let i = 0; i < 200; i++) neighbors.resolve(...address6(i + 1))!.flows = 1;
  for (let i = 200; i < 2000; i++) neighbors.resolve(...address6(i + 1));
  let entered = 0;
  for (let i = 2000; i < 2100; i++) if (neighbors.resolve(...address6(i + 1)) !== null) entered++;
  t.true(entered >= 20, `${entered}`);
  t.is(neighbors.unresolved, 256);
});
