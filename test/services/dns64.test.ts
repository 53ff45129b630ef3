import test from 'ava';
import { parseAddress, parseEndpoint } from '../../src/core/address.ts';
import { Dns64, LocalNames } from '../../src/services/index.ts';
import * as dns from '../../src/wire/dns.ts';
import { type Nat64Prefix, WELL_KNOWN_PREFIX } from '../../src/wire/nat64.ts';
import { answerTo, decode, dnsHarness, type Message, packet, query } from '../support/dns-harness.ts';

const V6_GUEST = parseEndpoint('2001:db8::15', 40_000);
const NOT_REACHABLE = 0x0a000200; // 10.0.2.0/24

function harness(prefix: Nat64Prefix = WELL_KNOWN_PREFIX, more: Parameters<typeof dnsHarness>[0] = {}) {
  const dns64 = new Dns64({ prefix, isReachable: (v4) => (v4 & 0xffffff00) !== (NOT_REACHABLE | 0) });
  const h = dnsHarness({ dns64, ...more });
  const answered = new Set<Uint8Array>();
  return {
    ...h,
    ask: (bytes: Uint8Array) => h.ask(bytes, V6_GUEST),
    /** Answers the next question that went upstream; it must be of this type. */
    upstream(type: string, make: (q: Uint8Array) => Uint8Array): void {
      const next = h.sent().find(({ bytes }) => !answered.has(bytes));
      if (next === undefined) throw new Error('no question went upstream');
      answered.add(next.bytes);
      const asked = decode(next.bytes).questions[0]!;
      if (asked.type !== type) throw new Error(`${asked.type} ${asked.name} was asked, not ${type}`);
      next.socket.deliver(h.server(), make(next.bytes));
    },
    asked: () => h.sent().length,
    answers: () => h.got.splice(0).map(({ bytes }) => decode(bytes)),
  };
}

const empty = (q: Uint8Array, change: Partial<Message> = {}): Uint8Array => answerTo(q, '', { answers: [], ...change });
const soa = (ttl: number, minimum: number): object => ({
  type: 'SOA',
  name: 'example.com',
  ttl,
  data: { mname: 'ns.example.com', rname: 'a.example.com', serial: 1, refresh: 1, retry: 1, expire: 1, minimum },
});
const with4 =
  (...answers: object[]) =>
  (q: Uint8Array) =>
    answerTo(q, '', { answers: answers as Message['answers'] });
const a = (data: string, ttl = 60, name = 'example.com') => ({ type: 'A', name, ttl, data });
const AAAA = query({ type: 'AAAA' });

test('RFC 6147 5.1.6: no AAAA, so the addresses of A inside the prefix', (t) => {
  const h = harness();
  h.ask(AAAA);
  h.upstream('AAAA', empty);
  h.upstream('A', with4(a('192.0.2.1'), a('198.51.100.7')));
  const [answer] = h.answers();
  t.is(answer!.id, 0x1234);
  t.is(answer!.rcode, 'NOERROR');
  t.is(answer!.questions[0]!.type, 'AAAA');
  t.deepEqual(
    answer!.answers.map(({ type, name, data }) => [type, name, data]),
    [
      ['AAAA', 'example.com', '64:ff9b::c000:201'],
      ['AAAA', 'example.com', '64:ff9b::c633:6407'],
    ],
  );
});

for (const [prefixLen, want] of [
  [32, '2001:db8:c000:221::'],
  [40, '2001:db8:1c0:2:21::'],
  [48, '2001:db8:122:c000:2:2100::'],
  [56, '2001:db8:122:3c0:0:221::'],
  [64, '2001:db8:122:344:c0:2:2100:0'],
  [96, '2001:db8:122:344::c000:221'],
] as const) {
  test(`RFC 6052 2.4: prefix of ${prefixLen} bits, there and back`, (t) => {
    const full = parseAddress('2001:db8:122:344::')!;
    const mask = (i: number): number => {
      const bits = prefixLen - 32 * i;
      return bits >= 32 ? -1 : bits <= 0 ? 0 : -1 << (32 - bits);
    };
    const source = prefixLen === 40 ? parseAddress('2001:db8:100::')! : full;
    const words = source.map((w, i) => w & mask(i)) as unknown as Nat64Prefix['words'];
    const h = harness({ words, prefixLen });
    h.ask(AAAA);
    h.upstream('AAAA', empty);
    h.upstream('A', with4(a('192.0.2.33')));
    t.is(h.answers()[0]!.answers[0]!.data, want);
    const digits = parseAddress(want)!
      .map((w) => (w >>> 0).toString(16).padStart(8, '0'))
      .join('');
    h.ask(query({ type: 'PTR', name: `${[...digits].reverse().join('.')}.ip6.arpa` }));
    h.upstream('PTR', (q) => {
      t.is(decode(q).questions[0]!.name, '33.2.0.192.in-addr.arpa');
      return with4({ type: 'PTR', name: '33.2.0.192.in-addr.arpa', ttl: 60, data: 'host.test' })(q);
    });
    const [back] = h.answers();
    t.deepEqual(
      back!.answers.map(({ type, data }) => [type, data]),
      [
        ['CNAME', '33.2.0.192.in-addr.arpa'],
        ['PTR', 'host.test'],
      ],
    );
  });
}

test('5.1: a name with AAAA is answered as it came, and nothing else is asked', (t) => {
  const h = harness();
  h.ask(AAAA);
  h.upstream('AAAA', with4({ type: 'AAAA', name: 'example.com', ttl: 60, data: '2001:db8::99' }));
  t.is(h.answers()[0]!.answers[0]!.data, '2001:db8::99');
  t.is(h.asked(), 1);
});

test('5.1.4: an IPv4-mapped AAAA does not count', (t) => {
  const h = harness();
  h.ask(AAAA);
  h.upstream('AAAA', with4({ type: 'AAAA', name: 'example.com', ttl: 60, data: '::ffff:192.0.2.1' }));
  h.upstream('A', with4(a('192.0.2.1')));
  t.is(h.answers()[0]!.answers[0]!.data, '64:ff9b::c000:201');
});

test('5.1.2: NXDOMAIN stays; any other error is as if there were none', (t) => {
  const h = harness();
  h.ask(AAAA);
  h.upstream('AAAA', (q) => {
    const b = empty(q);
    b[3] = (b[3]! & 0xf0) | dns.RCODE_NXDOMAIN;
    return b;
  });
  t.is(h.answers()[0]!.rcode, 'NXDOMAIN');
  t.is(h.asked(), 1);
  h.ask(AAAA);
  h.upstream('AAAA', (q) => {
    const b = empty(q);
    b[3] = (b[3]! & 0xf0) | dns.RCODE_SERVFAIL;
    return b;
  });
  h.upstream('A', with4(a('192.0.2.1')));
  t.is(h.answers()[0]!.answers[0]!.data, '64:ff9b::c000:201');
});

test('neither AAAA nor A: the first answer, with its SOA', (t) => {
  const h = harness();
  h.ask(AAAA);
  h.upstream('AAAA', (q) => empty(q, { authorities: [soa(100, 50)] } as Partial<Message>));
  h.upstream('A', empty);
  const [answer] = h.answers() as (Message & { authorities: object[] })[];
  t.is(answer!.rcode, 'NOERROR');
  t.is(answer!.answers.length, 0);
  t.is(answer!.authorities.length, 1);
});

test('5.1.7: the TTL is at most that of the absence, or 600 s', (t) => {
  const h = harness();
  for (const [authority, ttl, want] of [
    [soa(100, 50), 3600, 50],
    [soa(40, 50), 3600, 40],
    [soa(1000, 1000), 30, 30],
    [null, 3600, 600],
  ] as const) {
    h.ask(AAAA);
    h.upstream('AAAA', (q) => empty(q, { authorities: authority === null ? [] : [authority] } as Partial<Message>));
    h.upstream('A', with4(a('192.0.2.1', ttl)));
    t.is(h.answers()[0]!.answers[0]!.ttl, want);
  }
});

test('a chain of CNAMEs is kept', (t) => {
  const h = harness();
  h.ask(AAAA);
  const chain = { type: 'CNAME', name: 'example.com', ttl: 60, data: 'other.example.net' };
  h.upstream('AAAA', with4(chain));
  h.upstream('A', with4(chain, a('192.0.2.1', 60, 'other.example.net')));
  t.deepEqual(
    h.answers()[0]!.answers.map(({ type, name, data }) => [type, name, data]),
    [
      ['CNAME', 'example.com', 'other.example.net'],
      ['AAAA', 'other.example.net', '64:ff9b::c000:201'],
    ],
  );
});

const dnssec = (flags: number, dnssecOk: boolean): Uint8Array =>
  query({
    type: 'AAAA',
    flags: packet.RECURSION_DESIRED | flags,
    additionals: [
      { type: 'OPT', name: '.', udpPayloadSize: 1232, flags: dnssecOk ? packet.DNSSEC_OK : 0, options: [] },
    ],
  });

for (const [name, flags, ok, made] of [
  ['neither DO nor CD', 0, false, true],
  ['DO alone', 0, true, true],
  ['CD alone', packet.CHECKING_DISABLED, false, true],
  ['DO and CD: the client checks for itself', packet.CHECKING_DISABLED, true, false],
] as const) {
  test(`5.5: ${name}`, (t) => {
    const h = harness();
    h.ask(dnssec(flags, ok));
    h.upstream('AAAA', (q) => {
      const b = empty(q);
      b[3] = b[3]! | 0x20; // AD
      return b;
    });
    if (!made) {
      t.is(h.answers()[0]!.answers.length, 0);
      t.is(h.asked(), 1);
      return;
    }
    h.upstream('A', with4(a('192.0.2.1')));
    const [answer] = h.answers();
    t.is(answer!.answers[0]!.data, '64:ff9b::c000:201');
    t.is(answer!.flags & packet.AUTHENTIC_DATA, 0);
    t.is(answer!.flags & packet.CHECKING_DISABLED, flags);
    t.is(answer!.additionals.length, 1);
  });
}

test('addresses of the guest network have no counterpart', (t) => {
  const h = harness();
  h.ask(AAAA);
  h.upstream('AAAA', empty);
  h.upstream('A', with4(a('10.0.2.15'), a('192.0.2.1')));
  t.deepEqual(
    h.answers()[0]!.answers.map(({ data }) => data),
    ['64:ff9b::c000:201'],
  );
});

test('too long for UDP: truncated; over TCP whole', (t) => {
  const h = harness();
  const many = Array.from({ length: 25 }, (_, i) => a(`192.0.2.${i}`));
  h.ask(AAAA);
  h.upstream('AAAA', empty);
  h.upstream('A', with4(...many));
  const [answer] = h.answers();
  t.true(answer!.flag_tc);
  t.is(answer!.answers.length, 0);
  h.ask(dnssec(0, false));
  h.upstream('AAAA', empty);
  h.upstream('A', with4(...many));
  t.is(h.answers()[0]!.answers.length, 25);
});

test('an upstream answer that is truncated is passed on', (t) => {
  const h = harness();
  h.ask(AAAA);
  h.upstream('AAAA', (q) => {
    const b = empty(q);
    b[2] = b[2]! | 2;
    return b;
  });
  t.true(h.answers()[0]!.flag_tc);
  h.ask(AAAA);
  h.upstream('AAAA', empty);
  h.upstream('A', (q) => {
    const b = empty(q);
    b[2] = b[2]! | 2;
    return b;
  });
  t.true(h.answers()[0]!.flag_tc);
});

test('RFC 7050, RFC 8880: ipv4only.arpa is answered here, whatever its case', (t) => {
  const h = harness();
  h.ask(query({ name: 'IPv4Only.Arpa', type: 'AAAA' }));
  h.ask(query({ name: 'ipv4only.arpa', type: 'A' }));
  h.ask(query({ name: 'ipv4only.arpa', type: 'TXT' }));
  t.deepEqual(
    h.answers().map(({ answers }) => answers.map(({ data }) => data)),
    [['64:ff9b::c000:aa', '64:ff9b::c000:ab'], ['192.0.0.170', '192.0.0.171'], []],
  );
  t.is(h.asked(), 0);
});

test('other types, other classes and addresses outside the prefix pass', (t) => {
  const h = harness();
  h.ask(query({ type: 'A' }));
  h.upstream('A', with4(a('192.0.2.1')));
  t.is(h.answers()[0]!.answers[0]!.data, '192.0.2.1');
  const outside = `${'0.'.repeat(28)}1.0.0.2.ip6.arpa`;
  h.ask(query({ type: 'PTR', name: outside }));
  h.upstream('PTR', (q) => {
    t.is(decode(q).questions[0]!.name, outside);
    return empty(q);
  });
  t.is(h.answers()[0]!.answers.length, 0);
});

test('names of the configuration with IPv4 addresses only are translated too; those of guests are not', (t) => {
  const records = [
    { name: 'nas', words: parseAddress('192.0.2.9')!, reverse: true },
    { name: 'lan', words: parseAddress('10.0.2.9')!, reverse: true },
  ];
  const local = new LocalNames({ records, domain: '', network: 0, mask: 0xffffffff, hosts: null });
  const h = harness(WELL_KNOWN_PREFIX, { local });
  h.ask(query({ name: 'nas', type: 'AAAA' }));
  h.ask(query({ name: 'lan', type: 'AAAA' }));
  h.ask(query({ name: `9.0.2.0.0.0.0.c.${'0.'.repeat(16)}b.9.f.f.4.6.0.0.ip6.arpa`, type: 'PTR' }));
  const [nas, lan, back] = h.answers();
  t.is(nas!.answers[0]!.data, '64:ff9b::c000:209');
  t.is(lan!.answers.length, 0);
  t.is(back!.answers[1]!.data, 'nas');
  t.is(h.asked(), 0);
});

test('silence upstream ends in SERVFAIL, after both questions had their time', (t) => {
  const h = harness();
  h.ask(AAAA);
  h.clock.advance(5001);
  t.is(h.got.length, 0);
  h.clock.advance(5001);
  t.is(h.answers()[0]!.rcode, 'SERVFAIL');
  t.is(h.forwarder.snapshot().waiting, 0);
});
