// Loss recovery: timeouts, fast retransmit, SACK, RACK, tail loss probes, giving up.

import { segmentTest } from '../support/segment-test.ts';
import {
  type GuestSegment,
  type HarnessOptions,
  pattern,
  type TcpHarness,
  tcpHarness,
} from '../support/tcp-harness.ts';

const MSS = 1000;

/** An open connection with `count` full segments in flight, round-trip time `rttMs`. */
function inFlight(count: number, options: HarnessOptions = {}, rttMs = 20): TcpHarness {
  const h = tcpHarness({
    mss: MSS + (options.ts === undefined ? 0 : 12),
    wscale: 7,
    ...options,
    state: 'SYN-RECEIVED',
  });
  h.advance(rttMs);
  h.fromGuest(ackOf(0, options));
  h.write(MSS);
  h.all();
  h.advance(rttMs);
  h.fromGuest(ackOf(1, options));
  h.c.write(pattern(0, count * MSS), 0, count * MSS);
  h.engine.flush();
  h.events.length = 0;
  const sent = h.all();
  if (sent.length !== count) throw new Error(`${sent.length} segments in flight, not ${count}`);
  return h;
}

/** Sequence of segment n; the first one is that of the exchange at the start. */
const at = (n: number): number => 1001 + n * MSS;

/** ACK of all segments before n, with SACK blocks as pairs of segment numbers. */
function ackOf(n: number, options: HarnessOptions = {}, ...sack: [number, number][]): GuestSegment {
  const seg: GuestSegment = { seq: 5001, ack: at(n), sack: sack.map(([l, r]) => [at(l), at(r)] as const) };
  if (options.ts !== undefined) seg.ts = [options.ts[0], 0];
  return seg;
}

const sequences = (h: TcpHarness): number[] => h.all().map((s) => (s.seq - 1001) / MSS);

// Timeout

segmentTest('RFC 6298 5: a timeout sends the oldest segment again and doubles, up to 60 s', (t) => {
  const h = inFlight(1);
  const start = h.clock.now();
  h.advance(90_000);
  const sent = h.all();
  t.true(sent.every((s) => s.seq === at(1) && s.len === MSS));
  const times = sent.map((s) => Math.round((s.atMs - start) / 100) / 10);
  t.deepEqual(times, [0.2, 0.6, 1.4, 3, 6.2, 12.6, 25.4, 51]);
});

segmentTest('RFC 6298 2.4: the timeout is at least 200 ms, whatever the round-trip time', (t) => {
  const h = inFlight(1, {}, 1);
  t.is(h.c.snapshot().rtoMs, 200);
  h.advance(195);
  h.expectNothingMore();
  h.advance(10);
  h.expectToGuest({ seq: at(1) });
});

segmentTest('RFC 6298 2.2: the timeout follows the round-trip time', (t) => {
  const h = tcpHarness({ state: 'SYN-RECEIVED' });
  h.advance(600);
  h.fromGuest({ seq: 5001, ack: 1001 });
  const { srttMs, rtoMs } = h.c.snapshot();
  t.is(Math.round(srttMs), 600);
  t.is(Math.round(rtoMs), 1800);
});

segmentTest('RFC 9293 3.8.3: no progress for 100 s ends the connection with RST', (t) => {
  const h = inFlight(1);
  h.advance(99_000);
  t.is(h.state, 'ESTABLISHED');
  h.advance(60_000);
  t.deepEqual(h.events, ['ended timeout']);
  t.is(h.all().at(-1)!.flags, 'RA');
  t.is(h.engine.count, 0);
});

segmentTest('RFC 5681 3.1: after a timeout one segment, then slow start over all of the flight', (t) => {
  const h = inFlight(8);
  h.advance(220);
  t.deepEqual(sequences(h), [1]);
  t.is(h.c.snapshot().cwnd, MSS);
  t.is(h.c.snapshot().ssthresh, 0.7 * 8 * MSS);
  h.fromGuest(ackOf(2));
  t.deepEqual(sequences(h), [2, 3]);
  h.fromGuest(ackOf(4));
  t.deepEqual(sequences(h), [4, 5, 6, 7]);
  h.fromGuest(ackOf(9));
  h.expectNothingMore();
  t.is(h.c.unsentOrUnacked, 0);
});

segmentTest('RFC 6298 5.7, Karn: an ACK of a repetition is no sample, and the next timeout is not backed off', (t) => {
  const h = inFlight(1);
  const { srttMs } = h.c.snapshot();
  h.advance(650);
  t.deepEqual(sequences(h), [1, 1]);
  h.advance(100);
  h.fromGuest(ackOf(2));
  t.is(h.c.snapshot().srttMs, srttMs);
  t.is(h.c.snapshot().rtoMs, 200);
});

segmentTest('RFC 7323 4.1: with timestamps an ACK of a repetition is a sample', (t) => {
  const options: HarnessOptions = { ts: [9000, 0] };
  const h = inFlight(1, options);
  const before = h.c.snapshot().srttMs;
  h.advance(650);
  const again = h.all().at(-1)!;
  const { srttMs } = h.c.snapshot();
  t.is(srttMs, before);
  h.advance(60);
  h.fromGuest({ seq: 5001, ack: at(2), ts: [9001, again.ts![0]] });
  t.true(h.c.snapshot().srttMs > srttMs);
});

segmentTest('RFC 2018 8: a peer that takes back what it SACKed gets it all again', (t) => {
  const options: HarnessOptions = { sackOk: true };
  const h = inFlight(4, options);
  h.fromGuest(ackOf(1, options, [2, 5]));
  h.all();
  h.fromGuest(ackOf(2, options));
  h.all();
  h.advance(250);
  h.all();
  h.fromGuest(ackOf(3, options));
  t.deepEqual(sequences(h), [3, 4]);
});

// Fast retransmit without SACK

segmentTest('RFC 5681 3.2: the third duplicate ACK sends the missing segment again', (t) => {
  const h = inFlight(8);
  h.fromGuest(ackOf(1));
  h.fromGuest(ackOf(1));
  t.deepEqual(sequences(h), []);
  h.fromGuest(ackOf(1));
  t.deepEqual(sequences(h), [1]);
  t.is(h.c.snapshot().ssthresh, 0.7 * 8 * MSS);
  h.fromGuest(ackOf(9));
  h.expectNothingMore();
  t.is(h.c.snapshot().cwnd, 0.7 * 8 * MSS);
});

segmentTest('RFC 5681 2: a window update is no duplicate ACK', () => {
  const h = inFlight(8);
  for (let i = 1; i <= 5; i++) h.fromGuest({ ...ackOf(1), win: 1000 + i });
  h.expectNothingMore();
});

segmentTest('RFC 5681 2: data is no duplicate ACK', (t) => {
  const h = inFlight(8);
  for (let i = 0; i < 5; i++) h.fromGuest({ seq: 5001 + i, ack: at(1), len: 1 });
  t.true(h.all().every((s) => s.len === 0));
});

segmentTest('RFC 6582 3.2: a partial ACK sends the next missing segment at once', (t) => {
  const h = inFlight(8);
  for (let i = 0; i < 3; i++) h.fromGuest(ackOf(1));
  t.deepEqual(sequences(h), [1]);
  h.fromGuest(ackOf(4));
  t.deepEqual(sequences(h), [4]);
  h.fromGuest(ackOf(9));
  h.expectNothingMore();
  const { ssthresh, retransmits } = h.c.snapshot();
  t.is(ssthresh, 0.7 * 8 * MSS);
  t.is(retransmits, 2);
});

segmentTest('RFC 3042 2: the first duplicate ACKs let new data out', (t) => {
  const h = inFlight(10);
  h.c.write(pattern(0, 5 * MSS), 0, 5 * MSS);
  h.engine.flush();
  h.all();
  const sent: number[] = [];
  for (let i = 0; i < 2; i++) {
    h.fromGuest(ackOf(1));
    sent.push(...sequences(h));
  }
  t.true(sent.every((n) => n > 10));
});

segmentTest('RFC 6582 3.2: duplicates of what a timeout has repeated do not start recovery again', (t) => {
  const h = inFlight(8);
  h.advance(220);
  t.deepEqual(sequences(h), [1]);
  for (let i = 0; i < 7; i++) h.fromGuest(ackOf(1));
  t.is(h.c.snapshot().retransmits, 1);
});

// SACK and RACK

segmentTest('RFC 8985 6.2: three SACKed segments show the loss of the one before', (t) => {
  const options: HarnessOptions = { sackOk: true, limits: { randomLoss: false } };
  const h = inFlight(8, options);
  h.advance(20);
  h.fromGuest(ackOf(1, options, [2, 3]));
  h.fromGuest(ackOf(1, options, [2, 4]));
  t.deepEqual(sequences(h), []);
  h.fromGuest(ackOf(1, options, [2, 5]));
  t.deepEqual(sequences(h), [1]);
  h.fromGuest(ackOf(9, options));
  h.expectNothingMore();
  t.is(h.c.snapshot().cwnd, 0.7 * 8 * MSS);
});

segmentTest('RFC 8985 6.2: only what is missing is sent again', (t) => {
  const options: HarnessOptions = { sackOk: true };
  const h = inFlight(10, options);
  h.advance(20);
  h.fromGuest(ackOf(1, options, [8, 11], [5, 7], [2, 4]));
  const sent = sequences(h);
  h.fromGuest(ackOf(4, options, [8, 11], [5, 7]));
  sent.push(...sequences(h));
  h.fromGuest(ackOf(7, options, [8, 11]));
  sent.push(...sequences(h));
  t.deepEqual(
    sent.toSorted((a, b) => a - b),
    [1, 4, 7],
  );
});

segmentTest('RFC 8985 6.2: a repetition that is lost is found before the timeout', (t) => {
  const options: HarnessOptions = { sackOk: true };
  const h = inFlight(8, options);
  h.advance(20);
  h.fromGuest(ackOf(1, options, [2, 8]));
  t.deepEqual(sequences(h), [1]);
  h.c.write(pattern(0, 3 * MSS), 0, 3 * MSS);
  h.engine.flush();
  t.deepEqual(sequences(h), [9, 10, 11].slice(0, 3));
  h.advance(25);
  h.fromGuest(ackOf(1, options, [2, 12]));
  t.deepEqual(sequences(h), [1]);
  t.is(h.c.snapshot().retransmits, 2);
});

segmentTest('RFC 8985 6.2: with reordering seen, a segment gets a quarter of the round trip more', (t) => {
  const options: HarnessOptions = { sackOk: true };
  const h = inFlight(4, options, 80);
  h.advance(80);
  h.fromGuest(ackOf(1, options, [2, 4])); // 1 is late
  h.fromGuest(ackOf(4, options)); // and arrives: reordering
  t.deepEqual(sequences(h), []);
  h.fromGuest(ackOf(5, options));
  h.c.write(pattern(0, 6 * MSS), 0, 6 * MSS);
  h.engine.flush();
  t.deepEqual(sequences(h), [5, 6, 7, 8, 9, 10]);
  h.advance(80);
  h.fromGuest(ackOf(5, options, [6, 8])); // two: no loss yet, but the time runs
  t.deepEqual(sequences(h), []);
  h.advance(15);
  h.expectNothingMore();
  h.advance(10);
  t.deepEqual(sequences(h), [5]);
});

segmentTest('RFC 6937: in recovery the flight shrinks smoothly to ssthresh', (t) => {
  const options: HarnessOptions = { sackOk: true, limits: { randomLoss: false } };
  const h = inFlight(10, options);
  h.c.write(pattern(0, 30 * MSS), 0, 30 * MSS);
  h.engine.flush();
  h.all();
  const pipe: number[] = [];
  h.advance(20);
  for (let i = 3; i <= 11; i++) {
    h.fromGuest(ackOf(1, options, [2, i]));
    h.all();
    pipe.push(h.c.snd.recovery.pipe / MSS);
  }
  t.true(
    pipe.every((p, i) => i === 0 || p <= pipe[i - 1]! + 1),
    pipe.join(' '),
  );
  t.true(pipe.at(-1)! >= 6 && pipe.at(-1)! <= 8, pipe.join(' '));
});

segmentTest('SACK blocks outside of what is in flight are ignored', (t) => {
  const options: HarnessOptions = { sackOk: true };
  const h = inFlight(4, options);
  h.advance(20);
  h.fromGuest(ackOf(1, options, [6, 9]));
  h.fromGuest(ackOf(1, options, [3, 2], [4, 100]));
  h.fromGuest({ seq: 5001, ack: at(1), sack: [[at(1) + 10, at(1) + 20]] });
  h.expectNothingMore();
  t.is(h.c.snd.recovery.board.sackedBytes, 0);
});

segmentTest('an ACK in the middle of a segment leaves its rest in flight', (t) => {
  const h = inFlight(2);
  h.fromGuest({ seq: 5001, ack: at(1) + 300 });
  t.is(h.c.snd.recovery.pipe, 1700);
  h.advance(220);
  const s = h.expectToGuest({ seq: at(1) + 300, len: 700 });
  t.deepEqual([...s.data], [...pattern(0, 1000).subarray(300)]);
});

// Tail loss

segmentTest('RFC 8985 7.2: a tail loss is probed after two round trips by the last segment', (t) => {
  const options: HarnessOptions = { sackOk: true };
  const h = inFlight(4, options);
  h.advance(35);
  h.expectNothingMore();
  h.advance(15);
  t.deepEqual(sequences(h), [4]);
  h.fromGuest(ackOf(1, options, [4, 5]));
  t.deepEqual(sequences(h), [], 'one SACKed segment is not enough, its time has to pass');
});

segmentTest('RFC 8985 7.2: new data is the better probe', (t) => {
  const options: HarnessOptions = { sackOk: true };
  const h = inFlight(10, options);
  h.c.write(pattern(0, 3 * MSS), 0, 3 * MSS);
  h.engine.flush();
  const before = sequences(h).length;
  h.advance(60);
  t.deepEqual(sequences(h), [11 + before]);
});

segmentTest('RFC 8985 7.2: a single segment waits for a delayed ACK', () => {
  const options: HarnessOptions = { sackOk: true };
  const h = inFlight(1, options);
  h.advance(190);
  h.expectNothingMore();
  h.advance(40);
  h.expectToGuest({ seq: at(1) });
});

segmentTest('RFC 8985 7.4.2: a probe that repaired a loss reduces the window, a duplicate does not', (t) => {
  const options: HarnessOptions = { sackOk: true, limits: { randomLoss: false } };
  const repaired = inFlight(4, options);
  repaired.advance(50);
  repaired.fromGuest(ackOf(5, options));
  repaired.write(MSS);
  repaired.fromGuest(ackOf(6, options));
  t.true(repaired.c.snapshot().ssthresh < 10 * MSS);
  const spurious = inFlight(4, options);
  spurious.advance(50);
  spurious.fromGuest(ackOf(5, options));
  spurious.fromGuest(ackOf(5, options, [4, 5]));
  spurious.write(MSS);
  spurious.fromGuest(ackOf(6, options));
  t.is(spurious.c.snapshot().ssthresh, Number.POSITIVE_INFINITY);
});

segmentTest('RFC 8985 7: without SACK there is no probe', () => {
  const h = inFlight(4);
  h.advance(190);
  h.expectNothingMore();
});

// Mixed

segmentTest('a lost FIN is found like lost data', (t) => {
  const options: HarnessOptions = { sackOk: true };
  const h = inFlight(2, options);
  h.end();
  h.expectToGuest({ flags: 'FA', seq: at(3), len: 0 });
  h.advance(20);
  h.fromGuest(ackOf(3, options));
  h.advance(250);
  h.expectToGuest({ flags: 'FA', seq: at(3), len: 0 });
  h.fromGuest({ seq: 5001, ack: at(3) + 1 });
  t.is(h.state, 'FIN-WAIT-2');
});

segmentTest('RFC 2018 3: a SACK block covers the FIN behind its data, whether the peer counts it in or not', (t) => {
  const options: HarnessOptions = { sackOk: true };
  for (const counted of [0, 1]) {
    const h = tcpHarness({ ...options, mss: MSS, wscale: 7 });
    h.c.write(pattern(0, 3 * MSS), 0, 3 * MSS);
    h.end();
    t.is(h.all().at(-1)!.flags, 'FA');
    h.fromGuest({ seq: 5001, ack: at(0), sack: [[at(2), at(3) + counted]] });
    t.is(h.c.snd.recovery.board.sackedCount, 1);
  }
});

segmentTest('data and FIN in one segment are sent again as one', () => {
  const h = tcpHarness();
  h.c.write(pattern(0, 10), 0, 10);
  h.end();
  h.expectToGuest({ flags: 'FA', len: 10 });
  h.advance(1100);
  h.expectToGuest({ flags: 'FA', seq: 1001, len: 10 });
});

segmentTest('the give-up time counts from the last progress', (t) => {
  const h = inFlight(3);
  h.advance(80_000);
  h.fromGuest(ackOf(2));
  h.advance(80_000);
  t.is(h.state, 'ESTABLISHED');
});

segmentTest('timers of an ended connection do nothing', (t) => {
  const h = inFlight(3);
  h.c.discard();
  h.advance(1_000_000);
  h.expectNothingMore();
  t.deepEqual(h.events, []);
  t.is(h.wheel.size, 0);
});

segmentTest('the ring of what is in flight grows with the flight and is given back', (t) => {
  const h = tcpHarness({ mss: 64, wscale: 7, sackOk: true });
  let ack = 1001;
  for (let i = 0; i < 12; i++) {
    h.write(h.c.writeRoom);
    for (const s of h.all()) ack = s.seq + s.len;
    h.fromGuest({ seq: 5001, ack });
  }
  t.true(h.c.snapshot().cwnd > 100 * 64);
  h.c.reset();
  t.is(h.c.snd.recovery.board.count, 0);
});
