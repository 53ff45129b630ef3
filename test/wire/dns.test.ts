import { createRequire } from 'node:module';
import test from 'ava';
import fc from 'fast-check';
import { Drop } from '../../src/core/drop.ts';
import * as dns from '../../src/wire/dns.ts';
import { frame } from '../support/frames.ts';
import { hex, toHex } from '../support/hex.ts';

/** What is used of the dns-packet package, an independent codec. */
interface DnsPacket {
  RECURSION_DESIRED: number;
  encode(message: object): Uint8Array;
  decode(b: Uint8Array): Record<string, unknown>;
}
const dnsPacket = createRequire(import.meta.url)('dns-packet') as DnsPacket;

const HEADER = '1234 0100 0001 0000 0000 0000';
const QUESTION = '03777777 076578616d706c65 03636f6d 00 0001 0001';
const counted = (an: number, ns: number, ar: number, flags = '8180'): string =>
  `1234 ${flags} 0001 ${[an, ns, ar].map((n) => n.toString(16).padStart(4, '0')).join(' ')}`;
const label = (n: number): string => n.toString(16).padStart(2, '0') + '61'.repeat(n);
const A = '0001 0001 0000003c 0004 5db8d822';

const cases = [
  { name: 'a query', give: `${HEADER} ${QUESTION}`, want: Drop.None },
  { name: 'the root', give: `${HEADER} 00 0002 0001`, want: Drop.None },
  { name: 'trailing bytes', give: `${HEADER} ${QUESTION} 00`, want: Drop.None },
  { name: 'no bytes', give: '', want: Drop.DnsMalformed },
  { name: 'header cut short', give: HEADER.slice(0, -2), want: Drop.DnsMalformed },
  { name: 'no question', give: '1234 0100 0000 0000 0000 0000', want: Drop.DnsMalformed },
  { name: 'two questions', give: `1234 0100 0002 0000 0000 0000 ${QUESTION} ${QUESTION}`, want: Drop.DnsMalformed },
  { name: 'question missing', give: HEADER, want: Drop.DnsMalformed },
  { name: 'name without its end', give: `${HEADER} 03777777`, want: Drop.DnsMalformed },
  { name: 'type and class cut short', give: `${HEADER} 00 0001 00`, want: Drop.DnsMalformed },
  { name: 'label of 63 bytes', give: `${HEADER} ${label(63)} 00 0001 0001`, want: Drop.None },
  { name: 'label of 64 bytes', give: `${HEADER} ${label(64)} 00 0001 0001`, want: Drop.DnsMalformed },
  { name: 'reserved label type 0x80', give: `${HEADER} 8061 00 0001 0001`, want: Drop.DnsMalformed },
  {
    name: 'name of 255 bytes',
    give: `${HEADER} ${label(63)}${label(63)}${label(63)}${label(61)} 00 0001 0001`,
    want: Drop.None,
  },
  {
    name: 'name of 256 bytes',
    give: `${HEADER} ${label(63)}${label(63)}${label(63)}${label(62)} 00 0001 0001`,
    want: Drop.DnsMalformed,
  },
  { name: '127 labels', give: `${HEADER} ${'0161'.repeat(127)} 00 0001 0001`, want: Drop.None },
  { name: '128 labels', give: `${HEADER} ${'0161'.repeat(128)} 00 0001 0001`, want: Drop.DnsMalformed },
  { name: 'question that points to itself', give: `${HEADER} c00c 0001 0001`, want: Drop.DnsMalformed },
  { name: 'question that points forward', give: `${HEADER} c00e 00 0001 0001`, want: Drop.DnsMalformed },
  { name: 'question that points into the header', give: `${HEADER} c004 0001 0001`, want: Drop.DnsMalformed },
  { name: 'answer that points to the question', give: `${counted(1, 0, 0)} ${QUESTION} c00c ${A}`, want: Drop.None },
  { name: 'answer: label, then pointer', give: `${counted(1, 0, 0)} ${QUESTION} 0161 c010 ${A}`, want: Drop.None },
  { name: 'answer: chain of pointers', give: `${counted(2, 0, 0)} ${QUESTION} c00c ${A} c021 ${A}`, want: Drop.None },
  { name: 'answer that points to itself', give: `${counted(1, 0, 0)} ${QUESTION} c021 ${A}`, want: Drop.DnsMalformed },
  { name: 'answer: pointer loop', give: `${counted(1, 0, 0)} ${QUESTION} 0161 c021 ${A}`, want: Drop.DnsMalformed },
  {
    name: 'answer: pointer to a label that covers the pointer',
    give: `${counted(1, 0, 0)} ${QUESTION} 0103 c022 ${A}`,
    want: Drop.DnsMalformed,
  },
  { name: 'answer: half a pointer', give: `${counted(1, 0, 0)} ${QUESTION} c0`, want: Drop.DnsMalformed },
  {
    name: 'answer: no data length',
    give: `${counted(1, 0, 0)} ${QUESTION} c00c ${A.slice(0, 21)}`,
    want: Drop.DnsMalformed,
  },
  {
    name: 'answer: data cut short',
    give: `${counted(1, 0, 0)} ${QUESTION} c00c ${A.slice(0, -2)}`,
    want: Drop.DnsMalformed,
  },
  {
    name: 'more records counted than there are',
    give: `${counted(1, 0, 1)} ${QUESTION} c00c ${A}`,
    want: Drop.DnsMalformed,
  },
  { name: 'all counts at their highest', give: `${counted(65535, 65535, 65535)} ${QUESTION}`, want: Drop.DnsMalformed },
  { name: 'truncated answers may lack records', give: `${counted(9, 0, 0, '8380')} ${QUESTION}`, want: Drop.None },
];
for (const { name, give, want } of cases) {
  test(`dns.check: ${name}`, (t) => {
    const b = hex(`aabb ${give}`);
    t.is(dns.check(b, 2, b.length), want);
  });
}

test('dns.check: long chains of pointers cost no more than their length', (t) => {
  // Every record's name is a pointer to the name before it, the last ones beyond the limit of steps.
  const records = 5000;
  const b = new Uint8Array(17 + 12 * records);
  b.set(hex(`${counted(records, 0, 0)} 00 0001 0001`));
  for (let i = 0; i < records; i++) {
    const at = 17 + 12 * i;
    const before = i === 0 ? 12 : Math.min(at - 12, 0x3fff);
    b[at] = 0xc0 | (before >>> 8);
    b[at + 1] = before;
  }
  t.is(dns.check(b, 0, b.length), Drop.DnsMalformed);
  t.is(dns.check(hex(`${counted(1, 0, 0)} 00 0001 0001 c00c ${A}`), 0, 33), Drop.None);
});

test('fields of a captured query', (t) => {
  const b = frame('udp-dns-query');
  t.is(dns.check(b, 42, b.length), Drop.None);
  t.is(dns.id(b, 42), 0xba54);
  t.false(dns.isResponse(b, 42));
  t.is(dns.opcode(b, 42), dns.OPCODE_QUERY);
  t.false(dns.isTruncated(b, 42));
  t.deepEqual([dns.qdcount(b, 42), dns.ancount(b, 42), dns.nscount(b, 42), dns.arcount(b, 42)], [1, 0, 0, 1]);
  t.is(dns.questionEnd(b, 42, b.length), 42 + 12 + 17 + 4);
  t.is(dns.qtype(b, 42, b.length), 28);
  t.is(dns.qclass(b, 42, b.length), 1);
  t.is(dns.questionName(b, 42), 'www.example.com');
  t.is(dns.ednsUdpSize(b, 42, b.length), 1232);
  dns.setId(b, 42, 0xffee);
  t.is(dns.id(b, 42), 0xffee);
});

test('flags', (t) => {
  const b = hex('1234 ab85 0001 0000 0000 0000');
  t.true(dns.isResponse(b, 0));
  t.is(dns.opcode(b, 0), 5);
  t.true(dns.isTruncated(b, 0));
  t.is(dns.rcode(b, 0), dns.RCODE_REFUSED);
});

const same = (a: string, b: string): boolean => {
  const x = hex(`00 ${a}`);
  const y = hex(b);
  return dns.sameQuestion(x, 1, x.length, y, 0, y.length);
};
const q = (name: string, type = 1, klass = 1): string => {
  const labels = name.split('.').map((l) => l.length.toString(16).padStart(2, '0') + Buffer.from(l).toString('hex'));
  return `${HEADER} ${labels.join('')}00 ${[type, klass].map((n) => n.toString(16).padStart(4, '0')).join('')}`;
};

test('RFC 4343: questions are the same without regard to ASCII case', (t) => {
  t.true(same(q('www.example.com'), q('www.example.com')));
  t.true(same(q('wWw.eXample.COM'), q('www.example.com')));
  t.true(same(`${q('a.b')} ffff`, q('a.b')), 'what follows the question does not matter');
  t.true(same(`${HEADER} 00 0001 0001`, `${HEADER} 00 0001 0001`), 'the root');
  t.false(same(q('www.example.com'), q('www.example.org')));
  t.false(same(q('a.bc'), q('ab.c')), 'same letters in other labels');
  t.false(same(q('a'), q('a', 28)));
  t.false(same(q('a'), q('a', 1, 3)));
  t.false(same(q('a[b'), q('a{b')), 'only letters have case');
  t.false(same(`${HEADER} 01c1 00 0001 0001`, `${HEADER} 01e1 00 0001 0001`), 'only ASCII has case');
  t.false(same(HEADER, HEADER), 'no question is no match');
});

const edns = [
  { name: 'no additional section', give: `${HEADER} ${QUESTION}`, want: 0 },
  { name: 'OPT alone', give: `${counted(0, 0, 1, '0100')} ${QUESTION} 00 0029 1000 00000000 0000`, want: 4096 },
  {
    name: 'sizes below 512 are 512',
    give: `${counted(0, 0, 1, '0100')} ${QUESTION} 00 0029 0010 00000000 0000`,
    want: 512,
  },
  {
    name: 'OPT behind another record',
    give: `${counted(0, 0, 2, '0100')} ${QUESTION} c00c ${A} 00 0029 04d0 00000000 0000`,
    want: 1232,
  },
  {
    name: 'OPT in the answer section is none',
    give: `${counted(1, 0, 0)} ${QUESTION} 00 0029 1000 00000000 0000`,
    want: 0,
  },
  {
    name: 'OPT whose owner is not the root',
    give: `${counted(0, 0, 1)} ${QUESTION} c00c 0029 1000 00000000 0000`,
    want: 0,
  },
  { name: 'OPT cut short', give: `${counted(0, 0, 1)} ${QUESTION} 00 0029 1000 00000000 00`, want: 0 },
  { name: 'no message', give: '00', want: 0 },
];
for (const { name, give, want } of edns) {
  test(`RFC 6891: ${name}`, (t) => t.is(dns.ednsUdpSize(hex(give), 0, hex(give).length), want));
}

test('writeEmptyAnswer: header and question only, RD, CD and opcode as asked', (t) => {
  const query = hex(`1234 0930 0001 0000 0000 0001 ${QUESTION} 00 0029 1000 00000000 0000`);
  const out = new Uint8Array(query.length + 1);
  const len = dns.writeEmptyAnswer(out, 1, query, 0, query.length, dns.RCODE_SERVFAIL);
  t.is(toHex(out.slice(1, 1 + len)), toHex(hex(`1234 8992 0001 0000 0000 0000 ${QUESTION}`)));
  t.is(dns.check(out, 1, 1 + len), Drop.None);
  t.true(out.slice(1 + len).every((byte) => byte === 0));
});

test('writeEmptyAnswer to a captured query is what dns-packet expects', (t) => {
  const b = frame('udp-dns-query');
  const out = new Uint8Array(b.length);
  const len = dns.writeEmptyAnswer(out, 0, b, 42, b.length, dns.RCODE_REFUSED);
  const read = dnsPacket.decode(Buffer.from(out.slice(0, len)));
  t.like(read, { id: 0xba54, type: 'response', flag_rd: true, flag_ra: true, flag_tc: false, flag_aa: false });
  t.is(read['rcode'], 'REFUSED');
  t.deepEqual(read['questions'], [{ name: 'www.example.com', type: 'AAAA', class: 'IN' }]);
  t.deepEqual(read['answers'], []);
});

test('writeTruncated keeps the flags of the answer and sets TC, in place too', (t) => {
  const answer = hex(`${counted(1, 0, 0, '85a3')} ${QUESTION} c00c ${A}`);
  const want = toHex(hex(`1234 87a3 0001 0000 0000 0000 ${QUESTION}`));
  const len = dns.writeTruncated(answer, 0, answer, 0, answer.length);
  t.is(toHex(answer.slice(0, len)), want);
});

const nameArbitrary = fc
  .array(fc.stringMatching(/^[a-z0-9-]{1,20}$/), { minLength: 1, maxLength: 6 })
  .map((labels) => labels.join('.'));

test('messages of dns-packet pass check, and their fields read the same', (t) => {
  fc.assert(
    fc.property(
      nameArbitrary,
      fc.constantFrom('A', 'AAAA', 'MX', 'TXT', 'SRV'),
      fc.nat(0xffff),
      fc.integer({ min: 512, max: 4096 }),
      fc.nat(3),
      (name, type, id, udpPayloadSize, answers) => {
        const b = dnsPacket.encode({
          type: 'response',
          id,
          flags: dnsPacket.RECURSION_DESIRED,
          questions: [{ type, name }],
          answers: Array.from({ length: answers }, (_, i) => ({ type: 'A', name, data: `10.0.0.${i}` })),
          additionals: [{ type: 'OPT', name: '.', udpPayloadSize, flags: 0, options: [] }],
        });
        t.is(dns.check(b, 0, b.length), Drop.None);
        t.is(dns.id(b, 0), id);
        t.is(dns.questionName(b, 0), name);
        t.is(dns.ancount(b, 0), answers);
        t.is(dns.ednsUdpSize(b, 0, b.length), udpPayloadSize);
        t.true(dns.sameQuestion(b, 0, b.length, b, 0, b.length));
      },
    ),
    { numRuns: 100 },
  );
});

test('dns.summary', (t) => {
  const line = (text: string): string => dns.summary(hex(text), 0, hex(text).length);
  t.is(line(`${HEADER} ${QUESTION}`), 'DNS query 0x1234 A? www.example.com');
  t.is(line(`${HEADER} 00 0002 0001`), 'DNS query 0x1234 NS? .');
  t.is(line(`${HEADER} 05 2e005cff41 00 03e8 0001`), 'DNS query 0x1234 TYPE1000? \\.\\000\\\\\\255A');
  t.is(line(`${counted(1, 0, 0)} ${QUESTION} c00c ${A}`), 'DNS answer 0x1234 NOERROR A? www.example.com an 1');
  t.is(line(`${counted(0, 0, 0, '838b')} ${QUESTION}`), 'DNS answer 0x1234 RCODE11 TC A? www.example.com an 0');
  t.is(line('1234'), 'DNS [dns_malformed]');
});
