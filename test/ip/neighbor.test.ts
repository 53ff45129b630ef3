import test from 'ava';
import fc from 'fast-check';
import { formatMac, MAPPED, parseIpv4 } from '../../src/core/address.ts';
import { Drop, newDropCounters } from '../../src/core/drop.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { NeighborCache, NeighborState } from '../../src/ip/neighbor.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { arpFrame, udpFrame } from '../support/guest-frames.ts';
import { IpHarness } from '../support/ip-harness.ts';

const A = '52:54:00:00:00:0a';
const B = '52:54:00:00:00:0b';
const ROUTER = '52:55:0a:00:02:02';

const srcMac = (f: Uint8Array): string => formatMac(f, 6);
const dstMac = (f: Uint8Array): string => formatMac(f, 0);

test('RFC 826: a request for our address is answered to the asker, and the asker is learnt', (t) => {
  const h = new IpHarness();
  h.link.receive(arpFrame({ srcMac: A, spa: '10.0.2.15', tpa: '10.0.2.3' }));
  const [reply] = h.link.take();
  t.is(dstMac(reply!), A);
  t.is(srcMac(reply!), ROUTER);
  t.is(reply!.length, 60);
  t.true(
    reply!.subarray(42).every((x) => x === 0),
    'padding is zeros',
  );
  t.is(h.ip.neighbors.size, 1);
});

for (const { name, give, want } of [
  { name: 'request for another guest', give: { spa: '10.0.2.15', tpa: '10.0.2.16' }, want: Drop.None },
  { name: 'gratuitous', give: { spa: '10.0.2.15', tpa: '10.0.2.15' }, want: Drop.None },
  { name: 'sender outside the network', give: { spa: '192.0.2.1', tpa: '10.0.2.2' }, want: Drop.ArpBadSender },
  { name: 'sender is the broadcast address', give: { spa: '10.0.2.255', tpa: '10.0.2.2' }, want: Drop.ArpBadSender },
  {
    name: 'sender MAC not the frame source',
    give: { spa: '10.0.2.15', tpa: '10.0.2.2', sha: B },
    want: Drop.ArpBadSender,
  },
]) {
  test(`ARP not answered: ${name}`, (t) => {
    const h = new IpHarness();
    h.link.receive(arpFrame({ srcMac: A, ...give }));
    t.deepEqual(h.link.takeSummaries(), []);
    if (want !== Drop.None) t.is(h.dropped(want), 1);
  });
}

test('an ARP probe (sender 0.0.0.0) for our address is answered and teaches nothing (RFC 5227)', (t) => {
  const h = new IpHarness();
  h.link.receive(arpFrame({ srcMac: A, spa: '0.0.0.0', tpa: '10.0.2.2' }));
  t.is(h.link.take().length, 1);
  t.is(h.ip.neighbors.size, 0);
});

test('a claim of our own address is dropped and answered with one defence per 10 s (RFC 5227 section 2.4)', (t) => {
  const h = new IpHarness();
  const claim = arpFrame({ srcMac: A, spa: '10.0.2.2', tpa: '10.0.2.2' });
  h.link.receive(claim, claim, claim);
  h.settle();
  t.is(h.link.take().length, 1);
  t.is(h.dropped(Drop.ArpSpoof), 3);
  t.deepEqual(h.claims, [`10.0.2.2 ${A.replaceAll(':', '')}`], 'and reported');
  h.advance(10_000);
  h.link.receive(claim);
  h.settle();
  t.is(h.link.take().length, 1);
});

test('another MAC gets an address only after its owner failed to answer three probes', (t) => {
  const h = new IpHarness();
  h.introduce('10.0.2.15', A);
  h.link.receive(arpFrame({ srcMac: B, spa: '10.0.2.15', tpa: '10.0.2.2' }));
  h.settle();
  const address = parseIpv4('10.0.2.15');
  const n = h.ip.neighbors.find(0, 0, 0xffff, address)!;
  t.is(n.state, NeighborState.Probe);
  t.is(h.dropped(Drop.ArpSpoof), 1);
  t.is(n.macLo & 0xff, 0x0a, 'still the owner');
  const probes = h.link.take().filter((f) => dstMac(f) === A);
  t.is(probes.length, 1);
  h.advance(5000);
  t.is(n.macLo & 0xff, 0x0b, 'the owner is gone');
  t.is(h.link.take().filter((f) => dstMac(f) === A).length, 2);
});

test('an owner that is still there keeps its address, however often another claims it', (t) => {
  const h = new IpHarness();
  h.introduce('10.0.2.15', A);
  for (let i = 0; i < 20; i++) {
    h.link.receive(arpFrame({ srcMac: B, spa: '10.0.2.15', tpa: '10.0.2.2' }));
    h.advance(500);
    h.link.receive(udpFrame({ srcMac: A, dst: '192.0.2.1', sport: 1, dport: 1 }));
    h.advance(500);
  }
  t.is(h.ip.neighbors.find(0, 0, 0xffff, parseIpv4('10.0.2.15'))!.macLo & 0xff, 0x0a);
});

test('packets from a station that does not own their source are dropped', (t) => {
  const h = new IpHarness();
  h.introduce('10.0.2.15', A);
  let got = 0;
  h.ip.handle(17, { packet: () => got++ });
  h.link.receive(udpFrame({ srcMac: B, dst: '192.0.2.1', sport: 1, dport: 1 }));
  t.is(got, 0);
  t.is(h.dropped(Drop.NeighborMismatch), 1);
  h.link.receive(udpFrame({ srcMac: A, dst: '192.0.2.1', sport: 1, dport: 1 }));
  t.is(got, 1);
});

test('the DHCP server may give an address to a new MAC at once', (t) => {
  const h = new IpHarness();
  h.introduce('10.0.2.15', A);
  const address = parseIpv4('10.0.2.15');
  h.ip.neighbors.assign(0, 0, 0xffff, address, 0x5254, 0x0b);
  t.is(h.ip.neighbors.find(0, 0, 0xffff, address)!.macLo, 0x0b);
});

test('packets to an unknown guest wait for ARP, three at most, and are dropped when it fails', (t) => {
  const h = new IpHarness();
  const send = (n: number): void => {
    const path = h.ip.path(0, 0, MAPPED, parseIpv4('192.0.2.1') | 0, 0, 0, MAPPED, parseIpv4('10.0.2.77') | 0, 17)!;
    const o = path.reserve(8);
    h.ip.bytes.fill(n, o, o + 8);
    path.commit(o, 8);
    h.ip.flush();
  };
  for (let i = 1; i <= 5; i++) send(i);
  h.settle();
  const asked = h.link.take();
  t.is(asked.length, 1);
  t.is(dstMac(asked[0]!), 'ff:ff:ff:ff:ff:ff');
  t.is(h.dropped(Drop.NeighborQueueFull), 2);
  h.link.receive(arpFrame({ op: 2, srcMac: B, dstMac: ROUTER, spa: '10.0.2.77', tha: ROUTER, tpa: '10.0.2.2' }));
  h.settle();
  const frames = h.link.take();
  t.deepEqual(
    frames.map((f) => [dstMac(f), f[34]]),
    [
      [B, 3],
      [B, 4],
      [B, 5],
    ],
  );

  const g = new IpHarness();
  const path = g.ip.path(0, 0, MAPPED, 1 | 0, 0, 0, MAPPED, parseIpv4('10.0.2.78') | 0, 17)!;
  path.commit(path.reserve(8), 8);
  g.settle();
  g.advance(10_000);
  t.is(g.link.take().length, 3, 'asked three times');
  t.is(g.dropped(Drop.NeighborUnreachable), 1);
  t.is(g.ip.neighbors.size, 0);
});

test('a guest silent for long is asked again while we send to it', (t) => {
  const h = new IpHarness();
  h.introduce('10.0.2.15', A);
  h.advance(61_000);
  const path = h.ip.path(0, 0, MAPPED, parseIpv4('192.0.2.1') | 0, 0, 0, MAPPED, parseIpv4('10.0.2.15') | 0, 17)!;
  path.commit(path.reserve(8), 8);
  h.ip.flush();
  h.settle();
  const frames = h.link.take();
  t.is(frames.length, 2, 'the packet and a probe');
  t.true(frames.every((f) => dstMac(f) === A));
});

test('property: bounded, and never evicts a guest with flows', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 1500 }), fc.boolean(), fc.boolean()), {
        maxLength: 3000,
        minLength: 1000,
      }),
      (ops) => {
        const clock = new FakeClock();
        const cache = new NeighborCache({
          wheel: new TimerWheel(clock),
          drops: newDropCounters(),
          seed: 7,
          solicit: () => {},
          release: () => {},
        });
        const pinned = new Set<number>();
        for (const [address, resolve, pin] of ops) {
          clock.advance(1);
          const n = resolve
            ? cache.resolve(0, 0, 0xffff, address)
            : cache.heard(0, 0, 0xffff, address, 1, address, clock.now());
          if (n !== null && pin && pinned.size < 500 && !pinned.has(address)) {
            n.flows++;
            pinned.add(address);
          }
          if (cache.size > 1024) return false;
        }
        return [...pinned].every((a) => cache.find(0, 0, 0xffff, a) !== null) && [...cache].length === cache.size;
      },
    ),
    { numRuns: 5 },
  );
  t.pass();
});
