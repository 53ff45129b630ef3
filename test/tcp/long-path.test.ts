// The model of a long path by itself: what it takes for the path's rate, when it stops looking for more, what may leave.

import test from 'ava';
import { LongPath } from '../../src/tcp/long-path.ts';

const MSS = 1000;
const RTT = 50;

function fresh(window = 10 * MSS): LongPath {
  return new LongPath(window, MSS, RTT, 0);
}

/** Rounds in which so much arrives, one after the other from `now` on; the time behind them. */
function rounds(path: LongPath, now: number, bytes: readonly number[], limited = false): number {
  let at = now;
  for (const b of bytes) {
    at += RTT;
    path.delivered(b, b, limited, RTT, RTT, at);
  }
  return at;
}

/** A path found to carry `bytes` per round trip, in Cruise. */
function cruising(bytes: number): { path: LongPath; now: number } {
  const path = fresh();
  const now = rounds(path, 0, [bytes, bytes, bytes, bytes, bytes]);
  return { path, now };
}

test('a new path has the rate of the window so far, and no bound', (t) => {
  const path = fresh(20 * MSS);
  t.is(path.rate, (20 * MSS) / RTT);
  t.true(path.starting);
  t.is(path.window, Number.POSITIVE_INFINITY);
});

test('starting goes on while the rate grows by a quarter, and ends after three rounds in which it does not', (t) => {
  const path = fresh();
  let now = rounds(path, 0, [20_000, 40_000, 60_000, 80_000]);
  t.true(path.starting);
  now = rounds(path, now, [90_000, 90_000]);
  t.true(path.starting);
  rounds(path, now, [90_000]);
  t.false(path.starting);
  t.is(path.rate, 90_000 / RTT);
  t.is(path.window, 2 * 90_000);
});

test('a few losses leave starting alone; an eighth of a round and 16 segments end it', (t) => {
  const path = fresh();
  rounds(path, 0, [200_000]);
  path.delivered(20_000, 200_000, false, RTT, RTT, RTT + 1);
  path.lost(15 * MSS);
  t.true(path.starting, 'more than an eighth, but few');
  path.delivered(180_000, 200_000, false, RTT, RTT, RTT + 2);
  path.lost(5 * MSS);
  t.true(path.starting, '16 segments, but less than an eighth');
  path.lost(20 * MSS);
  t.false(path.starting);
});

test('a timeout ends starting', (t) => {
  const path = fresh();
  path.timedOut();
  t.false(path.starting);
});

test('losses change neither rate nor window of a path that is known', (t) => {
  const { path } = cruising(100_000);
  const { rate, window } = path;
  path.lost(90_000);
  path.timedOut();
  t.deepEqual([path.rate, path.window], [rate, window]);
});

test('the rate is the highest of the last ten rounds', (t) => {
  const { path, now } = cruising(100_000);
  let at = rounds(path, now, [150_000, ...new Array<number>(9).fill(60_000)]);
  t.is(path.rate, 150_000 / RTT);
  at = rounds(path, at, [60_000]);
  t.is(path.rate, 60_000 / RTT);
  rounds(path, at, [70_000]);
  t.is(path.rate, 70_000 / RTT);
});

test('rounds with less to send than the path takes count only when they show more', (t) => {
  const { path, now } = cruising(100_000);
  const at = rounds(path, now, new Array<number>(20).fill(1000), true);
  t.is(path.rate, 100_000 / RTT);
  rounds(path, at, [110_000], true);
  t.is(path.rate, 110_000 / RTT);
  const started = fresh();
  rounds(started, 0, new Array<number>(20).fill(1000), true);
  t.true(started.starting, 'nor do they end starting');
});

test('one round in eight tries a quarter more, the next gives it back', (t) => {
  const { path, now } = cruising(1_000_000);
  const paces: number[] = [];
  let at = now;
  for (let i = 0; i < 16; i++) {
    at = rounds(path, at, [1_000_000]);
    path.sent(path.allowance(at));
    paces.push(Math.round((path.allowance(at + 1) / path.rate) * 100) / 100);
  }
  t.is(paces.filter((p) => p === 1.25).length, 2);
  t.is(paces.filter((p) => p === 0.75).length, 2);
  t.is(paces.filter((p) => p === 1).length, 12);
  t.is(paces.indexOf(0.75), (paces.indexOf(1.25) + 1) % 8);
});

test('what may leave at once is what the path carries in 5 ms, and ten segments at least', (t) => {
  const { path, now } = cruising(1_000_000);
  t.is(path.allowance(now + 10_000), 5 * path.rate);
  path.sent(5 * path.rate);
  t.is(path.allowance(now + 10_000), 0);
  t.is(path.allowance(now + 10_002), 2 * path.rate);
  path.sent(3 * path.rate);
  t.is(path.allowance(now + 10_002), -path.rate, 'the last segment may have been longer than what was left');
  const slow = cruising(1000);
  t.is(slow.path.allowance(slow.now + 60_000), 10 * MSS);
});

test('a path that delivered nothing for ten rounds still gets a segment in a round trip', (t) => {
  const { path, now } = cruising(100_000);
  const at = rounds(path, now, new Array<number>(12).fill(0));
  t.is(path.rate, 0);
  path.sent(path.allowance(at));
  t.is(path.allowance(at + RTT), MSS);
});

test('the window is four segments at least', (t) => {
  const { path } = cruising(100);
  t.is(path.window, 4 * MSS);
});

test('behind starting the queue is let go: half the pace until no more is in flight than the path holds', (t) => {
  const path = fresh();
  const now = rounds(path, 0, [1_000_000, 2_000_000]);
  path.lost(1_000_000);
  path.delivered(0, 3_000_000, false, RTT, RTT, now + 1);
  path.sent(path.allowance(now + 1));
  t.is(path.allowance(now + 2), path.rate / 2);
  path.delivered(0, 1_900_000, false, RTT, RTT, now + 2);
  path.sent(path.allowance(now + 2));
  t.is(path.allowance(now + 3), path.rate);
});
