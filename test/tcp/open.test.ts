// Opening: deferred, passive, active, simultaneous; options; limits on half-open connections.

import test from 'ava';
import { endpointIpv4 } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import type { TcpConnection } from '../../src/tcp/index.ts';
import { segmentTest } from '../support/segment-test.ts';
import { GUEST, GUEST_PORT, SERVER, SERVER_PORT, type TcpHarness, tcpHarness } from '../support/tcp-harness.ts';

const OTHER = 0x0a000002;

// Deferred

segmentTest('deferred open: a SYN is held without an answer until accept()', (t) => {
  const h = tcpHarness({ state: 'DEFERRED' });
  h.expectNothingMore();
  t.true(h.c.deferred);
  t.is(h.engine.halfOpen, 1);
  t.is(h.c.local.toString(), '10.0.0.1:80');
  t.is(h.c.remote.toString(), '10.0.2.15:40000');
  h.accept();
  h.expectToGuest({ flags: 'SA', seq: 1000, ack: 5001, len: 0 });
  h.expectNothingMore();
  t.false(h.c.deferred);
  h.fromGuest({ seq: 5001, ack: 1001 });
  h.expectNothingMore();
  t.is(h.state, 'ESTABLISHED');
  t.deepEqual(h.events, ['established']);
  t.is(h.engine.halfOpen, 0);
});

segmentTest('RFC 9293 3.10.7.2: refuse() answers RST,ACK with ack = SEG.SEQ + 1', (t) => {
  const h = tcpHarness({ state: 'DEFERRED' });
  h.c.refuse();
  h.expectToGuest({ flags: 'RA', seq: 0, ack: 5001 });
  h.expectNothingMore();
  t.is(h.engine.count, 0);
  t.is(h.engine.halfOpen, 0);
  t.deepEqual(h.events, []);
});

segmentTest('deferred open: discard() says nothing and forgets', (t) => {
  const h = tcpHarness({ state: 'DEFERRED' });
  h.c.discard();
  h.expectNothingMore();
  t.is(h.engine.count, 0);
  t.deepEqual(h.events, []);
});

segmentTest('deferred open: the same SYN again is ignored', (t) => {
  const h = tcpHarness({ state: 'DEFERRED' });
  h.fromGuest(h.syn());
  h.advance(1000);
  h.fromGuest(h.syn());
  h.expectNothingMore();
  t.is(h.incoming, 1);
});

segmentTest('deferred open: a SYN with another sequence starts again', (t) => {
  const h = tcpHarness({ state: 'DEFERRED' });
  const first = h.c;
  h.fromGuest(h.syn({ seq: 9000 }));
  h.expectNothingMore();
  t.is(h.incoming, 2);
  t.true(first.over);
  t.deepEqual(h.events, ['ended reset']);
  h.accept();
  h.expectToGuest({ flags: 'SA', ack: 9001 });
});

segmentTest('deferred open: RST of the guest ends it', (t) => {
  const h = tcpHarness({ state: 'DEFERRED' });
  h.fromGuest({ flags: 'R', seq: 7000 });
  t.is(h.engine.count, 1);
  h.fromGuest({ flags: 'R', seq: 5001 });
  h.expectNothingMore();
  t.is(h.engine.count, 0);
  t.deepEqual(h.events, ['ended reset']);
});

segmentTest('RFC 9293 3.10.7.4: deferred open: an ACK of nothing gets RST and changes nothing', (t) => {
  const h = tcpHarness({ state: 'DEFERRED' });
  h.fromGuest({ seq: 5001, ack: 4711 });
  h.expectToGuest({ flags: 'R', seq: 4711 });
  t.true(h.c.deferred);
});

segmentTest('deferred open: without a decision it ends silently', (t) => {
  const h = tcpHarness({ state: 'DEFERRED', limits: { deferMs: 5000 } });
  h.advance(4990);
  t.is(h.engine.count, 1);
  h.advance(20);
  h.expectNothingMore();
  t.is(h.engine.count, 0);
  t.deepEqual(h.events, ['ended timeout']);
});

segmentTest('deferred open: accept() and refuse() afterwards do nothing', () => {
  const h = tcpHarness({ state: 'DEFERRED' });
  h.c.discard();
  h.c.refuse();
  h.accept();
  h.expectNothingMore();
});

// SYN-RECEIVED

segmentTest('RFC 9293 3.10.7.4: SYN-RECEIVED: the SYN again gets the SYN,ACK again', (t) => {
  const h = tcpHarness({ state: 'SYN-RECEIVED' });
  h.fromGuest(h.syn());
  h.expectToGuest({ flags: 'SA', seq: 1000, ack: 5001 });
  t.is(h.state, 'SYN-RECEIVED');
});

segmentTest('RFC 9293 3.10.7.4: SYN-RECEIVED: an ACK outside of what was sent gets RST', (t) => {
  const h = tcpHarness({ state: 'SYN-RECEIVED' });
  for (const ack of [1000, 1002, 900]) {
    h.fromGuest({ seq: 5001, ack });
    h.expectToGuest({ flags: 'R', seq: ack });
  }
  h.expectNothingMore();
  t.is(h.state, 'SYN-RECEIVED');
  t.is(h.drops(Drop.TcpBadAck), 3);
});

segmentTest('RFC 9293 3.10.7.4: SYN-RECEIVED: RST at RCV.NXT ends it', (t) => {
  const h = tcpHarness({ state: 'SYN-RECEIVED' });
  h.fromGuest({ flags: 'R', seq: 5001 });
  h.expectNothingMore();
  t.deepEqual(h.events, ['ended reset']);
  t.is(h.engine.halfOpen, 0);
});

segmentTest('RFC 9293 3.10.7.4: SYN-RECEIVED: data with the ACK of the handshake is taken', (t) => {
  const h = tcpHarness({ state: 'SYN-RECEIVED' });
  h.fromGuest({ seq: 5001, ack: 1001, len: 10 });
  h.expectToGuest({ flags: 'A', ack: 5011 });
  t.deepEqual(h.events, ['established', 'data 10', 'flush']);
});

segmentTest('RFC 9293 3.10.7.4: SYN-RECEIVED: FIN with the ACK of the handshake leads to CLOSE-WAIT', (t) => {
  const h = tcpHarness({ state: 'SYN-RECEIVED' });
  h.fromGuest({ flags: 'FA', seq: 5001, ack: 1001 });
  h.expectToGuest({ flags: 'A', ack: 5002 });
  t.is(h.state, 'CLOSE-WAIT');
});

segmentTest('RFC 9293 3.10.3: SYN-RECEIVED: data written early leaves with the handshake complete', (t) => {
  const h = tcpHarness({ state: 'SYN-RECEIVED' });
  t.is(h.write(20), 20);
  h.expectNothingMore();
  h.fromGuest({ seq: 5001, ack: 1001 });
  h.expectToGuest({ flags: 'A', seq: 1001, len: 20 });
});

segmentTest('RFC 9293 3.10.4: SYN-RECEIVED: end() sends FIN when the handshake is complete', (t) => {
  const h = tcpHarness({ state: 'SYN-RECEIVED' });
  h.end();
  h.expectNothingMore();
  h.fromGuest({ seq: 5001, ack: 1001 });
  h.expectToGuest({ flags: 'FA', seq: 1001 });
  t.is(h.state, 'FIN-WAIT-1');
});

segmentTest('RFC 6298 2.1: SYN-RECEIVED: SYN,ACK is sent again after 1, 3 and 7 s and given up after 10 s', (t) => {
  const h = tcpHarness({ state: 'SYN-RECEIVED' });
  const start = h.clock.now();
  h.advance(30_000);
  t.deepEqual(
    h.all().map((s) => Math.round((s.atMs - start) / 100) / 10),
    [1, 3, 7],
  );
  t.deepEqual(h.events, ['ended timeout']);
  t.is(h.engine.count, 0);
});

segmentTest('RFC 5961 4.2: SYN-RECEIVED: a SYN with another sequence is challenged', (t) => {
  const h = tcpHarness({ state: 'SYN-RECEIVED' });
  h.fromGuest(h.syn({ seq: 5100 }));
  h.expectToGuest({ flags: 'A', seq: 1001, ack: 5001 });
  t.is(h.state, 'SYN-RECEIVED');
});

// Active open

segmentTest('RFC 9293 3.10.1: connect() sends SYN with MSS, window scale and SACK-permitted', (t) => {
  const h = tcpHarness({ state: 'LISTEN' });
  h.connect();
  const syn = h.expectToGuest({ flags: 'S', seq: 1000, ack: 0, mss: 1460, wscale: 7, sackOk: true, ts: null });
  t.is(syn.win, 65535);
  h.expectNothingMore();
  t.is(h.state, 'SYN-SENT');
});

segmentTest('RFC 9293 3.10.7.3: SYN-SENT: SYN,ACK is acknowledged and establishes', (t) => {
  const h = tcpHarness({ state: 'SYN-SENT' });
  h.fromGuest(h.syn({ flags: 'SA', ack: 1001 }));
  h.expectToGuest({ flags: 'A', seq: 1001, ack: 5001, len: 0 });
  h.expectNothingMore();
  t.deepEqual(h.events, ['established']);
  t.is(h.state, 'ESTABLISHED');
});

segmentTest('RFC 9293 3.10.7.3: SYN-SENT: data of the SYN,ACK is not acknowledged', (t) => {
  const h = tcpHarness({ state: 'SYN-SENT' });
  h.fromGuest(h.syn({ flags: 'SA', ack: 1001, len: 10 }));
  h.expectToGuest({ flags: 'A', ack: 5001 });
  t.is(h.received.length, 0);
});

segmentTest('RFC 9293 3.10.7.3: SYN-SENT: an ACK outside of what was sent gets RST', (t) => {
  const h = tcpHarness({ state: 'SYN-SENT' });
  h.fromGuest(h.syn({ flags: 'SA', ack: 1000 }));
  h.expectToGuest({ flags: 'R', seq: 1000 });
  h.fromGuest({ flags: 'A', seq: 5001, ack: 1002 });
  h.expectToGuest({ flags: 'R', seq: 1002 });
  h.expectNothingMore();
  t.is(h.state, 'SYN-SENT');
});

segmentTest('RFC 9293 3.10.7.3: SYN-SENT: RST,ACK of our SYN refuses', (t) => {
  const h = tcpHarness({ state: 'SYN-SENT' });
  h.fromGuest({ flags: 'RA', seq: 0, ack: 1001 });
  h.expectNothingMore();
  t.deepEqual(h.events, ['ended refused']);
  t.is(h.engine.count, 0);
});

segmentTest('RFC 9293 3.10.7.3: SYN-SENT: RST without a valid ACK is dropped', (t) => {
  const h = tcpHarness({ state: 'SYN-SENT' });
  h.fromGuest({ flags: 'R', seq: 1 });
  h.fromGuest({ flags: 'RA', seq: 1, ack: 999 });
  h.expectNothingMore();
  t.is(h.state, 'SYN-SENT');
});

segmentTest('RFC 9293 3.10.7.3: SYN-SENT: ACK without SYN is dropped', (t) => {
  const h = tcpHarness({ state: 'SYN-SENT' });
  h.fromGuest({ seq: 5001, ack: 1001 });
  h.expectNothingMore();
  t.is(h.state, 'SYN-SENT');
});

segmentTest('RFC 9293 3.5 figure 8: simultaneous open', (t) => {
  const h = tcpHarness({ state: 'SYN-SENT' });
  h.fromGuest(h.syn());
  h.expectToGuest({ flags: 'SA', seq: 1000, ack: 5001 });
  t.is(h.state, 'SYN-RECEIVED');
  h.fromGuest(h.syn({ flags: 'SA', ack: 1001 }));
  h.expectToGuest({ flags: 'A', seq: 1001, ack: 5001 });
  h.expectNothingMore();
  t.is(h.state, 'ESTABLISHED');
  t.deepEqual(h.events, ['established']);
});

segmentTest('RFC 9293 3.5: simultaneous open completed by a plain ACK', (t) => {
  const h = tcpHarness({ state: 'SYN-RECEIVED', active: true });
  h.fromGuest({ seq: 5001, ack: 1001 });
  t.is(h.state, 'ESTABLISHED');
});

segmentTest('RFC 9293 3.10.7.4: simultaneous open: RST refuses', (t) => {
  const h = tcpHarness({ state: 'SYN-RECEIVED', active: true });
  h.fromGuest({ flags: 'R', seq: 5001 });
  t.deepEqual(h.events, ['ended refused']);
});

segmentTest('RFC 6298 2.1: SYN-SENT: SYN is sent again after 1, 3 and 7 s and given up after 10 s', (t) => {
  const h = tcpHarness({ state: 'SYN-SENT' });
  const start = h.clock.now();
  h.advance(30_000);
  t.deepEqual(
    h.all().map((s) => [s.flags, Math.round((s.atMs - start) / 100) / 10]),
    [
      ['S', 1],
      ['S', 3],
      ['S', 7],
    ],
  );
  t.deepEqual(h.events, ['ended timeout']);
});

segmentTest('RFC 6298 5.7: after a lost SYN the timeout of the first data is 3 s', () => {
  const h = tcpHarness({ state: 'SYN-SENT' });
  h.advance(1010);
  h.expectToGuest({ flags: 'S' });
  h.fromGuest(h.syn({ flags: 'SA', ack: 1001 }));
  h.expectToGuest({ flags: 'A' });
  h.write(10);
  h.expectToGuest({ flags: 'A', len: 10 });
  h.advance(2990);
  h.expectNothingMore();
  h.advance(20);
  h.expectToGuest({ flags: 'A', len: 10, seq: 1001 });
});

segmentTest('RFC 9293 3.10.5: SYN-SENT: reset() forgets without a RST', (t) => {
  const h = tcpHarness({ state: 'SYN-SENT' });
  h.c.reset();
  h.expectNothingMore();
  t.deepEqual(h.events, ['ended aborted']);
});

segmentTest('connect() refuses a 4-tuple in use, and takes one over from TIME-WAIT', (t) => {
  const h = tcpHarness();
  const local = endpointIpv4(SERVER, SERVER_PORT);
  const remote = endpointIpv4(GUEST, GUEST_PORT);
  t.throws(() => h.engine.connect(local, remote, h.path, h), { instanceOf: RangeError });
  t.is(h.engine.find(local, remote), h.c);
  const w = tcpHarness({ state: 'TIME-WAIT' });
  const used = w.c.snd.sndNxt;
  w.connect();
  w.expectToGuest({ flags: 'S' });
  t.is(w.engine.timeWait, 0);
  t.true(((w.c.snd.iss - used) | 0) > 0);
});

// Options

segmentTest('RFC 7323 2.2: window scale is answered only when offered', () => {
  const h = tcpHarness({ state: 'DEFERRED', wscale: 7 });
  h.accept();
  h.expectToGuest({ flags: 'SA', wscale: 7, win: 65535 });
  const plain = tcpHarness({ state: 'DEFERRED' });
  plain.accept();
  plain.expectToGuest({ flags: 'SA', wscale: -1, win: 65535 });
});

segmentTest('RFC 7323 2.2: windows of SYN segments are not scaled, later ones are', (t) => {
  const h = tcpHarness({ wscale: 7, win: 1000 });
  t.is(h.c.snapshot().sndWnd, 128_000);
  const syn = tcpHarness({ state: 'SYN-SENT' });
  syn.fromGuest(syn.syn({ flags: 'SA', ack: 1001, wscale: 7, win: 1000 }));
  t.is(syn.c.snapshot().sndWnd, 1000);
});

segmentTest('RFC 7323 2.3: a shift above 14 is taken as 14', (t) => {
  const h = tcpHarness({ wscale: 15, win: 4 });
  t.is(h.c.snapshot().sndWnd, 65536);
});

segmentTest('RFC 2018 2: SACK is permitted only when offered', () => {
  const h = tcpHarness({ state: 'DEFERRED', sackOk: true });
  h.accept();
  h.expectToGuest({ flags: 'SA', sackOk: true });
  const plain = tcpHarness({ state: 'DEFERRED' });
  plain.accept();
  plain.expectToGuest({ flags: 'SA', sackOk: false });
});

segmentTest('RFC 7323 3.2: timestamps are answered only when offered, with the echo', (t) => {
  const h = tcpHarness({ state: 'DEFERRED', ts: [4711, 0] });
  h.accept();
  t.is(h.expectToGuest({ flags: 'SA' }).ts?.[1], 4711);
  const plain = tcpHarness({ state: 'DEFERRED' });
  plain.accept();
  plain.expectToGuest({ flags: 'SA', ts: null });
  const off = tcpHarness({ state: 'DEFERRED', ts: [4711, 0], limits: { timestamps: false } });
  off.accept();
  off.expectToGuest({ flags: 'SA', ts: null });
});

segmentTest('RFC 9293 3.7.1: MSS follows the MTU of the path', () => {
  const h = tcpHarness({ state: 'DEFERRED', mtu: 9000, wscale: 7 });
  h.accept();
  h.expectToGuest({ flags: 'SA', mss: 8960 });
});

segmentTest('MSS is at most a quarter of the window', () => {
  const h = tcpHarness({ state: 'DEFERRED', mtu: 65_535 });
  h.accept();
  h.expectToGuest({ flags: 'SA', mss: 16_383 });
  const scaled = tcpHarness({ state: 'DEFERRED', mtu: 65_535, wscale: 7 });
  scaled.accept();
  scaled.expectToGuest({ flags: 'SA', mss: 65_495 });
});

// Limits

segmentTest('half-open connections per remote: the oldest makes room when it is no longer young', (t) => {
  const h = tcpHarness({ state: 'LISTEN', limits: { maxHalfOpenPerRemote: 3 } });
  h.fromGuest(h.syn({ guestPort: 1, serverPort: 11 }));
  const oldest = h.c;
  for (let i = 2; i <= 4; i++) h.fromGuest(h.syn({ guestPort: i, serverPort: 10 + i }));
  t.false(oldest.over);
  t.is(h.engine.waitingSyns, 1);
  h.expectNothingMore();
  h.advance(1000);
  h.fromGuest(h.syn({ guestPort: 4, serverPort: 14 })); // again, as guests do
  t.is(h.engine.waitingSyns, 0);
  t.true(oldest.over);
  h.expectToGuest({ flags: 'RA', ack: 5001, guestPort: 1 });
  h.expectNothingMore();
  t.is(h.engine.halfOpen, 3);
  t.is(h.incoming, 4);
  t.deepEqual(h.events, ['ended aborted']);
});

segmentTest('half-open connections of one remote do not push out those of others', (t) => {
  const h = tcpHarness({ state: 'LISTEN', limits: { maxHalfOpenPerRemote: 2 } });
  h.fromGuest(h.syn({ guest: 0x0a000210 }));
  const other = h.c;
  for (let i = 1; i <= 5; i++) {
    h.fromGuest(h.syn({ guestPort: i }));
    h.advance(1000);
  }
  t.false(other.over);
  t.is(h.engine.halfOpen, 3);
});

segmentTest('half-open connections in all: the oldest makes room', (t) => {
  const h = tcpHarness({ state: 'LISTEN', limits: { maxHalfOpen: 2 } });
  h.fromGuest(h.syn({ guest: 0x0a000210 }));
  const oldest = h.c;
  h.fromGuest(h.syn({ guest: 0x0a000211 }));
  h.fromGuest(h.syn({ guest: 0x0a000212 }));
  t.false(oldest.over, 'not while it is young');
  h.advance(1000);
  h.fromGuest(h.syn({ guest: 0x0a000212 }));
  t.true(oldest.over);
  t.is(h.engine.halfOpen, 2);
});

segmentTest('half-open connections between one pair of addresses: the SYN waits, those of other pairs do not', (t) => {
  const h = tcpHarness({ state: 'LISTEN', limits: { maxHalfOpenPerPair: 2 } });
  for (let i = 1; i <= 3; i++) h.fromGuest(h.syn({ guestPort: i }));
  h.expectNothingMore();
  t.is(h.incoming, 2);
  t.is(h.engine.waitingSyns, 1);
  h.fromGuest(h.syn({ guestPort: 9, server: OTHER }));
  t.is(h.c.remote.port, 9);
  h.advance(5000);
  h.fromGuest(h.syn({ guestPort: 4 }));
  t.is(h.incoming, 3, 'however old the others are');
  t.is(h.drops(Drop.TcpHalfOpenLimit), 0);
});

/** Ports of the connections that came in, in order. */
function portsSeen(h: TcpHarness): number[] {
  const ports: number[] = [];
  const { onIncoming } = h.engine;
  h.engine.onIncoming = (c, p) => {
    ports.push(c.remote.port);
    onIncoming!(c, p);
  };
  return ports;
}

segmentTest('SYNs that wait are taken up in order, as soon as there are places', (t) => {
  const h = tcpHarness({ state: 'LISTEN', limits: { maxHalfOpenPerPair: 2 } });
  const ports = portsSeen(h);
  for (let i = 1; i <= 5; i++) h.fromGuest(h.syn({ guestPort: i, wscale: 7, sackOk: true, mss: 1000 }));
  t.deepEqual(ports, [1, 2]);
  h.c.refuse();
  h.engine.flush();
  t.deepEqual(ports, [1, 2, 3]);
  h.accept();
  t.is(ports.length, 3, 'the answer to a SYN frees no place');
  h.fromGuest({ seq: 5001, ack: 1001, guestPort: 3 });
  t.deepEqual(ports, [1, 2, 3, 4]);
  h.accept();
  h.all();
  h.fromGuest({ seq: 5001, ack: 1001, guestPort: 4 });
  t.deepEqual(ports, [1, 2, 3, 4, 5]);
  h.accept();
  h.expectToGuest({ flags: 'SA', ack: 5001, wscale: 7, sackOk: true, guestPort: 5 });
  h.fromGuest({ seq: 5001, ack: 1001, guestPort: 5 });
  h.write(1500);
  t.deepEqual(
    h.all().map((s) => s.len),
    [1000, 500],
    'its options were kept',
  );
  t.is(h.engine.waitingSyns, 0);
});

segmentTest('places go to destinations in turn, and to guests in turn', (t) => {
  const h = tcpHarness({ state: 'LISTEN', limits: { maxHalfOpen: 1, halfOpenGraceMs: 1e6 } });
  const ports = portsSeen(h);
  const neighbor = 0x0a000210;
  for (let i = 1; i <= 3; i++) h.fromGuest(h.syn({ guestPort: i }));
  for (let i = 11; i <= 12; i++) h.fromGuest(h.syn({ guestPort: i, server: OTHER }));
  h.fromGuest(h.syn({ guestPort: 21, guest: neighbor }));
  while (h.engine.halfOpen > 0) {
    h.c.refuse();
    h.engine.flush();
  }
  t.deepEqual(ports, [1, 2, 21, 11, 3, 12]);
});

segmentTest('a SYN that waits: its repetition keeps its place, another sequence replaces it, RST withdraws it', (t) => {
  const h = tcpHarness({ state: 'LISTEN', limits: { maxHalfOpenPerPair: 1 } });
  const ports = portsSeen(h);
  for (let i = 1; i <= 4; i++) h.fromGuest(h.syn({ guestPort: i }));
  h.fromGuest(h.syn({ guestPort: 2, seq: 9000 }));
  t.is(h.engine.waitingSyns, 3);
  h.fromGuest({ flags: 'R', seq: 5001, guestPort: 2 });
  t.is(h.engine.waitingSyns, 3, 'not the SYN that it is about');
  h.fromGuest({ flags: 'R', seq: 5001, guestPort: 3 });
  t.is(h.engine.waitingSyns, 2);
  h.c.refuse();
  h.engine.flush();
  h.all();
  h.accept();
  h.expectToGuest({ flags: 'SA', ack: 9001, guestPort: 2 });
  h.fromGuest({ seq: 9001, ack: 1001, guestPort: 2 });
  t.deepEqual(ports, [1, 2, 4]);
});

segmentTest('a SYN that waits and is not repeated for 10 s is forgotten', (t) => {
  const h = tcpHarness({ state: 'LISTEN', limits: { maxHalfOpenPerPair: 1 } });
  const ports = portsSeen(h);
  for (let i = 1; i <= 3; i++) h.fromGuest(h.syn({ guestPort: i }));
  h.advance(6000);
  h.fromGuest(h.syn({ guestPort: 3 }));
  h.advance(5000);
  h.c.refuse();
  h.engine.flush();
  t.deepEqual(ports, [1, 3]);
  t.is(h.engine.waitingSyns, 0);
});

segmentTest('SYNs that wait are bounded, of one remote and in all; closeAll() forgets them', (t) => {
  const h = tcpHarness({
    state: 'LISTEN',
    limits: { maxHalfOpenPerPair: 1, maxWaitingSyns: 5, maxWaitingSynsPerRemote: 3 },
  });
  for (let i = 1; i <= 10; i++) h.fromGuest(h.syn({ guestPort: i }));
  t.is(h.engine.waitingSyns, 3);
  t.is(h.drops(Drop.TcpHalfOpenLimit), 6);
  for (let i = 1; i <= 10; i++) h.fromGuest(h.syn({ guestPort: i, guest: 0x0a000210 }));
  t.is(h.engine.waitingSyns, 5);
  t.is(h.drops(Drop.TcpHalfOpenLimit), 6 + 7);
  h.expectNothingMore();
  h.advance(10_000);
  h.fromGuest(h.syn({ guestPort: 77 }));
  t.is(h.engine.waitingSyns, 1, 'those that nobody repeated make room');
  h.engine.closeAll();
  h.engine.flush();
  t.is(h.engine.waitingSyns, 0);
  t.is(h.engine.count, 0);
});

segmentTest('a 4-tuple in TIME-WAIT whose new SYN waits is answered above its old sequence numbers', (t) => {
  const h = tcpHarness({ state: 'TIME-WAIT', limits: { maxHalfOpenPerPair: 1 } });
  const used = h.c.snd.sndNxt;
  h.fromGuest(h.syn({ guestPort: 1 }));
  h.fromGuest(h.syn({ seq: 6000 }));
  t.is(h.engine.waitingSyns, 1);
  h.c.refuse();
  h.engine.flush();
  h.accept();
  t.true(((h.c.snd.iss - used) | 0) > 0);
});

segmentTest('1,500 connects at once between one pair of addresses are all opened without a SYN sent again', (t) => {
  const h = tcpHarness({ state: 'LISTEN' });
  const queue: TcpConnection[] = [];
  h.engine.onIncoming = (c) => {
    queue.push(c);
    c.path = h.path;
  };
  h.batch(...Array.from({ length: 1500 }, (_, i) => h.syn({ guestPort: i + 1 })));
  t.is(queue.length, 64);
  t.is(h.engine.halfOpen + h.engine.waitingSyns, 1500);
  let open = 0;
  for (let turn = 0; turn < 40 && queue.length > 0; turn++) {
    const batch = queue.splice(0);
    t.true(h.engine.halfOpen <= 64);
    for (const c of batch) {
      c.accept(h);
      h.engine.flush();
      const { guestPort } = h.expectToGuest({ flags: 'SA' });
      h.fromGuest({ seq: 5001, ack: 1001, guestPort });
      open++;
    }
  }
  t.is(open, 1500);
  t.is(h.engine.count, 1500);
  t.is(h.drops(Drop.TcpHalfOpenLimit), 0);
});

segmentTest('half-open counts fall when a handshake completes, is refused or discarded', (t) => {
  const h = tcpHarness({ state: 'LISTEN', limits: { maxHalfOpenPerPair: 1 } });
  h.fromGuest(h.syn({ guestPort: 1 }));
  h.c.refuse();
  h.fromGuest(h.syn({ guestPort: 2 }));
  h.c.discard();
  h.fromGuest(h.syn());
  h.accept();
  h.fromGuest({ seq: 5001, ack: 1001 });
  t.is(h.state, 'ESTABLISHED');
  h.fromGuest(h.syn({ guestPort: 3 }));
  t.is(h.incoming, 4);
  t.is(h.engine.halfOpen, 1);
});

segmentTest('a full table ignores SYNs and keeps what it has', (t) => {
  const h = tcpHarness({ limits: { maxConnections: 1 } });
  h.fromGuest(h.syn({ guestPort: 1 }));
  h.expectNothingMore();
  t.is(h.drops(Drop.TcpTableFull), 1);
  t.is(h.state, 'ESTABLISHED');
  t.is(h.engine.connect(endpointIpv4(SERVER, 1), endpointIpv4(GUEST, 1), h.path, h), null);
});

segmentTest('TIME-WAIT does not count as a connection and has a bound of its own', (t) => {
  const h = tcpHarness({ state: 'TIME-WAIT', limits: { maxConnections: 1, maxTimeWait: 1 } });
  const old = h.c;
  t.is(h.engine.count, 0);
  h.fromGuest(h.syn({ guestPort: 1 }));
  t.is(h.incoming, 2);
  h.accept();
  h.fromGuest({ seq: 5001, ack: 1001, guestPort: 1 });
  h.end();
  h.fromGuest({ flags: 'FA', seq: 5001, ack: 1002, guestPort: 1 });
  t.is(h.engine.timeWait, 1);
  t.true(old.over);
});

segmentTest('closeAll() resets every peer', (t) => {
  const h = tcpHarness();
  h.engine.closeAll();
  h.expectToGuest({ flags: 'RA', seq: 1001, ack: 5001 });
  t.is(h.engine.count, 0);
  t.deepEqual(h.events, ['ended aborted']);
});

test('RFC 6528 3: initial sequence numbers of one pair rise, those of different pairs are unrelated', (t) => {
  const h = tcpHarness({ state: 'LISTEN' });
  const isn = (port: number): number => {
    h.fromGuest(h.syn({ guestPort: port }));
    h.accept();
    const { iss } = h.c.snd;
    h.c.discard();
    return iss;
  };
  const first = isn(1);
  h.advance(1000);
  t.is((isn(1) - first) | 0, 250_000);
  const steps = new Set<number>();
  let last = isn(100);
  for (let port = 101; port < 200; port++) {
    const next = isn(port);
    steps.add((next - last) | 0);
    last = next;
  }
  t.is(steps.size, 99);
});
