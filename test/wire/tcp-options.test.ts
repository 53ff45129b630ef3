import test from 'ava';
import fc from 'fast-check';
import * as tcp from '../../src/wire/tcp.ts';
import { frame } from '../support/frames.ts';
import { hex, toHex } from '../support/hex.ts';

/** The options that a header with these option bytes gives, as text; bytes behind the header must not matter. */
function parsed(options: string, reuse = new tcp.TcpOptions()): string {
  const bytes = hex(options);
  const len = (bytes.length + 3) & ~3;
  const b = new Uint8Array(20 + len + 40).fill(3, 20 + len);
  b.set(bytes, 20);
  b[12] = (20 + len) << 2;
  reuse.parse(b, 0);
  return reuse.toString();
}

const cases = [
  { name: 'none', give: '', want: '' },
  { name: 'NOPs only', give: '01010101 01010101', want: '' },
  { name: '40 bytes of NOP', give: '01'.repeat(40), want: '' },
  { name: 'MSS', give: '020405b4', want: 'mss 1460' },
  { name: 'MSS of length 3 is passed over', give: '020305 00', want: '' },
  { name: 'the next option after one of odd length', give: '020305 030307', want: 'wscale 7' },
  { name: 'window scale', give: '01 030307', want: 'wscale 7' },
  { name: 'RFC 7323 2.3: shift counts above 14 are 14', give: '01 0303ff', want: 'wscale 14' },
  { name: 'window scale 0 is present', give: '01 030300', want: 'wscale 0' },
  { name: 'SACK permitted', give: '0402 0101', want: 'sackOK' },
  { name: 'timestamps, usual layout', give: '0101 080a 80000001 00000002', want: 'TS val 2147483649 ecr 2' },
  { name: 'timestamps, unpadded', give: '080a 00000001 00000002 0000', want: 'TS val 1 ecr 2' },
  { name: 'timestamps, another layout', give: '080a 00000001 00000002 0101', want: 'TS val 1 ecr 2' },
  { name: 'timestamps of length 9', give: '0809 00000001 000000 030307', want: 'wscale 7' },
  { name: 'usual timestamps cut by the header length', give: '0101 080a 00000001', want: '' },
  { name: 'end of options hides what follows', give: '00 030307', want: '' },
  { name: 'unknown options are skipped', give: 'fd04 aabb 0402 0101', want: 'sackOK' },
  { name: 'length 0 ends parsing', give: '0402 2200 030307 00', want: 'sackOK' },
  { name: 'length 1 ends parsing', give: '0402 2201 030307 00', want: 'sackOK' },
  { name: 'length beyond the header ends parsing', give: '0402 0204', want: 'sackOK' },
  { name: 'length byte missing', give: '0402 01 02', want: 'sackOK' },
  { name: 'one SACK block', give: '0101 050a 00000001 00000002', want: 'sack 1:2' },
  {
    name: 'four SACK blocks',
    give: '0101 0522 00000001 00000002 00000003 00000004 00000005 00000006 fffffff7 fffffff8',
    want: 'sack 1:2,sack 3:4,sack 5:6,sack 4294967287:4294967288',
  },
  { name: 'SACK without blocks', give: '0101 0502', want: '' },
  { name: 'SACK with half a block', give: '0101 0506 00000001', want: '' },
];
for (const { name, give, want } of cases) test(`TcpOptions: ${name}`, (t) => t.is(parsed(give), want));

test('an object that is used again forgets what it read before', (t) => {
  const options = new tcp.TcpOptions();
  parsed('020405b4 0402 080a 00000001 00000002 01 030307', options);
  t.is(options.toString(), 'mss 1460,sackOK,TS val 1 ecr 2,wscale 7');
  parsed('0101 050a 00000001 00000002', options);
  t.is(parsed('', options), '');
  t.like(options, {
    mss: 0,
    windowScale: -1,
    sackPermitted: false,
    hasTimestamp: false,
    tsVal: 0,
    tsEcr: 0,
    sackCount: 0,
  });
});

test('writeSynOptions gives the options of a captured SYN', (t) => {
  const b = frame('tcp-syn');
  const out = new Uint8Array(24);
  const len = tcp.writeSynOptions(out, 2, 1460, 10, true, true, 897928039, 0);
  t.is(len, tcp.SYN_OPTIONS_MAX_LEN);
  t.is(toHex(out), `0000${toHex(b.slice(54, 74))}0000`);
});

test('writeDataOptions gives the options of a captured ACK with two SACK blocks', (t) => {
  const b = frame('tcp-ack-sack2');
  const options = new tcp.TcpOptions();
  options.parse(b, 34);
  t.is(options.sackCount, 2);
  const out = new Uint8Array(tcp.MAX_OPTIONS_LEN);
  const { tsVal, tsEcr, sackCount, sackLeft, sackRight } = options;
  const len = tcp.writeDataOptions(out, 0, true, tsVal, tsEcr, sackCount, sackLeft, sackRight);
  t.is(toHex(out.slice(0, len)), toHex(b.slice(54)));
});

const word = fc.integer({ min: 0, max: 0xffffffff });

test('SYN options: write then parse is the same, and the length is known before', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 0xffff }),
      fc.integer({ min: -1, max: 14 }),
      fc.boolean(),
      fc.boolean(),
      word,
      word,
      (mss, windowScale, sackPermitted, hasTimestamp, tsVal, tsEcr) => {
        const b = new Uint8Array(64).fill(0xee);
        const len = tcp.writeSynOptions(b, 20, mss, windowScale, sackPermitted, hasTimestamp, tsVal, tsEcr);
        t.is(len, tcp.synOptionsLen(windowScale, sackPermitted, hasTimestamp));
        t.is(len & 3, 0);
        t.is(b[20 + len], 0xee);
        b[12] = (20 + len) << 2;
        const options = new tcp.TcpOptions();
        options.parse(b, 0);
        t.like(options, { mss, windowScale, sackPermitted, hasTimestamp, sackCount: 0 });
        t.like(options, hasTimestamp ? { tsVal, tsEcr } : { tsVal: 0, tsEcr: 0 });
      },
    ),
    { numRuns: 200 },
  );
});

test('data options: write then parse is the same, and the length is known before', (t) => {
  fc.assert(
    fc.property(fc.boolean(), word, word, fc.array(fc.tuple(word, word), { maxLength: 4 }), (ts, tsVal, tsEcr, all) => {
      const blocks = ts ? all.slice(0, 3) : all;
      const left = Uint32Array.from({ length: 4 }, (_, i) => blocks[i]?.[0] ?? 0);
      const right = Uint32Array.from({ length: 4 }, (_, i) => blocks[i]?.[1] ?? 0);
      const b = new Uint8Array(64).fill(0xee);
      const len = tcp.writeDataOptions(b, 20, ts, tsVal, tsEcr, blocks.length, left, right);
      t.is(len, tcp.dataOptionsLen(ts, blocks.length));
      t.true(len <= tcp.MAX_OPTIONS_LEN && (len & 3) === 0);
      t.is(b[20 + len], 0xee);
      b[12] = (20 + len) << 2;
      const options = new tcp.TcpOptions();
      options.parse(b, 0);
      t.is(options.hasTimestamp, ts);
      t.is(options.tsVal, ts ? tsVal : 0);
      t.is(options.tsEcr, ts ? tsEcr : 0);
      t.deepEqual(
        blocks.map((_, i) => [options.sackLeft[i], options.sackRight[i]]),
        blocks.map((block) => [...block]),
      );
      t.is(options.sackCount, blocks.length);
    }),
    { numRuns: 200 },
  );
});
