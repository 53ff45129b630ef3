import test from 'ava';
import fc from 'fast-check';
import {
  Endpoint,
  formatAddress,
  formatIpv4,
  formatMac,
  parseAddress,
  parseEndpoint,
  parseIpv4,
  parseIpv4Network,
  parseMac,
} from '../../src/core/address.ts';

for (const [text, want] of [
  ['10.0.2.2', 0x0a000202],
  ['255.255.255.255', 0xffffffff],
  ['0.0.0.0', 0],
  ['10.0.2', -1],
  ['10.0.2.256', -1],
  ['10.0.2.2 ', -1],
  ['-1.0.2.2', -1],
  ['0x0a.0.0.1', -1],
  ['', -1],
] as const) {
  test(`parseIpv4: '${text}'`, (t) => t.is(parseIpv4(text), want));
}

for (const [text, want] of [
  ['2001:db8::1', '2001:db8::1'],
  ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['::', '::'],
  ['::1', '::1'],
  ['fe80::', 'fe80::'],
  ['::ffff:10.0.2.2', '10.0.2.2'],
  ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
  ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ['1:2:3:4:5:6:7', null],
  ['1::2::3', null],
  ['1:2:3:4:5:6:7:8::', null],
  ['12345::', null],
  [':::', null],
  ['::g', null],
  ['10.0.0.1::', null],
] as const) {
  test(`parseAddress: '${text}'`, (t) => {
    const w = parseAddress(text);
    t.is(w === null ? null : formatAddress(...w), want);
  });
}

test('property: formatAddress and parseAddress are inverse', (t) => {
  const word = fc.oneof(fc.integer(), fc.constant(0), fc.constant(0xffff), fc.constant(0x10000));
  fc.assert(
    fc.property(word, word, word, word, (a, b, c, d) => {
      t.deepEqual(parseAddress(formatAddress(a | 0, b | 0, c | 0, d | 0)), [a | 0, b | 0, c | 0, d | 0]);
    }),
  );
  fc.assert(fc.property(fc.string(), (s) => void parseAddress(s)));
});

test('parseIpv4Network: mask and network follow the prefix length', (t) => {
  const n = parseIpv4Network('10.1.2.3/16', 24);
  t.is(formatIpv4(n.network), '10.1.0.0');
  t.is(formatIpv4(n.mask), '255.255.0.0');
  t.is(formatIpv4(n.address), '10.1.2.3');
  t.is(parseIpv4Network('10.1.2.3', 24).prefixLen, 24);
  for (const bad of ['10.1.2.3/33', '10.1.2.3/', '10.1.2/8', 'x', '10.1.2.3/-1', '10.1.2.3/8/8']) {
    t.throws(() => parseIpv4Network(bad, 24), { code: 'ERR_VDE_BAD_ADDRESS' }, bad);
  }
});

test('an Endpoint keeps its text until the address changes', (t) => {
  const e = parseEndpoint('192.0.2.1', 80);
  t.is(String(e), '192.0.2.1:80');
  e.set(0x20010db8, 0, 0, 1, 443);
  t.is(String(e), '[2001:db8::1]:443');
  t.true(new Endpoint().copy(e).same(e));
  t.throws(() => parseEndpoint('example.org', 1), { code: 'ERR_VDE_BAD_ADDRESS' });
});

test('MAC text in the forms that users write', (t) => {
  t.is(formatMac(parseMac('52:55:0a:00:02:02')!), '52:55:0a:00:02:02');
  t.is(formatMac(parseMac('0-1-2-3-4-5')!), '00:01:02:03:04:05');
  t.is(parseMac('52:55:0a:00:02'), null);
  t.is(parseMac('52:55:0a-00:02:02'), null);
});
