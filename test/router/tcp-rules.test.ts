// Rules of TCP through the router that a guest or a client of a forward can see, as far as tcp.test.ts, errors.test.ts and
// forwards.test.ts do not have them; docs/reference/conformance-tcp.md has all of them.
import test from 'ava';
import { type Endpoint, parseEndpoint, parseIpv4 } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as tcp from '../../src/wire/tcp.ts';
import type { FakeTcp } from '../support/fake-host-net.ts';
import { arpFrame, ROUTER_MAC, tcpFrame } from '../support/guest-frames.ts';
import { hex, toHex } from '../support/hex.ts';
import { GuestTcp, RouterHarness, router6 } from '../support/router-harness.ts';

const HELLO = hex('68656c6c6f');
const rule = { protocol: 'tcp', listen: parseEndpoint('0.0.0.0', 8022) } as const;

async function forwarding(guest: string): Promise<{ h: RouterHarness; client: (from: Endpoint) => FakeTcp }> {
  const h = new RouterHarness();
  await h.router.addForward({ ...rule, guest: parseEndpoint(guest, 22) });
  return { h, client: (from) => h.host.listeners[0]!.incoming(from) };
}

/** The TCP frames that the router has sent: source, port and flags. */
function segments(h: RouterHarness): { f: Uint8Array; from: string; port: number; flags: number }[] {
  h.settle();
  return h.link
    .take()
    .filter((f) => f[12] === 8 && f[13] === 0 && f[23] === ipv4.PROTO_TCP)
    .map((f) => ({
      f,
      from: [...f.slice(26, 30)].join('.'),
      port: tcp.srcPort(f, 34),
      flags: tcp.flags(f, 34),
    }));
}

for (const { address, why } of [
  { address: '127.0.0.1', why: 'loopback' },
  { address: '10.0.2.99', why: 'the guest network' },
  { address: '10.0.2.15', why: 'the guest itself' },
  { address: '10.0.2.3', why: 'the router' },
  { address: '169.254.7.7', why: 'link-local' },
]) {
  test(`forward: a client of ${why} appears as the gateway`, async (t) => {
    const { h, client } = await forwarding('10.0.2.15');
    client(parseEndpoint(address, 5555));
    const [syn] = segments(h);
    t.deepEqual([syn!.from, syn!.port], ['10.0.2.2', 5555]);
  });
}

test('forward: a port of the gateway that is taken, or privileged, becomes a random free one (RFC 6056)', async (t) => {
  const { h, client } = await forwarding('10.0.2.15');
  client(parseEndpoint('127.0.0.1', 5555));
  for (let i = 0; i < 40; i++) client(parseEndpoint(`127.0.0.${i + 2}`, i % 2 === 0 ? 5555 : 80));
  const [first, ...others] = segments(h).map((s) => s.port);
  t.is(first, 5555);
  t.is(new Set(others).size, 40, 'no port twice');
  t.true(others.every((port) => port >= 49_152));
  const steps = others.slice(1).map((port, i) => port - others[i]!);
  t.true(new Set(steps).size > 30, 'no constant step');
});

test('forward: the same client port to two guests is kept for both', async (t) => {
  const { h, client } = await forwarding('10.0.2.15');
  h.introduce('10.0.2.16', '52:54:00:00:00:16');
  await h.router.addForward({ ...rule, listen: parseEndpoint('0.0.0.0', 8023), guest: parseEndpoint('10.0.2.16', 22) });
  client(parseEndpoint('203.0.113.5', 9999));
  h.host.listeners[1]!.incoming(parseEndpoint('203.0.113.5', 9999));
  t.deepEqual(
    segments(h).map((s) => `${s.from}:${s.port}`),
    ['203.0.113.5:9999', '203.0.113.5:9999'],
  );
});

test('forward: a guest not heard of is asked for by ARP; the SYN follows its answer', async (t) => {
  const { h, client } = await forwarding('10.0.2.77');
  const s = client(parseEndpoint('203.0.113.5', 9999));
  h.settle();
  t.deepEqual(
    h.link.take().map((f) => toHex(f.slice(12, 14))),
    ['0806'],
  );
  h.advance(2500);
  t.false(s.wasReset);
  h.link.receive(
    arpFrame({ op: 2, srcMac: '52:54:00:00:00:77', dstMac: ROUTER_MAC, spa: '10.0.2.77', tpa: '10.0.2.2' }),
  );
  const syns = segments(h);
  t.true(syns.length > 0 && syns.every((syn) => syn.flags === tcp.SYN && syn.f[5] === 0x77));
});

test('forward: a guest that never answers ARP: the client is reset after 10 s', async (t) => {
  const { h, client } = await forwarding('10.0.2.77');
  const s = client(parseEndpoint('203.0.113.5', 9999));
  h.advance(9900);
  t.false(s.wasReset);
  h.advance(200);
  t.true(s.wasReset);
  t.is(h.router.budget.used, 0);
});

test('forward: SYN at 0, 1, 3 and 7 s (RFC 6298 5), the client is reset after 10 s', async (t) => {
  const { h, client } = await forwarding('10.0.2.15');
  const s = client(parseEndpoint('203.0.113.5', 9999));
  const at: number[] = [];
  for (let ms = 0; ms < 12_000 && !s.wasReset; ms += 100) {
    for (const syn of segments(h)) if (syn.flags === tcp.SYN) at.push(Math.round(ms / 1000));
    h.advance(100);
  }
  t.deepEqual(at, [0, 1, 3, 7]);
  t.true(s.wasReset);
  t.deepEqual(segments(h), [], 'and nothing to the guest');
});

test('forward: a client that resets while its guest is asked takes the SYN back', async (t) => {
  const { h, client } = await forwarding('10.0.2.15');
  client(parseEndpoint('203.0.113.5', 9999)).fail('ECONNRESET');
  segments(h);
  h.advance(12_000);
  t.deepEqual(segments(h), []);
  t.is(h.router.tcpNat.size, 0);
  t.is(h.router.budget.used, 0);
});

test('RFC 5382 REQ-2: simultaneous open of a forward and the guest, data both ways', async (t) => {
  const { h, client } = await forwarding('10.0.2.15');
  const s = client(parseEndpoint('203.0.113.5', 9999));
  const [syn] = segments(h);
  const ours = tcp.seq(syn!.f, 34);
  const guest = { dst: '203.0.113.5', sport: 22, dport: 9999 };
  h.link.receive(tcpFrame({ ...guest, seq: 7000, flags: 'S' })); // it has not seen ours yet
  const [answer] = segments(h);
  t.deepEqual([answer!.flags, tcp.ack(answer!.f, 34)], [tcp.SYN | tcp.ACK, 7001]);
  t.is(h.host.tcp.length, 0, 'no connection outward comes of it');
  h.send(tcpFrame({ ...guest, seq: 7000, ack: ours + 1, flags: 'SA' }));
  t.false(s.paused);
  s.data(HELLO);
  t.is(segments(h).length, 1);
  h.send(tcpFrame({ ...guest, seq: 7001, ack: ours + 6, flags: 'AP', data: HELLO }));
  t.is(toHex(s.written()), toHex(HELLO));
});

test('RFC 5382 REQ-7: flows never share a host socket, whatever their ports', (t) => {
  const h = new RouterHarness();
  for (const dst of ['192.0.2.1', '192.0.2.2'])
    for (const dport of [80, 81]) h.send(tcpFrame({ dst, sport: 5000, dport, flags: 'S' }));
  t.is(h.host.openTcp.length, 4);
});

test('RFC 7857 2.2: after a reset nothing of the flow is left, and its ports work at once', (t) => {
  const h = new RouterHarness();
  for (let i = 0; i < 3; i++) {
    const g = new GuestTcp(h, '192.0.2.1', 80);
    g.send('S');
    h.host.lastTcp.connect();
    g.poll();
    t.deepEqual(g.takeFlags(), ['SA']);
    g.send('A');
    g.send('RA');
    t.true(h.host.lastTcp.wasReset);
    t.is(h.router.tcp.count + h.router.tcp.timeWait, 0);
    t.is(h.router.budget.used, 0);
  }
});

test('RFC 9293 3.7.1: an IPv6 guest that names no MSS gets segments of 1220 bytes, an IPv4 one of 536', (t) => {
  for (const [dst, mss] of [
    ['2001:db8:ffff::1', 1220],
    ['192.0.2.1', 536],
  ] as const) {
    const h = router6();
    const g = new GuestTcp(h, dst, 80);
    g.send('S');
    h.host.lastTcp.connect();
    g.poll();
    g.send('A');
    h.host.lastTcp.data(new Uint8Array(1500));
    h.settle();
    const l4 = dst.includes(':') ? 54 : 34;
    const sizes = h.link.take().map((f) => f.length - l4 - tcp.dataOffset(f, l4));
    t.is(sizes[0], mss);
  }
});

test('2,000 connects into black holes: 64 of a destination are tried, a burst of 200 good ones opens at once', (t) => {
  const h = new RouterHarness();
  const SYN = { dport: 80, seq: 1, flags: 'S' } as const;
  for (let i = 0; i < 2000; i++) h.send(tcpFrame({ ...SYN, dst: `192.0.2.${1 + (i % 2)}`, sport: 1000 + i }));
  t.is(h.host.openTcp.length, 128);
  const burst = Array.from({ length: 200 }, (_, i) => tcpFrame({ ...SYN, dst: '203.0.113.1', sport: 5000 + i }));
  const answers = h.send(...burst);
  for (let i = 0; i < 10; i++) {
    for (const s of h.host.openTcp) if (s.remote.host === '203.0.113.1' && s.state === 'connecting') s.connect();
    h.settle();
    answers.push(...h.link.take());
    const acks = answers.splice(0).map((f) => {
      t.is(tcp.flags(f, 34), tcp.SYN | tcp.ACK);
      const seq = tcp.seq(f, 34) + 1;
      return tcpFrame({ dst: '203.0.113.1', sport: tcp.dstPort(f, 34), dport: 80, seq: 2, ack: seq, flags: 'A' });
    });
    answers.push(...h.send(...acks));
  }
  const good = h.router.flows({ limit: 5000 }).flows.filter((f) => f.peer === '203.0.113.1:80');
  t.is(good.filter((f) => f.state === 'ESTABLISHED').length, 200);
  t.is(h.dropped(Drop.TcpHalfOpenLimit), 0);
  t.true(h.router.status().tcp.waiting.used <= 2048);
});

test('a service of the router answers while a destination of the same guest holds all its places', (t) => {
  const h = new RouterHarness({ tcp: { maxHalfOpenPerPair: 4 } });
  for (let i = 0; i < 50; i++) h.send(tcpFrame({ dst: '192.0.2.1', sport: 1000 + i, dport: 80, seq: 1, flags: 'S' }));
  const g = new GuestTcp(h, '10.0.2.3', 53);
  g.send('S');
  t.deepEqual(g.takeFlags(), ['SA']);
  t.is(h.host.openTcp.length, 4);
  h.router.close();
  t.is(h.host.openTcp.length, 0);
  t.is(h.router.status().tcp.waiting.used, 0);
});

test('a SYN to a destination that the policy refuses is answered by RST with the number of the SYN', (t) => {
  const h = new RouterHarness({ restrict: true });
  const [f] = h.send(tcpFrame({ dst: '192.0.2.1', sport: 1, dport: 80, seq: 41, flags: 'S' }));
  t.deepEqual([tcp.flags(f!, 34), tcp.seq(f!, 34), tcp.ack(f!, 34)], [tcp.RST | tcp.ACK, 0, 42]);
  t.is(ipv4.src(f!, 14), parseIpv4('192.0.2.1'));
  t.is(h.host.tcp.length, 0);
});
