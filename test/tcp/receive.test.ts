// The receive side: reassembly, SACK, window, acknowledgment policy, timestamps.

import test from 'ava';
import { Drop } from '../../src/core/drop.ts';
import { segmentTest } from '../support/segment-test.ts';
import { type GuestSegment, pattern, tcpHarness } from '../support/tcp-harness.ts';

const hears = (seq: number, len: number, more: Partial<GuestSegment> = {}): GuestSegment => ({
  seq,
  ack: 1001,
  len,
  ...more,
});

segmentTest('an exception of the owner in its flush: the engine goes on with the next batch', (t) => {
  const h = tcpHarness();
  h.onEvent = (event) => {
    if (event === 'flush') throw new Error('a defect');
  };
  t.throws(() => h.fromGuest(hears(5001, 100)), { message: 'a defect' });
  h.onEvent = null;
  h.fromGuest(hears(5101, 100));
  h.expectToGuest({ flags: 'A', ack: 5201 });
});

// Reassembly

segmentTest('RFC 9293 3.10.7.4: early data is kept and delivered in order', (t) => {
  const h = tcpHarness();
  h.fromGuest(hears(5101, 100));
  h.expectToGuest({ flags: 'A', ack: 5001 });
  t.deepEqual(h.events, []);
  h.fromGuest(hears(5001, 100));
  h.expectToGuest({ flags: 'A', ack: 5201 });
  t.deepEqual(h.received, [...pattern(5001, 200)]);
});

segmentTest('RFC 9293 3.10.7.4: overlaps are delivered once', (t) => {
  const h = tcpHarness();
  h.batch(hears(5051, 100), hears(5101, 100), hears(5021, 60), hears(5001, 150), hears(5001, 300));
  h.expectToGuest({ flags: 'A', ack: 5001 }); // one for each early segment: this guest has no SACK
  h.expectToGuest({ flags: 'A', ack: 5001 });
  h.expectToGuest({ flags: 'A', ack: 5001 });
  h.expectToGuest({ flags: 'A', ack: 5301 });
  h.expectNothingMore();
  t.deepEqual(h.received, [...pattern(5001, 300)]);
});

segmentTest('early data across chunk borders and 2^32 arrives intact', (t) => {
  const irs = 2 ** 32 - 20_000;
  const h = tcpHarness({ irs, wscale: 4, sackOk: true });
  const at = (n: number): number => (irs + 1 + n) >>> 0;
  for (let n = 39_000; n >= 1000; n -= 1000) h.fromGuest(hears(at(n), 1000, { data: pattern(at(n), 1000) }));
  t.is(h.received.length, 0);
  h.all();
  h.fromGuest(hears(at(0), 1000));
  h.expectToGuest({ flags: 'A', ack: at(40_000) });
  t.is(h.received.length, 40_000);
  let wrong = -1;
  for (let i = 0; i < 40_000 && wrong < 0; i++) if (h.received[i] !== pattern(at(i), 1)[0]) wrong = i;
  t.is(wrong, -1);
  t.is(h.engine.memoryUsed, 0);
});

segmentTest('what is kept early is bounded in ranges, and freed with the connection', (t) => {
  const h = tcpHarness({ sackOk: true });
  for (let i = 0; i < 1100; i++) h.fromGuest(hears(5101 + i * 10, 5));
  t.is(h.drops(Drop.TcpReassemblyFull), 76);
  t.true(h.engine.memoryUsed > 0);
  h.c.reset();
  t.is(h.engine.memoryUsed, 0);
});

segmentTest('what is kept early is bounded in bytes of the engine', (t) => {
  const h = tcpHarness({ wscale: 7, limits: { memory: 16_384 } });
  h.fromGuest(hears(6001, 100));
  h.fromGuest(hears(30_001, 100));
  t.is(h.drops(Drop.TcpReassemblyFull), 1);
  t.is(h.engine.memoryUsed, 16_384);
});

segmentTest('the owner may reset from within data', (t) => {
  const h = tcpHarness();
  h.onEvent = (e) => {
    if (e.startsWith('data')) h.c.reset();
  };
  h.batch(hears(5101, 10), { ...hears(5001, 100), flags: 'FA' });
  t.deepEqual(h.events, ['data 100', 'ended aborted']);
  t.is(h.engine.memoryUsed, 0);
});

// SACK

segmentTest('RFC 2018 4: early data is reported, the latest block first', () => {
  const h = tcpHarness({ sackOk: true });
  h.fromGuest(hears(5201, 100));
  h.expectToGuest({ ack: 5001, sack: [[5201, 5301]] });
  h.fromGuest(hears(5501, 100));
  h.expectToGuest({
    ack: 5001,
    sack: [
      [5501, 5601],
      [5201, 5301],
    ],
  }); // prettier-ignore
  h.fromGuest(hears(5301, 50));
  h.expectToGuest({
    ack: 5001,
    sack: [
      [5201, 5351],
      [5501, 5601],
    ],
  }); // prettier-ignore
  h.fromGuest(hears(5001, 200));
  h.expectToGuest({ ack: 5351, sack: [[5501, 5601]] });
  h.fromGuest(hears(5351, 150));
  h.expectToGuest({ ack: 5601, sack: [] });
});

segmentTest('RFC 2018 3: four blocks at most, three with timestamps', (t) => {
  const h = tcpHarness({ sackOk: true });
  for (let i = 0; i < 6; i++) h.fromGuest(hears(5101 + i * 100, 50));
  t.deepEqual(h.all().at(-1)!.sack, [
    [5601, 5651],
    [5501, 5551],
    [5401, 5451],
    [5301, 5351],
  ]); // prettier-ignore
  const ts = tcpHarness({ sackOk: true, ts: [1, 0] });
  for (let i = 0; i < 6; i++) ts.fromGuest(hears(5101 + i * 100, 50, { ts: [1, 0] }));
  t.is(ts.all().at(-1)!.sack.length, 3);
});

segmentTest('RFC 2018 4: a peer with SACK hears of all early segments of a batch in one ACK', () => {
  const h = tcpHarness({ sackOk: true });
  h.batch(hears(5101, 50), hears(5151, 50), hears(5301, 50));
  h.expectToGuest({
    ack: 5001,
    sack: [
      [5301, 5351],
      [5101, 5201],
    ],
  }); // prettier-ignore
  h.expectNothingMore();
});

segmentTest('RFC 5681 4.2: a peer without SACK gets an ACK for each early segment', () => {
  const h = tcpHarness();
  h.batch(hears(5101, 50), hears(5151, 50), hears(5201, 50));
  for (let i = 0; i < 3; i++) h.expectToGuest({ ack: 5001, len: 0 });
  h.expectNothingMore();
});

segmentTest('RFC 2883 4: a duplicate is reported', () => {
  const h = tcpHarness({ sackOk: true });
  h.fromGuest(hears(5001, 100));
  h.expectToGuest({ ack: 5101, sack: [] });
  h.fromGuest(hears(5001, 100));
  h.expectToGuest({ ack: 5101, sack: [[5001, 5101]] });
  h.fromGuest(hears(5201, 100));
  h.expectToGuest({ ack: 5101, sack: [[5201, 5301]] });
  h.fromGuest(hears(5201, 100));
  h.expectToGuest({
    ack: 5101,
    sack: [
      [5201, 5301],
      [5201, 5301],
    ],
  }); // prettier-ignore
});

segmentTest('RFC 2018 3: a FIN behind early data is part of its block', () => {
  const h = tcpHarness({ sackOk: true });
  h.fromGuest(hears(5101, 50, { flags: 'FA' }));
  h.expectToGuest({ ack: 5001, sack: [[5101, 5152]] });
});

segmentTest('SACK blocks that find no room beside a full segment leave with an ACK of their own', () => {
  const h = tcpHarness({ sackOk: true });
  h.input(hears(5101, 50));
  h.c.write(new Uint8Array(1460), 0, 1460);
  h.engine.flush();
  h.expectToGuest({ len: 1460, sack: [] });
  h.expectToGuest({ len: 0, sack: [[5101, 5151]] });
  h.expectNothingMore();
});

// Window

segmentTest('RFC 9293 3.8.6.2.2: the right edge never moves back', (t) => {
  const h = tcpHarness({ wscale: 0, rcvWnd: 20_000 });
  let edge = 0;
  let seq = 5001;
  const rooms = [20_000, 3000, 0, 500, 9000, 100, 20_000, 0, 0, 15_000, 2000];
  for (const room of rooms) {
    h.c.setReceiveRoom(room);
    h.fromGuest(hears(seq, 700));
    seq += 700;
    for (const s of h.all()) {
      t.true(s.ack + s.win >= edge, `edge ${s.ack + s.win} after ${edge}`);
      edge = s.ack + s.win;
    }
  }
});

segmentTest('RFC 7323 2.4: the right edge does not move back by rounding, nor on for ever', (t) => {
  const h = tcpHarness({ wscale: 7, rcvWnd: 1 << 20 });
  h.c.setReceiveRoom(100_000);
  let edge = 0;
  for (let i = 0; i < 3000; i++) {
    h.fromGuest(hears(5001 + i, 1));
    const s = h.expectToGuest({ ack: 5002 + i });
    t.true(s.ack + s.win * 32 >= edge - 31);
    edge = Math.max(edge, s.ack + s.win * 32);
  }
  t.true(edge <= 5001 + 100_000 + 1460 + 32, `edge ${edge}`);
});

segmentTest('RFC 9293 3.8.6: the window closes as the owner takes no more, and is probed in vain', (t) => {
  const h = tcpHarness({ rcvWnd: 2000 });
  h.c.setReceiveRoom(0);
  h.fromGuest(hears(5001, 1000));
  h.expectToGuest({ ack: 6001, win: 1000 });
  h.fromGuest(hears(6001, 1000));
  h.expectToGuest({ ack: 7001, win: 0 });
  h.fromGuest(hears(7001, 1));
  h.expectToGuest({ ack: 7001, win: 0 });
  t.is(h.received.length, 2000);
  t.is(h.drops(Drop.TcpOutOfWindow), 1);
});

segmentTest('RFC 9293 3.10.7.4: at a closed window an ACK is still taken', (t) => {
  const h = tcpHarness({ rcvWnd: 1000 });
  h.write(50);
  h.expectToGuest({ len: 50 });
  h.c.setReceiveRoom(0);
  h.fromGuest(hears(5001, 1000));
  h.expectToGuest({ ack: 6001, win: 0 });
  h.fromGuest({ seq: 6001, ack: 1051 });
  t.is(h.c.unsentOrUnacked, 0);
  h.write(20);
  h.expectToGuest({ len: 20 });
  h.fromGuest({ seq: 6001, ack: 1071, len: 10 }); // more data than fits, but its ACK counts
  t.is(h.c.unsentOrUnacked, 0);
});

segmentTest('a FIN is taken at a closed window', (t) => {
  const h = tcpHarness({ rcvWnd: 1000 });
  h.c.setReceiveRoom(0);
  h.fromGuest(hears(5001, 1000));
  h.expectToGuest({ ack: 6001, win: 0 });
  h.fromGuest({ flags: 'FA', seq: 6001, ack: 1001 });
  h.expectToGuest({ ack: 6002, win: 0 });
  t.is(h.state, 'CLOSE-WAIT');
});

segmentTest('a receive room set before accept() is the first window', () => {
  const h = tcpHarness({ state: 'DEFERRED' });
  h.c.setReceiveRoom(3000);
  h.accept();
  h.expectToGuest({ flags: 'SA', win: 3000 });
});

segmentTest('RFC 9293 3.8.6.2.2: the window opens by a segment or half the buffer, not by less', () => {
  const h = tcpHarness({ rcvWnd: 10_000 });
  h.c.setReceiveRoom(0);
  for (let i = 0; i < 10; i++) h.fromGuest(hears(5001 + i * 1000, 1000));
  h.all();
  h.c.setReceiveRoom(1000);
  h.engine.flush();
  h.expectNothingMore();
  h.c.setReceiveRoom(1459);
  h.engine.flush();
  h.expectNothingMore();
  h.c.setReceiveRoom(1460);
  h.engine.flush();
  h.expectToGuest({ flags: 'A', ack: 15_001, win: 1460 });
  h.expectNothingMore();
});

segmentTest('RFC 9293 3.8.6.2.2: no ACK tells of a window that has opened by less', () => {
  const h = tcpHarness({ rcvWnd: 10_000 });
  h.c.setReceiveRoom(0);
  for (let i = 0; i < 10; i++) h.fromGuest(hears(5001 + i * 1000, 1000));
  h.all();
  h.c.setReceiveRoom(1459);
  h.fromGuest(hears(15_001, 1)); // a probe
  h.expectToGuest({ ack: 15_001, win: 0 });
  h.c.setReceiveRoom(1460);
  h.fromGuest(hears(15_001, 1));
  h.expectToGuest({ win: 1460 });
});

segmentTest('RFC 9293 3.8.6.2.2: a buffer below a segment opens by half of it', () => {
  const h = tcpHarness({ rcvWnd: 1000 });
  h.c.setReceiveRoom(0);
  h.fromGuest(hears(5001, 1000));
  h.all();
  h.c.setReceiveRoom(499);
  h.engine.flush();
  h.expectNothingMore();
  h.c.setReceiveRoom(500);
  h.engine.flush();
  h.expectToGuest({ win: 500 });
});

segmentTest('room given is spent by data and unlimited again after Infinity', () => {
  const h = tcpHarness({ rcvWnd: 4000 });
  h.c.setReceiveRoom(4000);
  h.fromGuest(hears(5001, 1000));
  h.expectToGuest({ ack: 6001, win: 3000 });
  h.c.setReceiveRoom(Number.POSITIVE_INFINITY);
  h.fromGuest(hears(6001, 1000));
  h.expectToGuest({ ack: 7001, win: 4000 });
});

segmentTest('a receive room below 0 or not whole is taken as one', () => {
  const h = tcpHarness({ rcvWnd: 4000 });
  h.c.setReceiveRoom(-5);
  h.fromGuest(hears(5001, 3000));
  h.expectToGuest({ win: 1000 });
  h.c.setReceiveRoom(3000.7);
  h.engine.flush();
  h.expectToGuest({ win: 3000 });
});

segmentTest('RFC 9293 3.10.7.4: what exceeds the window is cut off, a FIN behind it too', (t) => {
  const h = tcpHarness({ rcvWnd: 1000 });
  h.fromGuest({ ...hears(5001, 1200), flags: 'FA' });
  h.expectToGuest({ ack: 6001 });
  t.is(h.received.length, 1000);
  t.is(h.state, 'ESTABLISHED');
});

// Acknowledgment policy

/** Questions and answers, until the engine takes the connection for interactive. */
function converse(h: ReturnType<typeof tcpHarness>): { seq: number; ack: number } {
  let seq = 5001;
  let ack = 1001;
  for (let i = 0; i < 4; i++) {
    h.fromGuest({ seq, ack, len: 20 });
    seq += 20;
    h.advance(1);
    h.write(30);
    ack += 30;
    h.advance(1);
    h.fromGuest({ seq, ack });
  }
  h.all();
  return { seq, ack };
}

segmentTest('RFC 9293 3.8.6.3: without a conversation every batch is acknowledged at once', () => {
  const h = tcpHarness();
  for (let i = 0; i < 5; i++) {
    h.fromGuest(hears(5001 + i * 10, 10));
    h.expectToGuest({ ack: 5011 + i * 10 });
    h.advance(5);
  }
  h.expectNothingMore();
});

segmentTest('RFC 9293 3.8.6.3: in a conversation the ACK rides on the answer', () => {
  const h = tcpHarness();
  const { seq, ack } = converse(h);
  h.fromGuest({ seq, ack, len: 20 });
  h.expectNothingMore();
  h.advance(2);
  h.write(30);
  h.expectToGuest({ len: 30, ack: seq + 20 });
  h.advance(100);
  h.all();
});

segmentTest(
  'RFC 9293 3.8.6.3: in a conversation without an answer the ACK leaves after 40 ms, the next ones at once',
  (t) => {
    const h = tcpHarness();
    const { seq, ack } = converse(h);
    h.fromGuest({ seq, ack, len: 20 });
    h.advance(39);
    h.expectNothingMore();
    h.advance(6);
    h.expectToGuest({ len: 0, ack: seq + 20 });
    h.fromGuest({ seq: seq + 20, ack, len: 20 });
    h.expectToGuest({ len: 0, ack: seq + 40 });
    t.is(h.state, 'ESTABLISHED');
  },
);

segmentTest('RFC 9293 3.8.6.3: in a conversation two full segments are acknowledged at once', () => {
  const h = tcpHarness();
  const { seq, ack } = converse(h);
  h.batch({ seq, ack, len: 1460 }, { seq: seq + 1460, ack, len: 1460 });
  h.expectToGuest({ ack: seq + 2920 });
});

segmentTest('RFC 5681 4.2: in a conversation early data and FIN are acknowledged at once', () => {
  const h = tcpHarness({ sackOk: true });
  const { seq, ack } = converse(h);
  h.fromGuest({ seq: seq + 10, ack, len: 10 });
  h.expectToGuest({ ack: seq });
  h.fromGuest({ seq, ack, len: 10 });
  h.expectToGuest({ ack: seq + 20 });
  h.fromGuest({ flags: 'FA', seq: seq + 20, ack });
  h.expectToGuest({ ack: seq + 21 });
});

segmentTest('delayedAckMs 0 never holds an ACK back', () => {
  const h = tcpHarness({ limits: { delayedAckMs: 0 } });
  const { seq, ack } = converse(h);
  h.fromGuest({ seq, ack, len: 20 });
  h.expectToGuest({ len: 0, ack: seq + 20 });
});

// Timestamps

segmentTest('RFC 7323 5.3: PAWS: an older timestamp is answered with an ACK and dropped', (t) => {
  const h = tcpHarness({ ts: [1000, 0] });
  h.fromGuest(hears(5001, 10, { ts: [1010, 0] }));
  h.expectToGuest({ ack: 5011 });
  h.fromGuest(hears(5011, 10, { ts: [909, 0] }));
  h.expectToGuest({ ack: 5011, len: 0 });
  t.is(h.drops(Drop.TcpOldTimestamp), 1);
  t.is(h.received.length, 10);
});

segmentTest('PAWS takes what reordering made up to 100 ticks late (RFC 7323 5.3 would drop it)', (t) => {
  const h = tcpHarness({ ts: [1000, 0] });
  h.fromGuest(hears(5001, 10, { ts: [1010, 0] }));
  h.expectToGuest({ ack: 5011 });
  h.fromGuest(hears(5011, 10, { ts: [910, 0] }));
  h.expectToGuest({ ack: 5021, len: 0 });
  t.is(h.drops(Drop.TcpOldTimestamp), 0);
});

segmentTest('RFC 2883 4: a refused segment that never came before is not reported as a duplicate', (t) => {
  const h = tcpHarness({ ts: [1000, 0], sackOk: true });
  h.fromGuest(hears(5001, 10, { ts: [1010, 0] }));
  h.expectToGuest({ ack: 5011 });
  h.fromGuest(hears(5031, 10, { ts: [900, 0] }));
  t.deepEqual(h.expectToGuest({ ack: 5011, len: 0 }).sack, []);
  h.fromGuest(hears(5001, 10, { ts: [900, 0] }));
  t.deepEqual(h.expectToGuest({ ack: 5011, len: 0 }).sack, [[5001, 5011]]);
});

segmentTest('RFC 2883 4.2: the block behind a duplicate that came early is the range around it', (t) => {
  const h = tcpHarness({ sackOk: true });
  h.fromGuest(hears(5011, 20));
  for (const seq of [5051, 5071, 5091, 5111]) h.fromGuest(hears(seq, 10));
  h.all();
  h.fromGuest(hears(5011, 10));
  t.deepEqual(h.expectToGuest({ ack: 5001 }).sack.slice(0, 2), [
    [5011, 5021],
    [5011, 5031],
  ]);
});

segmentTest('RFC 7323 5.3: PAWS does not look at RST', (t) => {
  const h = tcpHarness({ ts: [1000, 0] });
  h.fromGuest({ flags: 'R', seq: 5001, ts: [1, 0] });
  t.deepEqual(h.events, ['ended reset']);
});

segmentTest('RFC 7323 5.5: PAWS forgets a timestamp after 24 days of silence', (t) => {
  const h = tcpHarness({ ts: [1000, 0], limits: { keepAliveIdleMs: 1e10 } });
  h.advance(25 * 86_400_000);
  h.fromGuest(hears(5001, 10, { ts: [999, 0] }));
  t.is(h.received.length, 10);
});

segmentTest('RFC 7323 4.3: the echo is that of the segment that Last.ACK.sent fell into', (t) => {
  const h = tcpHarness({ ts: [1000, 0] });
  h.fromGuest(hears(5101, 100, { ts: [1001, 0] }));
  t.is(h.next()!.ts![1], 1000);
  h.batch(hears(5001, 100, { ts: [1002, 0] }), hears(5201, 100, { ts: [1003, 0] }));
  t.is(h.next()!.ts![1], 1002);
});

segmentTest('RFC 7323 3.2: a segment that lacks the agreed timestamp is dropped', (t) => {
  const h = tcpHarness({ ts: [1000, 0] });
  h.fromGuest(hears(5001, 10));
  h.expectNothingMore();
  t.is(h.drops(Drop.TcpNoTimestamp), 1);
  t.is(h.received.length, 0);
});

segmentTest('RFC 7323 5.4: our timestamps count milliseconds', (t) => {
  const h = tcpHarness({ ts: [1000, 0] });
  h.fromGuest(hears(5001, 1, { ts: [1000, 0] }));
  const first = h.next()!.ts![0];
  h.advance(5000);
  h.fromGuest(hears(5002, 1, { ts: [1000, 0] }));
  t.is((h.next()!.ts![0] - first) | 0, 5000);
});

test('an idle connection holds no buffers', (t) => {
  const h = tcpHarness({ sackOk: true });
  h.write(5000);
  h.fromGuest(hears(5101, 50));
  t.true(h.engine.memoryUsed > 0);
  h.fromGuest(hears(5001, 100, { ack: 6001 }));
  t.is(h.engine.memoryUsed, 0);
  t.is(h.received.length, 150);
});
