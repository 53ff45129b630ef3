// Every synchronized state against every kind of segment: RFC 9293 section 3.10.7.4, RFC 5961.

import { Drop } from '../../src/core/drop.ts';
import { segmentTest } from '../support/segment-test.ts';
import { type HarnessState, pattern, tcpHarness } from '../support/tcp-harness.ts';

/** What is in order in each state: next sequence of the guest, and our sndUna and sndNxt. */
const SYNCHRONIZED: { state: HarnessState; next: number; una: number; nxt: number }[] = [
  { state: 'ESTABLISHED', next: 5001, una: 1001, nxt: 1001 },
  { state: 'FIN-WAIT-1', next: 5001, una: 1001, nxt: 1002 },
  { state: 'FIN-WAIT-2', next: 5001, una: 1002, nxt: 1002 },
  { state: 'CLOSE-WAIT', next: 5002, una: 1001, nxt: 1001 },
  { state: 'CLOSING', next: 5002, una: 1001, nxt: 1002 },
  { state: 'LAST-ACK', next: 5002, una: 1001, nxt: 1002 },
  { state: 'TIME-WAIT', next: 5002, una: 1002, nxt: 1002 },
];

for (const { state, next, una, nxt } of SYNCHRONIZED) {
  segmentTest(`RFC 9293 3.10.7.4: ${state}: RST at RCV.NXT ends the connection`, (t) => {
    const h = tcpHarness({ state });
    h.fromGuest({ flags: 'R', seq: next });
    t.is(h.state, 'CLOSED');
    t.deepEqual(h.events, state === 'TIME-WAIT' ? [] : ['ended reset']);
    t.is(h.engine.count + h.engine.timeWait, 0);
    h.expectNothingMore();
  });

  segmentTest(`RFC 5961 3.2: ${state}: RST in the window but not at RCV.NXT is challenged`, (t) => {
    const h = tcpHarness({ state });
    h.fromGuest({ flags: 'R', seq: next + 1 });
    h.expectToGuest({ flags: 'A', seq: nxt, ack: next, len: 0 });
    h.expectNothingMore();
    t.is(h.state, state);
    t.is(h.drops(Drop.TcpBadReset), 1);
  });

  segmentTest(`RFC 5961 3.2: ${state}: RST outside the window is dropped without an answer`, (t) => {
    const h = tcpHarness({ state });
    h.fromGuest({ flags: 'R', seq: next - 1 });
    h.fromGuest({ flags: 'R', seq: next + 1_000_000 });
    h.fromGuest({ flags: 'RA', seq: next - 1, ack: nxt });
    h.expectNothingMore();
    t.is(h.state, state);
    t.is(h.drops(Drop.TcpOutOfWindow), 3);
  });

  if (state !== 'TIME-WAIT') {
    segmentTest(`RFC 5961 4.2: ${state}: SYN in the window is challenged`, (t) => {
      const h = tcpHarness({ state });
      h.fromGuest({ flags: 'S', seq: next + 10 });
      h.expectToGuest({ flags: 'A', seq: nxt, ack: next });
      h.expectNothingMore();
      t.is(h.state, state);
      t.is(h.drops(Drop.TcpChallenged), 1);
    });
  }

  segmentTest(`RFC 5961 4.2: ${state}: the guest's old SYN,ACK is answered with an ACK`, (t) => {
    const h = tcpHarness({ state });
    h.fromGuest({ flags: 'SA', seq: 5000, ack: 1001 });
    h.expectToGuest({ flags: 'A', seq: nxt, ack: next });
    h.expectNothingMore();
    t.is(h.state, state);
  });

  segmentTest(`RFC 9293 3.10.7.4: ${state}: data beyond the window is answered with an ACK and dropped`, (t) => {
    const h = tcpHarness({ state });
    h.fromGuest({ seq: next + 1_000_000, ack: nxt, len: 10 });
    h.expectToGuest({ flags: 'A', seq: nxt, ack: next });
    h.expectNothingMore();
    t.is(h.state, state);
    t.is(h.drops(Drop.TcpOutOfWindow), 1);
    t.is(h.received.length, 0);
  });

  segmentTest(`RFC 9293 3.10.7.4: ${state}: data before the window is answered with an ACK and dropped`, (t) => {
    const h = tcpHarness({ state });
    h.fromGuest({ seq: 4990, ack: nxt, len: 10 });
    h.expectToGuest({ flags: 'A', seq: nxt, ack: next });
    h.expectNothingMore();
    t.is(h.received.length, 0);
  });

  segmentTest(`RFC 9293 3.10.7.4: ${state}: a segment without ACK is dropped`, (t) => {
    const h = tcpHarness({ state });
    h.fromGuest({ flags: 'P', seq: next, len: 10 });
    h.expectNothingMore();
    t.is(h.received.length, 0);
    t.is(h.state, state);
  });

  segmentTest(`RFC 9293 3.10.7.4: ${state}: an ACK of what was never sent is answered and dropped`, (t) => {
    const h = tcpHarness({ state });
    h.fromGuest({ seq: next, ack: nxt + 1, len: 5 });
    h.expectToGuest({ flags: 'A', seq: nxt, ack: next });
    h.expectNothingMore();
    t.is(h.drops(Drop.TcpBadAck), 1);
    t.is(h.received.length, 0);
    t.is(h.state, state);
  });

  segmentTest(`RFC 5961 5: ${state}: an ACK older than the largest window is answered and dropped`, (t) => {
    const h = tcpHarness({ state });
    h.fromGuest({ seq: next, ack: una - 65536, len: 5 });
    h.expectToGuest({ flags: 'A', seq: nxt, ack: next });
    t.is(h.drops(Drop.TcpBadAck), 1);
    t.is(h.received.length, 0);
  });

  segmentTest(`RFC 5961 10: ${state}: one challenge ACK in 500 ms`, () => {
    const h = tcpHarness({ state });
    for (let i = 0; i < 10; i++) h.fromGuest({ flags: 'R', seq: next + 1 + i });
    h.expectToGuest({ flags: 'A', ack: next });
    h.expectNothingMore();
    h.advance(400);
    while (h.next() !== undefined); // our own FIN, sent again
    h.fromGuest({ flags: 'R', seq: next + 20 });
    h.expectNothingMore();
    h.advance(110);
    while (h.next() !== undefined);
    h.fromGuest({ flags: 'R', seq: next + 20 });
    h.expectToGuest({ flags: 'A', ack: next });
    h.expectNothingMore();
  });
}

// ESTABLISHED

segmentTest('RFC 9293 3.10.7.4: ESTABLISHED: data in order is delivered and acknowledged once per batch', (t) => {
  const h = tcpHarness();
  h.batch({ seq: 5001, ack: 1001, len: 100 }, { seq: 5101, ack: 1001, len: 50 }, { seq: 5151, ack: 1001, len: 1 });
  h.expectToGuest({ flags: 'A', seq: 1001, ack: 5152, len: 0 });
  h.expectNothingMore();
  t.deepEqual(h.events, ['data 100', 'data 50', 'data 1', 'flush']);
});

segmentTest('RFC 9293 3.10.7.4: ESTABLISHED: a pure ACK calls for nothing', (t) => {
  const h = tcpHarness();
  h.fromGuest({ seq: 5001, ack: 1001 });
  h.expectNothingMore();
  t.deepEqual(h.events, []);
});

segmentTest('RFC 9293 3.10.7.4: ESTABLISHED: FIN is acknowledged at once and leads to CLOSE-WAIT', (t) => {
  const h = tcpHarness();
  h.fromGuest({ flags: 'FA', seq: 5001, ack: 1001 });
  h.expectToGuest({ flags: 'A', seq: 1001, ack: 5002 });
  h.expectNothingMore();
  t.is(h.state, 'CLOSE-WAIT');
  t.deepEqual(h.events, ['closed']);
});

segmentTest('RFC 9293 3.10.7.4: ESTABLISHED: data and FIN in one segment arrive in that order', (t) => {
  const h = tcpHarness();
  h.fromGuest({ flags: 'FA', seq: 5001, ack: 1001, len: 3 });
  h.expectToGuest({ flags: 'A', ack: 5005 });
  t.deepEqual(h.events, ['data 3', 'closed', 'flush']);
});

segmentTest('RFC 9293 3.10.7.4: ESTABLISHED: a FIN that comes early waits for the data before it', (t) => {
  const h = tcpHarness();
  h.fromGuest({ flags: 'FA', seq: 5011, ack: 1001, len: 5 });
  h.expectToGuest({ flags: 'A', ack: 5001 });
  t.is(h.state, 'ESTABLISHED');
  h.fromGuest({ seq: 5001, ack: 1001, len: 10 });
  h.expectToGuest({ flags: 'A', ack: 5017 });
  t.is(h.state, 'CLOSE-WAIT');
  t.deepEqual(h.events, ['data 10', 'data 5', 'closed', 'flush']);
});

segmentTest('RFC 9293 3.10.7.4: ESTABLISHED: a FIN alone that comes early waits too', (t) => {
  const h = tcpHarness();
  h.fromGuest({ flags: 'FA', seq: 5011, ack: 1001 });
  h.expectToGuest({ flags: 'A', ack: 5001 });
  h.fromGuest({ seq: 5001, ack: 1001, len: 10 });
  h.expectToGuest({ flags: 'A', ack: 5012 });
  t.is(h.state, 'CLOSE-WAIT');
});

segmentTest('RFC 9293 3.10.4: ESTABLISHED: end() sends FIN behind all data', (t) => {
  const h = tcpHarness();
  h.c.write(new Uint8Array(100), 0, 100);
  h.end();
  h.expectToGuest({ flags: 'FA', seq: 1001, len: 100, ack: 5001 });
  h.expectNothingMore();
  t.is(h.state, 'FIN-WAIT-1');
});

segmentTest('RFC 9293 3.10.5: ESTABLISHED: reset() sends RST at SND.NXT', (t) => {
  const h = tcpHarness();
  h.write(10);
  h.expectToGuest({ flags: 'A', len: 10 });
  h.c.reset();
  h.expectToGuest({ flags: 'RA', seq: 1011, ack: 5001 });
  h.expectNothingMore();
  t.deepEqual(h.events, ['ended aborted']);
  t.is(h.engine.count, 0);
});

segmentTest('RFC 6093 3: ESTABLISHED: urgent data is delivered in line', (t) => {
  const h = tcpHarness();
  h.fromGuest({ flags: 'UA', seq: 5001, ack: 1001, len: 4 });
  h.expectToGuest({ flags: 'A', ack: 5005 });
  t.is(h.received.length, 4);
});

segmentTest('RFC 6093 3: ESTABLISHED: an urgent pointer beyond the data, or without URG, means nothing', (t) => {
  const h = tcpHarness();
  h.fromGuest({ flags: 'UA', seq: 5001, ack: 1001, len: 4, urgent: 0xffff });
  h.expectToGuest({ flags: 'A', ack: 5005 });
  h.fromGuest({ flags: 'UA', seq: 5005, ack: 1001, urgent: 5 });
  h.fromGuest({ flags: 'A', seq: 5005, ack: 1001, len: 3, urgent: 9 });
  h.expectToGuest({ flags: 'A', ack: 5008 });
  h.expectNothingMore();
  t.deepEqual(h.received, [...pattern(5001, 7)]);
});

// FIN-WAIT-1

segmentTest('RFC 9293 3.10.7.4: FIN-WAIT-1: the ACK of our FIN leads to FIN-WAIT-2', (t) => {
  const h = tcpHarness({ state: 'FIN-WAIT-1' });
  h.fromGuest({ seq: 5001, ack: 1002 });
  h.expectNothingMore();
  t.is(h.state, 'FIN-WAIT-2');
  t.deepEqual(h.events, []);
});

segmentTest('RFC 9293 3.10.7.4: FIN-WAIT-1: FIN without the ACK of ours leads to CLOSING', (t) => {
  const h = tcpHarness({ state: 'FIN-WAIT-1' });
  h.fromGuest({ flags: 'FA', seq: 5001, ack: 1001 });
  h.expectToGuest({ flags: 'A', seq: 1002, ack: 5002 });
  t.is(h.state, 'CLOSING');
  t.deepEqual(h.events, ['closed']);
});

segmentTest('RFC 9293 3.10.7.4: FIN-WAIT-1: FIN that acknowledges ours leads to TIME-WAIT', (t) => {
  const h = tcpHarness({ state: 'FIN-WAIT-1' });
  h.fromGuest({ flags: 'FA', seq: 5001, ack: 1002 });
  h.expectToGuest({ flags: 'A', seq: 1002, ack: 5002 });
  t.is(h.state, 'TIME-WAIT');
  t.deepEqual(h.events, ['closed', 'ended closed']);
});

segmentTest('RFC 9293 3.10.7.4: FIN-WAIT-1: data still arrives (half close)', (t) => {
  const h = tcpHarness({ state: 'FIN-WAIT-1' });
  h.fromGuest({ seq: 5001, ack: 1001, len: 20 });
  h.expectToGuest({ flags: 'A', ack: 5021 });
  t.is(h.received.length, 20);
});

segmentTest('RFC 6298 5.4: FIN-WAIT-1: an unacknowledged FIN is sent again', () => {
  const h = tcpHarness({ state: 'FIN-WAIT-1' });
  h.advance(210);
  h.expectToGuest({ flags: 'FA', seq: 1001, ack: 5001, len: 0 });
  h.expectNothingMore();
});

// FIN-WAIT-2

segmentTest('RFC 9293 3.10.7.4: FIN-WAIT-2: data arrives, FIN leads to TIME-WAIT', (t) => {
  const h = tcpHarness({ state: 'FIN-WAIT-2' });
  h.fromGuest({ seq: 5001, ack: 1002, len: 20 });
  h.expectToGuest({ flags: 'A', ack: 5021 });
  h.fromGuest({ flags: 'FA', seq: 5021, ack: 1002 });
  h.expectToGuest({ flags: 'A', seq: 1002, ack: 5022 });
  t.is(h.state, 'TIME-WAIT');
  t.deepEqual(h.events, ['data 20', 'flush', 'closed', 'ended closed']);
});

// CLOSE-WAIT

segmentTest('RFC 9293 3.10.7.4: CLOSE-WAIT: data can be sent, and its ACK is taken', (t) => {
  const h = tcpHarness({ state: 'CLOSE-WAIT' });
  h.write(300);
  h.expectToGuest({ flags: 'A', seq: 1001, len: 300, ack: 5002 });
  h.fromGuest({ seq: 5002, ack: 1301 });
  t.is(h.c.unsentOrUnacked, 0);
  h.end();
  h.expectToGuest({ flags: 'FA', seq: 1301, ack: 5002 });
  t.is(h.state, 'LAST-ACK');
});

segmentTest('RFC 9293 3.10.7.4: CLOSE-WAIT: the FIN again is acknowledged again', (t) => {
  const h = tcpHarness({ state: 'CLOSE-WAIT' });
  h.fromGuest({ flags: 'FA', seq: 5001, ack: 1001 });
  h.expectToGuest({ flags: 'A', ack: 5002 });
  t.is(h.state, 'CLOSE-WAIT');
  t.deepEqual(h.events, []);
});

segmentTest('RFC 9293 3.10.7.4: CLOSE-WAIT: data behind the FIN is ignored', (t) => {
  const h = tcpHarness({ state: 'CLOSE-WAIT' });
  h.fromGuest({ seq: 5002, ack: 1001, len: 10 });
  h.expectToGuest({ flags: 'A', ack: 5002 });
  t.is(h.received.length, 0);
  t.is(h.drops(Drop.TcpAfterClose), 1);
});

// CLOSING, LAST-ACK

segmentTest('RFC 9293 3.10.7.4: CLOSING: the ACK of our FIN leads to TIME-WAIT', (t) => {
  const h = tcpHarness({ state: 'CLOSING' });
  h.fromGuest({ seq: 5002, ack: 1002 });
  t.is(h.state, 'TIME-WAIT');
  t.deepEqual(h.events, ['ended closed']);
});

segmentTest('RFC 9293 3.10.7.4: LAST-ACK: the ACK of our FIN ends the connection', (t) => {
  const h = tcpHarness({ state: 'LAST-ACK' });
  h.fromGuest({ seq: 5002, ack: 1002 });
  h.expectNothingMore();
  t.is(h.state, 'CLOSED');
  t.deepEqual(h.events, ['ended closed']);
  t.is(h.engine.count, 0);
});

// TIME-WAIT

segmentTest('RFC 9293 3.10.7.4: TIME-WAIT: the FIN again is acknowledged and the time starts anew', (t) => {
  const h = tcpHarness({ state: 'TIME-WAIT' });
  h.advance(9_000);
  h.fromGuest({ flags: 'FA', seq: 5001, ack: 1002 });
  h.expectToGuest({ flags: 'A', seq: 1002, ack: 5002 });
  h.advance(9_000);
  t.is(h.engine.timeWait, 1);
  h.advance(1_100);
  t.is(h.engine.timeWait, 0);
});

segmentTest('RFC 9293 3.10.7.4: TIME-WAIT: a SYN with a higher sequence opens anew, above our old numbers', (t) => {
  const h = tcpHarness({ state: 'TIME-WAIT' });
  const old = h.c;
  const used = h.c.snd.sndNxt;
  h.fromGuest(h.syn({ seq: 6000 }));
  t.is(h.incoming, 2);
  t.not(h.c, old);
  t.is(h.engine.timeWait, 0);
  h.accept();
  h.expectToGuest({ flags: 'SA', ack: 6001 });
  t.true(((h.c.snd.iss - used) | 0) > 0);
});

segmentTest('RFC 9293 3.10.7.4: TIME-WAIT: a SYN with an old sequence is answered with an ACK', (t) => {
  const h = tcpHarness({ state: 'TIME-WAIT' });
  h.fromGuest(h.syn({ seq: 4000 }));
  h.expectToGuest({ flags: 'A', seq: 1002, ack: 5002 });
  t.is(h.incoming, 1);
});

segmentTest('RFC 6191 2: TIME-WAIT: a later timestamp opens anew whatever the sequence', (t) => {
  const h = tcpHarness({ state: 'TIME-WAIT', ts: [100, 0] });
  h.fromGuest(h.syn({ seq: 4000, ts: [101, 0] }));
  t.is(h.incoming, 2);
});

segmentTest('RFC 6191 2: TIME-WAIT: an older timestamp does not', (t) => {
  const h = tcpHarness({ state: 'TIME-WAIT', ts: [100, 0] });
  h.fromGuest(h.syn({ seq: 6000, ts: [99, 0] }));
  t.is(h.incoming, 1);
});

// No connection

segmentTest('RFC 9293 3.5.2: CLOSED: a segment with ACK gets RST at SEG.ACK', (t) => {
  const h = tcpHarness({ state: 'LISTEN' });
  h.fromGuest({ seq: 77, ack: 4711, len: 3 });
  h.expectToGuest({ flags: 'R', seq: 4711, ack: 0 });
  h.expectNothingMore();
  t.is(h.drops(Drop.TcpNoConnection), 1);
});

segmentTest('RFC 9293 3.5.2: CLOSED: a segment without ACK gets RST,ACK behind it', () => {
  const h = tcpHarness({ state: 'LISTEN' });
  h.fromGuest({ flags: 'F', seq: 77, len: 3 });
  h.expectToGuest({ flags: 'RA', seq: 0, ack: 81 });
});

segmentTest('RFC 9293 3.5.2: CLOSED: a RST is never answered', () => {
  const h = tcpHarness({ state: 'LISTEN' });
  h.fromGuest({ flags: 'R', seq: 77 });
  h.fromGuest({ flags: 'RA', seq: 77, ack: 4 });
  h.expectNothingMore();
});

segmentTest('RFC 9293 3.10.7.1: CLOSED: without a listener a SYN is refused', (t) => {
  const h = tcpHarness({ state: 'LISTEN' });
  h.engine.onIncoming = null;
  h.fromGuest(h.syn());
  h.expectToGuest({ flags: 'RA', seq: 0, ack: 5001 });
  t.is(h.engine.count, 0);
});

segmentTest('RFC 9293 3.1: a segment with a bad checksum is dropped', (t) => {
  const h = tcpHarness();
  h.fromGuest({ seq: 5001, ack: 1001, len: 10, badChecksum: true });
  h.expectNothingMore();
  t.is(h.received.length, 0);
  t.is(h.drops(Drop.TcpBadChecksum), 1);
});
