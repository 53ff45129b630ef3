// IPv6 guests through the router: native, by NAT64 and by mapped addresses, and what they are told when the world says no.
import test from 'ava';
import { Endpoint, endpointIpv4, formatAddress, parseEndpoint, parseIpv4 } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import type { IcmpReport } from '../../src/host/host-net.ts';
import * as checksum from '../../src/wire/checksum.ts';
import * as icmp from '../../src/wire/icmpv6.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import * as tcp from '../../src/wire/tcp.ts';
import * as udp from '../../src/wire/udp.ts';
import {
  DNS6,
  echo6Frame,
  fragments6,
  GUEST6,
  GUEST6_LINK,
  icmp6Frame,
  joined6,
  L4,
  ROUTER6,
  ROUTER6_LINK,
  tcp6Frame,
  udp6Frame,
  words6,
} from '../support/guest6-frames.ts';
import { hex, toHex } from '../support/hex.ts';
import { GuestTcp, type RouterHarness, router6 } from '../support/router-harness.ts';

const HELLO = hex('68656c6c6f');
const NATIVE = '2001:db8:ffff::1';
/** The same IPv4 server in the forms in which an IPv6 guest can write it. */
const NAT64 = '64:ff9b::c000:201';
const MAPPED = '::ffff:192.0.2.1';
const SERVER4 = endpointIpv4(parseIpv4('192.0.2.1'), 7);
const SERVER6 = parseEndpoint(NATIVE, 7);

const at = (f: Uint8Array, o: number): string => {
  const w = (i: number): number => (f[i]! << 24) | (f[i + 1]! << 16) | (f[i + 2]! << 8) | f[i + 3]!;
  return formatAddress(w(o), w(o + 4), w(o + 8), w(o + 12));
};
const src = (f: Uint8Array): string => at(f, 22);
/** An address as the frames' `src` prints it. */
const plain = (text: string): string => new Endpoint().set(...words6(text), 0).host;
const pseudo = (f: Uint8Array, protocol: number): number => {
  const w = (i: number): number => ((f[i]! << 24) | (f[i + 1]! << 16) | (f[i + 2]! << 8) | f[i + 3]!) >>> 0;
  const [s0, s1, s2, s3, d0, d1, d2, d3] = [22, 26, 30, 34, 38, 42, 46, 50].map(w) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return checksum.pseudoWords(s0, s1, s2, s3, d0, d1, d2, d3, protocol);
};

/** The one ICMPv6 error that the router has sent: `type/code source rest`. */
function error(h: RouterHarness): string {
  h.settle();
  const frames = h.link.take();
  if (frames.length !== 1) throw new Error(`${frames.length} frames`);
  const f = frames[0]!;
  if (icmp.check(f, L4, L4 + ipv6.payloadLen(f, 14), pseudo(f, 58)) !== Drop.None) throw new Error('bad checksum');
  return `${icmp.type(f, L4)}/${icmp.code(f, L4)} ${src(f)} ${icmp.rest(f, L4)}`;
}

const udpTo = (dst: string, sport = 5000, dport = 7): Uint8Array => udp6Frame({ dst, sport, dport, data: HELLO });

// ---- TCP

for (const { name, dst, want } of [
  { name: 'native', dst: NATIVE, want: `[${NATIVE}]:80` },
  { name: 'by NAT64', dst: NAT64, want: '192.0.2.1:80' },
  { name: 'by a mapped address', dst: MAPPED, want: '192.0.2.1:80' },
  { name: 'private, by NAT64', dst: '64:ff9b::10.9.9.9', want: '10.9.9.9:80' },
]) {
  test(`TCP ${name}: connect, data and the end both ways`, (t) => {
    const h = router6();
    const g = new GuestTcp(h, dst, 80);
    g.send('S');
    t.is(String(h.host.lastTcp.remote), want);
    t.deepEqual(g.takeFlags(), [], 'nothing before the host has decided');
    h.host.lastTcp.connect();
    g.poll();
    t.deepEqual(g.takeFlags(), ['SA']);
    g.send('A');
    g.send('PA', HELLO);
    t.is(toHex(h.host.lastTcp.written()), toHex(HELLO));
    h.host.lastTcp.data(Uint8Array.from({ length: 4000 }, (_, i) => i));
    g.poll();
    t.is(g.received.length, 4000);
    g.send('A');
    h.host.lastTcp.eof();
    g.poll();
    t.true(g.flags.at(-1)!.includes('F'));
    g.send('FA');
    t.true(h.host.lastTcp.ended);
  });
}

for (const { code, dst, want } of [
  { code: 'ECONNREFUSED', dst: NATIVE, want: 'RST' },
  { code: 'ENETUNREACH', dst: NATIVE, want: `1/0 ${ROUTER6} 0` },
  { code: 'EADDRNOTAVAIL', dst: NATIVE, want: `1/0 ${ROUTER6} 0` },
  { code: 'EAFNOSUPPORT', dst: NATIVE, want: `1/0 ${ROUTER6} 0` },
  { code: 'EHOSTUNREACH', dst: NATIVE, want: `1/3 ${ROUTER6} 0` },
  { code: 'EACCES', dst: NATIVE, want: `1/1 ${ROUTER6} 0` },
  { code: 'ECONNREFUSED', dst: NAT64, want: 'RST' },
  { code: 'ENETUNREACH', dst: NAT64, want: `1/0 ${ROUTER6} 0` },
  { code: 'EHOSTUNREACH', dst: NAT64, want: `1/3 ${ROUTER6} 0` },
]) {
  test(`TCP to ${dst}: ${code} is ${want} to the guest, at once`, (t) => {
    const h = router6();
    h.send(tcp6Frame({ dst, sport: 40_000, dport: 80, flags: 'S', seq: 1000 }));
    h.host.lastTcp.fail(code);
    if (want === 'RST') {
      h.settle();
      const [f] = h.link.take();
      t.is(tcp.flags(f!, L4), tcp.RST | tcp.ACK);
      t.is(tcp.ack(f!, L4), 1001);
      t.is(src(f!), plain(dst));
    } else {
      t.is(error(h), want);
    }
  });
}

for (const { dst, type, code, offender, want } of [
  { dst: NATIVE, type: 1, code: 3, offender: '2001:db8:9::1', want: '1/3 2001:db8:9::1 0' },
  { dst: NATIVE, type: 1, code: 5, offender: '2001:db8:9::1', want: '1/5 2001:db8:9::1 0' },
  { dst: NATIVE, type: 3, code: 0, offender: '2001:db8:9::1', want: '3/0 2001:db8:9::1 0' },
  { dst: NATIVE, type: 1, code: 1, offender: 'fe80::1', want: `1/1 ${ROUTER6} 0` },
  { dst: NAT64, type: 3, code: 1, offender: '198.51.100.9', want: '1/0 64:ff9b::c633:6409 0' },
  { dst: NAT64, type: 3, code: 13, offender: '198.51.100.9', want: '1/1 64:ff9b::c633:6409 0' },
  { dst: NAT64, type: 11, code: 0, offender: '198.51.100.9', want: '3/0 64:ff9b::c633:6409 0' },
]) {
  test(`TCP to ${dst}: ${type}/${code} of ${offender} is ${want} to the guest`, (t) => {
    const h = router6();
    h.send(tcp6Frame({ dst, sport: 40_000, dport: 80, flags: 'S', seq: 1000 }));
    h.host.lastTcp.fail('EHOSTUNREACH', { type, code, mtu: 0, offender: parseEndpoint(offender, 0) });
    t.is(error(h), want);
  });
}

test('a SYN to nowhere is quoted whole: the guest finds its connection in the error', (t) => {
  const h = router6();
  const syn = tcp6Frame({ dst: NATIVE, sport: 40_000, dport: 80, flags: 'S', seq: 1000 });
  h.send(syn);
  h.host.lastTcp.fail('ENETUNREACH');
  h.settle();
  t.is(toHex(h.link.take()[0]!.slice(62)), toHex(syn.slice(14, L4 + 8)));
});

test('the gateway is ::1, then 127.0.0.1; both are refused when host loopback is shut', (t) => {
  for (const dst of [ROUTER6, ROUTER6_LINK]) {
    const h = router6();
    h.introduce6(GUEST6_LINK);
    const g = new GuestTcp(h, dst, 631, 40_000, dst === ROUTER6 ? GUEST6 : GUEST6_LINK);
    g.send('S');
    t.is(String(h.host.lastTcp.remote), '[::1]:631');
    h.host.lastTcp.fail('ECONNREFUSED');
    t.is(String(h.host.lastTcp.remote), '127.0.0.1:631');
    h.host.lastTcp.connect();
    g.poll();
    t.deepEqual(g.takeFlags(), ['SA']);
    const refused = new GuestTcp(h, dst, 632, 40_001, dst === ROUTER6 ? GUEST6 : GUEST6_LINK);
    refused.send('S');
    h.host.lastTcp.fail('ECONNREFUSED');
    h.host.lastTcp.fail('ECONNREFUSED');
    refused.poll();
    t.deepEqual(refused.takeFlags(), ['RA']);
  }
  const h = router6({ hostLoopback: false });
  const g = new GuestTcp(h, ROUTER6, 631);
  g.send('S');
  t.deepEqual(g.takeFlags(), ['RA']);
  t.is(h.host.tcp.length, 0);
});

test('RFC 8201: a packet too big of the guest lowers the segments of its flow, not below 1280', (t) => {
  const h = router6();
  const g = new GuestTcp(h, NAT64, 80);
  g.send('S', undefined, hex('020405b4'));
  h.host.lastTcp.connect();
  g.poll();
  g.send('A');
  const send = (): Uint8Array[] => {
    h.host.lastTcp.data(new Uint8Array(1440));
    h.settle();
    return h.link.take().filter((f) => f[20] === 6 && ipv6.payloadLen(f, 14) > 20);
  };
  const [big] = send();
  t.is(ipv6.payloadLen(big!, 14), 1460);
  const b = new Uint8Array(8 + 1232);
  b[0] = icmp.TYPE_TOO_BIG;
  b[6] = 400 >>> 8;
  b[7] = 400 & 255;
  b.set(big!.subarray(14, 14 + 1232), 8);
  h.send(icmp6Frame({ dst: NAT64 }, b));
  h.advance(1000);
  const resent = h.link.take().filter((f) => f[20] === 6);
  t.true(resent.length > 0);
  t.true(
    resent.every((f) => ipv6.payloadLen(f, 14) <= 1240),
    resent.map((f) => ipv6.payloadLen(f, 14)).join(),
  );
  t.true(Math.max(...send().map((f) => ipv6.payloadLen(f, 14))) <= 1240);
});

test('our MSS is what the link carries less 60 bytes', (t) => {
  const h = router6();
  h.send(tcp6Frame({ dst: NATIVE, sport: 40_000, dport: 80, flags: 'S', options: hex('020405a0') }));
  h.host.lastTcp.connect();
  h.settle();
  const [f] = h.link.take();
  t.is(toHex(f!.slice(L4 + 20, L4 + 24)), '020405a0', '1440');
});

// ---- UDP

for (const { name, dst, to, family } of [
  { name: 'native', dst: NATIVE, to: SERVER6, family: 6 as const },
  { name: 'by NAT64', dst: NAT64, to: SERVER4, family: 4 as const },
  { name: 'by a mapped address', dst: MAPPED, to: SERVER4, family: 4 as const },
]) {
  test(`UDP ${name}: out, and back from the address that was written`, (t) => {
    const h = router6();
    h.send(udpTo(dst));
    t.is(h.host.lastUdp.family, family);
    t.is(h.host.lastUdp.preferredPort, 5000);
    t.deepEqual(
      h.host.lastUdp.sent.map((s) => `${s.to} ${s.ttl} ${toHex(s.bytes)}`),
      [`${to} 63 ${toHex(HELLO)}`],
    );
    h.host.lastUdp.deliver(to, HELLO);
    h.settle();
    const [f] = h.link.take();
    t.is(src(f!), plain(dst));
    t.is(at(f!, 38), GUEST6);
    t.deepEqual([udp.srcPort(f!, L4), udp.dstPort(f!, L4), udp.length(f!, L4)], [7, 5000, 13]);
    t.true(udp.checksum(f!, L4) !== 0 && udp.checksumOk(f!, L4, pseudo(f!, 17)));
  });
}

test('one guest port has a socket for each family and prefix, and peers of each are shown by its own', (t) => {
  const h = router6();
  h.send(udpTo(NATIVE), udpTo(NAT64), udpTo(MAPPED), udpTo('64:ff9b::c633:6401'), udpTo('2001:db8:ffff::2'));
  t.deepEqual(
    h.host.udp.map((s) => [s.family, s.sent.length]),
    [
      [6, 2],
      [4, 2],
      [4, 1],
    ],
  );
  const other = parseEndpoint('203.0.113.9', 9);
  h.host.udp[1]!.deliver(other, HELLO);
  h.host.udp[2]!.deliver(other, HELLO);
  h.host.udp[0]!.deliver(parseEndpoint('fe80::1', 9), HELLO);
  h.settle();
  t.deepEqual(h.link.take().map(src), ['64:ff9b::cb00:7109', plain('::ffff:203.0.113.9')]);
  t.is(h.dropped(Drop.UdpFiltered), 1, 'a link-local peer of the host is nobody to the guest');
});

test('what loopback answers comes from the gateway address that was written', (t) => {
  const h = router6();
  h.send(udpTo(ROUTER6), udpTo('64:ff9b::10.0.2.2'));
  t.deepEqual(
    h.host.udp.map((s) => String(s.sent[0]!.to)),
    ['[::1]:7', '127.0.0.1:7'],
  );
  h.host.udp[0]!.deliver(parseEndpoint('::1', 7), HELLO);
  h.host.udp[1]!.deliver(parseEndpoint('127.0.0.1', 7), HELLO);
  h.settle();
  t.deepEqual(h.link.take().map(src), [ROUTER6, '64:ff9b::a00:202']);
});

test('UDP to the gateway: a port that ::1 does not have is looked for at 127.0.0.1; nothing is lost, the guest sees the gateway', (t) => {
  for (const dst of [ROUTER6, ROUTER6_LINK]) {
    const from = dst === ROUTER6 ? GUEST6 : GUEST6_LINK;
    const h = router6();
    h.introduce6(GUEST6_LINK);
    const send = (byte: number, dport = 7): void => {
      h.send(udp6Frame({ src: from, dst, sport: 5000, dport, data: Uint8Array.of(byte) }));
    };
    const got = (socket: number): string[] => h.host.udp[socket]!.sent.splice(0).map((s) => `${s.to} ${s.bytes[0]}`);
    send(1);
    send(2);
    t.deepEqual(got(0), ['[::1]:7 1', '[::1]:7 2']);
    h.host.udp[0]!.fail('ECONNREFUSED', parseEndpoint('::1', 7));
    h.host.udp[0]!.fail('ECONNREFUSED', parseEndpoint('::1', 7));
    h.settle();
    t.deepEqual(h.link.take(), [], 'the guest hears nothing of it');
    t.deepEqual(got(1), ['127.0.0.1:7 1'], 'once');
    send(3);
    t.deepEqual([got(0), got(1)], [[], ['127.0.0.1:7 3']]);
    h.host.udp[1]!.deliver(parseEndpoint('127.0.0.1', 7), HELLO);
    h.host.udp[1]!.deliver(parseEndpoint('192.0.2.9', 7), HELLO);
    h.settle();
    t.deepEqual(h.link.take().map(src), [dst], 'from the gateway; a stranger cannot be shown');
    h.host.udp[1]!.fail('ECONNREFUSED', parseEndpoint('127.0.0.1', 7));
    t.regex(error(h), /^1\/4 /, 'neither has it: the guest is told');
    send(4);
    t.deepEqual(got(0), ['[::1]:7 4'], 'and ::1 is tried again');
    send(5, 8);
    t.deepEqual(got(0), ['[::1]:8 5'], 'each port by itself');
    h.host.udp[0]!.deliver(parseEndpoint('::1', 8), HELLO);
    t.is(h.host.udp.length, 2);
  }
});

test('UDP to the gateway: what is not kept, is old, or fails for another reason is not sent twice', (t) => {
  const h = router6();
  const at = parseEndpoint('::1', 7);
  h.send(udp6Frame({ dst: ROUTER6, sport: 5000, dport: 7, data: new Uint8Array(100) }));
  h.host.udp[0]!.fail('EMSGSIZE', at);
  t.regex(error(h), /^2\/0 /);
  h.advance(1000);
  h.host.udp[0]!.fail('ECONNREFUSED', at);
  t.is(h.host.udp.length, 1, 'a second later the refusal is not about it');
  h.send(udp6Frame({ dst: ROUTER6, sport: 5000, dport: 7, data: HELLO }));
  t.is(String(h.host.udp[1]!.sent[0]!.to), '127.0.0.1:7', 'but the port is known to be missing');
  const g = router6();
  g.send(...fragments6(udp6Frame({ dst: ROUTER6, sport: 5000, dport: 7, data: new Uint8Array(2000) })));
  g.host.udp[0]!.fail('ECONNREFUSED', at);
  g.settle();
  t.deepEqual([g.host.udp.length, g.link.take().length], [1, 0], 'too large to keep');
});

test('UDP to the gateway of a host without IPv6 is for 127.0.0.1', (t) => {
  for (const to of [null, parseEndpoint('::1', 7)]) {
    const h = router6();
    h.send(udpTo(ROUTER6));
    h.host.udp[0]!.fail(to === null ? 'EAFNOSUPPORT' : 'EADDRNOTAVAIL', to);
    t.is(String(h.host.udp[1]!.sent[0]!.to), '127.0.0.1:7');
    h.host.udp[1]!.deliver(parseEndpoint('127.0.0.1', 7), HELLO);
    h.settle();
    t.deepEqual(h.link.take().map(src), [ROUTER6]);
  }
});

test('--udp-filter holds for IPv6 peers', (t) => {
  const h = router6({ udpFilter: 'address' });
  h.send(udpTo(NATIVE));
  h.host.lastUdp.deliver(parseEndpoint(NATIVE, 99), HELLO);
  h.host.lastUdp.deliver(parseEndpoint('2001:db8:ffff::2', 7), HELLO);
  h.settle();
  t.is(h.link.take().length, 1);
  t.is(h.dropped(Drop.UdpFiltered), 1);
});

test('RFC 8200 8.1: a datagram without checksum is refused, one with a bad checksum dropped', (t) => {
  const h = router6();
  const none = udpTo(NATIVE);
  none[60] = none[61] = 0;
  const bad = udpTo(NATIVE);
  bad[60]!++;
  h.send(none, bad);
  t.deepEqual([h.dropped(Drop.UdpNoChecksum), h.dropped(Drop.UdpBadChecksum), h.host.udp.length], [1, 1, 0]);
});

test('datagrams larger than the link pass in fragments both ways', (t) => {
  const h = router6();
  const data = Uint8Array.from({ length: 9000 }, (_, i) => i * 3);
  h.send(...fragments6(udp6Frame({ dst: NAT64, sport: 5000, dport: 7, data })).reverse());
  t.is(toHex(h.host.lastUdp.sent[0]!.bytes), toHex(data));
  h.host.lastUdp.deliver(SERVER4, data);
  h.settle();
  t.is(toHex(joined6(h.link.take()).slice(8)), toHex(data));
});

// ---- errors of datagrams

const report = (type: number, code: number, offender: string | null, mtu = 0): IcmpReport => ({
  type,
  code,
  mtu,
  offender: offender === null ? null : parseEndpoint(offender, 0),
});
for (const { name, dst, errno, give, want } of [
  { name: 'port unreachable', dst: NATIVE, errno: 'ECONNREFUSED', give: report(1, 4, NATIVE), want: `1/4 ${NATIVE} 0` },
  {
    name: 'hop limit exceeded',
    dst: NATIVE,
    errno: 'EHOSTUNREACH',
    give: report(3, 0, '2001:db8:9::9'),
    want: '3/0 2001:db8:9::9 0',
  },
  {
    name: 'prohibited',
    dst: NATIVE,
    errno: 'EACCES',
    give: report(1, 1, '2001:db8:9::9'),
    want: '1/1 2001:db8:9::9 0',
  },
  {
    name: 'too big',
    dst: NATIVE,
    errno: 'EMSGSIZE',
    give: report(2, 0, '2001:db8:9::9', 1400),
    want: '2/0 2001:db8:9::9 1400',
  },
  {
    name: 'an error of this host',
    dst: NATIVE,
    errno: 'EHOSTUNREACH',
    give: report(1, 3, null),
    want: `1/3 ${ROUTER6} 0`,
  },
  {
    name: 'an offender on loopback',
    dst: NATIVE,
    errno: 'ECONNREFUSED',
    give: report(1, 4, '::1'),
    want: `1/4 ${ROUTER6} 0`,
  },
  {
    name: 'a link-local offender',
    dst: NATIVE,
    errno: 'EHOSTUNREACH',
    give: report(1, 3, 'fe80::1'),
    want: `1/3 ${ROUTER6} 0`,
  },
  { name: 'no route, errno alone', dst: NATIVE, errno: 'ENETUNREACH', give: undefined, want: `1/0 ${ROUTER6} 0` },
  { name: 'EMSGSIZE alone', dst: NATIVE, errno: 'EMSGSIZE', give: undefined, want: `2/0 ${ROUTER6} 1280` },
  {
    name: 'IPv4 port unreachable',
    dst: NAT64,
    errno: 'ECONNREFUSED',
    give: report(3, 3, '192.0.2.1'),
    want: '1/4 64:ff9b::c000:201 0',
  },
  {
    name: 'IPv4 TTL exceeded',
    dst: NAT64,
    errno: 'EHOSTUNREACH',
    give: report(11, 0, '198.51.100.9'),
    want: '3/0 64:ff9b::c633:6409 0',
  },
  {
    name: 'IPv4 host unreachable',
    dst: NAT64,
    errno: 'EHOSTUNREACH',
    give: report(3, 1, '198.51.100.9'),
    want: '1/0 64:ff9b::c633:6409 0',
  },
  {
    name: 'IPv4 prohibited',
    dst: NAT64,
    errno: 'EHOSTUNREACH',
    give: report(3, 13, '198.51.100.9'),
    want: '1/1 64:ff9b::c633:6409 0',
  },
  {
    name: 'IPv4 fragmentation needed',
    dst: NAT64,
    errno: 'EMSGSIZE',
    give: report(3, 4, '198.51.100.9', 1400),
    want: '2/0 64:ff9b::c633:6409 1420',
  },
  {
    name: 'IPv4 fragmentation needed for little',
    dst: NAT64,
    errno: 'EMSGSIZE',
    give: report(3, 4, '198.51.100.9', 576),
    want: '2/0 64:ff9b::c633:6409 1280',
  },
  {
    name: 'an IPv4 offender on loopback',
    dst: NAT64,
    errno: 'ECONNREFUSED',
    give: report(3, 3, '127.0.0.1'),
    want: `1/4 ${ROUTER6} 0`,
  },
]) {
  test(`UDP: ${name} reaches the guest as ${want}; the mapping stays`, (t) => {
    const h = router6();
    const sent = udpTo(dst);
    h.send(sent);
    h.host.lastUdp.fail(errno, dst === NATIVE ? SERVER6 : SERVER4, give);
    t.is(error(h), want);
    t.is(h.router.udpNat.size, 1);
    h.host.lastUdp.fail(errno, dst === NATIVE ? SERVER6 : SERVER4, give);
    h.settle();
    t.is(toHex(h.link.take()[0]!.slice(62)), toHex(sent.slice(14, L4 + 8)), 'it quotes what the guest sent');
  });
}

test('an error about an earlier datagram quotes that one, in the form in which it was written', (t) => {
  const h = router6();
  h.send(udpTo(NAT64, 5000, 33_434), udpTo('64:ff9b::cb00:7107', 5000, 9));
  h.host.lastUdp.fail('EHOSTUNREACH', parseEndpoint('192.0.2.1', 33_434), report(11, 0, '198.51.100.9'));
  h.settle();
  const [f] = h.link.take();
  t.deepEqual([at(f!, 62 + 24), udp.dstPort(f!, 62 + 40)], ['64:ff9b::c000:201', 33_434]);
});

// ---- echo

for (const { name, dst, to } of [
  { name: 'native', dst: NATIVE, to: NATIVE },
  { name: 'by NAT64', dst: NAT64, to: '192.0.2.1' },
  { name: 'by a mapped address', dst: MAPPED, to: '192.0.2.1' },
]) {
  test(`echo ${name}: the reply keeps identifier, data and the address that was written; errors are relayed`, (t) => {
    const h = router6();
    const sent = echo6Frame({ dst, id: 0x77, seq: 3, data: HELLO, hops: 9 });
    h.send(sent);
    const ping = h.host.pings[0]!;
    t.is(ping.to.host, to);
    t.deepEqual(
      ping.sent.map((s) => [s.seq, toHex(s.bytes), s.ttl]),
      [[3, toHex(HELLO), 8]],
    );
    ping.reply(3, HELLO, 50);
    h.settle();
    const [f] = h.link.take();
    t.deepEqual([src(f!), f![21], toHex(f!.slice(58))], [plain(dst), 49, `00770003${toHex(HELLO)}`]);
    t.is(icmp.type(f!, L4), icmp.TYPE_ECHO_REPLY);
    t.is(icmp.check(f!, L4, f!.length, pseudo(f!, 58)), Drop.None);
    const v4 = to !== NATIVE;
    ping.fail('EHOSTUNREACH', v4 ? report(11, 0, '198.51.100.9') : report(3, 0, '2001:db8:9::9'), 3);
    const shown = !v4 ? '2001:db8:9::9' : dst === NAT64 ? '64:ff9b::c633:6409' : plain('::ffff:198.51.100.9');
    t.is(error(h), `3/0 ${shown} 0`);
    t.is(h.router.flows({ kinds: ['icmp'], limit: 1 }).flows[0]!.peer, to);
  });
}

test('without ping sockets echo is prohibited', (t) => {
  const h = router6();
  h.host.pingProblem = 'none';
  h.link.receive(echo6Frame({ dst: NAT64, id: 1, seq: 1 }));
  t.is(error(h), `1/1 ${ROUTER6} 0`);
});

// ---- what no guest reaches, in every form

const doors: [dst: string, shut: 'denied' | 'dropped'][] = [
  ['64:ff9b::127.0.0.1', 'dropped'],
  ['64:ff9b::0.0.0.0', 'dropped'],
  ['64:ff9b::0.1.2.3', 'dropped'],
  ['64:ff9b::224.0.0.1', 'dropped'],
  ['64:ff9b::240.0.0.1', 'dropped'],
  ['64:ff9b::255.255.255.255', 'dropped'],
  ['64:ff9b::10.0.2.255', 'denied'],
  ['64:ff9b::169.254.169.254', 'denied'],
  ['64:ff9b::10.0.2.3', 'denied'],
  ['64:ff9b::10.0.2.15', 'denied'],
  ['::ffff:127.0.0.1', 'dropped'],
  ['::ffff:0.0.0.0', 'dropped'],
  ['::ffff:169.254.169.254', 'denied'],
  ['::ffff:10.0.2.3', 'denied'],
  ['2002:7f00:1::1', 'denied'],
  ['2002:a9fe:a9fe::1', 'denied'],
  ['2001:0:c000:201::80ff:fffe', 'denied'],
  ['fd00:ec2::254', 'denied'],
  [DNS6, 'denied'],
];
for (const [dst, shut] of doors) {
  test(`no host socket is opened for ${dst}: ${shut}`, (t) => {
    const h = router6();
    h.send(udpTo(dst), tcp6Frame({ dst, sport: 1, dport: 80, flags: 'S' }));
    if (dst !== DNS6) h.send(echo6Frame({ dst, id: 1, seq: 1 }));
    t.is(h.host.udp.length + h.host.pings.length + h.host.tcp.length, 0);
    const count =
      h.dropped(Drop.PolicyDenied) + h.dropped(Drop.Ipv4BadDestination) + h.dropped(Drop.Ipv6BadDestination);
    t.is(count, dst === DNS6 ? 2 : 3);
    t.is(h.dropped(Drop.PolicyDenied) > 0, shut === 'denied');
  });
}

for (const [dst, want] of [
  [DNS6, DNS6],
  [ROUTER6_LINK, ROUTER6_LINK],
  ['::ffff:10.0.2.3', ROUTER6],
] as const) {
  test(`RFC 4443 2.2: an error about what was sent to ${dst} comes from ${want}`, (t) => {
    const h = router6({ hostLoopback: false });
    const frames = h.send(udpTo(dst));
    t.deepEqual(frames.map(src), [plain(want)]);
  });
}

test('without NAT64 and mapped addresses these are what they say: 64:ff9b::/96 is carried on, ::ffff:0:0/96 is nothing', (t) => {
  const h = router6({ nat64: [], mappedV4: false });
  h.send(udpTo(NAT64), udpTo(MAPPED), udpTo('64:ff9b::127.0.0.1'), udpTo('64:ff9b::169.254.169.254'));
  t.deepEqual(
    h.host.udp.map((s) => s.sent.map((d) => d.to.host)),
    [['64:ff9b::c000:201']],
  );
  t.deepEqual([h.dropped(Drop.Ipv6BadDestination), h.dropped(Drop.PolicyDenied)], [1, 2]);
});

test('a prefix of another length, and two at once', (t) => {
  const words = words6('2001:db8:122:300::');
  const h = router6({
    nat64: [
      { words, prefixLen: 56 },
      { words: words6('fd64::'), prefixLen: 96 },
    ],
  });
  h.send(udpTo('2001:db8:122:3c0:0:221::'), udpTo('fd64::192.0.2.33'));
  t.deepEqual(
    h.host.udp.map((s) => s.sent[0]!.to.host),
    ['192.0.2.33', '192.0.2.33'],
  );
  for (const s of h.host.udp) s.deliver(parseEndpoint('192.0.2.33', 7), HELLO);
  h.settle();
  t.deepEqual(h.link.take().map(src), ['2001:db8:122:3c0:0:221::', 'fd64::c000:221']);
});

test('a link without IPv4 serves IPv6 guests, IPv4 servers included', (t) => {
  const h = router6({ networks: [], aliases: [], dhcp: null, dns: null });
  const g = new GuestTcp(h, NAT64, 80);
  g.send('S');
  h.host.lastTcp.connect();
  g.poll();
  t.deepEqual(g.takeFlags(), ['SA']);
  h.send(udpTo('64:ff9b::10.0.2.2'));
  t.is(String(h.host.lastUdp.sent[0]!.to), '10.0.2.2:7', 'nobody of this link');
  h.host.lastUdp.deliver(parseEndpoint('127.0.0.1', 7), HELLO);
  h.settle();
  t.is(h.link.take().length, 0, 'loopback has no address that the guest could know');
});

test('flows and neighbors of both families are listed', (t) => {
  const h = router6();
  h.send(udpTo(NAT64));
  h.send(tcp6Frame({ dst: NATIVE, sport: 9, dport: 80, flags: 'S' }));
  const { flows } = h.router.flows({ guest: parseEndpoint(GUEST6, 0), limit: 10 });
  t.deepEqual(
    flows.map((f) => `${f.guest} ${f.peer}`),
    [`[${GUEST6}]:9 [${NATIVE}]:80`, `[${GUEST6}]:5000 192.0.2.1:7`],
  );
  t.deepEqual(
    h.router.neighbors().map((n) => [n.address, n.flows]),
    [
      ['10.0.2.15', 0],
      [GUEST6, 2],
    ],
  );
  t.is(h.router.flows({ guest: parseEndpoint('10.0.2.15', 0), limit: 10 }).total, 0);
});
