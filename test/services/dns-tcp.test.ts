import test from 'ava';
import { Endpoint, parseEndpoint } from '../../src/core/address.ts';
import { BACKLOG_MAX, type DnsTcpSession, IDLE_MS, SESSION_QUERIES } from '../../src/services/dns-tcp-session.ts';
import { answerTo, decode, dnsHarness, query } from '../support/dns-harness.ts';
import type { FakeTcp } from '../support/fake-host-net.ts';
import { toHex } from '../support/hex.ts';

const framed = (m: Uint8Array): Uint8Array => Uint8Array.from([m.length >> 8, m.length & 255, ...m]);
const joined = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((p) => [...p]));

/** A guest's connection that takes everything, or as little as `room` says. */
class FakePeer {
  readonly bytes: number[] = [];
  room = Number.POSITIVE_INFINITY;
  ended = false;
  wasReset = false;
  write(b: Uint8Array, off: number, len: number): number {
    const n = Math.min(len, this.room);
    this.bytes.push(...b.subarray(off, off + n));
    this.room -= n;
    return n;
  }
  end(): void {
    this.ended = true;
  }
  reset(): void {
    this.wasReset = true;
  }
  /** Whole messages received so far. */
  messages(): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (let at = 0; at + 2 <= this.bytes.length; ) {
      const len = (this.bytes[at]! << 8) | this.bytes[at + 1]!;
      if (at + 2 + len > this.bytes.length) break;
      out.push(Uint8Array.from(this.bytes.slice(at + 2, at + 2 + len)));
      at += 2 + len;
    }
    return out;
  }
}

function open(d: ReturnType<typeof dnsHarness>, client = '10.0.2.15', port = 5000) {
  const peer = new FakePeer();
  const session = d.forwarder.openTcp(parseEndpoint(client, port), peer) as DnsTcpSession;
  return { peer, session };
}
function feed(session: DnsTcpSession, bytes: Uint8Array): void {
  const loan = joined(Uint8Array.of(1, 2, 3), bytes, Uint8Array.of(9));
  session.data(loan, 3, bytes.length);
  loan.fill(0xee);
}
/** The server takes the connection and answers what it was asked. */
function serve(s: FakeTcp, change = {}): void {
  s.connect();
  s.data(framed(answerTo(s.written().slice(2), '192.0.2.1', change)));
}

test('a query over TCP goes upstream over TCP with its bytes but the id, and comes back', (t) => {
  const d = dnsHarness();
  const { peer, session } = open(d);
  const asked = query({ id: 0x7777 });
  feed(session, framed(asked));
  t.is(d.host.udp.length, 0);
  const s = d.host.lastTcp;
  t.is(s.remote.toString(), '198.51.100.1:53');
  t.is(s.written().length, 0, 'nothing is written before the connection stands');
  s.connect();
  t.is(toHex(s.written().slice(4)), toHex(asked.slice(2)));
  t.is(s.flushes, 1);
  const answer = answerTo(s.written().slice(2));
  s.data(framed(answer));
  t.is(peer.messages().length, 1);
  t.is(decode(peer.messages()[0]!).id, 0x7777);
  t.is(toHex(peer.messages()[0]!.slice(2)), toHex(answer.slice(2)));
  t.true(s.ended, 'the upstream connection is closed in order');
  s.eof();
  t.is(d.host.openTcp.length, 0);
  t.false(peer.ended, 'the guest may ask more');
});

test('length framing split at every byte, both ways', (t) => {
  const request = joined(framed(query({ id: 1, name: 'a.test' })), framed(query({ id: 2, name: 'b.test' })));
  for (let cut = 1; cut < request.length; cut++) {
    const d = dnsHarness();
    const { peer, session } = open(d);
    feed(session, request.slice(0, cut));
    feed(session, request.slice(cut));
    t.is(d.host.tcp.length, 2, `cut at ${cut}`);
    for (const s of d.host.tcp) {
      s.connect();
      const answer = framed(answerTo(s.written().slice(2)));
      s.data(answer.slice(0, cut % answer.length));
      s.data(answer.slice(cut % answer.length));
    }
    t.deepEqual(
      peer.messages().map((m) => decode(m).id),
      [1, 2],
      `cut at ${cut}`,
    );
  }
  const d = dnsHarness();
  const { peer, session } = open(d);
  for (const byte of request) feed(session, Uint8Array.of(byte));
  for (const s of d.host.tcp) {
    s.connect();
    for (const byte of framed(answerTo(s.written().slice(2)))) s.data(Uint8Array.of(byte));
  }
  t.deepEqual(
    peer.messages().map((m) => decode(m).id),
    [1, 2],
    'byte by byte',
  );
});

test('RFC 7766 section 7: answers go back as they come', (t) => {
  const d = dnsHarness();
  const { peer, session } = open(d);
  feed(session, joined(framed(query({ id: 1, name: 'slow.test' })), framed(query({ id: 2, name: 'fast.test' }))));
  serve(d.host.tcp[1]!);
  serve(d.host.tcp[0]!);
  t.deepEqual(
    peer.messages().map((m) => decode(m).id),
    [2, 1],
  );
});

test('an answer of 60 KB passes whole', (t) => {
  const d = dnsHarness();
  const { peer, session } = open(d);
  feed(session, framed(query()));
  const answers = Array.from({ length: 3700 }, (_, i) => ({
    type: 'A',
    name: 'n',
    ttl: 1,
    data: `10.1.${i >> 8}.${i & 255}`,
  }));
  const s = d.host.lastTcp;
  s.connect();
  const answer = answerTo(s.written().slice(2), '', { answers: answers as never });
  t.true(answer.length > 60_000 && answer.length < 65_536, `${answer.length}`);
  for (let at = 0; at < answer.length + 2; at += 9000) s.data(framed(answer).slice(at, at + 9000));
  t.is(toHex(peer.messages()[0]!.slice(2)), toHex(answer.slice(2)));
});

test('guest FIN: what was asked is answered, then the connection ends', (t) => {
  const d = dnsHarness();
  const { peer, session } = open(d);
  feed(session, framed(query()));
  session.end();
  t.false(peer.ended);
  serve(d.host.lastTcp);
  t.is(peer.messages().length, 1);
  t.true(peer.ended);
  t.is(d.forwarder.snapshot().sessions, 0);
  const idle = open(d);
  idle.session.end();
  t.true(idle.peer.ended, 'nothing asked: at once');
});

const say = (s: FakeTcp, bytes: Uint8Array): void => {
  s.connect();
  s.data(bytes);
};
const upstreamFailures: { name: string; act: (s: FakeTcp) => void }[] = [
  { name: 'refused', act: (s) => s.fail('ECONNREFUSED') },
  {
    name: 'reset after the query',
    act: (s) => {
      s.connect();
      s.fail('ECONNRESET');
    },
  },
  {
    name: 'end without an answer',
    act: (s) => {
      s.connect();
      s.eof();
    },
  },
  {
    name: 'end within the answer',
    act: (s) => {
      say(s, Uint8Array.of(0, 40, 1, 2, 3));
      s.eof();
    },
  },
  { name: 'length below a header', act: (s) => say(s, Uint8Array.of(0, 11)) },
  { name: 'another id', act: (s) => serve(s, { id: 1 }) },
  { name: 'another question', act: (s) => serve(s, { questions: [{ type: 'A', name: 'other.test' }] }) },
  { name: 'a query instead of an answer', act: (s) => serve(s, { type: 'query' }) },
];
for (const { name, act } of upstreamFailures) {
  test(`upstream over TCP, ${name}: the next server at once, then SERVFAIL`, (t) => {
    const d = dnsHarness({ servers: ['198.51.100.1', '198.51.100.2'] });
    const { peer, session } = open(d);
    feed(session, framed(query({ id: 3 })));
    act(d.host.lastTcp);
    t.is(d.host.tcp.length, 2);
    t.is(d.host.lastTcp.remote.host, '198.51.100.2');
    act(d.host.lastTcp);
    t.is(decode(peer.messages()[0]!).rcode, 'SERVFAIL');
    t.is(decode(peer.messages()[0]!).id, 3);
    d.clock.advance(2000);
    t.is(d.host.openTcp.length, 0);
  });
}

test('an upstream that neither connects nor answers: the next after 2 s, SERVFAIL after 5 s', (t) => {
  const d = dnsHarness({ servers: ['198.51.100.1', '198.51.100.2'] });
  const { peer, session } = open(d);
  feed(session, framed(query()));
  d.clock.advance(2010);
  t.is(d.host.tcp.length, 2);
  t.true(d.host.tcp[0]!.wasReset);
  d.host.lastTcp.connect();
  d.clock.advance(3000);
  t.is(decode(peer.messages()[0]!).rcode, 'SERVFAIL');
  t.is(d.host.openTcp.length, 0);
});

test('an upstream that does not close after its answer is reset', (t) => {
  const d = dnsHarness();
  const { session } = open(d);
  feed(session, framed(query()));
  serve(d.host.lastTcp);
  t.is(d.host.openTcp.length, 1);
  d.clock.advance(1010);
  t.is(d.host.openTcp.length, 0);
});

const nonsense: { name: string; bytes: Uint8Array }[] = [
  { name: 'length 0', bytes: Uint8Array.of(0, 0) },
  { name: 'length below a header', bytes: Uint8Array.of(0, 11, ...new Uint8Array(11)) },
  { name: 'a message that is not a query', bytes: framed(answerTo(query())) },
  { name: 'noise', bytes: framed(new Uint8Array(40).fill(0xff)) },
];
for (const { name, bytes } of nonsense) {
  test(`guest sends ${name}: connection reset, counted`, (t) => {
    const d = dnsHarness();
    const { peer, session } = open(d);
    feed(session, bytes);
    t.true(peer.wasReset);
    t.is(d.drops('DnsMalformed'), 1);
    t.is(d.forwarder.snapshot().sessions, 0);
    feed(session, framed(query()));
    t.is(d.host.tcp.length, 0, 'nothing more is taken');
  });
}

test('idle for 10 s: closed; bytes that make no whole query do not count', (t) => {
  const d = dnsHarness();
  const { peer, session } = open(d);
  for (let i = 0; i < 9; i++) {
    d.clock.advance(1000);
    feed(session, Uint8Array.of(i === 1 ? 200 : 0));
  }
  d.clock.advance(IDLE_MS - 9000 + 10);
  t.true(peer.ended);
  const busy = open(d);
  for (let i = 0; i < 5; i++) {
    d.clock.advance(IDLE_MS - 1000);
    feed(busy.session, framed(query({ name: `n${i}.test` })));
    serve(d.host.lastTcp);
  }
  t.false(busy.peer.ended);
});

test(`${SESSION_QUERIES} queries on a connection, then it ends`, (t) => {
  const d = dnsHarness();
  const { peer, session } = open(d);
  for (let i = 0; i < SESSION_QUERIES + 3; i++) {
    feed(session, framed(query({ id: i, name: `n${i}.test` })));
    if (i < SESSION_QUERIES) {
      t.false(peer.ended);
      serve(d.host.lastTcp);
    }
  }
  t.is(peer.messages().length, SESSION_QUERIES);
  t.true(peer.ended);
});

test('4 connections of one guest, 16 of all', (t) => {
  const d = dnsHarness();
  for (let i = 0; i < 4; i++) open(d, '10.0.2.15', 5000 + i);
  t.is(d.forwarder.openTcp(parseEndpoint('10.0.2.15', 6000), new FakePeer()), null);
  const others = [];
  for (let i = 0; i < 12; i++) others.push(open(d, `10.0.2.${20 + i}`));
  t.is(d.forwarder.openTcp(parseEndpoint('10.0.2.99', 6000), new FakePeer()), null);
  t.is(d.drops('DnsOverload'), 2);
  others[0]!.session.closed();
  t.not(d.forwarder.openTcp(parseEndpoint('10.0.2.99', 6000), new FakePeer()), null);
});

test('a connection that takes little: the rest follows when it is writable', (t) => {
  const d = dnsHarness();
  const { peer, session } = open(d);
  peer.room = 5;
  feed(session, framed(query()));
  session.end();
  serve(d.host.lastTcp);
  t.is(peer.bytes.length, 5);
  t.false(peer.ended);
  while (!peer.ended) {
    peer.room = 7;
    session.writable();
  }
  t.is(peer.messages().length, 1);
});

test('a guest that does not read its answers is cut off', (t) => {
  const d = dnsHarness();
  const { peer, session } = open(d);
  peer.room = 0;
  const answers = Array.from({ length: 3700 }, (_, i) => ({
    type: 'A',
    name: 'n',
    ttl: 1,
    data: `10.1.${i >> 8}.${i & 255}`,
  }));
  let sent = 0;
  while (!peer.wasReset && sent < 50) {
    feed(session, framed(query({ name: `n${sent++}.test` })));
    serve(d.host.lastTcp, { answers });
  }
  t.true(peer.wasReset);
  t.true(sent * 50_000 < BACKLOG_MAX + 100_000, `${sent}`);
  d.clock.advance(10_000);
  t.is(d.forwarder.snapshot().waiting, 0);
});

test('a connection that is gone gets nothing; its queries end on their own', (t) => {
  const d = dnsHarness();
  const { peer, session } = open(d);
  feed(session, framed(query()));
  session.closed();
  serve(d.host.lastTcp);
  t.is(peer.bytes.length, 0);
  t.is(d.forwarder.snapshot().waiting, 0);
  t.false(peer.ended || peer.wasReset);
});

test('the client endpoint may change after openTcp returned', (t) => {
  const d = dnsHarness();
  const client = new Endpoint().setIpv4(0x0a00020f, 5000);
  const peer = new FakePeer();
  const session = d.forwarder.openTcp(client, peer)!;
  client.setIpv4(0, 0);
  feed(session, framed(query({ name: 'localhost' })));
  t.is(decode(peer.messages()[0]!).rcode, 'NOERROR');
});
