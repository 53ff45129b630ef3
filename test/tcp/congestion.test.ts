// CUBIC, slow start and the round-trip estimator by themselves.

import test from 'ava';
import { Congestion } from '../../src/tcp/congestion.ts';
import { RttEstimator } from '../../src/tcp/rtt.ts';

const MSS = 1000;

function avoiding(cwnd: number): Congestion {
  const cc = new Congestion();
  cc.start(MSS);
  cc.cwnd = cwnd;
  cc.lost(cwnd);
  cc.cwnd = cc.ssthresh;
  return cc;
}

/** Round trips of `rttMs` until `untilMs`; the window after each. */
function run(cc: Congestion, rttMs: number, untilMs: number): number[] {
  const windows: number[] = [];
  for (let now = 0; now < untilMs; now += rttMs) {
    cc.acknowledged(cc.cwnd, rttMs, now);
    windows.push(cc.cwnd);
  }
  return windows;
}

test('RFC 6928 2: initial window min(10 MSS, max(2 MSS, 14600))', (t) => {
  const initial = (mss: number): number => {
    const cc = new Congestion();
    cc.start(mss);
    return cc.cwnd;
  };
  t.deepEqual([536, 1460, 4000, 9000, 60_000].map(initial), [5360, 14_600, 14_600, 18_000, 120_000]);
});

test('RFC 9438 4.6: a loss takes the window to 0.7 of the flight, at least two segments', (t) => {
  const cc = new Congestion();
  cc.start(MSS);
  cc.cwnd = 100 * MSS;
  cc.lost(100 * MSS);
  t.is(cc.ssthresh, 70 * MSS);
  cc.lost(MSS);
  t.is(cc.ssthresh, 2 * MSS);
});

test('ADR 0006: without a queue a loss takes half of what was lost, and slow start goes on', (t) => {
  const cc = new Congestion();
  cc.start(MSS);
  cc.cwnd = 40 * MSS;
  for (let now = 0; now < 100; now++) cc.smoothed(10, now);
  t.false(cc.queued);
  cc.lostAtRandom(40 * MSS, 4 * MSS);
  t.is(cc.target, 38 * MSS);
  t.is(cc.ssthresh, Number.POSITIVE_INFINITY);
  cc.lost(40 * MSS);
  cc.cwnd = 30 * MSS;
  cc.lostAtRandom(30 * MSS, 2 * MSS);
  t.deepEqual([cc.target, cc.ssthresh], [29 * MSS, 29 * MSS]);
  cc.lostAtRandom(30 * MSS, 29 * MSS);
  t.is(cc.target, 0.7 * 30 * MSS, 'never less than after congestion');
});

test('ADR 0006: at loss rate p the window settles near 2/p segments', (t) => {
  const cc = avoiding(10 * MSS);
  for (let now = 0; now < 60_000; now += 10) {
    cc.smoothed(10, now);
    cc.acknowledged(cc.cwnd, 10, now);
    // One segment in twenty: that many losses per round trip.
    cc.lostAtRandom(cc.cwnd, (cc.cwnd * 0.05) | 0);
    cc.cwnd = cc.target;
  }
  t.true(cc.cwnd > 30 * MSS && cc.cwnd < 50 * MSS, `${cc.cwnd / MSS} segments`);
});

test('ADR 0006: a queue shows by a round trip half as long again as the smallest of the last 20 s', (t) => {
  const cc = new Congestion();
  cc.start(MSS);
  cc.smoothed(10, 0);
  cc.smoothed(14.9, 100);
  t.false(cc.queued);
  cc.smoothed(15.1, 200);
  t.true(cc.queued);
  cc.smoothed(16, 10_100);
  t.true(cc.queued, 'the interval before counts');
  cc.smoothed(16, 20_200);
  t.false(cc.queued, 'the path has become longer');
});

test('RFC 9438 4.2: at long round trips the window returns to the peak after K seconds and then probes', (t) => {
  const cc = avoiding(1000 * MSS);
  const k = Math.cbrt((1000 - 700) / 0.4); // 9.1 s
  const windows = run(cc, 100, 20_000);
  const at = (s: number): number => windows[Math.round(s * 10)]! / MSS;
  t.true(Math.abs(at(k) - 1000) < 15, `${at(k)}`);
  t.true(at(k / 2) > 940 && at(k / 2) < 985, 'concave: fast first');
  t.true(at(k + 4) < 1060, 'flat around the peak');
  t.true(at(19) > 1300, 'convex later');
  t.true(windows.every((w, i) => i === 0 || w >= windows[i - 1]!));
});

test('RFC 9438 4.3: at short round trips it is as fast as Reno', (t) => {
  const cc = avoiding(100 * MSS);
  const windows = run(cc, 1, 100);
  // 0.53 segments per round trip up to the prior window, then one.
  t.true(windows.at(-1)! > 115 * MSS && windows.at(-1)! < 180 * MSS, `${windows.at(-1)}`);
});

test('RFC 9438 4.7: fast convergence leaves room when the peak falls', (t) => {
  const cc = avoiding(100 * MSS);
  cc.lost(70 * MSS);
  cc.cwnd = cc.ssthresh;
  const windows = run(cc, 100, 3000);
  t.true(windows[25]! < 70 * MSS);
});

test('RFC 9406 4.2: slow start ends when the round trip grows', (t) => {
  const grow = (rtt: (round: number) => number): Congestion => {
    const cc = new Congestion();
    cc.start(MSS);
    for (let round = 0; round < 16 && cc.inSlowStart; round++) {
      for (let i = 0; i < 10; i++) {
        cc.roundTrip(rtt(round));
        cc.acknowledged(cc.cwnd / 20, 20, round * 20);
      }
      cc.roundEnded();
    }
    return cc;
  };
  t.true(grow(() => 20).inSlowStart);
  t.false(grow((round) => (round < 3 ? 20 : 20 + 8 * round)).inSlowStart);
  t.true(grow((round) => (round === 4 ? 40 : 20)).inSlowStart, 'a single slow round was noise');
});

test('RFC 5681 3.1: after a timeout one segment', (t) => {
  const cc = avoiding(50 * MSS);
  cc.lost(30 * MSS);
  cc.timedOut();
  t.is(cc.cwnd, MSS);
  t.true(cc.inSlowStart);
});

test('RFC 6298 2: the first sample sets, the following are averaged', (t) => {
  const rtt = new RttEstimator();
  t.is(rtt.rtoMs, 1000);
  rtt.sample(400, 1);
  t.is(rtt.srttMs, 400);
  t.is(rtt.rttvarMs, 200);
  t.is(rtt.rtoMs, 1200);
  rtt.sample(480, 1);
  t.is(rtt.rttvarMs, 170);
  t.is(rtt.srttMs, 410);
  t.is(rtt.rtoMs, 410 + 4 * 170);
});

test('RFC 6298 2.4, 2.5, 5.5: floor, ceiling and back-off', (t) => {
  const rtt = new RttEstimator();
  for (let i = 0; i < 50; i++) rtt.sample(1, 1);
  t.is(rtt.rtoMs, 200);
  rtt.timedOut();
  t.is(rtt.rtoMs, 400);
  for (let i = 0; i < 40; i++) rtt.timedOut();
  t.is(rtt.rtoMs, 60_000);
  const slow = new RttEstimator();
  slow.sample(100_000, 1);
  t.is(slow.rtoMs, 60_000);
});

test('RFC 7323 appendix G: many samples in a round trip weigh less each', (t) => {
  const one = new RttEstimator();
  const many = new RttEstimator();
  one.sample(10, 1);
  many.sample(10, 1);
  one.sample(100, 1);
  many.sample(100, 20);
  t.true(many.srttMs < one.srttMs);
});
