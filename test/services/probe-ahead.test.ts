// Addresses that are probed before a newcomer asks: when the OFFER leaves at once, and when it waits.
import test from 'ava';
import { formatIpv4, parseIpv4 } from '../../src/core/address.ts';
import { AHEAD_MS, ASKING_MAX } from '../../src/services/probe-ahead.ts';
import { ask, dhcpHarness } from '../support/dhcp-client.ts';
import { FakeClock } from '../support/fake-clock.ts';

const A = '02:00:00:00:00:51';
const B = '02:00:00:00:00:52';
const C = '02:00:00:00:00:53';

interface Probe {
  readonly address: string;
  done(inUse: boolean): void;
}

/** A server whose probes the test ends itself, and stations that were heard of since the start. */
function harness(options: Parameters<typeof dhcpHarness>[0] = {}) {
  const probes: Probe[] = [];
  const heard = new Map<string, number>();
  const clock = new FakeClock();
  const d = dhcpHarness({
    ...options,
    clock,
    probe: (address, _wait, done) => void probes.push({ address: formatIpv4(address), done }),
    heardSince: (address, since) => (heard.get(formatIpv4(address)) ?? Number.NEGATIVE_INFINITY) >= since,
  });
  return {
    ...d,
    heard: (address: string): void => void heard.set(address, clock.now()),
    /** Probes sent since the last look. */
    probes: (): Probe[] => probes.splice(0),
    discover: (mac: string, requested?: string) =>
      d.bytes(ask('DISCOVER', { mac, ...(requested === undefined ? {} : { requested }) }), mac),
    /** Ends all probes: nobody has these addresses. */
    silence(): string[] {
      clock.advance(100);
      const ended = probes.splice(0);
      for (const { done } of ended) done(false);
      return ended.map(({ address }) => address);
    },
  };
}

test('the next two addresses are asked for at start, and offered at once when nobody answered', (t) => {
  const d = harness();
  d.server.stationsCame();
  t.deepEqual(d.silence(), ['10.0.2.15', '10.0.2.16']);
  t.is(d.discover(A)!.yiaddr, '10.0.2.15');
  t.is(d.discover(B)!.yiaddr, '10.0.2.16');
  t.deepEqual(d.probes(), []);
  t.is(d.discover(C), null, 'the third was not asked for');
  t.deepEqual(d.silence(), ['10.0.2.17']);
  t.is(d.take()[0]!.yiaddr, '10.0.2.17');
});

test('a DISCOVER during the probe ahead waits for its end only', (t) => {
  const d = harness();
  d.server.stationsCame();
  const [first] = d.probes();
  d.clock.advance(90);
  t.is(d.discover(A), null);
  t.deepEqual(d.probes(), []);
  first!.done(false);
  t.is(d.take()[0]!.yiaddr, '10.0.2.15');
});

test('an address in use: put aside when a newcomer waited for it, else asked for again; the next is known', (t) => {
  for (const waits of [true, false]) {
    const d = harness();
    d.server.stationsCame();
    const [first, second] = d.probes();
    second!.done(false);
    if (waits) t.is(d.discover(A), null);
    first!.done(true);
    if (!waits) {
      t.is(d.discover(A), null);
      const [again] = d.probes();
      t.is(again!.address, '10.0.2.15');
      again!.done(true);
    }
    t.is(d.take()[0]!.yiaddr, '10.0.2.16');
    t.deepEqual(
      d.server.leases().map(({ state }) => state),
      ['aside', 'offered'],
    );
  }
});

test('silence proves nothing once it is old, the address was heard of, or stations came', (t) => {
  const old = harness();
  old.server.stationsCame();
  old.silence();
  old.clock.advance(AHEAD_MS - 101);
  t.is(old.discover(A)!.yiaddr, '10.0.2.15');
  old.clock.advance(1);
  t.is(old.discover(B), null);

  const heard = harness();
  heard.server.stationsCame();
  heard.silence();
  heard.heard('10.0.2.15');
  t.is(heard.discover(A), null);
  const [asked] = heard.probes();
  asked!.done(true);
  t.is(heard.take()[0]!.yiaddr, '10.0.2.16', 'the other is known still');

  const came = harness();
  came.server.stationsCame();
  came.silence();
  came.server.stationsCame();
  t.is(came.discover(A), null);
  t.deepEqual(came.silence(), ['10.0.2.15', '10.0.2.16']);
  t.is(came.take()[0]!.yiaddr, '10.0.2.15');
});

test('a lease has the next address asked for; renewals, offers and time do not', (t) => {
  const d = harness();
  d.server.stationsCame();
  d.silence();
  t.is(d.discover(A)!.yiaddr, '10.0.2.15');
  t.deepEqual(d.probes(), []);
  const request = ask('REQUEST', { mac: A, requested: '10.0.2.15', server: '10.0.2.2' });
  t.is(d.bytes(request, A)!.type, 'ACK');
  t.deepEqual(d.silence(), ['10.0.2.17'], '10.0.2.16 is known still');
  t.is(d.bytes(request, A)!.type, 'ACK');
  d.clock.advance(3_600_000);
  t.is(d.say('REQUEST', { mac: A, ciaddr: '10.0.2.15' })!.type, 'ACK');
  t.deepEqual(d.probes(), []);
  t.is(d.discover(B), null);
  t.deepEqual(d.silence(), ['10.0.2.16'], 'too old: asked for again');
});

test('an address that a client asks for by itself, and one put aside, are probed as ever', (t) => {
  const d = harness();
  d.server.stationsCame();
  d.silence();
  t.is(d.discover(A, '10.0.2.99'), null);
  t.deepEqual(d.silence(), ['10.0.2.99']);
  t.is(d.take()[0]!.yiaddr, '10.0.2.99');
  d.bytes(ask('DECLINE', { mac: A, requested: '10.0.2.99', server: '10.0.2.2' }), A);
  t.is(d.discover(A, '10.0.2.99')!.yiaddr, '10.0.2.15');
});

test('configured hosts keep their addresses: those are not asked for', (t) => {
  const address = parseIpv4('10.0.2.15');
  const d = harness({ hosts: [{ macHi: 0x0200, macLo: 0x51, address, name: '' }] });
  d.server.stationsCame();
  t.deepEqual(d.silence(), ['10.0.2.16', '10.0.2.17']);
  t.is(d.discover(A)!.yiaddr, '10.0.2.15');
  t.is(d.discover(B)!.yiaddr, '10.0.2.16');
});

test('stations that come without end cause no more probes than can be under way; the last look is made up for', (t) => {
  const d = harness();
  for (let i = 0; i < 1000; i++) d.server.stationsCame();
  const sent = d.probes();
  t.is(sent.length, ASKING_MAX);
  t.is(d.discover(A), null);
  const [own] = d.probes();
  t.is(own!.address, '10.0.2.15', 'who asks meanwhile has a probe of its own');
  own!.done(false);
  t.is(d.take()[0]!.yiaddr, '10.0.2.15');
  for (const { done } of sent) done(false);
  t.deepEqual(d.silence(), ['10.0.2.15', '10.0.2.16']);
});

test('a probe that is not made, since too many are under way elsewhere, proves nothing', (t) => {
  let probes = 0;
  const d = dhcpHarness({
    probe: (_address, _wait, done) => {
      probes++;
      done(false);
    },
    heardSince: () => false,
  });
  d.server.stationsCame();
  t.is(probes, 2);
  t.is(d.say('DISCOVER', { mac: A })!.yiaddr, '10.0.2.15');
  t.is(probes, 3);
});

test('a smaller pool has fewer addresses to ask for; none when all are leased', (t) => {
  const d = harness({ poolSize: 1 });
  d.server.stationsCame();
  t.deepEqual(d.silence(), ['10.0.2.15']);
  t.is(d.join({ mac: A }), '10.0.2.15');
  t.deepEqual(d.probes(), []);
});
