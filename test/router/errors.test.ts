// What guests are told when the world says no: the tables of errors of TCP, UDP and ICMP, row by row, as far as
// tcp.test.ts and udp-icmp.test.ts do not have them.
import test from 'ava';
import { endpointIpv4, parseEndpoint, parseIpv4 } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import type { IcmpReport } from '../../src/host/host-net.ts';
import * as checksum from '../../src/wire/checksum.ts';
import * as icmp from '../../src/wire/icmpv4.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as tcp from '../../src/wire/tcp.ts';
import * as udp from '../../src/wire/udp.ts';
import { echoFrame, ipFrame, tcpFrame, udpFrame } from '../support/guest-frames.ts';
import { hex, toHex } from '../support/hex.ts';
import { GuestTcp, RouterHarness } from '../support/router-harness.ts';

const HELLO = hex('68656c6c6f');
const SERVER = endpointIpv4(parseIpv4('192.0.2.1'), 7);
const at = (address: string): IcmpReport['offender'] => parseEndpoint(address, 0);
const report = (type: number, code: number, offender: IcmpReport['offender'], mtu = 0): IcmpReport => ({
  type,
  code,
  mtu,
  offender,
});

/** The one ICMP error that the router has sent: `type/code source rest`. */
function error(h: RouterHarness): string {
  h.settle();
  const frames = h.link.take();
  if (frames.length !== 1) throw new Error(`${frames.length} frames`);
  const f = frames[0]!;
  if (icmp.check(f, 34, 14 + ipv4.totalLen(f, 14)) !== Drop.None) throw new Error('bad checksum');
  const source = [...f.slice(26, 30)].join('.');
  return `${icmp.type(f, 34)}/${icmp.code(f, 34)} ${source} ${icmp.rest(f, 34)}`;
}

// ---- UDP

for (const { name, errno, give, want } of [
  { name: 'port unreachable', errno: 'ECONNREFUSED', give: report(3, 3, at('192.0.2.1')), want: '3/3 192.0.2.1 0' },
  {
    name: 'host unreachable',
    errno: 'EHOSTUNREACH',
    give: report(3, 1, at('198.51.100.9')),
    want: '3/1 198.51.100.9 0',
  },
  { name: 'net unreachable', errno: 'ENETUNREACH', give: report(3, 0, at('198.51.100.9')), want: '3/0 198.51.100.9 0' },
  { name: 'protocol unreachable', errno: 'ENOPROTOOPT', give: report(3, 2, at('192.0.2.1')), want: '3/2 192.0.2.1 0' },
  { name: 'net prohibited', errno: 'ENETUNREACH', give: report(3, 9, at('198.51.100.9')), want: '3/9 198.51.100.9 0' },
  {
    name: 'host prohibited',
    errno: 'EHOSTUNREACH',
    give: report(3, 10, at('198.51.100.9')),
    want: '3/10 198.51.100.9 0',
  },
  { name: 'prohibited', errno: 'EHOSTUNREACH', give: report(3, 13, at('198.51.100.9')), want: '3/13 198.51.100.9 0' },
  { name: 'TTL exceeded', errno: 'EHOSTUNREACH', give: report(11, 0, at('198.51.100.9')), want: '11/0 198.51.100.9 0' },
  { name: 'reassembly timeout', errno: 'EHOSTUNREACH', give: report(11, 1, at('192.0.2.1')), want: '11/1 192.0.2.1 0' },
  {
    name: 'fragmentation needed',
    errno: 'EMSGSIZE',
    give: report(3, 4, at('198.51.100.9'), 1280),
    want: '3/4 198.51.100.9 1280',
  },
  { name: 'an error of this host', errno: 'EHOSTUNREACH', give: report(3, 1, null), want: '3/1 10.0.2.2 0' },
  {
    name: 'an offender on loopback',
    errno: 'ECONNREFUSED',
    give: report(3, 3, at('127.0.0.1')),
    want: '3/3 10.0.2.2 0',
  },
  {
    name: 'an offender of the guest network',
    errno: 'ECONNREFUSED',
    give: report(3, 3, at('10.0.2.15')),
    want: '3/3 10.0.2.2 0',
  },
  {
    name: 'an offender that is no host',
    errno: 'ECONNREFUSED',
    give: report(3, 3, at('224.0.0.1')),
    want: '3/3 10.0.2.2 0',
  },
  { name: 'EMSGSIZE without more', errno: 'EMSGSIZE', give: undefined, want: '3/4 10.0.2.2 0' },
  { name: 'EPERM without more', errno: 'EPERM', give: undefined, want: '3/13 10.0.2.2 0' },
]) {
  test(`UDP: ${name} reaches the guest as ${want}; the mapping stays (RFC 4787 REQ-12)`, (t) => {
    const h = new RouterHarness();
    h.send(udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7, data: HELLO }));
    h.host.lastUdp.fail(errno, SERVER, give);
    t.is(error(h), want);
    t.is(h.router.udpNat.size, 1);
    t.false(h.host.lastUdp.closed);
  });
}

test('UDP: the error quotes the datagram it is about, also when the guest has sent to others since', (t) => {
  const h = new RouterHarness();
  h.send(udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 33_434 }));
  h.send(udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 33_435 }));
  h.send(udpFrame({ dst: '203.0.113.7', sport: 5000, dport: 9 }));
  h.host.lastUdp.fail('EHOSTUNREACH', parseEndpoint('192.0.2.1', 33_434), report(11, 0, at('198.51.100.9')));
  h.settle();
  const [f] = h.link.take();
  const quote = f!.slice(42, 14 + ipv4.totalLen(f!, 14));
  t.is(checksum.partial(quote, 0, 20, 0), 0xffff, 'the quoted header sums up');
  t.deepEqual([ipv4.src(quote, 0), ipv4.dst(quote, 0)], [parseIpv4('10.0.2.15'), parseIpv4('192.0.2.1')]);
  t.deepEqual([udp.srcPort(quote, 20), udp.dstPort(quote, 20)], [5000, 33_434]);
});

test('UDP: an error of the loopback service behind the gateway quotes the gateway and comes from it', (t) => {
  const h = new RouterHarness();
  h.send(udpFrame({ dst: '10.0.2.2', sport: 5000, dport: 7 }));
  h.send(udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7 }));
  h.host.lastUdp.fail('ECONNREFUSED', parseEndpoint('127.0.0.1', 7), report(3, 3, null));
  h.settle();
  const [f] = h.link.take();
  t.is(ipv4.src(f!, 14), parseIpv4('10.0.2.2'));
  t.is(ipv4.dst(f!, 42), parseIpv4('10.0.2.2'));
});

test('UDP: no resources on the host: silence and a line in the log', (t) => {
  const h = new RouterHarness();
  h.send(udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7 }));
  h.host.lastUdp.fail('EMFILE', null);
  t.deepEqual(h.sent(), []);
  t.regex(h.log.join(), /EMFILE/);
  t.is(h.router.udpNat.size, 0, 'the next datagram makes a new socket');
});

test('UDP: TTL n goes on with n-1; with 1 it ends here', (t) => {
  const h = new RouterHarness();
  for (const ttl of [64, 2, 3]) h.send(udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7, ttl }));
  t.deepEqual(
    h.host.lastUdp.sent.map((s) => s.ttl),
    [63, 1, 2],
  );
  h.link.receive(udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7, ttl: 1 }));
  t.is(error(h), '11/0 10.0.2.2 0');
});

test('UDP: a length below the payload trims, padding is not sent', (t) => {
  const h = new RouterHarness();
  const f = udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7, data: hex('010203040506') });
  f[39] = 8 + 4;
  f[40] = f[41] = 0; // no checksum
  h.send(f);
  t.is(toHex(h.host.lastUdp.sent[0]!.bytes), '01020304');
});

test('UDP: multicast and broadcast go nowhere, in silence', (t) => {
  const h = new RouterHarness();
  for (const dst of ['224.0.0.251', '239.1.2.3', '255.255.255.255', '10.0.2.255']) {
    h.link.receive(udpFrame({ dst, sport: 5000, dport: 5353 }));
  }
  t.deepEqual(h.sent(), []);
  t.is(h.host.udp.length, 0);
});

test('UDP forward: the guest hears that its answer did not reach the client', async (t) => {
  const h = new RouterHarness();
  const rule = { listen: parseEndpoint('0.0.0.0', 5353), guest: parseEndpoint('10.0.2.15', 53) } as const;
  await h.router.addForward({ protocol: 'udp', ...rule });
  const client = parseEndpoint('203.0.113.5', 9999);
  h.host.lastUdp.deliver(client, HELLO);
  h.send(udpFrame({ dst: '203.0.113.5', sport: 53, dport: 9999, data: HELLO, ttl: 9 }));
  t.is(h.host.lastUdp.sent[0]!.ttl, 8);
  h.host.lastUdp.fail('ECONNREFUSED', client, report(3, 3, at('203.0.113.5')));
  h.settle();
  const [f] = h.link.take();
  t.is(toHex(f!.slice(34, 36)), '0303');
  t.is(ipv4.src(f!, 14), parseIpv4('203.0.113.5'));
  t.deepEqual([udp.srcPort(f!, 62), udp.dstPort(f!, 62)], [53, 9999]);
  h.host.lastUdp.fail('ECONNREFUSED', parseEndpoint('203.0.113.6', 1), report(3, 3, at('203.0.113.6')));
  t.deepEqual(h.sent(), [], 'nothing about strangers');
});

// ---- filtering and timeouts

for (const { filter, passes } of [
  { filter: 'any', passes: ['192.0.2.1:7', '192.0.2.1:8', '203.0.113.9:7'] },
  { filter: 'address', passes: ['192.0.2.1:7', '192.0.2.1:8'] },
  { filter: 'address-port', passes: ['192.0.2.1:7'] },
] as const) {
  test(`RFC 4787 5: --udp-filter=${filter} lets in ${passes.join(', ')}`, (t) => {
    const h = new RouterHarness({ udpFilter: filter });
    for (const dport of [9, 7]) h.send(udpFrame({ dst: '192.0.2.1', sport: 5000, dport }));
    h.send(udpFrame({ dst: '192.0.2.2', sport: 5000, dport: 7 }));
    const seen: string[] = [];
    for (const [address, port] of [
      ['192.0.2.1', 7],
      ['192.0.2.1', 8],
      ['203.0.113.9', 7],
    ] as const) {
      h.host.lastUdp.deliver(parseEndpoint(address, port), HELLO);
      h.settle();
      if (h.link.take().length > 0) seen.push(`${address}:${port}`);
    }
    t.deepEqual(seen, [...passes]);
    t.is(h.dropped(Drop.UdpFiltered), 3 - passes.length);
  });
}

test('--udp-filter: a mapping remembers the 256 peers it sent to last', (t) => {
  const h = new RouterHarness({ udpFilter: 'address-port' });
  const to = (dport: number): Uint8Array => udpFrame({ dst: '192.0.2.1', sport: 5000, dport });
  h.send(to(1), to(2));
  for (let port = 1000; port < 1255; port++) h.send(to(port));
  h.send(to(2), to(3));
  const heard = (port: number): boolean => {
    h.host.lastUdp.deliver(parseEndpoint('192.0.2.1', port), HELLO);
    h.settle();
    return h.link.take().length > 0;
  };
  t.deepEqual([1, 2, 3, 1000, 1001, 1254].map(heard), [false, true, true, false, true, true]);
});

test('--udp-filter: what is not let in does not keep a mapping alive', (t) => {
  const h = new RouterHarness({ udpFilter: 'address' });
  h.send(udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7 }));
  h.host.lastUdp.deliver(parseEndpoint('203.0.113.9', 7), HELLO);
  h.advance(31_000);
  t.true(h.host.lastUdp.closed);
});

test('--udp-timeouts=rfc: five minutes (RFC 4787 REQ-5), DNS 10 s', (t) => {
  const h = new RouterHarness({ udpTimeouts: 'rfc' });
  h.send(udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7 }));
  h.send(udpFrame({ dst: '192.0.2.1', sport: 5001, dport: 53 }));
  h.advance(11_000);
  t.deepEqual(
    h.host.udp.map((s) => s.closed),
    [false, true],
  );
  h.advance(288_000);
  t.false(h.host.udp[0]!.closed);
  h.advance(2000);
  t.true(h.host.udp[0]!.closed);
});

test('RFC 4787 REQ-9: what a guest sends to the outside of another mapping comes with the outside source', (t) => {
  const h = new RouterHarness();
  h.introduce('10.0.2.16', '52:54:00:00:00:16');
  const other = { src: '10.0.2.16', srcMac: '52:54:00:00:00:16' };
  h.send(udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7 }));
  h.send(udpFrame({ ...other, dst: '198.51.100.1', sport: 6000, dport: 5000, data: HELLO }));
  const [inner, outer] = h.host.udp;
  t.is(String(outer!.sent[0]!.to), '198.51.100.1:5000');
  inner!.deliver(parseEndpoint('198.51.100.1', outer!.localPort), HELLO); // as the host's kernel does
  h.settle();
  const [f] = h.link.take();
  t.is(f![5], 0x56, 'to the first guest');
  t.is(ipv4.src(f!, 14), parseIpv4('198.51.100.1'));
  t.deepEqual([udp.srcPort(f!, 34), udp.dstPort(f!, 34)], [outer!.localPort, 5000]);
});

// ---- ICMP

test('echo: TTL exceeded comes from the router on the way, with the sequence number of the request it is about', (t) => {
  const h = new RouterHarness();
  for (const [seq, ttl] of [
    [1, 2],
    [2, 3],
    [3, 4],
  ] as const) {
    h.send(echoFrame({ dst: '192.0.2.1', id: 77, seq, ttl, data: HELLO }));
  }
  t.deepEqual(
    h.host.pings[0]!.sent.map((s) => s.ttl),
    [1, 2, 3],
  );
  for (const [seq, offender] of [
    [2, '198.51.100.2'],
    [1, '198.51.100.1'],
  ] as const) {
    h.host.pings[0]!.fail('EHOSTUNREACH', report(11, 0, at(offender)), seq);
    h.settle();
    const [f] = h.link.take();
    t.is(toHex(f!.slice(34, 36)), '0b00');
    t.is(ipv4.src(f!, 14), parseIpv4(offender));
    t.deepEqual([icmp.type(f!, 62), icmp.echoId(f!, 62), icmp.echoSeq(f!, 62)], [8, 77, seq]);
  }
  h.host.pings[0]!.reply(3);
  h.settle();
  t.is(icmp.echoSeq(h.link.take()[0]!, 34), 3, 'and the flow goes on');
});

test('echo: the quoted checksum belongs to the quoted sequence number', (t) => {
  const h = new RouterHarness();
  const first = echoFrame({ dst: '192.0.2.1', id: 77, seq: 1 });
  h.send(first, echoFrame({ dst: '192.0.2.1', id: 77, seq: 2 }));
  h.host.pings[0]!.fail('EHOSTUNREACH', report(11, 0, at('198.51.100.2')), 1);
  h.settle();
  t.is(toHex(h.link.take()[0]!.slice(62, 70)), toHex(first.slice(34, 42)));
});

test('echo: TTL 1 ends here', (t) => {
  const h = new RouterHarness();
  h.link.receive(echoFrame({ dst: '192.0.2.1', id: 1, seq: 1, ttl: 1 }));
  t.is(error(h), '11/0 10.0.2.2 0');
  t.is(h.host.pings.length, 0);
});

for (const type of [13, 15, 17, 5, 0]) {
  test(`ICMP type ${type} of a guest is ignored`, (t) => {
    const h = new RouterHarness();
    h.link.receive(echoFrame({ dst: '192.0.2.1', id: 1, seq: 1, type }), echoFrame({ id: 1, seq: 1, type }));
    t.deepEqual(h.sent(), []);
    t.is(h.dropped(Drop.IcmpIgnored), 2);
  });
}

for (const [protocol, name] of [
  [132, 'SCTP'],
  [47, 'GRE'],
  [2, 'IGMP'],
] as const) {
  test(`${name}: protocol unreachable`, (t) => {
    const h = new RouterHarness();
    h.link.receive(ipFrame({ dst: '192.0.2.1' }, protocol, new Uint8Array(20)));
    t.is(error(h), '3/2 10.0.2.2 0');
  });
}

// ---- TCP

test('TCP: a SYN of a traceroute goes on with one hop less, and what a router on the way says of it comes from there', (t) => {
  const h = new RouterHarness();
  h.send(tcpFrame({ dst: '192.0.2.1', sport: 5000, dport: 80, flags: 'S', ttl: 64 }));
  t.is(h.host.lastTcp.ttl, 0, 'as far as this host reaches');
  h.send(tcpFrame({ dst: '192.0.2.1', sport: 5001, dport: 80, flags: 'S', ttl: 2 }));
  t.is(h.host.lastTcp.ttl, 1);
  h.host.lastTcp.fail('EHOSTUNREACH', report(11, 0, at('198.51.100.9')));
  t.is(error(h), '11/0 198.51.100.9 0');
  h.link.receive(tcpFrame({ dst: '192.0.2.1', sport: 5002, dport: 80, flags: 'S', ttl: 1 }));
  t.is(error(h), '11/0 10.0.2.2 0');
  t.is(h.host.tcp.length, 2, 'ends here');
});

test('200 connects into a black hole do not delay a good one', (t) => {
  const h = new RouterHarness();
  for (let i = 0; i < 200; i++) {
    h.send(tcpFrame({ dst: `192.0.2.${1 + (i % 4)}`, sport: 20_000 + i, dport: 80, seq: 1, flags: 'S' }));
  }
  t.is(h.host.tcp.length, 200);
  const g = new GuestTcp(h, '203.0.113.1', 80);
  g.send('S');
  t.is(String(h.host.lastTcp.remote), '203.0.113.1:80');
  h.host.lastTcp.connect();
  g.poll();
  t.deepEqual(g.takeFlags(), ['SA']);
});

test('connects into one black hole are bounded, and others are not affected', (t) => {
  const h = new RouterHarness();
  for (let i = 0; i < 200; i++) {
    h.send(tcpFrame({ dst: '192.0.2.1', sport: 20_000 + i, dport: 80, seq: 1, flags: 'S' }));
  }
  t.is(h.host.tcp.length, 64);
  t.is(h.router.status().tcp.waiting.used, 136);
  const g = new GuestTcp(h, '203.0.113.1', 80);
  g.send('S');
  h.host.lastTcp.connect();
  g.poll();
  t.deepEqual(g.takeFlags(), ['SA']);
});

for (const code of ['EMFILE', 'ENFILE', 'ENOBUFS', 'EADDRNOTAVAIL']) {
  test(`${code}: silence for the first SYNs, RST when it lasts, silence again after it was over`, (t) => {
    const h = new RouterHarness();
    const attempt = (sport: number): string => {
      h.send(tcpFrame({ dst: '192.0.2.1', sport, dport: 80, seq: 1, flags: 'S' }));
      h.host.lastTcp.fail(code);
      h.settle();
      const f = h.link.take().at(-1);
      return f === undefined ? 'silence' : tcp.flags(f, 34) === (tcp.RST | tcp.ACK) ? 'refused' : 'other';
    };
    t.is(attempt(1), 'silence');
    h.advance(1000);
    t.is(attempt(1), 'silence');
    h.advance(2000);
    t.is(attempt(1), 'refused');
    t.is(attempt(2), 'refused');
    const g = new GuestTcp(h, '192.0.2.1', 80);
    g.send('S');
    h.host.lastTcp.connect();
    g.poll();
    t.is(attempt(3), 'silence');
    h.advance(60_000);
    t.is(attempt(4), 'silence', 'a new shortage, not one of a minute');
  });
}

for (const { errno, want } of [
  { errno: 'EPERM', want: '3/13 10.0.2.2 0' },
  { errno: 'EINVAL', want: '3/0 10.0.2.2 0' },
  { errno: 'EAFNOSUPPORT', want: '3/0 10.0.2.2 0' },
]) {
  test(`connect fails with ${errno}: ${want}`, (t) => {
    const h = new RouterHarness();
    h.send(tcpFrame({ dst: '192.0.2.1', sport: 1, dport: 80, seq: 1, flags: 'S' }));
    h.host.lastTcp.fail(errno);
    t.is(error(h), want);
  });
}

for (const { errno, give, want } of [
  { errno: 'EHOSTUNREACH', give: report(3, 1, at('198.51.100.9')), want: '3/1 198.51.100.9 0' },
  { errno: 'ENETUNREACH', give: report(3, 0, at('198.51.100.9')), want: '3/0 198.51.100.9 0' },
  { errno: 'EHOSTUNREACH', give: report(3, 13, at('198.51.100.9')), want: '3/13 198.51.100.9 0' },
  { errno: 'EHOSTUNREACH', give: report(3, 10, at('192.0.2.1')), want: '3/10 192.0.2.1 0' },
  { errno: 'ECONNREFUSED', give: report(3, 3, at('192.0.2.1')), want: '3/3 192.0.2.1 0' },
  { errno: 'EHOSTUNREACH', give: report(11, 0, at('198.51.100.9')), want: '11/0 198.51.100.9 0' },
  // What this host told itself, and a sender that no guest could be shown.
  { errno: 'EHOSTUNREACH', give: report(3, 1, null), want: '3/1 10.0.2.2 0' },
  { errno: 'EHOSTUNREACH', give: report(3, 13, at('10.0.2.9')), want: '3/13 10.0.2.2 0' },
  { errno: 'EACCES', give: report(0, 0, at('198.51.100.9')), want: '3/13 10.0.2.2 0' },
]) {
  const { type, code, offender } = give;
  test(`connect fails with ${errno} by ${type}/${code} of ${offender?.host ?? 'this host'}: ${want}`, (t) => {
    const h = new RouterHarness();
    h.send(tcpFrame({ dst: '192.0.2.1', sport: 1, dport: 80, seq: 1, flags: 'S' }));
    h.host.lastTcp.fail(errno, give);
    t.is(error(h), want);
    t.is(h.router.tcp.count, 0);
  });
}

test('connect refused by this host itself is an RST, though an ICMP error told it', (t) => {
  const h = new RouterHarness();
  const g = new GuestTcp(h, '192.0.2.1', 80);
  g.send('S');
  h.host.lastTcp.fail('ECONNREFUSED', report(3, 3, null));
  g.poll();
  t.deepEqual(g.takeFlags(), ['RA']);
});

for (const errno of ['ECONNRESET', 'EPIPE']) {
  test(`connect fails with ${errno}: RST,ACK`, (t) => {
    const h = new RouterHarness();
    const g = new GuestTcp(h, '192.0.2.1', 80);
    g.send('S');
    h.host.lastTcp.fail(errno);
    g.poll();
    t.deepEqual(g.takeFlags(), ['RA']);
  });
}

test('a SYN with another ISN while the host connects starts again', (t) => {
  const h = new RouterHarness();
  const syn = (seq: number): Uint8Array => tcpFrame({ dst: '192.0.2.1', sport: 1, dport: 80, seq, flags: 'S' });
  h.send(syn(1));
  h.send(syn(9999));
  const [first, second] = h.host.tcp;
  t.true(first!.wasReset);
  second!.connect();
  h.settle();
  t.is(tcp.ack(h.link.take().at(-1)!, 34), 10_000);
});

test('RFC 9293 3.5.2: a segment without a flow is answered with RST, never a RST', (t) => {
  const h = new RouterHarness();
  const base = { dst: '192.0.2.1', sport: 1, dport: 80, seq: 5 };
  const [ack] = h.send(tcpFrame({ ...base, ack: 77, flags: 'A' }));
  t.deepEqual([tcp.flags(ack!, 34), tcp.seq(ack!, 34)], [tcp.RST, 77]);
  const [fin] = h.send(tcpFrame({ ...base, flags: 'F', data: HELLO }));
  t.deepEqual([tcp.flags(fin!, 34), tcp.seq(fin!, 34), tcp.ack(fin!, 34)], [tcp.RST | tcp.ACK, 0, 11]);
  t.deepEqual(h.send(tcpFrame({ ...base, flags: 'R' }), tcpFrame({ ...base, ack: 1, flags: 'RA' })), []);
});

/** A connection from the guest to 192.0.2.1:80 that the host has accepted. */
function established(): { h: RouterHarness; g: GuestTcp } {
  const h = new RouterHarness();
  const g = new GuestTcp(h, '192.0.2.1', 80);
  g.send('S');
  h.host.lastTcp.connect();
  g.poll();
  g.send('A');
  g.takeFlags();
  return { h, g };
}

for (const pending of [0, 1000, 200_000]) {
  test(`a reset in mid-stream, ${pending} bytes under way, never looks like a clean end`, (t) => {
    const { h, g } = established();
    if (pending > 0) h.host.lastTcp.data(new Uint8Array(pending));
    g.poll();
    h.host.lastTcp.fail('ECONNRESET');
    for (let i = 0; i < 20; i++) {
      g.poll();
      h.advance(1000);
    }
    const flags = g.takeFlags();
    t.true(flags.some((f) => f.includes('R')));
    t.false(flags.some((f) => f.includes('F')));
    t.is(h.router.tcp.count, 0);
  });
}

for (const bytes of [1000, 600_000]) {
  test(`a reset of the host arrives behind the ${bytes} bytes that came before it`, (t) => {
    const { h, g } = established();
    const s = h.host.lastTcp;
    for (let sent = 0; sent < bytes; sent += 1000) s.user.data(new Uint8Array(1000).fill(sent / 1000), 0, 1000);
    s.fail('ECONNRESET');
    for (let i = 0; i < 1000 && h.router.tcp.count > 0; i++) {
      g.poll();
      g.send('A');
    }
    t.is(g.received.length, bytes);
    t.is(g.received.at(-1), (bytes / 1000 - 1) & 255);
    t.regex(g.takeFlags().at(-1)!, /R/);
    t.is(h.router.tcpNat.size, 0);
    t.is(h.router.budget.used, 0);
  });
}

test('RFC 5961 3.2: a RST in the window but not at its edge is challenged, the flow lives', (t) => {
  const { h, g } = established();
  h.send(tcpFrame({ dst: '192.0.2.1', sport: 40_000, dport: 80, seq: g.seq + 100, flags: 'R' }));
  t.false(h.host.lastTcp.wasReset);
  t.is(h.dropped(Drop.TcpBadReset), 1);
  g.send('AP', HELLO);
  t.is(toHex(h.host.lastTcp.written()), toHex(HELLO));
});

/** An ICMP error of the guest about a segment that the router sent it. */
const complaint = (type: number, code: number, about: Uint8Array, rest = 0): Uint8Array => {
  const quote = about.slice(14, 14 + 28);
  const message = new Uint8Array(8 + quote.length);
  icmp.writeError(message, 0, type, code, rest, quote, 0, quote.length);
  return ipFrame({}, ipv4.PROTO_ICMP, message);
};

for (const [type, code] of [
  [3, 0],
  [3, 1],
  [3, 3],
  [11, 0],
] as const) {
  test(`RFC 5461: ICMP ${type}/${code} of the guest about an open connection is soft`, (t) => {
    const { h, g } = established();
    h.host.lastTcp.data(HELLO);
    h.settle();
    h.send(complaint(type, code, h.link.take()[0]!));
    t.false(h.host.lastTcp.wasReset);
    t.is(h.router.tcp.count, 1);
    g.send('AP', HELLO);
    t.is(toHex(h.host.lastTcp.written()), toHex(HELLO));
  });
}

test('ICMP 3/4 of the guest lowers the segment size, only when the quoted sequence is in flight', (t) => {
  const { h, g } = established();
  h.host.lastTcp.data(new Uint8Array(1000));
  h.settle();
  const [segment] = h.link.take();
  const stale = segment!.slice();
  stale[38]! ^= 0x40; // another sequence
  h.send(complaint(3, 4, stale, 600));
  g.ack = (tcp.seq(segment!, 34) + 1000) >>> 0;
  h.send(complaint(3, 4, segment!, 600));
  g.send('A');
  h.host.lastTcp.data(new Uint8Array(3000));
  h.settle();
  const sizes = h.link.take().map((f) => ipv4.totalLen(f, 14));
  t.true(sizes.length > 0 && sizes.every((s) => s <= 600), String(sizes));
});

test('forward: the guest is unreachable: the client is reset', async (t) => {
  const h = new RouterHarness();
  const rule = { listen: parseEndpoint('0.0.0.0', 8022), guest: parseEndpoint('10.0.2.15', 22) } as const;
  await h.router.addForward({ protocol: 'tcp', ...rule });
  const s = h.host.listeners[0]!.incoming(parseEndpoint('203.0.113.5', 9999));
  h.settle();
  h.send(complaint(3, 1, h.link.take()[0]!));
  t.true(s.wasReset);
});

test('a SYN to a refused destination is answered with RST at once', (t) => {
  const h = new RouterHarness();
  const g = new GuestTcp(h, '169.254.169.254', 80);
  g.send('S');
  t.deepEqual(g.takeFlags(), ['RA']);
});

test('errors are bounded: 50 at once, then 100 a second', (t) => {
  const h = new RouterHarness();
  for (let i = 0; i < 200; i++) h.link.receive(udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7, ttl: 1 }));
  t.is(h.sent().length, 50);
  t.is(h.dropped(Drop.IcmpRateLimited), 150);
});
