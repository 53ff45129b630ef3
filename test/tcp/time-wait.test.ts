// What is left of a connection in TIME-WAIT; what segments do to it: states.test.ts.
import { endpointIpv4 } from '../../src/core/address.ts';
import { segmentTest } from '../support/segment-test.ts';
import { GUEST, type TcpHarness, tcpHarness } from '../support/tcp-harness.ts';

/** Opens a connection from a port of the guest and closes it, ours first. */
function pass(h: TcpHarness, guestPort: number): void {
  h.fromGuest(h.syn({ guestPort }));
  h.accept();
  h.fromGuest({ seq: 5001, ack: 1001, guestPort });
  h.end();
  h.fromGuest({ flags: 'FA', seq: 5001, ack: 1002, guestPort });
  h.all();
}

/** What a FIN that comes again from that port is answered with. */
function finAgain(h: TcpHarness, guestPort: number): void {
  h.fromGuest({ flags: 'FA', seq: 5001, ack: 1002, guestPort });
}

segmentTest('TIME-WAIT: the connection is over for its owner and takes no memory of buffers', (t) => {
  const h = tcpHarness({ state: 'TIME-WAIT' });
  t.true(h.c.over);
  t.deepEqual([...h.engine.connections()], []);
  t.deepEqual([h.engine.count, h.engine.timeWait, h.engine.memoryUsed], [0, 1, 0]);
  t.is(h.engine.find(h.c.local, h.c.remote), null);
  t.false(h.engine.isFree(h.c.local, h.c.remote));
  t.true(h.engine.isFree(h.c.local, endpointIpv4(GUEST, 1)));
  h.c.reset();
  h.expectNothingMore();
  t.is(h.engine.timeWait, 1);
});

segmentTest('TIME-WAIT: timestamps and SACK go on as they were agreed upon', (t) => {
  const h = tcpHarness({ state: 'TIME-WAIT', ts: [100, 0], sackOk: true });
  h.fromGuest({ flags: 'A', seq: 4990, ack: 1002, len: 4, ts: [101, 0] });
  h.expectToGuest({ flags: 'A', seq: 1002, ack: 5002, sack: [[4990, 4994]] });
  h.fromGuest({ flags: 'FA', seq: 5001, ack: 1002 });
  h.expectNothingMore();
  t.is(h.engine.timeWait, 1);
});

segmentTest('TIME-WAIT: beyond the bound the oldest are given up, whatever was taken out between', (t) => {
  const h = tcpHarness({ state: 'TIME-WAIT', limits: { maxTimeWait: 4 } });
  for (const port of [1, 2, 3]) pass(h, port);
  t.is(h.engine.timeWait, 4);
  h.fromGuest({ flags: 'R', seq: 5002, guestPort: 2 }); // ends it: RFC 9293 section 3.10.7.4
  t.is(h.engine.timeWait, 3);
  for (const port of [4, 5, 6]) pass(h, port);
  t.is(h.engine.timeWait, 4);
  for (const port of [3, 4, 5, 6]) {
    finAgain(h, port);
    h.expectToGuest({ flags: 'A', ack: 5002, guestPort: port });
  }
  for (const port of [1, 2]) {
    finAgain(h, port);
    h.expectToGuest({ flags: 'R', guestPort: port });
  }
  t.is(h.engine.timeWait, 4);
});

segmentTest('TIME-WAIT: each has its own time, and one that is asked for again a new one', (t) => {
  const h = tcpHarness({ state: 'TIME-WAIT' });
  h.advance(3000);
  pass(h, 1);
  h.advance(3000);
  pass(h, 2);
  finAgain(h, 1);
  h.advance(4100);
  t.is(h.engine.timeWait, 2);
  h.advance(5800);
  t.is(h.engine.timeWait, 2);
  h.advance(200);
  t.is(h.engine.timeWait, 0);
  pass(h, 1);
  h.advance(9900);
  t.is(h.engine.timeWait, 1);
  h.advance(200);
  t.is(h.engine.timeWait, 0);
});

segmentTest('TIME-WAIT: closeAll() forgets it without a word; a bound of 0 keeps none', (t) => {
  const h = tcpHarness({ state: 'TIME-WAIT' });
  h.engine.closeAll();
  h.expectNothingMore();
  t.is(h.engine.timeWait, 0);
  h.advance(20_000);
  pass(h, 1);
  t.is(h.engine.timeWait, 1);
  const none = tcpHarness({ limits: { maxTimeWait: 0 } });
  pass(none, 1);
  t.is(none.engine.timeWait, 0);
  t.true(none.c.over);
  finAgain(none, 1);
  none.expectToGuest({ flags: 'R' });
});
