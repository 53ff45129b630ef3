import test from 'ava';
import { Endpoint, parseEndpoint, parseIpv4 } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import { formatForward, parseForwardText } from '../../src/mgmt/forward-text.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as tcp from '../../src/wire/tcp.ts';
import * as udp from '../../src/wire/udp.ts';
import { leaseTo } from '../support/dhcp-exchange.ts';
import { udpFrame } from '../support/guest-frames.ts';
import { hex, toHex } from '../support/hex.ts';
import { RouterHarness } from '../support/router-harness.ts';

const HELLO = hex('68656c6c6f');
const CLIENT = parseEndpoint('203.0.113.5', 9999);
const add = (h: RouterHarness, protocol: 'tcp' | 'udp', text: string) =>
  h.router.addForward(parseForwardText(protocol, text));

/** Where the router's next SYN goes. */
function synTo(h: RouterHarness): string {
  h.settle();
  const f = h.link.take().find((each) => each[23] === 6)!;
  const to = new Endpoint().setIpv4(ipv4.dst(f, 14), tcp.dstPort(f, 34));
  return String(to);
}

test('a range is one forward with a listener for each port, each leading to its own', async (t) => {
  const h = new RouterHarness();
  const { id } = await add(h, 'tcp', '8000-8002:10.0.2.15:9000-9002');
  t.deepEqual(
    h.host.listeners.map((l) => String(l.local)),
    ['0.0.0.0:8000', '0.0.0.0:8001', '0.0.0.0:8002'],
  );
  h.host.listeners[2]!.incoming(CLIENT);
  t.is(synTo(h), '10.0.2.15:9002');
  const [view] = h.router.forwards.list();
  t.deepEqual(
    [view!.id, formatForward(view!.rule), view!.hits, view!.misses],
    [id, '8000-8002:10.0.2.15:9000-9002', 1, 0],
  );
  t.is(h.router.forwards.listening.used, 3);
});

test('a range of UDP ports: clients of two ports are two flows', async (t) => {
  const h = new RouterHarness();
  await add(h, 'udp', '8000-8001:10.0.2.15:9000-9001');
  for (const socket of h.host.udp) socket.deliver(CLIENT, HELLO);
  h.settle();
  t.deepEqual(
    h.link.take().map((f) => udp.dstPort(f, 34)),
    [9000, 9001],
  );
  h.send(udpFrame({ dst: '203.0.113.5', sport: 9001, dport: 9999, data: hex('01') }));
  t.deepEqual(
    h.host.udp.map((s) => s.sent.map((d) => toHex(d.bytes))),
    [[], ['01']],
  );
});

test('a range of which one port is taken is not opened at all', async (t) => {
  const h = new RouterHarness();
  h.host.takenPorts.add(8002);
  await t.throwsAsync(add(h, 'tcp', '8000-8003:10.0.2.15'), { code: 'ERR_VDE_LISTEN' });
  t.true(h.host.listeners.every((l) => l.closed));
  t.deepEqual(h.router.forwards.list(), []);
  t.is(h.router.forwards.listening.used, 0);
});

test('port 0 is any port, and the real one is told', async (t) => {
  const h = new RouterHarness();
  for (const protocol of ['tcp', 'udp'] as const) {
    const { rule } = await add(h, protocol, '0:10.0.2.15:22');
    t.true(rule.listen.port >= 32_768);
    t.is(formatForward(rule), `${rule.listen.port}:10.0.2.15:22`);
  }
});

test('removal closes the listener and leaves TCP flows', async (t) => {
  const h = new RouterHarness();
  const { id } = await add(h, 'tcp', '80:10.0.2.15:80');
  const client = h.host.listeners[0]!.incoming(CLIENT);
  t.true(h.router.forwards.remove(id));
  t.false(h.router.forwards.remove(id));
  t.true(h.host.listeners[0]!.closed);
  t.false(client.wasReset);
  t.is(h.router.tcpNat.size, 1);
  await add(h, 'tcp', '80:10.0.2.16:80');
});

test('removal of a UDP forward ends its clients and no others', async (t) => {
  const h = new RouterHarness();
  const first = await add(h, 'udp', '53:10.0.2.15:53');
  await add(h, 'udp', '54:10.0.2.15:54');
  for (const socket of h.host.udp) socket.deliver(CLIENT, HELLO);
  h.router.forwards.remove(first.id);
  t.deepEqual(
    h.host.udp.map((s) => s.closed),
    [true, false],
  );
  t.is(h.router.flows({ kinds: ['client'], limit: 10 }).total, 1);
  h.host.udp[1]!.deliver(CLIENT, HELLO);
  t.is(h.router.flows({ kinds: ['client'], limit: 10 }).total, 1);
});

test('a guest by its DHCP name: refused before there is one, found when it is', async (t) => {
  const h = new RouterHarness();
  await add(h, 'tcp', '80:web:8080');
  const early = h.host.listeners[0]!.incoming(CLIENT);
  t.is(h.dropped(Drop.ForwardUnresolved), 1);
  t.regex(h.log.join(), /forward 1: no guest is known as web/);
  h.clock.advance(9000);
  t.deepEqual([early.wasReset, h.router.status().held.used], [false, 1]);
  h.clock.advance(1500);
  t.deepEqual([early.wasReset, h.router.status().held.used], [true, 0], 'a RST after ten seconds');
  const address = leaseTo(h, '52:54:00:aa:bb:cc', 'Web');
  h.host.listeners[0]!.incoming(CLIENT);
  t.is(synTo(h), `${address}:8080`);
  const [view] = h.router.forwards.list();
  t.deepEqual([view!.hits, view!.misses], [1, 1]);
});

test('a client that comes before its guest waits, and is passed on when the guest has its lease', async (t) => {
  const h = new RouterHarness();
  await add(h, 'tcp', '80:web:8080');
  const client = h.host.listeners[0]!.incoming(CLIENT);
  h.clock.advance(3000);
  const address = leaseTo(h, '52:54:00:aa:bb:cc', 'Web');
  h.clock.advance(300);
  t.is(synTo(h), `${address}:8080`);
  t.deepEqual([client.wasReset, h.router.status().held.used], [false, 0]);
  const [view] = h.router.forwards.list();
  t.deepEqual([view!.hits, view!.misses], [1, 1]);
});

test('clients that wait: 64 of one forward, those that went are forgotten, closing the forward resets the rest', async (t) => {
  const h = new RouterHarness();
  const { id } = await add(h, 'tcp', '80:web:8080');
  const clients = Array.from({ length: 65 }, () => h.host.listeners[0]!.incoming(CLIENT));
  t.deepEqual(
    clients.map((client) => client.wasReset),
    [...new Array<boolean>(64).fill(false), true],
  );
  clients[0]!.user.failed('ECONNRESET');
  h.clock.advance(300);
  t.is(h.router.status().held.used, 63);
  h.router.forwards.remove(id);
  t.true(clients.slice(1).every((client) => client.wasReset));
  t.is(h.router.status().held.used, 0);
});

test('a guest by its hardware address: leased by DHCP, or heard of', async (t) => {
  const h = new RouterHarness();
  await add(h, 'udp', '53:52:54:00:aa:bb:cc:5353');
  const [socket] = h.host.udp;
  socket!.deliver(CLIENT, HELLO);
  t.is(h.dropped(Drop.ForwardUnresolved), 1);
  h.introduce('10.0.2.77', '52:54:00:aa:bb:cc');
  socket!.deliver(CLIENT, HELLO);
  h.settle();
  t.deepEqual(
    h.link.take().map((f) => [ipv4.dst(f, 14), udp.dstPort(f, 34)]),
    [[parseIpv4('10.0.2.77'), 5353]],
  );
  const address = leaseTo(h, '52:54:00:aa:bb:cc', '');
  socket!.deliver(parseEndpoint('203.0.113.6', 1), HELLO);
  h.settle();
  t.is(ipv4.dst(h.link.take().find((f) => f[23] === 17)!, 14), parseIpv4(address), 'the lease counts first');
});

test('forwards are bounded, and a guest outside the network is refused', async (t) => {
  const h = new RouterHarness({ maxListeners: 10 });
  await add(h, 'tcp', '1-8:10.0.2.15');
  await t.throwsAsync(add(h, 'tcp', '11-13:10.0.2.15'), { message: /no more than 10 listening ports/ });
  await add(h, 'tcp', '11-12:10.0.2.15');
  for (const guest of ['10.0.3.15', '10.0.2.0', '10.0.2.255', '10.0.2.2', '10.0.2.3']) {
    await t.throwsAsync(add(h, 'udp', `53:${guest}:53`), { code: 'ERR_VDE_BAD_FORWARD' }, guest);
  }
});
