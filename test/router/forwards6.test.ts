// Port forwards to guests of both families, from clients of both.
import test from 'ava';
import { Endpoint, formatAddress, parseEndpoint } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import type { ForwardRule } from '../../src/router/index.ts';
import * as icmp from '../../src/wire/icmpv6.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as tcp from '../../src/wire/tcp.ts';
import * as udp from '../../src/wire/udp.ts';
import { udpFrame } from '../support/guest-frames.ts';
import { GUEST6, L4, nd6Frame, ROUTER6, tcp6Frame, udp6Frame, words6 } from '../support/guest6-frames.ts';
import { hex, toHex } from '../support/hex.ts';
import { type RouterHarness, router6 } from '../support/router-harness.ts';

const HELLO = hex('68656c6c6f');
const GUEST4 = '10.0.2.15';
const PUBLIC4 = '203.0.113.5';
const PUBLIC6 = '2001:db8:cafe::5';
const forward = (
  protocol: 'tcp' | 'udp',
  listen: string,
  guest: string,
  guestName: string | null = null,
): ForwardRule => ({
  protocol,
  listen: parseEndpoint(listen, 8080),
  guest: parseEndpoint(guest, 80),
  guestName,
});

const address = (f: Uint8Array, o: number): string => {
  const w = (i: number): number => (f[i]! << 24) | (f[i + 1]! << 16) | (f[i + 2]! << 8) | f[i + 3]!;
  return formatAddress(w(o), w(o + 4), w(o + 8), w(o + 12));
};
/** Source and destination of the router's one frame of a protocol, with ports: `src:port > dst:port`. */
function sent(h: RouterHarness, protocol: number): string {
  h.settle();
  const f = h.link.take().find((each) => each[each[12] === 8 ? 23 : 20] === protocol)!;
  const isIpv4 = f[12] === 8;
  const l4 = isIpv4 ? 34 : L4;
  const v4 = (o: number): string => new Endpoint().setIpv4(o === 26 ? ipv4.src(f, 14) : ipv4.dst(f, 14), 0).host;
  const [src, dst] = isIpv4 ? [v4(26), v4(30)] : [address(f, 22), address(f, 38)];
  return `${src} ${udp.srcPort(f, l4)} > ${dst} ${udp.dstPort(f, l4)}`;
}

// listen, client, guest, and how the guest sees the client
const ways: [listen: string, client: string, guest: string, shown: string][] = [
  ['::', PUBLIC6, GUEST6, PUBLIC6],
  ['::1', '::1', GUEST6, ROUTER6],
  ['::', 'fe80::5', GUEST6, ROUTER6],
  ['::', '2001:db8:2::99', GUEST6, ROUTER6],
  ['0.0.0.0', PUBLIC4, GUEST6, '64:ff9b::cb00:7105'],
  ['127.0.0.1', '127.0.0.1', GUEST6, ROUTER6],
  ['::', PUBLIC6, GUEST4, '10.0.2.2'],
  ['0.0.0.0', PUBLIC4, GUEST4, PUBLIC4],
];
for (const [listen, client, guest, shown] of ways) {
  test(`TCP: ${client} at ${listen} reaches ${guest} as ${shown}`, async (t) => {
    const h = router6();
    await h.router.addForward(forward('tcp', listen, guest));
    const s = h.host.listeners[0]!.incoming(parseEndpoint(client, 9999));
    t.is(sent(h, 6), `${shown} 9999 > ${guest} 80`);
    t.true(s.paused);
  });

  test(`UDP: ${client} at ${listen} reaches ${guest} as ${shown}, and is answered`, async (t) => {
    const h = router6();
    await h.router.addForward(forward('udp', listen, guest));
    const s = h.host.lastUdp;
    s.deliver(parseEndpoint(client, 9999), HELLO);
    t.is(sent(h, 17), `${shown} 9999 > ${guest} 80`);
    const answer = { dst: shown, sport: 80, dport: 9999, data: HELLO };
    h.send(guest === GUEST4 ? udpFrame(answer) : udp6Frame(answer));
    t.deepEqual(
      s.sent.map((d) => `${d.to} ${toHex(d.bytes)}`),
      [`${parseEndpoint(client, 9999)} ${toHex(HELLO)}`],
    );
    t.is(h.host.udp.length, 1);
  });
}

test('without NAT64 an IPv4 client of an IPv6 guest is the gateway', async (t) => {
  const h = router6({ nat64: [] });
  await h.router.addForward(forward('tcp', '0.0.0.0', GUEST6));
  h.host.listeners[0]!.incoming(parseEndpoint(PUBLIC4, 9999));
  t.is(sent(h, 6), `${ROUTER6} 9999 > ${GUEST6} 80`);
});

test('a connection to an IPv6 guest: handshake, data both ways, reset', async (t) => {
  const h = router6();
  await h.router.addForward(forward('tcp', '::', GUEST6));
  const s = h.host.listeners[0]!.incoming(parseEndpoint(PUBLIC6, 9999));
  h.settle();
  const syn = h.link.take()[0]!;
  t.is(tcp.flags(syn, L4), tcp.SYN);
  t.is(toHex(syn.slice(L4 + 20, L4 + 24)), '020405a0');
  const base = { dst: PUBLIC6, sport: 80, dport: 9999 };
  h.send(tcp6Frame({ ...base, flags: 'SA', seq: 5000, ack: tcp.seq(syn, L4) + 1, options: hex('020405a0') }));
  t.false(s.paused);
  s.data(HELLO);
  h.settle();
  t.is(
    toHex(
      h.link
        .take()
        .at(-1)!
        .slice(L4 + 20),
    ),
    toHex(HELLO),
  );
  h.send(tcp6Frame({ ...base, flags: 'PA', seq: 5001, ack: tcp.seq(syn, L4) + 6, data: HELLO }));
  t.is(toHex(s.written()), toHex(HELLO));
  h.send(tcp6Frame({ ...base, flags: 'R', seq: 5006 }));
  t.true(s.wasReset);
});

test('a guest that was not heard of yet is asked for, and gets what waited', async (t) => {
  const h = router6();
  const late = '2001:db8:2::77';
  await h.router.addForward(forward('udp', '::', late));
  h.host.lastUdp.deliver(parseEndpoint(PUBLIC6, 9999), HELLO);
  h.settle();
  const [ns, ...more] = h.link.take();
  t.is(more.length, 0);
  t.is(icmp.type(ns!, L4), icmp.TYPE_NEIGHBOR_SOLICITATION);
  const mac = '52:54:00:00:00:77';
  h.send(
    nd6Frame({
      srcMac: mac,
      src: late,
      dst: ROUTER6,
      type: icmp.TYPE_NEIGHBOR_ADVERTISEMENT,
      target: late,
      flags: 0x60,
    }),
  );
  h.host.lastUdp.deliver(parseEndpoint(PUBLIC6, 9999), HELLO);
  t.is(sent(h, 17), `${PUBLIC6} 9999 > ${late} 80`);
});

test('an answer that cannot reach the client is told the guest in its family', async (t) => {
  const h = router6();
  await h.router.addForward(forward('udp', '0.0.0.0', GUEST6));
  h.host.lastUdp.deliver(parseEndpoint(PUBLIC4, 9999), HELLO);
  h.settle();
  h.link.take();
  const offender = parseEndpoint('198.51.100.9', 0);
  h.host.lastUdp.fail('EHOSTUNREACH', parseEndpoint(PUBLIC4, 9999), { type: 3, code: 13, mtu: 0, offender });
  h.settle();
  const [f] = h.link.take();
  t.deepEqual([icmp.type(f!, L4), icmp.code(f!, L4), address(f!, 22)], [1, 1, '64:ff9b::c633:6409']);
  t.deepEqual(
    [address(f!, 62 + 24), udp.srcPort(f!, 62 + 40), udp.dstPort(f!, 62 + 40)],
    ['64:ff9b::cb00:7105', 80, 9999],
  );
});

for (const [guest, why] of [
  [ROUTER6, /is an address of the router/],
  ['2001:db8:3::5', /is not the address of a host in the guest network/],
  ['::1', /is not the address of a host/],
  ['10.0.2.255', /is not the address of a host/],
] as const) {
  test(`a forward to ${guest} is refused`, async (t) => {
    const h = router6();
    await t.throwsAsync(h.router.addForward(forward('tcp', '::', guest)), {
      code: 'ERR_VDE_BAD_FORWARD',
      message: why,
    });
  });
}

test('a guest by hardware address has an IPv4 address before an IPv6 one, and never a link-local one', async (t) => {
  const mac = '52:54:00:00:00:99';
  const h = router6();
  await h.router.addForward(forward('tcp', '::', '0.0.0.0', mac));
  const come = (port: number): string | undefined => {
    h.host.listeners[0]!.incoming(parseEndpoint(PUBLIC6, port));
    h.settle();
    const f = h.link.take().find((each) => each[each[12] === 8 ? 23 : 20] === 6);
    return f === undefined ? undefined : f[12] === 8 ? 'IPv4' : address(f, 38);
  };
  h.introduce6('fe80::99', mac);
  t.is(come(1), undefined);
  t.is(h.dropped(Drop.ForwardUnresolved), 1);
  h.introduce6('2001:db8:2::99', mac);
  t.is(come(2), '2001:db8:2::99');
  h.introduce('10.0.2.99', mac);
  t.is(come(3), 'IPv4');
  t.is(h.router.ip.neighbors.find(...words6('2001:db8:2::99'))!.flows, 1);
});
