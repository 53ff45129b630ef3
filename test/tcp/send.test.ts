// The send side: segmentation, windows, silly windows, persist, keepalive, path MTU, backpressure.

import { MAPPED } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import { Packet } from '../../src/core/packet.ts';
import * as tcp from '../../src/wire/tcp.ts';
import { segmentTest } from '../support/segment-test.ts';
import {
  GUEST,
  GUEST_PORT,
  pattern,
  SERVER,
  SERVER_PORT,
  type TcpHarness,
  tcpHarness,
} from '../support/tcp-harness.ts';

const lens = (h: TcpHarness): number[] => h.all().map((s) => s.len);

// Segmentation

segmentTest('RFC 9293 3.8: what is written in one batch leaves in full segments, PSH on the last', (t) => {
  const h = tcpHarness();
  const bytes = pattern(1001, 4000);
  h.c.write(bytes, 0, 1000);
  h.c.write(bytes, 1000, 3000);
  h.expectNothingMore();
  h.engine.flush();
  const sent = h.all();
  t.deepEqual(
    sent.map((s) => [s.seq, s.len]),
    [
      [1001, 1460],
      [2461, 1460],
      [3921, 1080],
    ],
  );
  t.deepEqual(Buffer.concat(sent.map((s) => s.data)), Buffer.from(bytes));
});

segmentTest('RFC 9293 3.7.1: the segment size is the lesser of peer and path, timestamps taken off', (t) => {
  const small = tcpHarness({ mss: 500 });
  small.write(1200);
  t.deepEqual(lens(small), [500, 500, 200]);
  const path = tcpHarness({ mss: 8960, mtu: 1500 });
  path.write(1500);
  t.deepEqual(lens(path), [1460, 40]);
  const ts = tcpHarness({ ts: [1, 0] });
  ts.write(1460);
  t.deepEqual(lens(ts), [1448, 12]);
});

segmentTest('RFC 9293 3.7.1: without an MSS option 536 is taken', (t) => {
  const h = tcpHarness({ state: 'LISTEN' });
  h.fromGuest({ flags: 'S', seq: 5000 });
  h.accept();
  h.fromGuest({ seq: 5001, ack: 1001 });
  h.all();
  h.write(1000);
  t.deepEqual(lens(h), [536, 464]);
});

segmentTest('an MSS below 64 is taken as 64', (t) => {
  const h = tcpHarness({ mss: 1 });
  h.write(200);
  t.deepEqual(lens(h), [64, 64, 64, 8]);
});

segmentTest('segments are at most a quarter of the largest window', (t) => {
  const h = tcpHarness({ mss: 65_495, mtu: 65_535, win: 65_535 });
  h.write(40_000);
  t.deepEqual(lens(h), [16_383, 16_383]); // and two of them are the initial window
});

segmentTest('RFC 6928 2: the initial window is ten segments', (t) => {
  const h = tcpHarness();
  h.write(30_000);
  t.is(lens(h).length, 10);
});

segmentTest('RFC 5681 3.1: slow start adds what is acknowledged', (t) => {
  const h = tcpHarness({ wscale: 7 });
  h.write(60_000);
  t.is(lens(h).length, 10);
  h.fromGuest({ seq: 5001, ack: 1001 + 5 * 1460 });
  t.is(lens(h).length, 10);
});

segmentTest('a burst is bounded; the rest goes on with the next ACK', (t) => {
  const h = tcpHarness({ wscale: 7, limits: { burstSegments: 4 } });
  h.write(30_000);
  t.is(lens(h).length, 4);
  h.fromGuest({ seq: 5001, ack: 2461 });
  t.is(lens(h).length, 4);
});

segmentTest('RFC 5681 4.1: after an idle timeout the window is the initial one again', (t) => {
  const h = tcpHarness({ wscale: 7 });
  let ack = 1001;
  for (let round = 0; round < 3; round++) {
    h.write(100_000 - h.c.unsentOrUnacked);
    for (const s of h.all()) ack = s.seq + s.len;
    h.fromGuest({ seq: 5001, ack });
    for (const s of h.all()) ack = s.seq + s.len;
    h.fromGuest({ seq: 5001, ack });
  }
  while (h.c.unsentOrUnacked > 0) {
    for (const s of h.all()) ack = s.seq + s.len;
    h.fromGuest({ seq: 5001, ack });
  }
  t.true(h.c.snapshot().cwnd > 40_000);
  h.advance(1000);
  h.write(60_000);
  t.is(lens(h).length, 10);
});

// Windows

segmentTest('RFC 9293 3.8.6: no more is sent than the window allows', (t) => {
  const h = tcpHarness({ win: 4000 });
  h.write(10_000);
  t.is(
    lens(h).reduce((a, b) => a + b, 0),
    4000,
  );
  h.fromGuest({ seq: 5001, ack: 2001, win: 4000 });
  t.is(
    lens(h).reduce((a, b) => a + b, 0),
    1000,
  );
});

segmentTest('RFC 9293 3.10.7.4: an older segment does not change the window', (t) => {
  const h = tcpHarness({ win: 4000 });
  h.fromGuest({ seq: 5001, ack: 1001, len: 10, win: 4000 });
  h.fromGuest({ seq: 5011, ack: 1001, len: 10, win: 5000 });
  t.is(h.c.snapshot().sndWnd, 5000);
  h.fromGuest({ seq: 5001, ack: 1001, len: 30, win: 100 }); // begins before SND.WL1
  t.is(h.c.snapshot().sndWnd, 5000);
});

segmentTest('RFC 9293 3.8.6.2.1: a segment that the window cuts short waits for half the largest window', (t) => {
  const h = tcpHarness({ win: 3000 });
  h.write(5000);
  t.deepEqual(lens(h), [750, 750, 750, 750]); // a quarter of the window each
  h.fromGuest({ seq: 5001, ack: 4001, win: 700 });
  h.expectNothingMore();
  h.fromGuest({ seq: 5001, ack: 4001, win: 760 });
  t.deepEqual(lens(h), [750]);
});

segmentTest('RFC 9293 3.8.6.2.1: the override timer sends what the window lets through', (t) => {
  const h = tcpHarness({ win: 3000 });
  h.write(5000);
  h.all();
  h.fromGuest({ seq: 5001, ack: 4001, win: 100 });
  h.advance(195);
  h.expectNothingMore();
  h.advance(10);
  h.expectToGuest({ seq: 4001, len: 100 });
  h.expectNothingMore();
  t.is(h.state, 'ESTABLISHED');
});

segmentTest('a FIN may exceed the window', () => {
  const h = tcpHarness({ win: 100 });
  h.c.write(new Uint8Array(100), 0, 100);
  h.end();
  h.expectToGuest({ flags: 'FA', len: 100 });
});

// Persist

segmentTest('RFC 9293 3.8.6.1: a closed window is probed by one byte, with back-off up to 60 s', (t) => {
  const h = tcpHarness({ win: 0 });
  h.write(500);
  h.expectNothingMore();
  const start = h.clock.now();
  const at: number[] = [];
  for (let i = 0; i < 400; i++) {
    h.advance(1000);
    for (const s of h.all()) {
      t.is(s.len, 1);
      t.is(s.seq, 1001);
      at.push(s.atMs - start);
      h.fromGuest({ seq: 5001, ack: 1001, win: 0 });
    }
  }
  t.is(h.state, 'ESTABLISHED');
  const gaps = at.slice(1).map((x, i) => Math.round((x - at[i]!) / 100));
  t.deepEqual(gaps.slice(0, 6), [4, 8, 16, 32, 64, 128]);
  t.is(gaps.at(-1), 600);
  h.expectNothingMore();
});

segmentTest('RFC 9293 3.8.6.1: a window that opens is used at once', () => {
  const h = tcpHarness({ win: 0 });
  h.write(500);
  h.advance(210);
  h.expectToGuest({ len: 1, seq: 1001 });
  h.fromGuest({ seq: 5001, ack: 1001, win: 2000 });
  h.expectToGuest({ len: 1, seq: 1001 });
  h.expectToGuest({ len: 499, seq: 1002 });
  h.expectNothingMore();
});

segmentTest('RFC 9293 3.8.6.1: a probe that was taken is not sent again', () => {
  const h = tcpHarness({ win: 0 });
  h.write(500);
  h.advance(210);
  h.expectToGuest({ len: 1 });
  h.fromGuest({ seq: 5001, ack: 1002, win: 0 });
  h.advance(210);
  h.expectToGuest({ len: 1, seq: 1002 });
  h.fromGuest({ seq: 5001, ack: 1003, win: 1000 });
  h.expectToGuest({ len: 498, seq: 1003 });
  h.expectNothingMore();
});

segmentTest('RFC 9293 3.8.6.1: a peer that answers no probe for 100 s is given up', (t) => {
  const h = tcpHarness({ win: 0 });
  h.write(500);
  h.advance(95_000);
  t.is(h.state, 'ESTABLISHED');
  h.advance(60_000);
  t.is(h.state, 'CLOSED');
  t.deepEqual(h.events, ['ended timeout']);
  t.is(h.all().at(-1)!.flags, 'RA');
});

segmentTest('RFC 9293 3.8.6.1: silence before the window mattered does not count', (t) => {
  const h = tcpHarness({ win: 0 });
  h.advance(3_600_000);
  h.write(500);
  h.advance(90_000);
  t.is(h.state, 'ESTABLISHED');
});

segmentTest('RFC 9293 3.8.6: a window that shrinks under data in flight does not end the connection', (t) => {
  const h = tcpHarness({ win: 10_000 });
  h.write(5000);
  h.all();
  h.fromGuest({ seq: 5001, ack: 2461, win: 0 });
  for (let i = 0; i < 300; i++) {
    h.advance(1000);
    for (const s of h.all()) {
      t.is(s.seq, 2461);
      h.fromGuest({ seq: 5001, ack: 2461, win: 0 });
    }
  }
  t.is(h.state, 'ESTABLISHED');
  const { cwnd } = h.c.snapshot();
  t.true(cwnd >= 14_600, 'no congestion');
});

// Keepalive

segmentTest('RFC 9293 3.8.4: an idle connection is probed after two hours and dropped when nobody answers', (t) => {
  const h = tcpHarness({ limits: { keepAliveProbes: 3 } });
  h.advance(7_199_000);
  h.expectNothingMore();
  h.advance(2000);
  h.expectToGuest({ flags: 'A', seq: 1000, ack: 5001, len: 0 });
  h.advance(75_010);
  h.advance(75_010);
  h.expectToGuest({ flags: 'A', seq: 1000 });
  h.expectToGuest({ flags: 'A', seq: 1000 });
  h.advance(75_010);
  h.expectToGuest({ flags: 'RA' });
  t.deepEqual(h.events, ['ended timeout']);
});

segmentTest(
  'RFC 5382 REQ-5: an idle connection is kept for 2 h 4 min at least, even when nobody answers the probes',
  (t) => {
    const h = tcpHarness();
    h.advance((2 * 60 + 4) * 60_000);
    t.is(h.state, 'ESTABLISHED');
    t.true(h.all().length > 0, 'it was probed');
    h.advance(30 * 60_000);
    t.is(h.state, 'CLOSED');
  },
);

segmentTest('RFC 5382 REQ-5: a half-closed connection is kept for 4 min at least', (t) => {
  for (const state of ['FIN-WAIT-2', 'CLOSE-WAIT'] as const) {
    const h = tcpHarness({ state });
    h.advance(240_000);
    t.is(h.state, state);
  }
});

segmentTest('RFC 9293 3.8.4: an answer starts the idle time anew', (t) => {
  const h = tcpHarness();
  h.advance(7_200_010);
  h.expectToGuest({ seq: 1000 });
  h.fromGuest({ seq: 5001, ack: 1001 });
  h.advance(7_190_000);
  h.expectNothingMore();
  h.advance(20_000);
  h.expectToGuest({ seq: 1000 });
  t.is(h.state, 'ESTABLISHED');
});

segmentTest("RFC 9293 3.8.4: the guest's own probes are answered", () => {
  const h = tcpHarness();
  h.advance(1000);
  h.fromGuest({ seq: 5000, ack: 1001 });
  h.expectToGuest({ flags: 'A', seq: 1001, ack: 5001 });
  h.fromGuest({ seq: 5000, ack: 1001, len: 1 });
  h.expectToGuest({ flags: 'A', seq: 1001, ack: 5001 });
});

segmentTest('a half-closed connection is probed sooner, and lives as long as the peer answers', (t) => {
  for (const state of ['FIN-WAIT-2', 'CLOSE-WAIT'] as const) {
    const h = tcpHarness({ state });
    const next = state === 'CLOSE-WAIT' ? 5002 : 5001;
    const nxt = state === 'CLOSE-WAIT' ? 1001 : 1002;
    for (let i = 0; i < 5; i++) {
      h.advance(241_000);
      h.expectToGuest({ flags: 'A', seq: nxt - 1, ack: next });
      h.fromGuest({ seq: next, ack: nxt });
    }
    h.advance(241_000 + 10 * 75_000);
    t.is(h.state, 'CLOSED');
  }
});

// Path MTU

function quoted(h: TcpHarness, seq: number): Packet {
  const b = new Uint8Array(8);
  const real = (seq - h.iss + h.c.snd.iss) >>> 0;
  b.set([SERVER_PORT >> 8, SERVER_PORT & 255, GUEST_PORT >> 8, GUEST_PORT & 255]);
  b.set([real >>> 24, (real >>> 16) & 255, (real >>> 8) & 255, real & 255], 4);
  const p = new Packet();
  p.b = b;
  p.end = 8;
  p.src2 = p.dst2 = MAPPED;
  p.src3 = SERVER;
  p.dst3 = GUEST;
  return p;
}

segmentTest('RFC 1191 6.4: "fragmentation needed" lowers the segment size and sends again', (t) => {
  const h = tcpHarness({ wscale: 7 });
  h.write(2000);
  t.deepEqual(lens(h), [1460, 540]);
  const { cwnd } = h.c.snapshot();
  h.engine.icmpError(quoted(h, 1001), 'too-big', 1000 - 20);
  h.engine.flush();
  const again = h.all();
  t.deepEqual(
    again.map((s) => [s.seq, s.len]),
    [
      [1001, 960],
      [1961, 500],
      [2461, 540],
    ],
  );
  t.deepEqual(Buffer.concat(again.map((s) => s.data)), Buffer.from(pattern(0, 2000)));
  t.is(h.c.snapshot().cwnd, cwnd);
  h.fromGuest({ seq: 5001, ack: 3001 });
  h.write(2000);
  t.deepEqual(lens(h), [960, 960, 80]);
});

segmentTest('RFC 5927 7.2: "fragmentation needed" below the floor is taken as the floor', (t) => {
  const h = tcpHarness();
  h.write(1460);
  h.all();
  h.engine.icmpError(quoted(h, 1001), 'too-big', 68 - 20);
  h.engine.flush();
  t.deepEqual(lens(h), [512, 512, 436]);
});

segmentTest('RFC 5927 4.1: ICMP errors about what is not in flight are ignored', (t) => {
  const h = tcpHarness();
  h.write(1460);
  h.all();
  h.engine.icmpError(quoted(h, 2461), 'too-big', 980);
  h.engine.icmpError(quoted(h, 1000), 'too-big', 980);
  h.engine.flush();
  h.expectNothingMore();
  t.is(h.c.snapshot().smss, 1460);
});

segmentTest('RFC 5461 4.1: an ICMP error about our SYN ends the attempt', (t) => {
  for (const verdict of ['soft', 'hard'] as const) {
    const h = tcpHarness({ state: 'SYN-SENT' });
    h.engine.icmpError(quoted(h, 1000), verdict, 0);
    t.deepEqual(h.events, ['ended refused']);
  }
});

segmentTest('RFC 5927 5: an ICMP error does not end an open connection', (t) => {
  const h = tcpHarness();
  h.write(10);
  for (const verdict of ['soft', 'hard'] as const) h.engine.icmpError(quoted(h, 1001), verdict, 0);
  t.is(h.state, 'ESTABLISHED');
});

segmentTest('a path that shrinks by itself is followed', (t) => {
  const h = tcpHarness();
  h.write(1460);
  h.all();
  h.path.maxSegment = 1000;
  h.fromGuest({ seq: 5001, ack: 2461 });
  h.write(1500);
  t.deepEqual(lens(h), [980, 520]);
});

// Backpressure

segmentTest('write() takes what the buffer holds and writable() tells when there is a good piece of room', (t) => {
  const h = tcpHarness({ wscale: 7, limits: { sendBuffer: 20_000, sendBufferMax: 20_000 } });
  t.is(h.c.writeRoom, 20_000);
  t.is(h.write(30_000), 20_000);
  t.is(h.c.writeRoom, 0);
  t.is(h.c.unsentOrUnacked, 20_000);
  h.all();
  h.fromGuest({ seq: 5001, ack: 1001 + 5000 });
  t.deepEqual(h.events, []);
  h.fromGuest({ seq: 5001, ack: 1001 + 12_000 });
  t.deepEqual(h.events, ['writable']);
  h.fromGuest({ seq: 5001, ack: 1001 + 14_600 });
  t.deepEqual(h.events, ['writable'], 'once');
});

segmentTest('notifyWritable() asks for writable() without a write cut short', (t) => {
  const h = tcpHarness({ wscale: 7, limits: { sendBuffer: 20_000, sendBufferMax: 20_000 } });
  h.write(14_000);
  h.c.notifyWritable();
  h.fromGuest({ seq: 5001, ack: 1001 + 1460 });
  t.deepEqual(h.events, []);
  h.fromGuest({ seq: 5001, ack: 1001 + 5840 });
  t.deepEqual(h.events, ['writable']);
});

segmentTest('writable() may write, and that leaves in the same batch', (t) => {
  const h = tcpHarness({ wscale: 7, limits: { sendBuffer: 2000, sendBufferMax: 2000 } });
  h.write(3000);
  h.all();
  h.onEvent = (e) => {
    if (e === 'writable') h.c.write(new Uint8Array(700), 0, 700);
  };
  h.fromGuest({ seq: 5001, ack: 3001 });
  h.expectToGuest({ seq: 3001, len: 700 });
  t.is(h.c.unsentOrUnacked, 700);
});

segmentTest('memory of the engine is bounded: who was refused is told when some comes back', (t) => {
  const h = tcpHarness({ wscale: 7, limits: { memory: 16_384 } });
  t.is(h.write(20_000), 16_384);
  h.all();
  const first = h.c;
  h.fromGuest(h.syn({ guestPort: 1 }));
  h.accept();
  h.fromGuest({ seq: 5001, ack: h.iss + 1, guestPort: 1 });
  h.all();
  h.events.length = 0;
  const second = h.c;
  t.is(second.write(new Uint8Array(100), 0, 100), 0);
  first.reset();
  h.engine.flush();
  t.deepEqual(h.events, ['ended aborted', 'writable']);
  t.is(second.write(new Uint8Array(100), 0, 100), 100);
});

segmentTest('after end() nothing more is taken', (t) => {
  const h = tcpHarness();
  h.c.end();
  t.is(h.c.write(new Uint8Array(10), 0, 10), 0);
  t.is(h.c.writeRoom, 0);
  h.c.end();
  h.engine.flush();
  h.expectToGuest({ flags: 'FA', len: 0 });
  h.expectNothingMore();
});

segmentTest('resetBehindData(): the RST leaves when the peer has acknowledged all that was written', (t) => {
  const h = tcpHarness();
  h.write(2000);
  t.deepEqual(lens(h), [1460, 540]);
  h.c.resetBehindData();
  h.c.resetBehindData();
  h.engine.flush();
  h.fromGuest({ seq: 5001, ack: 2461 });
  h.expectNothingMore();
  h.fromGuest({ seq: 5001, ack: 3001, len: 5 });
  h.expectToGuest({ flags: 'RA', seq: 3001, ack: 5006 });
  h.expectNothingMore();
  t.deepEqual(h.events, ['data 5', 'flush', 'ended aborted']);
  t.is(h.engine.count, 0);
});

segmentTest('resetBehindData(): lost data is sent again first, the owner adds what was left over', (t) => {
  const h = tcpHarness({ limits: { sendBuffer: 2000, sendBufferMax: 2000 } });
  t.is(h.write(3000), 2000);
  h.onEvent = (e) => {
    if (e === 'writable') h.c.write(pattern(0, 1000), 0, 1000);
  };
  h.all();
  h.c.resetBehindData();
  h.advance(1100);
  h.expectToGuest({ flags: 'A', seq: 1001, len: 1460 });
  h.all();
  h.fromGuest({ seq: 5001, ack: 3001 });
  h.expectToGuest({ flags: 'A', seq: 3001, len: 1000 });
  h.fromGuest({ seq: 5001, ack: 4001 });
  h.expectToGuest({ flags: 'RA', seq: 4001 });
  h.expectNothingMore();
});

segmentTest('resetBehindData(): what was written before the handshake is complete leaves too', (t) => {
  const h = tcpHarness({ state: 'SYN-RECEIVED' });
  h.write(30);
  h.c.resetBehindData();
  h.engine.flush();
  h.expectNothingMore();
  h.fromGuest({ seq: 5001, ack: 1001 });
  h.expectToGuest({ flags: 'A', seq: 1001, len: 30 });
  h.fromGuest({ seq: 5001, ack: 1031 });
  h.expectToGuest({ flags: 'RA', seq: 1031, ack: 5001 });
  const silent = tcpHarness({ state: 'SYN-RECEIVED' });
  silent.write(30);
  silent.c.resetBehindData();
  silent.advance(11_000);
  t.is(silent.state, 'CLOSED');
  t.deepEqual(silent.events, ['ended timeout']);
});

segmentTest('resetBehindData(): after 10 s at the latest, at once when nothing waits', (t) => {
  const h = tcpHarness({ win: 0 });
  h.write(100);
  h.c.resetBehindData();
  h.fromGuest({ flags: 'FA', seq: 5001, ack: 1001, win: 0 });
  h.advance(9900);
  t.is(h.state, 'CLOSE-WAIT');
  h.advance(200);
  t.is(h.all().at(-1)!.flags, 'RA');
  t.deepEqual(h.events, ['closed', 'ended aborted']);
  const idle = tcpHarness();
  idle.c.resetBehindData();
  idle.expectToGuest({ flags: 'RA', seq: 1001 });
  const half = tcpHarness({ state: 'DEFERRED' });
  half.c.resetBehindData();
  half.expectToGuest({ flags: 'RA', ack: 5001 });
});

segmentTest('an owner that answers in flush() sends its answer with the ACK', () => {
  const h = tcpHarness();
  h.onEvent = (e) => {
    if (e === 'flush') h.c.write(pattern(0, 30), 0, 30);
  };
  h.fromGuest({ seq: 5001, ack: 1001, len: 10 });
  h.expectToGuest({ flags: 'A', len: 30, ack: 5011 });
  h.expectNothingMore();
});

segmentTest('RFC 5961 10: challenge ACKs are bounded in all', (t) => {
  const h = tcpHarness({ state: 'LISTEN', limits: { challengeAcksPerSec: 10 } });
  for (let i = 1; i <= 30; i++) {
    h.fromGuest(h.syn({ guestPort: i }));
    h.accept();
    h.fromGuest({ seq: 5001, ack: h.iss + 1, guestPort: i });
  }
  h.all();
  for (let i = 1; i <= 30; i++) h.fromGuest({ flags: 'R', seq: 5002, guestPort: i });
  const sent = h.all().length;
  t.true(sent >= 5 && sent <= 10, `${sent}`);
  t.is(h.drops(Drop.TcpBadReset), 30);
  t.is(h.engine.count, 30);
});

segmentTest('snapshot tells state and numbers', (t) => {
  const h = tcpHarness({ wscale: 7, win: 500 });
  h.write(100);
  h.fromGuest({ seq: 5001, ack: 1101, len: 40 });
  const s = h.c.snapshot();
  t.like(s, {
    local: '10.0.0.1:80',
    remote: '10.0.2.15:40000',
    state: 'ESTABLISHED',
    bytesSent: 100,
    bytesReceived: 40,
    retransmits: 0,
    smss: 1460,
    sndWnd: 64_000,
    unacked: 0,
  });
  t.deepEqual([...h.engine.connections()], [h.c]);
  t.is(tcp.HEADER_LEN, 20);
});

// Bursts

/** Bulk data with a window of segments in flight and a measured round-trip time. */
function bulk(rttMs: number): TcpHarness {
  const h = tcpHarness({ state: 'LISTEN' });
  h.fromGuest({ flags: 'S', seq: 5000, mss: 1460 });
  h.accept();
  h.advance(rttMs);
  h.fromGuest({ seq: 5001, ack: 1001 });
  h.all();
  h.write(200_000);
  let nxt = 1001;
  for (let round = 0; round < 3; round++) {
    nxt += h.all().reduce((sum, s) => sum + s.len, 0);
    h.advance(rttMs);
    h.fromGuest({ seq: 5001, ack: nxt });
  }
  h.all();
  return h;
}

segmentTest('bulk data on a short path waits for half a window, on a long path it follows each ACK', (t) => {
  for (const [rttMs, follows] of [
    [1, false],
    [20, true],
  ] as const) {
    const h = bulk(rttMs);
    const una = 1001 + h.c.snapshot().bytesSent;
    h.advance(rttMs);
    h.fromGuest({ seq: 5001, ack: una + 2 * 1460 });
    t.is(h.all().length > 0, follows, `round trip of ${rttMs} ms`);
    // However it is, ACKs of all that is in flight bring the rest out: nothing waits for ever.
    let ack = una + 2 * 1460;
    for (let i = 0; i < 400 && h.c.unsentOrUnacked > 0; i++) {
      ack = Math.min(ack + 2 * 1460, 1001 + 200_000);
      h.advance(1);
      h.fromGuest({ seq: 5001, ack });
      h.all();
    }
    t.is(h.c.unsentOrUnacked, 0);
    t.is(h.c.snapshot().retransmits, 0);
  }
});
