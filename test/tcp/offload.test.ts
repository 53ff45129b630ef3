// Segments that a kernel cuts and sums (Link.offload): the engine hands over many at once, and keeps its books by segment.

import { segmentTest } from '../support/segment-test.ts';
import { pattern, type TcpHarness, tcpHarness } from '../support/tcp-harness.ts';

const lens = (h: TcpHarness): number[] => h.all().map((s) => s.len);

/** A connection with room for ten segments of 1460 bytes in the congestion window, and more in the peer's. */
function open(options: Parameters<typeof tcpHarness>[0] = {}): TcpHarness {
  const h = tcpHarness({ wscale: 7, win: 8000, sackOk: true, offload: true, ...options });
  for (let i = 0; i < 60; i++) {
    h.write(1460);
    h.all();
    h.fromGuest({ seq: 5001, ack: 1001 + (i + 1) * 1460 });
  }
  return h;
}

const AT = 1001 + 60 * 1460;

segmentTest('full segments leave in one piece, the short one behind them', (t) => {
  const h = open();
  const bytes = pattern(0, 12_000);
  h.c.write(bytes, 0, bytes.length);
  h.engine.flush();
  const sent = h.all();
  t.deepEqual(
    sent.map((s) => s.len),
    [8 * 1460, 12_000 - 8 * 1460],
  );
  t.deepEqual(Buffer.concat(sent.map((s) => s.data)), Buffer.from(bytes));
});

segmentTest('a piece fits the length field of an IP packet, and the windows', (t) => {
  const big = open();
  big.write(200_000);
  const [first] = lens(big);
  t.true(first! <= 0xfc00 - 60 && first! % 1460 === 0, `${first}`);
  const small = open({ win: 100, limits: { burstSegments: 64 } });
  small.write(60_000);
  t.true(lens(small).reduce((sum, len) => sum + len, 0) <= 100 << 7);
});

segmentTest('a lost part of a piece is sent again alone', (t) => {
  const h = open();
  h.write(10 * 1460);
  t.deepEqual(lens(h), [14_600]);
  const hole = AT + 2 * 1460;
  h.clock.advance(1);
  const sacks = [3, 4, 5, 6, 7, 8, 9];
  h.batch(...sacks.map((i) => ({ seq: 5001, ack: hole, sack: [[hole + 1460, AT + (i + 1) * 1460]] as const })));
  const again = h.all();
  t.deepEqual(
    again.map((s) => [s.seq, s.len]),
    [[hole, 1460]],
  );
  h.fromGuest({ seq: 5001, ack: AT + 14_600 });
  t.is(h.c.snapshot().unacked, 0);
});

segmentTest('a peer with smaller segments than the MTU gets them one by one: the kernel cuts by the MTU', (t) => {
  const h = open({ mss: 1000 });
  h.write(5000);
  t.deepEqual(lens(h), [1000, 1000, 1000, 1000, 1000]);
});

segmentTest('the FIN goes with the last, short segment', (t) => {
  const h = open();
  h.c.write(pattern(0, 3000), 0, 3000);
  h.c.end();
  h.engine.flush();
  t.deepEqual(
    h.all().map((s) => [s.len, s.flags]),
    [
      [2920, 'A'],
      [80, 'FA'],
    ],
  );
});

segmentTest('checksums are left to the link, and not looked at where the link is trusted', (t) => {
  const h = open();
  h.fromGuest({ seq: 5001, ack: AT, len: 100, badChecksum: true, trusted: true });
  t.is(h.received.length, 100);
  h.fromGuest({ seq: 5101, ack: AT, len: 100, badChecksum: true });
  t.is(h.received.length, 100);
});
