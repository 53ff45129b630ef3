import test from 'ava';
import { parseAddress } from '../../src/core/address.ts';
import { Drop, newDropCounters } from '../../src/core/drop.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { makeAdvert, prefixInformation, RA_DEFAULTS, type RaSettings } from '../../src/services/ra-settings.ts';
import {
  ANSWERS_PER_SEC,
  INITIAL_COUNT,
  MAX_INITIAL_MS,
  MAX_RA_DELAY_MS,
  PENDING_MAX,
  RouterAdvertiser,
} from '../../src/services/router-advertiser.ts';
import { parse, type RouterAdvert, type Words } from '../../src/wire/router-advert.ts';
import { FakeClock } from '../support/fake-clock.ts';

const words = (text: string): Words => parseAddress(text)!;
const ANYBODY: Words = [0, 0, 0, 0];
const NETWORK = {
  mac: { hi: 0x5255, lo: 0x0a000202 },
  mtu: 1500,
  dns: [words('2001::1')],
  search: ['lab.test'],
  pref64: { prefix: words('64:ff9b::'), prefixLen: 96 },
};

function harness(change: Partial<RaSettings> = {}, available: (() => boolean) | null = null) {
  const clock = new FakeClock();
  const drops = newDropCounters();
  const sent: { at: number; to: string; ra: RouterAdvert }[] = [];
  const settings = { ...RA_DEFAULTS, prefixes: [prefixInformation(words('2001::'), 64)], ...change };
  let seed = 1;
  const advertiser = new RouterAdvertiser({
    wheel: new TimerWheel(clock),
    drops,
    random: () => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed;
    },
    settings,
    advert: () => makeAdvert(settings, NETWORK),
    available,
    send: (to, message) =>
      sent.push({
        at: clock.now(),
        to: to === null ? 'all' : to.map((w) => (w >>> 0).toString(16)).join(':'),
        ra: parse(message, 0, message.length)!,
      }),
  });
  const start = clock.now();
  return { clock, drops, sent, advertiser, take: () => sent.splice(0).map((s) => ({ ...s, at: s.at - start })) };
}

test('defaults: prefix, MTU, name server, search list and translator prefix, all for as long as they should', (t) => {
  const h = harness();
  h.advertiser.start();
  const { ra, to } = h.take()[0]!;
  t.is(to, 'all');
  t.is(ra.routerLifetimeSec, 1800);
  t.is(ra.hopLimit, 64);
  t.is(ra.mtu, 1500);
  t.false(ra.managed);
  t.true(ra.other);
  t.deepEqual(ra.prefixes, [
    { prefix: words('2001::'), prefixLen: 64, onLink: true, autonomous: true, validSec: 86_400, preferredSec: 14_400 },
  ]);
  t.deepEqual(ra.rdnss, [{ servers: [words('2001::1')], lifetimeSec: 1800 }]);
  t.deepEqual(ra.dnssl, [{ names: ['lab.test'], lifetimeSec: 1800 }]);
  t.deepEqual(ra.pref64, [{ prefix: words('64:ff9b::'), prefixLen: 96, lifetimeSec: 1800 }]);
});

test('RFC 4862 5.5.3: a prefix that is not of 64 bits is on the link, but not for SLAAC', (t) => {
  t.true(prefixInformation(words('2001::'), 64).autonomous);
  t.false(prefixInformation(words('2001::'), 48).autonomous);
  t.true(prefixInformation(words('2001::'), 48).onLink);
});

test('RFC 4861 6.2.4: three close together at the start, then at intervals between minimum and maximum', (t) => {
  const h = harness();
  h.advertiser.start();
  h.clock.advance(3600_000);
  const times = h.take().map(({ at }) => at);
  t.is(times[0], 0);
  const gaps = times.slice(1).map((at, i) => at - times[i]!);
  gaps.forEach((gap, i) => {
    if (i < INITIAL_COUNT - 1) t.true(gap <= MAX_INITIAL_MS + 8, `${gap}`);
    else t.true(gap >= 200_000 && gap <= 600_008, `${gap}`);
  });
  t.true(gaps.length >= 6);
  t.true(new Set(gaps.slice(2).map(Math.round)).size > 2, 'the intervals are random');
});

test('RFC 7772: a solicitation is answered to its sender, within 0.5 s, once for what is asked twice', (t) => {
  const h = harness();
  h.advertiser.start();
  h.take();
  h.advertiser.solicited(words('fe80::15'));
  h.advertiser.solicited(words('fe80::15'));
  h.advertiser.solicited(words('fe80::16'));
  h.clock.advance(MAX_RA_DELAY_MS + 8);
  t.deepEqual(
    h
      .take()
      .map(({ to }) => to)
      .sort(),
    ['fe800000:0:0:15', 'fe800000:0:0:16'],
  );
});

test('RFC 4861 6.2.6: solicitations from :: get one advertisement to all, at most one in 3 s', (t) => {
  const h = harness();
  h.advertiser.start();
  for (let i = 0; i < 300; i++) {
    h.advertiser.solicited(ANYBODY);
    h.clock.advance(100);
  }
  const sent = h.take();
  t.true(sent.every(({ to }) => to === 'all'));
  const times = sent.map(({ at }) => at);
  t.true(times.length >= 8 && times.length <= 11, `${times.length}`);
  times.slice(1).forEach((at, i) => {
    t.true(at - times[i]! >= 3000);
  });
});

test('a flood of solicitors: ten answers a second, the rest gets the one to all', (t) => {
  const h = harness();
  h.advertiser.start();
  h.take();
  for (let i = 0; i < 10 * PENDING_MAX; i++) h.advertiser.solicited([0xfe800000 | 0, 0, 0, i + 1]);
  h.clock.advance(4000);
  const sent = h.take();
  t.is(sent.filter(({ to }) => to !== 'all').length, ANSWERS_PER_SEC);
  t.is(sent.filter(({ to }) => to === 'all').length, 1);
});

test('unicastOnly: no advertisement to all but the last; floods are dropped by name', (t) => {
  const h = harness({ unicastOnly: true });
  h.advertiser.start();
  h.advertiser.solicited(ANYBODY);
  h.clock.advance(3600_000);
  t.deepEqual(h.take(), []);
  t.is(h.drops[Drop.RaRateLimited], 1);
  h.advertiser.solicited(words('fe80::15'));
  h.clock.advance(1000);
  t.is(h.take().length, 1);
  h.advertiser.close();
  t.is(h.take()[0]!.ra.routerLifetimeSec, 0);
});

test('RFC 4861 6.2.5: the end is one with lifetime 0, for name servers and translator too; nothing comes later', (t) => {
  const h = harness();
  h.advertiser.start();
  h.take();
  h.advertiser.solicited(words('fe80::15'));
  h.advertiser.close();
  h.advertiser.close();
  h.advertiser.solicited(words('fe80::15'));
  h.clock.advance(3600_000);
  const sent = h.take();
  t.is(sent.length, 1);
  const { ra } = sent[0]!;
  t.is(ra.routerLifetimeSec, 0);
  t.deepEqual([ra.rdnss[0]!.lifetimeSec, ra.dnssl[0]!.lifetimeSec, ra.pref64[0]!.lifetimeSec], [0, 0, 0]);
  t.is(ra.prefixes[0]!.validSec, 86_400);
});

test('followed: within 10 s of losing the way out the lifetime is 0, and comes back with it', (t) => {
  let out = true;
  const h = harness({}, () => out);
  h.advertiser.start();
  h.clock.advance(60_000);
  t.true(h.take().every(({ ra }) => ra.routerLifetimeSec === 1800));
  out = false;
  h.clock.advance(10_000);
  t.deepEqual([...new Set(h.take().map(({ ra }) => ra.routerLifetimeSec))], [0]);
  out = true;
  h.clock.advance(10_000);
  t.deepEqual([...new Set(h.take().map(({ ra }) => ra.routerLifetimeSec))], [1800]);
});

test('a followed host without a way out from the start: lifetime 0 at once; not followed it does not matter', (t) => {
  const h = harness({}, () => false);
  h.advertiser.start();
  t.is(h.take()[0]!.ra.routerLifetimeSec, 0);
});

test('nothing is sent when the settings say so, and an idle advertiser says no farewell', (t) => {
  const h = harness({ advSendAdvert: false });
  h.advertiser.start();
  h.advertiser.solicited(words('fe80::15'));
  h.clock.advance(3600_000);
  h.advertiser.close();
  t.deepEqual(h.take(), []);
});

test('the link comes back: one to all soon, but not within 3 s of the last', (t) => {
  const h = harness();
  h.advertiser.start();
  h.clock.advance(100_000);
  h.take();
  h.advertiser.again();
  h.clock.advance(8);
  t.is(h.take().length, 1);
  h.advertiser.again();
  h.clock.advance(2900);
  t.is(h.take().length, 0);
});
