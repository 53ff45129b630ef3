// Names answered here: guests, the router, configured records; and the guard against rebinding.
import test from 'ava';
import fc from 'fast-check';
import { formatAddress, formatIpv4, parseAddress, parseIpv4 } from '../../src/core/address.ts';
import { LOCAL_TTL_SEC, LocalNames, type LocalNamesOptions, type LocalRecord } from '../../src/services/dns-local.ts';
import { RebindGuard } from '../../src/services/dns-rebind.ts';
import * as dns from '../../src/wire/dns.ts';
import { answerTo, decode, dnsHarness, type Message, packet, query } from '../support/dns-harness.ts';

interface Answer extends Message {
  authorities: { type: string; name: string; ttl: number; data: { mname: string; rname: string; minimum: number } }[];
}
const record = (name: string, address: string, reverse = true): LocalRecord => ({
  name,
  words: parseAddress(address)!,
  reverse,
});
const GUESTS: Record<string, string> = { web: '10.0.2.15', db: '10.0.2.16' };
const GUESTS6: Record<string, string[]> = { web: ['2001:db8:2::1000', '2001:db8:2::abcd'], six: ['2001:db8:2::6'] };
const OPTIONS: LocalNamesOptions = {
  domain: 'lab.test',
  network: parseIpv4('10.0.2.0'),
  mask: 0xffffff00,
  networks6: [{ network: parseAddress('2001:db8:2::')!, prefixLen: 64 }],
  records: [
    record('gateway', '10.0.2.2'),
    record('host.internal', '10.0.2.2', false),
    record('Api.Example.com', '192.0.2.7'),
    record('api.example.com', '192.0.2.8'),
    record('api.example.com', '2001:db8::7'),
    record('v6.example.org', '2001:db8::8'),
  ],
  hosts: {
    addressOf: (name) => parseIpv4(GUESTS[name] ?? ''),
    addressesOf6: (name) => (Object.hasOwn(GUESTS6, name) ? GUESTS6[name]! : []).map((text) => parseAddress(text)!),
    nameOf: (address) => Object.keys(GUESTS).find((name) => GUESTS[name] === formatIpv4(address)) ?? '',
    nameOf6: (words) => Object.keys(GUESTS6).find((name) => GUESTS6[name]!.includes(formatAddress(...words))) ?? '',
  },
};

/** Asks a forwarder with local names; null when the question went upstream. */
function ask(name: string, type = 'A', more: Partial<LocalNamesOptions> = {}, additionals?: object[]): Answer | null {
  const d = dnsHarness({ local: new LocalNames({ ...OPTIONS, ...more }) });
  d.ask(query({ name, type, ...(additionals === undefined ? {} : { additionals }) }));
  const went = d.sent().length;
  const got = d.got[0];
  if (got === undefined) return went === 1 ? null : ({ rcode: 'silence' } as Answer);
  if (dns.check(got.bytes, 0, got.bytes.length) !== 0 || got.bytes.length > 512 || went > 0)
    throw new Error('malformed');
  return decode(got.bytes) as Answer;
}
const data = (a: Answer | null): string =>
  a === null ? 'upstream' : `${a.rcode} ${a.answers.map((r) => `${r.type} ${r.data}`).join(', ')}`.trim();

/** Of 2001:db8::8. */
const V6_NAME = `8.${'0.'.repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa`;

const cases: [name: string, type: string, want: string][] = [
  ['web', 'A', 'NOERROR A 10.0.2.15'],
  ['WEB', 'A', 'NOERROR A 10.0.2.15'],
  ['web.lab.test', 'A', 'NOERROR A 10.0.2.15'],
  ['web.LAB.test', 'A', 'NOERROR A 10.0.2.15'],
  ['web', 'AAAA', 'NOERROR AAAA 2001:db8:2::1000, AAAA 2001:db8:2::abcd'],
  ['WEB.lab.test', 'AAAA', 'NOERROR AAAA 2001:db8:2::1000, AAAA 2001:db8:2::abcd'],
  ['db', 'AAAA', 'NOERROR'],
  ['six', 'AAAA', 'NOERROR AAAA 2001:db8:2::6'],
  ['six', 'A', 'NOERROR'],
  ['web.lab.test', 'MX', 'NOERROR'],
  ['web', 'ANY', 'NOERROR A 10.0.2.15'],
  ['gateway', 'A', 'NOERROR A 10.0.2.2'],
  ['host.internal', 'A', 'NOERROR A 10.0.2.2'],
  ['api.example.com', 'A', 'NOERROR A 192.0.2.7, A 192.0.2.8'],
  ['api.example.com', 'AAAA', 'NOERROR AAAA 2001:db8::7'],
  ['v6.example.org', 'A', 'NOERROR'],
  ['15.2.0.10.in-addr.arpa', 'PTR', 'NOERROR PTR web.lab.test'],
  ['15.2.0.10.IN-ADDR.ARPA', 'PTR', 'NOERROR PTR web.lab.test'],
  ['15.2.0.10.in-addr.arpa', 'A', 'NOERROR'],
  ['2.2.0.10.in-addr.arpa', 'PTR', 'NOERROR PTR gateway'],
  ['7.2.0.192.in-addr.arpa', 'PTR', 'NOERROR PTR Api.Example.com'],
  ['99.2.0.10.in-addr.arpa', 'PTR', 'NXDOMAIN'],
  [V6_NAME, 'PTR', 'NOERROR PTR v6.example.org'],
  [V6_NAME.toUpperCase(), 'ANY', 'NOERROR PTR v6.example.org'],
  [V6_NAME, 'AAAA', 'NOERROR'],
  [V6_NAME.replace('8', '9'), 'PTR', 'upstream'],
  ['8.b.d.0.1.0.0.2.ip6.arpa', 'PTR', 'upstream'],
  [`d.c.b.a.${'0.'.repeat(16)}2.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa`, 'PTR', 'NOERROR PTR web.lab.test'],
  [`6.${'0.'.repeat(19)}2.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa`, 'ANY', 'NOERROR PTR six.lab.test'],
  [`6.${'0.'.repeat(19)}2.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa`, 'TXT', 'NOERROR'],
  [`7.${'0.'.repeat(19)}2.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa`, 'PTR', 'NXDOMAIN'],
  [`6.${'0.'.repeat(19)}3.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa`, 'PTR', 'upstream'],
  [`g.${'0.'.repeat(19)}2.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa`, 'PTR', 'upstream'],
  // RFC 8482: one record set, however many there are
  ['api.example.com', 'ANY', 'NOERROR A 192.0.2.7, A 192.0.2.8'],
  ['v6.example.org', 'ANY', 'NOERROR AAAA 2001:db8::8'],
  // not ours
  ['nobody', 'A', 'upstream'],
  ['nobody.lab.test', 'A', 'upstream'],
  ['a.web', 'A', 'upstream'],
  ['a.web.lab.test', 'A', 'upstream'],
  ['lab.test', 'A', 'upstream'],
  ['weblab.test', 'A', 'upstream'],
  ['example.com', 'A', 'upstream'],
  ['internal', 'A', 'upstream'],
  ['__proto__', 'A', 'upstream'],
  ['.', 'NS', 'upstream'],
  ['1.1.168.192.in-addr.arpa', 'PTR', 'upstream'],
  ['2.0.10.in-addr.arpa', 'SOA', 'upstream'],
  ['015.2.0.10.in-addr.arpa', 'PTR', 'upstream'],
  ['256.2.0.10.in-addr.arpa', 'PTR', 'upstream'],
  ['in-addr.arpa', 'PTR', 'upstream'],
];
for (const [name, type, want] of cases) {
  test(`${type} ${name}: ${want}`, (t) => {
    t.is(data(ask(name, type)), want);
  });
}

test('RFC 2308: NODATA and NXDOMAIN carry a SOA record that bounds their life', (t) => {
  for (const [name, type, owner] of [
    ['db.lab.test', 'AAAA', 'db.lab.test'],
    ['six', 'A', 'six'],
    [`7.${'0.'.repeat(19)}2.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa`, 'PTR', '0.0.0.0.2.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa'],
    ['99.2.0.10.in-addr.arpa', 'PTR', '2.0.10.in-addr.arpa'],
  ] as const) {
    const [soa] = ask(name, type)!.authorities;
    t.is(soa?.type, 'SOA');
    t.is(soa?.name, owner);
    t.is(soa?.ttl, LOCAL_TTL_SEC);
    t.is(soa?.data.minimum, LOCAL_TTL_SEC);
    t.is(soa?.data.rname, 'nobody.invalid');
  }
  t.deepEqual(ask('web')!.authorities, []);
});

for (const [len, name, zone] of [
  [8, '1.2.3.10.in-addr.arpa', '10.in-addr.arpa'],
  [16, '1.2.0.10.in-addr.arpa', '0.10.in-addr.arpa'],
  [28, '1.2.0.10.in-addr.arpa', '2.0.10.in-addr.arpa'],
] as const) {
  test(`reverse zone of a /${len}`, (t) => {
    const mask = (0xffffffff << (32 - len)) >>> 0;
    const a = ask(name, 'PTR', { mask, network: (parseIpv4('10.0.2.0') & mask) >>> 0 });
    t.is(a?.authorities[0]?.name, zone);
  });
}

test('without a domain guests have one label; without DHCP no names', (t) => {
  t.is(data(ask('web', 'A', { domain: '' })), 'NOERROR A 10.0.2.15');
  t.is(data(ask('15.2.0.10.in-addr.arpa', 'PTR', { domain: '' })), 'NOERROR PTR web');
  t.is(data(ask('web', 'A', { hosts: null })), 'upstream');
  t.is(data(ask('15.2.0.10.in-addr.arpa', 'PTR', { hosts: null })), 'NXDOMAIN');
});

test('what the configuration says comes before a guest', (t) => {
  t.is(data(ask('web.lab.test', 'A', { records: [record('WEB.lab.test', '192.0.2.1')] })), 'NOERROR A 192.0.2.1');
});

test('answers are authoritative, recursion is available, EDNS is answered with EDNS', (t) => {
  const plain = ask('web')!;
  t.is(plain.flags & 0x0580, 0x0580, 'AA RD RA');
  t.deepEqual(plain.additionals, []);
  const opt = { type: 'OPT', name: '.', udpPayloadSize: 4096, extendedRcode: 0, ednsVersion: 0, flags: 0, options: [] };
  for (const [name, type] of [
    ['web', 'A'],
    ['web', 'AAAA'],
    ['99.2.0.10.in-addr.arpa', 'PTR'],
  ] as const) {
    t.is((ask(name, type, {}, [opt])!.additionals as { type: string }[])[0]?.type, 'OPT');
  }
});

test('the longest name with the most addresses fits 512 bytes', (t) => {
  const name = [63, 63, 63, 59].map((n) => 'a'.repeat(n)).join('.');
  const records = Array.from({ length: 20 }, (_, i) => record(name, `2001:db8::${i + 1}`));
  const opt = { type: 'OPT', name: '.', udpPayloadSize: 4096, extendedRcode: 0, ednsVersion: 0, flags: 0, options: [] };
  t.is(ask(name, 'AAAA', { records }, [opt])!.answers.length, 8);
  t.is(ask(name, 'ANY', { records }, [opt])!.answers.length, 8);
});

test('another class, opcode or an odd name is not ours', (t) => {
  const d = dnsHarness({ local: new LocalNames(OPTIONS) });
  const chaos = query({ name: 'web' });
  chaos[chaos.length - 1] = 3;
  d.ask(chaos);
  const update = query({ name: 'web', id: 2 });
  update[2] = 0x28;
  d.ask(update);
  t.is(d.sent().length, 2);
});

test('any name: an answer is well-formed, or the question goes upstream', (t) => {
  const names = new LocalNames({
    ...OPTIONS,
    hosts: {
      addressOf: () => 1,
      addressesOf6: () => Array.from({ length: 20 }, () => parseAddress('2001:db8:2::1')!),
      nameOf: () => 'x'.repeat(63),
      nameOf6: () => 'x'.repeat(63),
    },
  });
  const label = fc.uint8Array({ minLength: 1, maxLength: 63 });
  fc.assert(
    fc.property(fc.array(label, { maxLength: 3 }), fc.nat(65535), (labels, type) => {
      const q = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
      for (const l of labels) q.push(l.length, ...l);
      q.push(0, type >> 8, type & 255, 0, 1);
      const b = Uint8Array.from(q);
      const out = new Uint8Array(1024);
      const len = names.answer(out, b, 0, b.length);
      t.true(len === 0 || dns.check(out, 0, len) === 0);
    }),
    { numRuns: 300 },
  );
});

// Rebinding.

const guard = new RebindGuard({ exempt: ['corp.test'], network: parseIpv4('198.18.0.0'), mask: 0xffff0000 });
const verdicts: [address: string, refused: boolean][] = [
  ['192.0.2.1', false],
  ['10.1.2.3', true],
  ['172.16.0.1', true],
  ['172.32.0.1', false],
  ['192.168.1.1', true],
  ['100.64.0.1', true],
  ['169.254.169.254', true],
  ['127.0.0.1', true],
  ['0.0.0.0', true],
  ['198.18.7.7', true],
  ['::1', true],
  ['::', true],
  ['::ffff:10.0.0.1', true],
  ['64:ff9b::a00:1', true],
  ['64:ff9b::c000:201', false],
  ['fe80::1', true],
  ['fd00::1', true],
  ['2001:db8::1', false],
];
for (const [address, refused] of verdicts) {
  test(`rebinding: ${address} is ${refused ? 'refused' : 'passed on'}`, (t) => {
    const d = dnsHarness({ rebind: guard });
    const type = address.includes(':') ? 'AAAA' : 'A';
    d.ask(query({ name: 'evil.test', type }));
    const sent = d.only();
    const answers = [
      { type: 'A', name: 'evil.test', ttl: 1, data: '192.0.2.9' },
      { type, name: 'evil.test', ttl: 1, data: address },
    ];
    sent.socket.deliver(d.server(), answerTo(sent.bytes, '', { answers }));
    const got = decode(d.got[0]!.bytes);
    t.is(got.rcode, refused ? 'REFUSED' : 'NOERROR');
    t.is(got.answers.length, refused ? 0 : 2);
    t.is(d.drops('DnsRebind'), refused ? 1 : 0);
    t.is(d.forwarder.snapshot().servfails, 0);
  });
}

test('rebinding: exempt zones, and types that are no addresses', (t) => {
  for (const [name, want] of [
    ['corp.test', 'NOERROR'],
    ['db.CORP.test', 'NOERROR'],
    ['evilcorp.test', 'REFUSED'],
  ]) {
    const d = dnsHarness({ rebind: guard });
    d.ask(query({ name: name! }));
    const sent = d.only();
    sent.socket.deliver(d.server(), answerTo(sent.bytes, '10.0.0.1'));
    t.is(decode(d.got[0]!.bytes).rcode, want!);
  }
  const b = packet.encode({
    type: 'response',
    id: 1,
    flags: 0,
    questions: [{ type: 'TXT', name: 'x.test' }],
    answers: [{ type: 'TXT', name: 'x.test', ttl: 1, data: '10.0.0.1' }],
  });
  t.false(guard.refuses(b, 0, b.length));
  for (let end = 12; end < b.length; end++) t.false(guard.refuses(b, 0, end));
});
