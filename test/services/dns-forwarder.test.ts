import test from 'ava';
import fc from 'fast-check';
import { parseEndpoint } from '../../src/core/address.ts';
import { DNS_LIMITS, STRAYS_MAX, VARIANTS_MAX } from '../../src/services/dns-forwarder.ts';
import { POOL_SIZE, SHARE_MAX, SOCKET_MS, SOCKET_QUERIES } from '../../src/services/dns-sockets.ts';
import { answerTo, decode, dnsHarness, GUEST, packet, query, seeded16 } from '../support/dns-harness.ts';
import type { FakeUdp } from '../support/fake-host-net.ts';
import { hex, toHex } from '../support/hex.ts';

const guest = (n: number, port = 5000): ReturnType<typeof parseEndpoint> => parseEndpoint(`10.0.2.${n}`, port);

test('a query goes upstream with every byte but the id, and the answer comes back likewise', (t) => {
  const d = dnsHarness();
  const asked = query({ id: 0x4242, name: 'ExAmPlE.CoM' });
  d.ask(asked);
  const up = d.only();
  t.is(up.to, '198.51.100.1');
  t.is(toHex(up.bytes.slice(2)), toHex(asked.slice(2)));
  t.not(up.id, 0x4242, 'never the id of the guest');
  const answer = answerTo(up.bytes);
  up.socket.deliver(d.server(), answer);
  t.is(d.got.length, 1);
  t.is(d.got[0]!.client, '10.0.2.15:40000');
  t.is(toHex(d.got[0]!.bytes.slice(2)), toHex(answer.slice(2)));
  t.is(decode(d.got[0]!.bytes).id, 0x4242);
  t.is(d.forwarder.snapshot().waiting, 0);
  d.clock.advance(20_000);
  t.is(d.got.length, 1, 'and nothing follows');
});

const shapes: { name: string; bytes: Uint8Array }[] = [
  {
    name: 'EDNS with DO and a cookie',
    bytes: query({
      additionals: [
        {
          type: 'OPT',
          name: '.',
          udpPayloadSize: 4096,
          flags: packet.DNSSEC_OK,
          options: [{ code: 10, data: Buffer.from('0102030405060708', 'hex') }],
        } as never,
      ],
    }),
  },
  {
    name: 'AD and CD bits',
    bytes: query({ flags: packet.RECURSION_DESIRED | packet.AUTHENTIC_DATA | packet.CHECKING_DISABLED }),
  },
  { name: 'unknown type', bytes: hex('0001 0100 0001 0000 0000 0000 0161 00 fe21 0001') },
  { name: 'class CHAOS', bytes: hex('0001 0100 0001 0000 0000 0000 0776 6572 7369 6f6e 0462 696e 6400 0010 0003') },
  { name: 'opcode NOTIFY', bytes: hex('0001 2000 0001 0000 0000 0000 0161 00 0006 0001') },
  { name: 'the root', bytes: hex('0001 0100 0001 0000 0000 0000 00 0002 0001') },
];
for (const { name, bytes } of shapes) {
  test(`passes unchanged: ${name}`, (t) => {
    const d = dnsHarness();
    d.ask(bytes);
    const up = d.only();
    t.is(toHex(up.bytes.slice(2)), toHex(bytes.slice(2)));
    const answer = up.bytes.slice();
    answer[2]! |= 0x80;
    up.socket.deliver(d.server(), answer);
    t.is(toHex(d.got[0]!.bytes), toHex(bytes.slice(0, 2)) + toHex(answer.slice(2)));
  });
}

test('a truncated answer (TC) passes as the server sent it', (t) => {
  const d = dnsHarness();
  d.ask();
  const up = d.only();
  up.socket.deliver(d.server(), answerTo(up.bytes, '', { answers: [], flags: packet.TRUNCATED_RESPONSE }));
  t.true(decode(d.got[0]!.bytes).flag_tc);
});

for (const { stated, passes } of [
  { stated: 0, passes: 512 },
  { stated: 1232, passes: 1232 },
  { stated: 4096, passes: 4096 },
]) {
  test(`answers by UDP: up to ${passes} bytes for a guest that states ${stated}, longer ones are cut to TC`, (t) => {
    const d = dnsHarness();
    const edns = { type: 'OPT', name: '.', udpPayloadSize: stated, flags: 0, options: [] } as never;
    for (const fits of [true, false]) {
      d.ask(query(stated === 0 ? {} : { additionals: [edns] }));
      const up = d.sent().at(-1)!;
      const record = (data: Buffer) => ({ type: 'TXT', name: 'example.com', ttl: 1, data: [data] }) as never;
      const empty = answerTo(up.bytes, '', { answers: [record(Buffer.alloc(0))] });
      const answers: never[] = [];
      let room = passes - empty.length + (fits ? 0 : 1);
      for (; room > 250; room -= 24 + 226) answers.push(record(Buffer.alloc(226)));
      answers.push(record(Buffer.alloc(room)));
      const answer = answerTo(up.bytes, '', { answers });
      t.is(answer.length, passes + (fits ? 0 : 1));
      up.socket.deliver(d.server(), answer);
      const { bytes } = d.got.at(-1)!;
      t.is(decode(bytes).flag_tc, !fits);
      if (fits) t.is(bytes.length, passes);
      else t.true(bytes.length < 100);
    }
  });
}

// Forged answers: RFC 5452 section 9.1.

/** Applies `edit` to an answer. */
const change =
  (edit: (answer: Uint8Array) => void) =>
  (answer: Uint8Array): Uint8Array => {
    edit(answer);
    return answer;
  };
const forgeries: { name: string; from?: string; port?: number; spoil?: (answer: Uint8Array) => Uint8Array }[] = [
  { name: 'another address', from: '198.51.100.2' },
  { name: 'another port', port: 54 },
  { name: 'another family', from: '2001:db8::53' },
  { name: 'wrong id', spoil: change((a) => (a[0]! ^= 1)) },
  { name: 'QR not set', spoil: change((a) => (a[2]! &= 0x7f)) },
  { name: 'another opcode', spoil: change((a) => (a[2]! |= 0x08)) },
  { name: 'another name', spoil: change((a) => (a[13] = 0x7a)) },
  { name: 'another type', spoil: change((a) => (a[26] = 28)) },
  { name: 'another class', spoil: change((a) => (a[28] = 3)) },
  { name: 'no question', spoil: change((a) => (a[5] = 0)) },
  { name: 'records that are not there', spoil: change((a) => (a[7] = 9)) },
  { name: 'header only', spoil: (a) => a.slice(0, 12) },
  { name: 'less than a header', spoil: (a) => a.slice(0, 11) },
  { name: 'nothing', spoil: () => new Uint8Array(0) },
];
for (const { name, from, port, spoil } of forgeries) {
  test(`a forged answer is refused: ${name}`, (t) => {
    const d = dnsHarness();
    d.ask();
    const up = d.only();
    const forged = answerTo(up.bytes, '203.0.113.66');
    up.socket.deliver(d.server(from, port), spoil === undefined ? forged : spoil(forged));
    t.is(d.got.length, 0);
    t.is(d.drops('DnsBadAnswer'), 1);
    up.socket.deliver(d.server(), answerTo(up.bytes));
    t.is(d.got.length, 1, 'the true one is still awaited');
  });
}

test('a forged answer is refused: right in all but the socket it comes to', (t) => {
  const d = dnsHarness();
  d.ask(query({ name: 'a.test' }));
  d.ask(query({ name: 'b.test' }), guest(16));
  const [a, b] = d.sent();
  t.not(a!.socket, b!.socket);
  b!.socket.deliver(d.server(), answerTo(a!.bytes));
  t.is(d.got.length, 0);
});

test(`${STRAYS_MAX} datagrams that answer nothing: the query goes on over TCP`, (t) => {
  const d = dnsHarness();
  d.ask(query({ id: 7 }));
  const up = d.only();
  for (let i = 0; i < STRAYS_MAX; i++) {
    const forged = answerTo(up.bytes);
    forged[0]! ^= 0x40 + i;
    up.socket.deliver(d.server(), forged);
  }
  t.true(up.socket.closed, 'the socket under attack is given up');
  t.is(d.host.tcp.length, 1);
  const s = d.host.lastTcp;
  s.connect();
  const framed = s.written();
  t.is((framed[0]! << 8) | framed[1]!, framed.length - 2);
  const answers = Array.from({ length: 60 }, (_, i) => ({
    type: 'A' as const,
    name: 'example.com',
    ttl: 1,
    data: `10.1.1.${i}`,
  }));
  const answer = answerTo(framed.slice(2), '', { answers });
  s.data(Uint8Array.of(answer.length >> 8, answer.length & 255));
  s.data(answer);
  const got = decode(d.got[0]!.bytes);
  t.is(got.id, 7);
  t.true(got.flag_tc, 'longer than the guest takes over UDP');
  t.is(got.answers!.length, 0);
});

test('answers may spell the name in another case', (t) => {
  const d = dnsHarness();
  d.ask(query({ name: 'EXAMPLE.com' }));
  const up = d.only();
  const answer = answerTo(up.bytes);
  answer.set(Buffer.from('example'), 13);
  up.socket.deliver(d.server(), answer);
  t.is(d.got.length, 1);
});

// Ids and ports.

test('every query has a fresh id, and sockets are replaced after 100 queries or 30 s', (t) => {
  const d = dnsHarness();
  const ids = new Set<number>();
  for (let i = 0; i < 3000; i++) {
    d.ask(query({ name: `n${i}.test` }));
    // The socket that was used: the one whose last query is still awaited.
    const awaited = (s: FakeUdp): boolean =>
      s.sent.length > 0 && decode(s.sent.at(-1)!.bytes).questions![0]!.name === `n${i}.test`;
    const s = d.host.openUdpSockets.find(awaited)!;
    s.deliver(d.server(), answerTo(s.sent.at(-1)!.bytes));
  }
  t.is(d.got.length, 3000);
  t.is(d.drops('DnsBadAnswer'), 0);
  for (const u of d.sent()) ids.add(u.id);
  t.true(ids.size > 2800, `${ids.size} different ids`);
  for (const s of d.host.udp) t.true(s.sent.length <= SOCKET_QUERIES);
  t.true(d.host.openUdpSockets.length <= POOL_SIZE);
  d.clock.advance(SOCKET_MS + 10);
  t.is(d.host.openUdpSockets.length, 0, 'idle sockets are closed');
});

test('queries of one wake-up leave together by a socket for each 16 of them, with ids of their own, those of the next by another', (t) => {
  const d = dnsHarness();
  const batch = (name: string, count: number): FakeUdp[] => {
    for (let i = 0; i < count; i++) d.take(query({ name: `${name}${i}.test` }));
    t.true(
      d.host.udp.every((s) => s.posted.length === 0 || s.posted.length <= SHARE_MAX),
      'no more than so many wait on one socket',
    );
    const used = d.host.udp.filter((s) => s.posted.length > 0);
    d.flush();
    return used;
  };
  const first = batch('a', 2 * SHARE_MAX);
  t.deepEqual(
    first.map((s) => s.sent.length),
    [SHARE_MAX, SHARE_MAX],
  );
  t.is(new Set(d.sent().map((u) => u.id)).size, 2 * SHARE_MAX);
  const second = batch('b', 2);
  t.is(second.length, 1);
  t.false(first.includes(second[0]!));
  for (const { socket, bytes } of d.sent()) socket.deliver(d.server(), answerTo(bytes));
  t.is(d.got.length, 2 * SHARE_MAX + 2);
});

test('a socket that is shared is replaced after 100 queries too', (t) => {
  const d = dnsHarness({ random16: seeded16(7) });
  const answered = new Map<FakeUdp, number>();
  for (let i = 0; i < 20 * SOCKET_QUERIES; i++) {
    d.take(query({ name: `n${i}.test` }), guest(i % 50));
    if (i % 64 !== 63) continue;
    d.flush();
    const late = d.host.openUdpSockets.flatMap((s) =>
      s.sent.slice(answered.get(s) ?? 0).map(({ bytes }) => ({ s, bytes })),
    );
    for (const s of d.host.openUdpSockets) answered.set(s, s.sent.length);
    for (const { s, bytes } of late) s.deliver(d.server(), answerTo(bytes));
  }
  t.is(d.drops('DnsBadAnswer'), 0);
  t.true(d.host.udp.every((s) => s.sent.length <= SOCKET_QUERIES));
});

test('a query that is repeated later does not wait for others', (t) => {
  const d = dnsHarness();
  d.ask();
  d.clock.advance(2010);
  t.is(d.sent().length, 2);
});

test('a socket that is replaced stays until its queries are done', (t) => {
  const d = dnsHarness({
    random16: (
      (n = 0) =>
      () =>
        (n += 64)
    )(),
  }); // always the same slot
  for (let i = 0; i <= SOCKET_QUERIES; i++) d.ask(query({ name: `n${i}.test` }), guest(i % 10));
  const [old, fresh] = d.host.udp;
  t.is(old!.sent.length, SOCKET_QUERIES);
  t.is(fresh!.sent.length, 1);
  t.false(old!.closed);
  for (const { bytes } of old!.sent.slice(1)) old!.deliver(d.server(), answerTo(bytes));
  t.false(old!.closed);
  old!.deliver(d.server(), answerTo(old!.sent[0]!.bytes));
  t.true(old!.closed);
  t.is(d.got.length, SOCKET_QUERIES);
});

// Merging.

test('equal questions in flight are one query; each guest gets its own id back', (t) => {
  const d = dnsHarness();
  for (let i = 0; i < 20; i++) d.ask(query({ id: 100 + i }), guest(20 + i));
  const up = d.only();
  up.socket.deliver(d.server(), answerTo(up.bytes));
  const got = d.got.map((g) => `${g.client} ${decode(g.bytes).id}`).sort();
  t.deepEqual(
    got,
    Array.from({ length: 20 }, (_, i) => `10.0.2.${20 + i}:5000 ${100 + i}`),
  );
  d.ask(query({ id: 1 }), guest(20));
  t.is(d.sent().length, 2, 'later the question is asked again');
});

test('a guest that repeats itself gets one answer', (t) => {
  const d = dnsHarness();
  for (let i = 0; i < 5; i++) d.ask(query({ id: 9 }));
  const up = d.only();
  up.socket.deliver(d.server(), answerTo(up.bytes));
  t.is(d.got.length, 1);
});

test('questions that differ in flags, EDNS or case are not merged, and not too many at once', (t) => {
  const d = dnsHarness();
  const name = 'abcdefgh.test';
  for (let i = 0; i < VARIANTS_MAX + 5; i++) {
    const mixed = [...name].map((c, bit) => ((i >> bit) & 1 ? c.toUpperCase() : c)).join('');
    d.ask(query({ name: mixed }), guest(30 + i));
  }
  t.is(d.sent().length, VARIANTS_MAX);
  t.is(d.got.length, 5);
  for (const g of d.got) t.is(decode(g.bytes).rcode, 'SERVFAIL');
  t.is(d.drops('DnsOverload'), 5);
});

// Failure.

test('no answer: asked again after 2 s, SERVFAIL after 5 s, with id and question of the guest', (t) => {
  const d = dnsHarness();
  d.ask(query({ id: 0x5151, name: 'slow.test' }));
  d.clock.advance(1990);
  t.is(d.sent().length, 1);
  d.clock.advance(20);
  const [first, second] = d.sent();
  t.is(second!.id, first!.id, 'the same query, sent again');
  t.is(second!.socket, first!.socket);
  d.clock.advance(2980);
  t.is(d.got.length, 0);
  d.clock.advance(20);
  const m = decode(d.got[0]!.bytes);
  t.is(m.rcode, 'SERVFAIL');
  t.is(m.type, 'response');
  t.is(m.id, 0x5151);
  t.is(m.questions![0]!.name, 'slow.test');
  t.true(m.flag_rd && m.flag_ra);
  t.is(d.sent().length, 2);
  first!.socket.deliver(d.server(), answerTo(first!.bytes));
  t.is(d.got.length, 1, 'too late');
});

test('the first of two servers dead: the second is asked after 3 s, and at once from then on', (t) => {
  const d = dnsHarness({ servers: ['198.51.100.1', '198.51.100.2'] });
  d.ask(query({ name: 'one.test' }));
  d.clock.advance(3010);
  t.deepEqual(
    d
      .sent()
      .map((s) => s.to)
      .sort(),
    ['198.51.100.1', '198.51.100.1', '198.51.100.2'],
  );
  t.true(d.upstream.suspected > 0, 'the configuration is looked at again');
  const second = d.sent().find((s) => s.to === '198.51.100.2')!;
  second.socket.deliver(d.server('198.51.100.2'), answerTo(second.bytes));
  t.is(decode(d.got[0]!.bytes).answers!.length, 1);
  d.ask(query({ name: 'two.test' }));
  const again = d.sent().filter((s) => s.to === '198.51.100.2' && s.bytes !== second.bytes);
  t.is(again.length, 1);
  again[0]!.socket.deliver(d.server('198.51.100.2'), answerTo(again[0]!.bytes));
  d.clock.advance(31_000);
  d.ask(query({ name: 'three.test' }));
  t.is(d.sent().filter((s) => s.to === '198.51.100.1').length, 3, 'after 30 s the first is tried again');
});

test('a late answer of the first server counts while the second is asked', (t) => {
  const d = dnsHarness({ servers: ['198.51.100.1', '198.51.100.2'] });
  d.ask();
  d.clock.advance(3010);
  const first = d.sent().find((s) => s.to === '198.51.100.1')!;
  first.socket.deliver(d.server(), answerTo(first.bytes));
  t.is(d.got.length, 1);
});

test('three servers, all silent: each is asked before SERVFAIL', (t) => {
  const d = dnsHarness({ servers: ['198.51.100.1', '198.51.100.2', '2001:db8::3'] });
  d.ask();
  d.clock.advance(5010);
  t.deepEqual(
    d
      .sent()
      .map((s) => s.to)
      .sort(),
    ['198.51.100.1', '198.51.100.1', '198.51.100.2', '2001:db8::3'],
  );
  t.is(d.sent().find((s) => s.to === '2001:db8::3')!.socket.family, 6);
  t.is(decode(d.got[0]!.bytes).rcode, 'SERVFAIL');
});

test('ECONNREFUSED: the next server at once; when there is none, SERVFAIL at once', (t) => {
  const d = dnsHarness({ servers: ['127.0.0.53', '198.51.100.2'] });
  d.ask();
  d.only().socket.fail('ECONNREFUSED', d.server('127.0.0.53'));
  const second = d.sent().find((s) => s.to === '198.51.100.2')!;
  t.is(d.got.length, 0);
  second.socket.fail('ENETUNREACH', d.server('198.51.100.2'));
  t.is(decode(d.got[0]!.bytes).rcode, 'SERVFAIL');
  t.is(d.forwarder.snapshot().waiting, 0);
});

test('an error for a server that this query did not ask changes nothing', (t) => {
  const d = dnsHarness();
  d.ask();
  d.only().socket.fail('ECONNREFUSED', d.server('198.51.100.9'));
  t.is(d.got.length, 0);
  t.is(d.sent().length, 1);
});

test('a socket that fails (EMFILE) is replaced; its queries go to the next server or fail', (t) => {
  const d = dnsHarness();
  d.ask();
  const { socket } = d.only();
  socket.fail('EMFILE', null);
  t.is(decode(d.got[0]!.bytes).rcode, 'SERVFAIL');
  d.ask(query({ name: 'again.test' }));
  t.is(d.sent().length, 2);
});

test('no server at all: SERVFAIL at once', (t) => {
  const d = dnsHarness({ servers: [] });
  d.ask();
  t.is(decode(d.got[0]!.bytes).rcode, 'SERVFAIL');
});

test('a server that is this forwarder is never asked, at start and after a change', (t) => {
  const self = [parseEndpoint('10.0.2.3', 53)];
  const d = dnsHarness({ servers: ['10.0.2.3'], self });
  d.ask();
  t.is(d.sent().length, 0);
  t.is(decode(d.got[0]!.bytes).rcode, 'SERVFAIL');
  t.deepEqual(d.forwarder.upstreamState().refused.map(String), ['10.0.2.3:53']);
  d.upstream.list = [parseEndpoint('198.51.100.7', 53), parseEndpoint('10.0.2.3', 53)];
  d.ask();
  t.deepEqual(
    d.sent().map((s) => s.to),
    ['198.51.100.7'],
  );
});

test('a query in flight goes on with the new list when the configuration changes', (t) => {
  const d = dnsHarness();
  d.ask();
  d.upstream.list = [parseEndpoint('198.51.100.77', 53)];
  d.clock.advance(2010);
  const fresh = d.sent().find((s) => s.to === '198.51.100.77')!;
  fresh.socket.deliver(d.server('198.51.100.77'), answerTo(fresh.bytes));
  t.is(decode(d.got[0]!.bytes).answers!.length, 1);
});

// Limits.

test('64 queries of one guest, 512 of all; over it SERVFAIL at once', (t) => {
  const d = dnsHarness();
  for (let i = 0; i < 70; i++) d.ask(query({ name: `n${i}.test` }), guest(15, 1000 + i));
  t.is(d.sent().length, DNS_LIMITS.perGuest);
  t.is(d.got.length, 6);
  for (const g of d.got) t.is(decode(g.bytes).rcode, 'SERVFAIL');
  for (let g = 20; g < 40; g++) for (let i = 0; i < 50; i++) d.ask(query({ name: `n${i}.g${g}.test` }), guest(g));
  t.is(d.forwarder.snapshot().waiting, DNS_LIMITS.inFlight);
  t.is(d.sent().length, DNS_LIMITS.inFlight);
  t.is(d.drops('DnsOverload'), 6 + 20 * 50 - (512 - 64));
  d.clock.advance(5010);
  t.is(d.forwarder.snapshot().waiting, 0);
  t.is(d.got.length, 70 + 1000, 'everybody was told');
  d.ask(query({ name: 'after.test' }));
  t.is(d.forwarder.snapshot().waiting, 1);
});

const malformed: { name: string; give: string }[] = [
  { name: 'empty', give: '' },
  { name: 'cut header', give: '0001 0100 0001 0000 0000 00' },
  { name: 'no question', give: '0001 0100 0000 0000 0000 0000' },
  { name: 'two questions', give: '0001 0100 0002 0000 0000 0000 0161 00 0001 0001 0162 00 0001 0001' },
  { name: 'an answer', give: '0001 8100 0001 0000 0000 0000 0161 00 0001 0001' },
  { name: 'name past the end', give: '0001 0100 0001 0000 0000 0000 3f61' },
  { name: 'pointer to itself', give: '0001 0100 0001 0000 0000 0000 c00c 0001 0001' },
  { name: 'label type 01', give: '0001 0100 0001 0000 0000 0000 4161 00 0001 0001' },
  { name: 'additional record missing', give: '0001 0100 0001 0000 0000 0001 0161 00 0001 0001' },
];
for (const { name, give } of malformed) {
  test(`malformed query is dropped: ${name}`, (t) => {
    const d = dnsHarness();
    d.ask(hex(give));
    t.is(d.sent().length + d.got.length, 0);
    t.is(d.drops('DnsMalformed'), 1);
  });
}

// localhost: RFC 6761 section 6.3.

test('localhost and names below it are answered here', (t) => {
  const d = dnsHarness();
  d.ask(query({ id: 1, name: 'LocalHost' }));
  d.ask(query({ id: 2, name: 'db.localhost', type: 'AAAA' }));
  d.ask(query({ id: 3, name: 'localhost', type: 'MX' }));
  t.is(d.sent().length, 0);
  const [a, aaaa, mx] = d.got.map((g) => decode(g.bytes));
  t.deepEqual([a!.id, a!.rcode, (a!.answers![0] as { data: string }).data], [1, 'NOERROR', '127.0.0.1']);
  t.deepEqual(
    [aaaa!.id, aaaa!.answers![0]!.name, (aaaa!.answers![0] as { data: string }).data],
    [2, 'db.localhost', '::1'],
  );
  t.deepEqual([mx!.id, mx!.rcode, mx!.answers!.length], [3, 'NOERROR', 0]);
  for (const name of ['localhost.example', 'xlocalhost', 'my.notlocalhost']) d.ask(query({ name }));
  t.is(d.sent().length, 3, 'and no others');
});

// Any bytes, any order.

test('any bytes from guests and servers: no exception, every question ends', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(3), fc.uint8Array({ maxLength: 60 }), fc.nat(40)), { maxLength: 40 }),
      fc.integer({ min: 1, max: 1 << 30 }),
      (steps, seed) => {
        const d = dnsHarness({ random16: seeded16(seed), servers: ['198.51.100.1', '2001:db8::1'] });
        for (const [what, bytes, n] of steps) {
          if (what === 0) d.ask(bytes, guest(n));
          else if (what === 1) d.ask(query({ id: n, name: `n${n % 5}.test` }), guest(10 + (n % 3)));
          else if (what === 2) d.clock.advance(n * 50);
          else {
            const open = d.host.openUdpSockets;
            const s = open[n % Math.max(1, open.length)];
            const last = s?.sent.at(-1);
            if (s === undefined || last === undefined) continue;
            const forged = answerTo(last.bytes);
            for (const [i, x] of bytes.slice(0, 3).entries()) forged[(x * 7 + i) % forged.length] = x;
            s.deliver(last.to, n % 2 === 0 ? forged : answerTo(last.bytes));
          }
        }
        d.clock.advance(6000);
        t.is(d.forwarder.snapshot().waiting, 0);
        t.is(d.forwarder.snapshot().upstream, 0);
        d.clock.advance(SOCKET_MS);
        t.is(d.host.openUdpSockets.length, 0);
      },
    ),
    { numRuns: 200 },
  );
});

test('close(): no sockets, no timers, no answers', (t) => {
  const d = dnsHarness();
  d.ask();
  d.ask(query({ name: 'b.test' }));
  d.forwarder.close();
  t.is(d.host.openUdpSockets.length, 0);
  t.is(d.wheel.size, 0);
  d.clock.advance(60_000);
  t.is(d.got.length, 0);
  d.ask(query({ name: 'c.test' }), GUEST);
  t.is(d.sent().length, 2);
});
