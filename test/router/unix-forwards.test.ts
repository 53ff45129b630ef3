import test from 'ava';
import { Endpoint, parseEndpoint, parseIpv4 } from '../../src/core/address.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as tcp from '../../src/wire/tcp.ts';
import { tcpFrame } from '../support/guest-frames.ts';
import { hex } from '../support/hex.ts';
import { GuestTcp, RouterHarness } from '../support/router-harness.ts';

const HELLO = hex('68656c6c6f');
const GATEWAY = '10.0.2.2';

function withService(options: { hostLoopback?: boolean } = {}): RouterHarness {
  const h = new RouterHarness(options);
  h.router.unixForwards.addService({ port: 6010, path: '/run/service' });
  return h;
}

test('service: a guest at the port of the gateway talks to the Unix socket', (t) => {
  const h = withService();
  const g = new GuestTcp(h, GATEWAY, 6010);
  g.send('S');
  const s = h.host.lastTcp;
  t.is(s.path, '/run/service');
  t.deepEqual(g.takeFlags(), []);
  s.connect();
  g.poll();
  t.deepEqual(g.takeFlags(), ['SA']);
  g.send('A');
  g.send('PA', HELLO);
  t.deepEqual(s.written(), Uint8Array.from(HELLO));
  s.data(HELLO);
  g.poll();
  t.deepEqual(g.received, [...HELLO]);
  s.eof();
  g.poll();
  g.send('FA');
  t.true(s.ended);
});

for (const [code, flags] of [
  ['ENOENT', tcp.RST | tcp.ACK],
  ['ECONNREFUSED', tcp.RST | tcp.ACK],
  ['EAGAIN', -1],
] as const) {
  test(`service: ${code}: ${flags < 0 ? 'silence, the guest tries again' : 'RST'}, and a line in the log`, (t) => {
    const h = withService();
    h.send(tcpFrame({ dst: GATEWAY, sport: 1, dport: 6010, seq: 1000, flags: 'S' }));
    h.host.lastTcp.fail(code);
    h.settle();
    const [f] = h.link.take();
    t.is(f === undefined ? -1 : tcp.flags(f, 34), flags);
    t.deepEqual(h.log, [`cannot connect to /run/service: ${code}`]);
    t.is(h.router.tcpNat.size, 0);
  });
}

test('service: at no other port, at no other address, and not after it was removed', (t) => {
  const h = withService();
  for (const [dst, dport] of [
    [GATEWAY, 6011],
    ['10.0.2.3', 6010],
    ['192.0.2.1', 6010],
  ] as const)
    h.send(tcpFrame({ dst, sport: 1, dport, seq: 1, flags: 'S' }));
  h.router.unixForwards.removeService({ port: 6010, path: '/run/service' });
  h.send(tcpFrame({ dst: GATEWAY, sport: 2, dport: 6010, seq: 1, flags: 'S' }));
  t.deepEqual(
    h.host.tcp.map((s) => s.path),
    ['', '', ''],
  );
});

test('service: reachable where the loopback of the host is closed, which may change at run time', (t) => {
  const h = withService({ hostLoopback: false });
  h.send(tcpFrame({ dst: GATEWAY, sport: 1, dport: 6010, seq: 1, flags: 'S' }));
  t.is(h.host.lastTcp.path, '/run/service');
  h.send(tcpFrame({ dst: GATEWAY, sport: 1, dport: 22, seq: 1, flags: 'S' }));
  t.is(h.host.tcp.length, 1);
  h.router.policy.hostLoopback = true;
  h.send(tcpFrame({ dst: GATEWAY, sport: 2, dport: 22, seq: 1, flags: 'S' }));
  t.is(String(h.host.lastTcp.remote), '127.0.0.1:22');
});

test('forward: a client of the Unix socket reaches the guest, as the gateway', async (t) => {
  const h = new RouterHarness();
  const forward = { path: '/run/ssh', guest: parseEndpoint('10.0.2.15', 22) };
  await h.router.unixForwards.add(forward);
  const listener = h.host.listeners[0]!;
  t.is(listener.path, '/run/ssh');
  const client = listener.incoming(new Endpoint());
  const [syn] = h.sent();
  t.regex(syn!, /IPv4 10\.0\.2\.2 > 10\.0\.2\.15 .* > 22 \[S\]/);
  t.true(client.paused);
  h.router.unixForwards.remove(forward);
  t.true(listener.closed);
  t.is(client.state, 'connected');
});

test('forward: a path in use is told, and close() closes what is open', async (t) => {
  const h = new RouterHarness();
  const guest = parseEndpoint('10.0.2.15', 22);
  h.host.takenPaths.add('/taken');
  await t.throwsAsync(h.router.unixForwards.add({ path: '/taken', guest }), { code: 'ERR_VDE_LISTEN' });
  await h.router.unixForwards.add({ path: '/a', guest });
  h.router.close();
  t.true(h.host.listeners.every((l) => l.closed));
});

test('removeForward: the port is closed, and UDP clients are forgotten', async (t) => {
  const h = new RouterHarness();
  const guest = parseEndpoint('10.0.2.15', 53);
  const rules = (['tcp', 'udp'] as const).map((protocol) => ({
    protocol,
    listen: parseEndpoint('0.0.0.0', 8053),
    guest,
  }));
  for (const rule of rules) await h.router.addForward(rule);
  const socket = h.host.lastUdp;
  socket.deliver(parseEndpoint('192.0.2.9', 4000), HELLO);
  t.is(h.sent().length, 1);
  for (const rule of rules) h.router.removeForward(rule);
  for (const rule of rules) h.router.removeForward(rule);
  t.deepEqual([h.host.listeners[0]!.closed, socket.closed], [true, true]);
  await h.router.addForward(rules[1]!);
  h.host.lastUdp.deliver(parseEndpoint('192.0.2.9', 4000), HELLO);
  h.settle();
  const [frame] = h.link.take();
  t.is(ipv4.src(frame!, 14) >>> 0, parseIpv4('192.0.2.9'));
});
