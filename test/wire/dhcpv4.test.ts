import { createRequire } from 'node:module';
import test from 'ava';
import fc from 'fast-check';
import { parseIpv4 } from '../../src/core/address.ts';
import * as dhcp from '../../src/wire/dhcpv4.ts';
import { frame } from '../support/frames.ts';
import { hex, toHex } from '../support/hex.ts';

const ip = parseIpv4;
const MAC = hex('020000000051');

const message = (over: Partial<dhcp.DhcpMessage> = {}): dhcp.DhcpMessage => ({
  op: dhcp.OP_REPLY,
  htype: dhcp.HTYPE_ETHERNET,
  hops: 0,
  xid: 0x11223344,
  secs: 0,
  flags: 0,
  ciaddr: 0,
  yiaddr: 0,
  siaddr: 0,
  giaddr: 0,
  chaddr: MAC,
  sname: '',
  file: '',
  options: new Map(),
  ...over,
});

/** A message with these bytes as options field; `file` and `sname` as given. */
function raw(options: string, file = '', sname = ''): Uint8Array {
  const bytes = hex(options);
  const b = new Uint8Array(240 + bytes.length);
  b.set(hex('01 01 06 00 11223344 0000 8000'));
  b.set(MAC, 28);
  b.set(hex(sname), 44);
  b.set(hex(file), 108);
  b.set(hex('63825363'), 236);
  b.set(bytes, 240);
  return b;
}

const parse = (b: Uint8Array): dhcp.DhcpMessage | null => dhcp.parse(b, 0, b.length);

/** Options as text: `53=01 61=0102`. */
function optionsOf(b: Uint8Array): string {
  const m = parse(b);
  return m === null ? 'malformed' : [...m.options].map(([code, value]) => `${code}=${toHex(value)}`).join(' ');
}

const cases = [
  { name: 'end at once', give: raw('ff'), want: '' },
  { name: 'pads between options', give: raw('00 00 350101 00 ff 00'), want: '53=01' },
  { name: 'what follows the end is ignored', give: raw('350101 ff 0c01'), want: '53=01' },
  { name: 'missing end', give: raw('350101'), want: '53=01' },
  { name: 'an empty option', give: raw('5000 350101 ff'), want: '80= 53=01' },
  { name: 'length byte missing', give: raw('350101 0c'), want: 'malformed' },
  { name: 'option one byte past the end', give: raw('350101 0c0241'), want: 'malformed' },
  { name: 'option of 255 bytes in a short field', give: raw('350101 0cff41'), want: 'malformed' },
  { name: 'NUL inside a client identifier', give: raw('3d05 00 61 00 62 00 ff'), want: '61=0061006200' },
  { name: 'RFC 3396: parts are joined', give: raw('0c0141 350101 0c0142 ff'), want: '12=4142 53=01' },
  { name: 'overload: file', give: raw('340101 350101 ff', '0c0141 ff'), want: '53=01 12=41' },
  { name: 'overload: sname', give: raw('340102 350101 ff', '0c0141 ff', '0f0142 ff'), want: '53=01 15=42' },
  { name: 'overload: file before sname', give: raw('340103 0c0141 ff', '0c0142 ff', '0c0143 ff'), want: '12=414243' },
  { name: 'overload without end', give: raw('340101 350101 ff', '0c0141'), want: '53=01 12=41' },
  { name: 'overload within file is ignored', give: raw('340101 ff', '340102 ff', '0c0141 ff'), want: '' },
  { name: 'overload of no known bit', give: raw('340104 350101 ff', '0c01', '0c01'), want: '53=01' },
  { name: 'overload of two bytes', give: raw('34020103 350101 ff', '0c0141 ff'), want: '53=01' },
  {
    name: 'option past the end of file',
    give: raw('340101 350101 ff', `${'00'.repeat(125)} 0c0241`),
    want: 'malformed',
  },
  {
    name: 'option past the end of sname',
    give: raw('340102 350101 ff', '', `${'00'.repeat(63)} 0c`),
    want: 'malformed',
  },
  { name: 'RFC 951: BOOTP without cookie', give: raw('').fill(0, 236, 240), want: '' },
  { name: 'unknown cookie', give: raw('350101 ff').fill(1, 236, 240), want: 'malformed' },
  { name: 'fixed part without cookie', give: raw('').slice(0, 236), want: '' },
  { name: 'fixed part cut short', give: raw('').slice(0, 235), want: 'malformed' },
  { name: 'no bytes', give: new Uint8Array(0), want: 'malformed' },
  { name: 'operation 0', give: raw('ff').fill(0, 0, 1), want: 'malformed' },
  { name: 'operation 3', give: raw('ff').fill(3, 0, 1), want: 'malformed' },
  { name: 'hardware address of 17 bytes', give: raw('ff').fill(17, 2, 3), want: 'malformed' },
  { name: 'longer than a frame', give: raw('00'.repeat(1233)), want: 'malformed' },
];
for (const { name, give, want } of cases) test(`dhcpv4.parse: ${name}`, (t) => t.is(optionsOf(give), want));

test('fields of a captured REQUEST', (t) => {
  const b = frame('dhcp-request');
  const m = dhcp.parse(b, 42, b.length)!;
  t.like(m, { op: dhcp.OP_REQUEST, htype: 1, hops: 0, xid: 0x11223344, secs: 0, ciaddr: 0, sname: '', file: '' });
  t.deepEqual(m.chaddr, MAC);
  t.is(dhcp.messageType(m), dhcp.REQUEST);
  t.is(dhcp.readAddress(m.options.get(dhcp.OPTION_REQUESTED_ADDRESS)), ip('10.0.2.15'));
  t.is(dhcp.readAddress(m.options.get(dhcp.OPTION_SERVER_ID)), ip('10.0.2.2'));
});

test('options of a captured ACK of slirpvde', (t) => {
  const b = frame('dhcp-ack');
  const m = dhcp.parse(b, 42, b.length)!;
  t.is(m.yiaddr, ip('10.0.2.15'));
  t.deepEqual([...m.options.keys()], [53, 54, 1, 3, 6, 51]);
  t.deepEqual(dhcp.readAddresses(m.options.get(dhcp.OPTION_DNS_SERVERS)), [ip('10.0.2.3')]);
  t.is(dhcp.readU32(m.options.get(dhcp.OPTION_LEASE_TIME)), 86400);
});

test('what is read keeps nothing of the frame', (t) => {
  const b = raw('0c03414243 ff');
  const m = parse(b)!;
  b.fill(0);
  t.is(dhcp.readText(m.options.get(dhcp.OPTION_HOST_NAME)), 'ABC');
  t.deepEqual(m.chaddr, MAC);
});

test('an overloaded field gives no text', (t) => {
  t.is(parse(raw('340101 ff', '0c0141 ff', '686f7374'))!.file, '');
  t.is(parse(raw('340101 ff', '0c0141 ff', '686f7374'))!.sname, 'host');
  t.is(parse(raw('340102 ff', '626f6f74', '0c0141 ff'))!.file, 'boot');
  t.is(parse(raw('340102 ff', '626f6f74', '0c0141 ff'))!.sname, '');
});

test('write: fixed fields at their offsets (RFC 2131 section 2), 300 bytes at least', (t) => {
  const b = dhcp.write(
    message({
      secs: 7,
      flags: dhcp.FLAG_BROADCAST,
      ciaddr: ip('1.2.3.4'),
      yiaddr: ip('200.0.2.15'),
      siaddr: ip('10.0.2.2'),
      giaddr: ip('10.0.2.9'),
      sname: 'server',
      file: 'pxelinux.0',
      options: new Map([[dhcp.OPTION_MESSAGE_TYPE, dhcp.writeU8(dhcp.ACK)]]),
    }),
  );
  t.is(b.length, dhcp.MIN_LEN);
  t.is(toHex(b.slice(0, 34)), '0201060011223344000780000102 0304c800020f0a0002020a000209020000000051'.replace(' ', ''));
  t.is(Buffer.from(b.slice(44, 51)).toString('latin1'), 'server\0');
  t.is(Buffer.from(b.slice(108, 119)).toString('latin1'), 'pxelinux.0\0');
  t.is(toHex(b.slice(236, 244)), '63825363350105ff');
  t.true(b.slice(244).every((byte) => byte === 0));
});

test('write: options keep their order, and the result is as long as needed', (t) => {
  const options = new Map([
    [54, new Uint8Array(4)],
    [53, Uint8Array.of(2)],
    [12, new Uint8Array(100).fill(0x61)],
  ]);
  const b = dhcp.write(message({ options }));
  t.is(b.length, 240 + 6 + 3 + 102 + 1);
  t.deepEqual([...parse(b)!.options.keys()], [54, 53, 12]);
});

test('write: options that do not fit are left out, later ones that fit are not', (t) => {
  const options = new Map([
    [53, Uint8Array.of(2)],
    [119, new Uint8Array(250)],
    [121, new Uint8Array(60)],
    [51, new Uint8Array(4)],
  ]);
  const taken = { sname: 'host', file: 'boot' };
  const b = dhcp.write(message({ ...taken, options }), dhcp.DEFAULT_MAX_LEN);
  t.true(b.length <= dhcp.DEFAULT_MAX_LEN);
  t.deepEqual([...parse(b)!.options.keys()], [53, 119, 51]);
  t.deepEqual([...parse(dhcp.write(message({ ...taken, options }), 700))!.options.keys()], [53, 119, 121, 51]);
});

test('write: an option fills the message to its last byte', (t) => {
  const taken = { sname: 'host', file: 'boot' };
  const fits = new Map([[43, new Uint8Array(548 - 240 - 5)]]);
  t.is(dhcp.write(message({ ...taken, options: fits })).length, 548);
  t.is(parse(dhcp.write(message({ ...taken, options: fits })))!.options.get(43)?.length, 303);
  const tooLong = new Map([[43, new Uint8Array(548 - 240 - 4)]]);
  t.is(parse(dhcp.write(message({ ...taken, options: tooLong })))!.options.size, 0);
});

test('overload (RFC 2131 4.1): what does not fit the options field goes to file, then sname', (t) => {
  const options = new Map([
    [53, Uint8Array.of(2)],
    [119, new Uint8Array(250).fill(1)],
    [121, new Uint8Array(60).fill(2)],
    [43, new Uint8Array(50).fill(3)],
    [51, new Uint8Array(4).fill(4)],
  ]);
  const b = dhcp.write(message({ options }), dhcp.DEFAULT_MAX_LEN);
  t.deepEqual([...b.subarray(240, 243)], [52, 1, 3], 'option 52: both fields hold options');
  t.deepEqual([b[108], b[109], b[170]], [121, 60, 43], 'file');
  t.is(b[222], 255);
  t.is(b[44], 255, 'sname is empty: nothing but the end');
  t.deepEqual(new Map([...parse(b)!.options].sort()), new Map([...options].sort()));
  const kept = parse(dhcp.write(message({ options, file: 'pxelinux.0' }), dhcp.DEFAULT_MAX_LEN))!;
  t.is(kept.file, 'pxelinux.0', 'a boot file stays where boot firmware looks for it');
  t.deepEqual([...kept.options.keys()].sort(), [119, 121, 51, 53].sort());
});

test('overload and RFC 3396: an option that fits no field whole is split over them in order', (t) => {
  const value = Uint8Array.from({ length: 420 }, (_, i) => i & 255);
  const options = new Map([
    [53, Uint8Array.of(2)],
    [121, value],
    [51, new Uint8Array(4)],
  ]);
  const read = parse(dhcp.write(message({ options }), dhcp.DEFAULT_MAX_LEN))!;
  t.deepEqual(read.options.get(121), value);
  t.deepEqual([...read.options.keys()].sort(), [121, 51, 53].sort());
});

test('overload: whatever is written is read back, at any length', (t) => {
  const code = fc.integer({ min: 1, max: 254 }).filter((c) => c !== dhcp.OPTION_OVERLOAD);
  const list = fc.uniqueArray(fc.tuple(code, fc.uint8Array({ maxLength: 280 })), {
    maxLength: 8,
    selector: ([c]) => c,
  });
  fc.assert(
    fc.property(list, fc.integer({ min: 300, max: 1472 }), fc.constantFrom('', 'x'), (pairs, max, name) => {
      const b = dhcp.write(message({ options: new Map(pairs), sname: name }), max);
      t.true(b.length <= max);
      const read = parse(b)!;
      t.is(read.sname, name);
      const given = new Map(pairs);
      for (const [c, value] of read.options) t.deepEqual(value, given.get(c));
      const size = pairs.reduce((sum, [, v]) => sum + v.length + 2 * Math.max(1, Math.ceil(v.length / 255)), 0);
      if (size + 241 <= max) t.is(read.options.size, pairs.length, 'all of them when there is room');
    }),
    { numRuns: 300 },
  );
});

test('RFC 3396: long options are written in parts of 255 bytes', (t) => {
  const value = Uint8Array.from({ length: 600 }, (_, i) => i & 255);
  const b = dhcp.write(message({ options: new Map([[121, value]]) }), dhcp.MAX_LEN);
  t.deepEqual([b[240], b[241], b[497], b[498], b[754], b[755]], [121, 255, 121, 255, 121, 90]);
  t.deepEqual(parse(b)!.options.get(121), value);
});

test('write: text and hardware address that are too long are cut to their fields', (t) => {
  const m = message({ sname: 's'.repeat(100), file: 'f'.repeat(200), chaddr: new Uint8Array(20).fill(7) });
  const read = parse(dhcp.write(m))!;
  t.is(read.sname, 's'.repeat(63));
  t.is(read.file, 'f'.repeat(127));
  t.is(read.chaddr.length, 16);
});

test('write then parse is the same', (t) => {
  const address = fc.integer({ min: 0, max: 0xffffffff });
  const code = fc.integer({ min: 1, max: 254 }).filter((c) => c !== dhcp.OPTION_OVERLOAD);
  const arbitrary = fc.record({
    op: fc.constantFrom(dhcp.OP_REQUEST, dhcp.OP_REPLY),
    htype: fc.nat(255),
    hops: fc.nat(255),
    xid: address,
    secs: fc.nat(0xffff),
    flags: fc.nat(0xffff),
    ciaddr: address,
    yiaddr: address,
    siaddr: address,
    giaddr: address,
    chaddr: fc.uint8Array({ maxLength: 16 }),
    sname: fc.stringMatching(/^[a-z.]{0,63}$/),
    file: fc.stringMatching(/^[a-z./]{0,127}$/),
    options: fc
      .uniqueArray(fc.tuple(code, fc.uint8Array({ maxLength: 300 })), { maxLength: 4, selector: ([c]) => c })
      .map((pairs) => new Map(pairs)),
  });
  fc.assert(
    fc.property(arbitrary, (m) => {
      t.deepEqual(parse(dhcp.write(m, dhcp.MAX_LEN)), { ...m });
    }),
    { numRuns: 200 },
  );
});

test('option 57 (RFC 2132 9.10): longest reply', (t) => {
  const asking = (value: Uint8Array): dhcp.DhcpMessage => message({ options: new Map([[57, value]]) });
  t.is(dhcp.maxReplyLen(message()), 548);
  t.is(dhcp.maxReplyLen(asking(dhcp.writeU16(576))), 548);
  t.is(dhcp.maxReplyLen(asking(dhcp.writeU16(100))), 548);
  t.is(dhcp.maxReplyLen(asking(dhcp.writeU16(1400))), 1372);
  t.is(dhcp.maxReplyLen(asking(dhcp.writeU16(65535))), dhcp.MAX_LEN);
  t.is(dhcp.maxReplyLen(asking(dhcp.writeU8(5))), 548);
});

test('readers refuse values of the wrong length', (t) => {
  t.is(dhcp.readU8(undefined), -1);
  t.is(dhcp.readU8(hex('')), -1);
  t.is(dhcp.readU8(hex('0102')), -1);
  t.is(dhcp.readU16(hex('01')), -1);
  t.is(dhcp.readU32(hex('010203')), -1);
  t.is(dhcp.readAddress(hex('c0a80101')), ip('192.168.1.1'));
  t.deepEqual(dhcp.readAddresses(hex('0a000001 c0')), []);
  t.deepEqual(dhcp.readAddresses(undefined), []);
  t.is(dhcp.readText(hex('6162006364')), 'ab');
  t.is(dhcp.readText(undefined), '');
});

test('messageType: plain BOOTP and odd lengths are 0', (t) => {
  t.is(dhcp.messageType(message()), 0);
  t.is(dhcp.messageType(message({ options: new Map([[53, hex('0101')]]) })), 0);
});

test('RFC 3442: classless routes hold the significant bytes only', (t) => {
  // The table of the section "Classless Route Option Format".
  const table = [
    { network: '0.0.0.0', prefixLen: 0, want: '00' },
    { network: '10.0.0.0', prefixLen: 8, want: '080a' },
    { network: '10.0.0.0', prefixLen: 24, want: '180a0000' },
    { network: '10.17.0.0', prefixLen: 16, want: '100a11' },
    { network: '10.27.129.0', prefixLen: 24, want: '180a1b81' },
    { network: '10.229.0.128', prefixLen: 25, want: '190ae50080' },
    { network: '10.198.122.47', prefixLen: 32, want: '200ac67a2f' },
  ];
  const router = ip('192.168.0.1');
  for (const { network, prefixLen, want } of table) {
    t.is(toHex(dhcp.writeClasslessRoutes([{ network: ip(network), prefixLen, router }])), `${want}c0a80001`);
  }
  t.is(
    toHex(
      dhcp.writeClasslessRoutes([
        { network: ip('10.17.0.0'), prefixLen: 16, router: 0 },
        { network: 0, prefixLen: 0, router },
      ]),
    ),
    '100a110000000000c0a80001',
  );
});

test('RFC 3397 section 3: the example of a compressed search list', (t) => {
  const want = '03656e67056170706c6503636f6d00 096d61726b6574696e67c004';
  t.is(toHex(dhcp.writeDomainSearch(['eng.apple.com.', 'marketing.apple.com.'])), want.replace(' ', ''));
});

test('search lists: whole names are shared, names without encoding left out', (t) => {
  t.is(toHex(dhcp.writeDomainSearch(['a.b', 'A.B'])), '0161016200c000');
  t.is(dhcp.writeDomainSearch(['', '.', 'a..b', `${'x'.repeat(64)}.org`, Array(128).fill('ab').join('.')]).length, 0);
  t.is(dhcp.writeDomainSearch([`${'x'.repeat(63)}`]).length, 65);
});

test('the codec of the dhcp package reads what we write', (t) => {
  const oracle = createRequire(import.meta.url)('dhcp/lib/protocol.js') as {
    parse(b: Buffer): { xid: number; yiaddr: string; chaddr: string; options: Record<number, unknown> };
  };
  const options = new Map([
    [53, dhcp.writeU8(dhcp.OFFER)],
    [54, dhcp.writeAddresses(ip('10.0.2.2'))],
    [1, dhcp.writeAddresses(ip('255.255.255.0'))],
    [3, dhcp.writeAddresses(ip('10.0.2.2'))],
    [6, dhcp.writeAddresses(ip('10.0.2.3'), ip('10.0.2.4'))],
    [51, dhcp.writeU32(86400)],
    [26, dhcp.writeU16(1400)],
    [12, dhcp.writeText('guest')],
  ]);
  const read = oracle.parse(Buffer.from(dhcp.write(message({ yiaddr: ip('10.0.2.15'), options }))));
  t.is(read.xid, 0x11223344);
  t.is(read.yiaddr, '10.0.2.15');
  t.is(read.chaddr.toLowerCase(), '02-00-00-00-00-51');
  t.deepEqual(read.options, {
    53: 2,
    54: '10.0.2.2',
    1: '255.255.255.0',
    3: ['10.0.2.2'],
    6: ['10.0.2.3', '10.0.2.4'],
    51: 86400,
    26: 1400,
    12: 'guest',
  });
});

test('dhcpv4.summary', (t) => {
  const line = (b: Uint8Array, o: number): string => dhcp.summary(b, o, b.length);
  t.is(
    line(frame('dhcp-request'), 42),
    'DHCP REQUEST xid 0x11223344 chaddr 02:00:00:00:00:51 requested 10.0.2.15 server 10.0.2.2',
  );
  t.is(
    line(frame('dhcp-offer'), 42),
    'DHCP OFFER xid 0x11223344 chaddr 02:00:00:00:00:51 yiaddr 10.0.2.15 server 10.0.2.2',
  );
  t.is(line(raw('ff'), 0), 'DHCP BOOTP xid 0x11223344 chaddr 02:00:00:00:00:51');
  t.is(line(raw('350109 ff').fill(9, 15, 16), 0), 'DHCP type 9 xid 0x11223344 chaddr 02:00:00:00:00:51 ciaddr 0.0.0.9');
  t.is(line(raw('3501'), 0), 'DHCP [dhcp_malformed]');
});
