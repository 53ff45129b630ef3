import test from 'ava';
import { endpointIpv4, parseEndpoint, parseIpv4 } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import * as dns from '../../src/wire/dns.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as udp from '../../src/wire/udp.ts';
import { BROADCAST_MAC, echoFrame, tcpFrame, udpFrame } from '../support/guest-frames.ts';
import { hex, toHex } from '../support/hex.ts';
import { RouterHarness } from '../support/router-harness.ts';

const HELLO = hex('68656c6c6f');
const payload = (f: Uint8Array): string => toHex(f.slice(42, 14 + ipv4.totalLen(f, 14)));
const udpTo = (dst: string, sport = 5000, dport = 7): Uint8Array => udpFrame({ dst, sport, dport, data: HELLO });

test('RFC 4787 REQ-1: one guest port is one host socket, whatever the destination', (t) => {
  const h = new RouterHarness();
  h.send(udpTo('192.0.2.1'), udpTo('192.0.2.2'), udpTo('192.0.2.1', 5000, 9));
  t.is(h.host.udp.length, 1);
  t.deepEqual(
    h.host.lastUdp.sent.map((s) => `${s.to} ${toHex(s.bytes)}`),
    ['192.0.2.1:7 68656c6c6f', '192.0.2.2:7 68656c6c6f', '192.0.2.1:9 68656c6c6f'],
  );
  t.is(h.host.lastUdp.preferredPort, 5000);
  h.send(udpTo('192.0.2.1', 5001));
  t.is(h.host.udp.length, 2);
});

test('RFC 4787 REQ-8: a datagram from anybody reaches the guest, from its true source', (t) => {
  const h = new RouterHarness();
  h.send(udpTo('192.0.2.1'));
  h.host.lastUdp.deliver(parseEndpoint('203.0.113.9', 4444), HELLO);
  h.settle();
  const [f] = h.link.take();
  t.is(ipv4.src(f!, 14), parseIpv4('203.0.113.9'));
  t.is(udp.srcPort(f!, 34), 4444);
  t.is(udp.dstPort(f!, 34), 5000);
  t.is(payload(f!), toHex(HELLO));
  t.true(udp.checksumOk(f!, 34, 0) || udp.checksum(f!, 34) !== 0);
});

test('the gateway leads to host loopback, and answers come from the gateway', (t) => {
  const h = new RouterHarness();
  h.send(udpTo('10.0.2.2'));
  t.is(String(h.host.lastUdp.sent[0]!.to), '127.0.0.1:7');
  h.host.lastUdp.deliver(parseEndpoint('127.0.0.1', 7), HELLO);
  h.settle();
  t.is(ipv4.src(h.link.take()[0]!, 14), parseIpv4('10.0.2.2'));
});

for (const { dst, want, answer } of [
  { dst: '127.0.0.1', want: Drop.Ipv4BadDestination, answer: null },
  { dst: '0.0.0.0', want: Drop.Ipv4BadDestination, answer: null },
  { dst: '0.1.2.3', want: Drop.Ipv4BadDestination, answer: null },
  { dst: '240.0.0.1', want: Drop.Ipv4BadDestination, answer: null },
  { dst: '169.254.169.254', want: Drop.PolicyDenied, answer: 'prohibited' },
  { dst: '10.0.2.3', want: Drop.PolicyDenied, answer: 'port' },
]) {
  test(`no host socket is opened for ${dst}`, (t) => {
    const h = new RouterHarness();
    h.send(udpTo(dst));
    h.send(echoFrame({ dst: dst === '10.0.2.3' ? '127.0.0.2' : dst, id: 1, seq: 1 }));
    h.send(tcpFrame({ dst, sport: 1, dport: 80, flags: 'S' }));
    t.is(h.host.udp.length + h.host.pings.length + h.host.tcp.length, 0);
    t.true(h.dropped(want) >= 1);
    if (answer !== null) {
      const g = new RouterHarness();
      g.link.receive(udpTo(dst));
      t.regex(g.sent().join(), new RegExp(answer));
    }
  });
}

test('without host loopback the gateway address is refused for every protocol', (t) => {
  const h = new RouterHarness({ hostLoopback: false });
  h.link.receive(udpTo('10.0.2.2'));
  t.regex(h.sent().join(), /port/);
  h.link.receive(tcpFrame({ dst: '10.0.2.2', sport: 1, dport: 80, flags: 'S' }));
  t.regex(h.sent().join(), /\[R\.\]|RST|\bR\b/);
  t.is(h.host.udp.length + h.host.tcp.length, 0);
});

for (const [code, word] of [
  ['ECONNREFUSED', 'port'],
  ['EHOSTUNREACH', 'host'],
  ['ENETUNREACH', 'net'],
  ['EACCES', 'prohibited'],
] as const) {
  test(`a datagram that fails with ${code} comes back as ICMP "${word}" and the mapping stays (RFC 4787 REQ-12)`, (t) => {
    const h = new RouterHarness();
    h.send(udpTo('192.0.2.1'));
    h.host.lastUdp.fail(code, endpointIpv4(parseIpv4('192.0.2.1'), 7));
    t.regex(h.sent().join(), new RegExp(word));
    t.false(h.host.lastUdp.closed);
    t.is(h.router.udpNat.size, 1);
  });
}

test('idle times: 30 s one way, 180 s both ways, 10 s for DNS; the guest prolongs them', (t) => {
  const h = new RouterHarness();
  h.send(udpTo('192.0.2.1', 5001));
  h.send(udpTo('192.0.2.1', 5002));
  h.host.udp[1]!.deliver(parseEndpoint('192.0.2.1', 7), HELLO);
  h.send(udpTo('192.0.2.1', 5003, 53));
  h.advance(10_100);
  t.deepEqual(
    h.host.udp.map((s) => s.closed),
    [false, false, true],
  );
  h.send(udpTo('192.0.2.1', 5001));
  h.advance(29_000);
  t.deepEqual(
    h.host.udp.map((s) => s.closed),
    [false, false, true],
  );
  h.advance(2000);
  t.deepEqual(
    h.host.udp.map((s) => s.closed),
    [true, false, true],
  );
  h.advance(140_000);
  t.deepEqual(
    h.host.udp.map((s) => s.closed),
    [true, true, true],
  );
  t.is(h.router.udpNat.size, 0);
});

test('mappings are bounded: a guest over its share pushes out its own oldest', (t) => {
  const h = new RouterHarness({ maxFlows: 40 }); // 20 mappings, 10 per guest
  h.introduce('10.0.2.16', '52:54:00:00:00:16');
  h.send(udpFrame({ src: '10.0.2.16', srcMac: '52:54:00:00:00:16', dst: '192.0.2.1', sport: 1, dport: 7 }));
  for (let port = 6000; port < 6050; port++) h.send(udpTo('192.0.2.1', port));
  t.is(h.router.udpNat.size, 11);
  t.false(h.host.udp[0]!.closed, "the other guest's");
  t.is(h.host.openUdpSockets.length, 11);
  h.send(udpTo('192.0.2.9', 6000));
  t.is(h.host.lastUdp.preferredPort, 6000, 'a pushed-out mapping is made anew');
});

test('UDP: bad checksum and bad length are counted and go nowhere; checksum 0 is fine', (t) => {
  const h = new RouterHarness();
  const bad = udpTo('192.0.2.1');
  bad[40]! ^= 1;
  h.send(bad);
  const long = udpTo('192.0.2.1');
  long[39] = 200;
  h.send(long);
  t.is(h.host.udp.length, 0);
  t.is(h.dropped(Drop.UdpBadChecksum), 1);
  t.is(h.dropped(Drop.UdpBadLength), 1);
  const none = udpTo('192.0.2.1');
  none[40] = none[41] = 0;
  h.send(none);
  t.is(h.host.udp.length, 1);
});

// ---- echo

test('echo beyond: one ping socket per guest, id and destination; the reply has the id and the data that came', (t) => {
  const h = new RouterHarness();
  h.send(echoFrame({ dst: '192.0.2.1', id: 77, seq: 3, data: HELLO, ttl: 10 }));
  const ping = h.host.pings[0]!;
  t.is(ping.to.host, '192.0.2.1');
  t.deepEqual({ ...ping.sent[0]!, bytes: toHex(ping.sent[0]!.bytes) }, { seq: 3, bytes: toHex(HELLO), ttl: 9 });
  ping.reply(3, hex('aabb'), 55);
  h.settle();
  const [f] = h.link.take();
  t.is(ipv4.src(f!, 14), parseIpv4('192.0.2.1'));
  t.is(ipv4.ttl(f!, 14), 54);
  t.is(toHex(f!.slice(34, 36)) + toHex(f!.slice(38, 44)), '0000' + '004d0003' + 'aabb');
  h.send(echoFrame({ dst: '192.0.2.1', id: 77, seq: 4 }));
  t.is(h.host.pings.length, 1);
  h.send(echoFrame({ dst: '192.0.2.2', id: 77, seq: 1 }), echoFrame({ dst: '192.0.2.1', id: 78, seq: 1 }));
  t.is(h.host.pings.length, 3);
  h.advance(59_000);
  t.false(h.host.pings.some((p) => p.closed));
  h.advance(2000);
  t.true(
    h.host.pings.every((p) => p.closed),
    'RFC 5508 REQ-2: 60 s',
  );
});

test('echo that fails comes back as an ICMP error that quotes the request', (t) => {
  const h = new RouterHarness();
  h.send(echoFrame({ dst: '192.0.2.1', id: 77, seq: 3, data: HELLO }));
  h.host.pings[0]!.fail('EHOSTUNREACH');
  h.settle();
  const [f] = h.link.take();
  t.is(toHex(f!.slice(34, 36)), '0301');
  t.is(toHex(f!.slice(66, 70)), '004d0003', 'id and sequence of the request');
});

test('without ping sockets an echo is answered "prohibited", never faked', (t) => {
  const h = new RouterHarness();
  h.host.pingProblem = 'not permitted';
  h.link.receive(echoFrame({ dst: '192.0.2.1', id: 1, seq: 1 }));
  t.regex(h.sent().join(), /prohibited/);
  t.is(h.dropped(Drop.IcmpNoPingSocket), 1);
});

// ---- services

test('a datagram from port 0 wants no answer: no service and no mapping comes of it (RFC 768)', (t) => {
  const h = new RouterHarness();
  const data = hex('1234 0100 0001 0000 0000 0000 07 67617465776179 00 0001 0001');
  for (const [dst, dport] of [
    ['10.0.2.3', 53],
    ['10.0.2.2', 69],
    ['192.0.2.1', 7],
  ] as const) {
    t.deepEqual(h.send(udpFrame({ dst, sport: 0, dport, data })), []);
  }
  t.is(h.dropped(Drop.UdpBadPort), 3);
  t.is(h.host.udp.length, 0);
});

test('DNS at the DNS address goes to the upstream and the answer comes back from there', (t) => {
  const h = new RouterHarness();
  const query = hex('1234 0100 0001 0000 0000 0000 07 6578616d706c65 04 74657374 00 0001 0001');
  h.send(udpFrame({ dst: '10.0.2.3', sport: 3333, dport: 53, data: query }));
  const { to, bytes } = h.host.lastUdp.sent[0]!;
  t.is(String(to), '198.51.100.53:53');
  const answer = bytes.slice();
  answer[2]! |= 0x80;
  h.host.lastUdp.deliver(to, answer);
  h.settle();
  const [f] = h.link.take();
  t.is(ipv4.src(f!, 14), parseIpv4('10.0.2.3'));
  t.is(udp.srcPort(f!, 34), 53);
  t.is(dns.id(f!, 42), 0x1234);
  t.is(h.router.udpNat.size, 0, 'no mapping is made');
});

test("DHCP: broadcast in, offer out, and the address is the guest's from the ACK on", (t) => {
  const h = new RouterHarness();
  const mac = '52:54:00:aa:bb:cc';
  const message = (options: string, ciaddr = '00000000'): Uint8Array =>
    hex(
      `01010600 deadbeef 00008000 ${ciaddr} 00000000 00000000 00000000 525400aabbcc ${'00'.repeat(10 + 64 + 128)} 63825363 ${options} ff`,
    );
  const dhcp = (data: Uint8Array): Uint8Array =>
    udpFrame({
      src: '0.0.0.0',
      srcMac: mac,
      dst: '255.255.255.255',
      dstMac: BROADCAST_MAC,
      sport: 68,
      dport: 67,
      data,
    });
  h.send(dhcp(message('350101')));
  h.advance(200); // the address is probed first
  const offer = h.link.take().find((f) => f[23] === 17)!;
  t.is(udp.srcPort(offer, 34), 67);
  t.is(udp.dstPort(offer, 34), 68);
  const yiaddr = toHex(offer.slice(42 + 16, 42 + 20));
  t.true(yiaddr.startsWith('0a0002'));
  h.send(dhcp(message(`350103 3604 0a000202 3204 ${yiaddr}`)));
  const n = h.router.ip.neighbors.find(0, 0, 0xffff, Number.parseInt(yiaddr, 16) | 0);
  t.is(n?.macHi, 0x5254);
  t.is((n?.macLo ?? 0) >>> 0, 0x00aabbcc);
});

// ---- UDP forwards

test('UDP forward: the client keeps its address, answers leave by the listening socket', async (t) => {
  const h = new RouterHarness();
  await h.router.addForward({
    protocol: 'udp',
    listen: parseEndpoint('0.0.0.0', 5353),
    guest: parseEndpoint('10.0.2.15', 53),
  });
  const socket = h.host.lastUdp;
  const client = parseEndpoint('203.0.113.5', 9999);
  socket.deliver(client, HELLO);
  h.settle();
  const [f] = h.link.take();
  t.is(ipv4.src(f!, 14), parseIpv4('203.0.113.5'));
  t.deepEqual([udp.srcPort(f!, 34), udp.dstPort(f!, 34)], [9999, 53]);
  h.send(udpFrame({ dst: '203.0.113.5', sport: 53, dport: 9999, data: hex('0102') }));
  t.deepEqual(
    socket.sent.map((s) => `${s.to} ${toHex(s.bytes)}`),
    ['203.0.113.5:9999 0102'],
  );
  t.is(h.host.udp.length, 1, 'no mapping beside it');
});

test('UDP forward: a loopback client appears as the gateway, two of them with ports of their own', async (t) => {
  const h = new RouterHarness();
  await h.router.addForward({
    protocol: 'udp',
    listen: parseEndpoint('127.0.0.1', 5353),
    guest: parseEndpoint('10.0.2.15', 53),
  });
  const socket = h.host.lastUdp;
  socket.deliver(parseEndpoint('127.0.0.1', 2000), HELLO);
  socket.deliver(parseEndpoint('127.0.0.2', 2000), HELLO);
  h.settle();
  const frames = h.link.take();
  t.true(frames.every((f) => ipv4.src(f, 14) === parseIpv4('10.0.2.2')));
  const ports = frames.map((f) => udp.srcPort(f, 34));
  t.is(ports[0], 2000);
  t.not(ports[1], 2000);
  for (const port of ports) h.send(udpFrame({ dst: '10.0.2.2', sport: 53, dport: port, data: HELLO }));
  t.deepEqual(
    socket.sent.map((s) => String(s.to)),
    ['127.0.0.1:2000', '127.0.0.2:2000'],
  );
  t.is(h.host.udp.length, 1);
});

test('a forward whose port is taken is refused when it is added', async (t) => {
  const h = new RouterHarness();
  h.host.takenPorts.add(8022);
  for (const protocol of ['tcp', 'udp'] as const) {
    const rule = { protocol, listen: parseEndpoint('0.0.0.0', 8022), guest: parseEndpoint('10.0.2.15', 22) };
    await t.throwsAsync(h.router.addForward(rule), { code: 'ERR_VDE_LISTEN' });
  }
});

test('close leaves no host socket open', async (t) => {
  const h = new RouterHarness();
  await h.router.addForward({
    protocol: 'tcp',
    listen: parseEndpoint('0.0.0.0', 1),
    guest: parseEndpoint('10.0.2.15', 1),
  });
  await h.router.addForward({
    protocol: 'udp',
    listen: parseEndpoint('0.0.0.0', 1),
    guest: parseEndpoint('10.0.2.15', 1),
  });
  h.send(udpTo('192.0.2.1'), echoFrame({ dst: '192.0.2.1', id: 1, seq: 1 }));
  h.router.close();
  t.is(h.host.openUdpSockets.length, 0);
  t.true(h.host.pings.every((p) => p.closed) && h.host.listeners.every((l) => l.closed));
});
