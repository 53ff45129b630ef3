import test from 'ava';
import { descriptorShares } from '../../src/cli/descriptors.ts';
import { parseEndpoint } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import { echoFrame, tcpFrame, udpFrame } from '../support/guest-frames.ts';
import { udp6Frame } from '../support/guest6-frames.ts';
import { RouterHarness, router6 } from '../support/router-harness.ts';

const OTHER = { src: '10.0.2.16', srcMac: '52:54:00:00:00:16' };
const open = (h: RouterHarness): number =>
  h.host.openTcp.length + h.host.openUdpSockets.length + h.host.pings.filter((p) => !p.closed).length;
const flood = (h: RouterHarness, flows: number, from: { src?: string; srcMac?: string } = {}): void => {
  for (let i = 0; i < flows; i++) h.send(udpFrame({ ...from, dst: '192.0.2.1', sport: 1024 + i, dport: 7 }));
};
const connect = (h: RouterHarness, sport: number, from: { src?: string; srcMac?: string } = {}): void => {
  h.send(tcpFrame({ ...from, dst: `198.51.${100 + (sport >> 8)}.${sport & 255}`, sport, dport: 80, flags: 'S' }));
};

test('5,000 UDP flows asked for: half of the descriptors, and TCP still connects', (t) => {
  const { maxFlows } = descriptorShares(256);
  const h = new RouterHarness({ maxFlows });
  flood(h, 5000);
  t.is(h.router.udpNat.size, maxFlows / 2);
  t.is(open(h), maxFlows / 2);
  connect(h, 1);
  t.is(h.host.openTcp.length, 1);
});

test('one guest alone may use all its kind allows, a quarter of all once others are active', (t) => {
  const h = new RouterHarness({ maxFlows: 100 });
  h.introduce(OTHER.src, OTHER.srcMac);
  flood(h, 200);
  t.is(h.router.udpNat.size, 50);
  flood(h, 1, OTHER);
  t.is(h.router.udpNat.size, 50, "the flood's oldest made room");
  flood(h, 200, OTHER);
  const guests = h.router.flows({ kinds: ['udp'], limit: 1000 }).flows.map((f) => f.guest.split(':')[0]);
  t.is(guests.filter((g) => g === OTHER.src).length, 25);
  t.is(guests.filter((g) => g !== OTHER.src).length, 25);
});

test('a guest is a station: many IPv6 addresses have one share, both families of one guest are no two guests', (t) => {
  const h = router6({ maxFlows: 100 });
  const from = (i: number): { src: string; srcMac: string } => ({
    src: `2001:db8:2::${i + 1000}`,
    srcMac: OTHER.srcMac,
  });
  const send = (i: number): void =>
    void h.send(udp6Frame({ ...from(i), dst: '64:ff9b::c000:201', sport: 5000, dport: 7 }));
  for (let i = 0; i < 30; i++) send(i);
  h.introduce(OTHER.src, OTHER.srcMac);
  flood(h, 60, OTHER);
  t.is(h.router.udpNat.size, 50, 'alone it may use all its kind allows');
  t.is(h.router.budget.guests, 1);
  flood(h, 1);
  for (let i = 0; i < 30; i++) send(i);
  t.is(h.router.budget.guests, 2);
  flood(h, 25);
  const guests = h.router.flows({ kinds: ['udp'], limit: 1000 }).flows.map((f) => f.guest);
  t.is(guests.filter((g) => g.startsWith('10.0.2.15:')).length, 25);
  t.is(guests.length, 50);
});

test('when all is used, TCP takes the place of UDP, but not of other connections', (t) => {
  const h = new RouterHarness({ maxFlows: 20, tcp: { maxHalfOpenPerPair: 1000 } });
  flood(h, 10);
  for (let i = 1; i <= 20; i++) connect(h, i);
  t.is(h.host.openTcp.length, 20);
  t.is(h.router.udpNat.size, 0);
  connect(h, 21);
  t.is(h.host.openTcp.length, 20);
  t.is(h.dropped(Drop.TcpTableFull), 1);
  flood(h, 1);
  t.is(h.dropped(Drop.FlowTableFull), 1);
  t.is(open(h), 20);
});

test('connections of one guest: a quarter once others are active', (t) => {
  const h = new RouterHarness({ maxFlows: 20 });
  h.introduce(OTHER.src, OTHER.srcMac);
  connect(h, 1, OTHER);
  for (let i = 2; i <= 10; i++) connect(h, i);
  t.is(h.host.openTcp.length, 6);
  t.is(h.dropped(Drop.TcpTableFull), 4);
  h.host.openTcp[0]!.fail('ECONNREFUSED'); // the other guest's only flow
  connect(h, 11);
  t.is(h.host.openTcp.length, 6, 'alone again');
});

test('a ping flood takes an eighth of the descriptors', (t) => {
  const h = new RouterHarness({ maxFlows: 80 });
  for (let id = 0; id < 100; id++) h.send(echoFrame({ dst: '192.0.2.1', id, seq: 1 }));
  t.is(open(h), 10);
});

test('whatever comes, no more descriptors than the budget are open, and all are given back', (t) => {
  const h = new RouterHarness({ maxFlows: 40 });
  const guests = Array.from({ length: 5 }, (_, i) => ({ src: `10.0.2.${20 + i}`, srcMac: `52:54:00:00:00:${20 + i}` }));
  for (const guest of guests) h.introduce(guest.src, guest.srcMac);
  let seed = 1;
  for (let i = 0; i < 3000; i++) {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    const guest = guests[(seed >>> 8) % guests.length]!;
    const n = (seed >>> 12) & 1023;
    if (seed >>> 30 === 0) connect(h, n + 1, guest);
    else if (seed >>> 30 === 1) h.send(echoFrame({ ...guest, dst: '192.0.2.1', id: n, seq: 1 }));
    else h.send(udpFrame({ ...guest, dst: '192.0.2.1', sport: n + 1, dport: 7 }));
    if ((seed & 0xf0) === 0) h.host.openTcp[0]?.fail('ECONNREFUSED');
    t.true(open(h) <= 40);
    t.is(open(h), h.router.budget.used);
  }
  h.router.close();
  t.is(h.router.budget.used, 0);
  t.is(h.router.budget.guests, 0);
});

test('flows are listed by kind and age, filtered by guest, and ended by id', (t) => {
  const h = new RouterHarness();
  h.introduce(OTHER.src, OTHER.srcMac);
  flood(h, 3);
  flood(h, 1, OTHER);
  connect(h, 5);
  h.send(echoFrame({ dst: '192.0.2.9', id: 7, seq: 1 }));
  h.advance(1000);
  h.host.udp[1]!.deliver(h.host.udp[1]!.sent[0]!.to, new Uint8Array(10));
  const { flows, total } = h.router.flows({ limit: 4 });
  t.is(total, 6);
  t.deepEqual(
    flows.map((f) => `${f.id} ${f.guest} ${f.peer} ${f.state} ${f.bytesOut}/${f.bytesIn} ${Math.round(f.ageMs)}`),
    [
      't1 10.0.2.15:5 198.51.100.5:80 CONNECTING 0/0 1000',
      'u1 10.0.2.15:1024 192.0.2.1:7 one-way 0/0 1000',
      'u2 10.0.2.15:1025 192.0.2.1:7 answered 0/10 1000',
      'u3 10.0.2.15:1026 192.0.2.1:7 one-way 0/0 1000',
    ],
  );
  const other = h.router.flows({ guest: parseEndpoint(OTHER.src, 0), limit: 10 });
  t.deepEqual([other.total, other.flows[0]!.id], [1, 'u4']);
  t.is(h.router.flows({ kinds: ['icmp'], limit: 1 }).flows[0]!.peer, '192.0.2.9');
  for (const id of ['t1', 'u1', 'i1']) t.true(h.router.endFlow(id), id);
  for (const id of ['t1', 'u1', 'i1', 'x1', 'u', '', 'u01', 'u-1']) t.false(h.router.endFlow(id), id);
  t.true(h.host.tcp[0]!.wasReset);
  t.is(open(h), 3);
});

for (const limit of [256, 512, 1024, 4096, 1 << 20]) {
  test(`of ${limit} descriptors enough are left for DNS, forwards and guests`, (t) => {
    const { maxFlows, maxListeners } = descriptorShares(limit);
    t.true(maxFlows + maxListeners + 96 <= limit);
    t.true(maxFlows <= 16_384 && maxFlows <= limit * 0.7);
    t.true(maxListeners >= 32 && maxListeners <= 1024);
  });
}
