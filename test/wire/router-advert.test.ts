import test from 'ava';
import fc from 'fast-check';
import { parseAddress } from '../../src/core/address.ts';
import * as ra from '../../src/wire/router-advert.ts';
import { hex } from '../support/hex.ts';

const words = (text: string): ra.Words => parseAddress(text)!;

const FULL: ra.RouterAdvert = {
  hopLimit: 64,
  managed: false,
  other: true,
  routerLifetimeSec: 1800,
  reachableMs: 0,
  retransMs: 0,
  sourceMac: { hi: 0x5255, lo: 0x0a000202 },
  mtu: 1500,
  prefixes: [
    {
      prefix: words('2001:db8::'),
      prefixLen: 64,
      onLink: true,
      autonomous: true,
      validSec: 86_400,
      preferredSec: 14_400,
    },
  ],
  rdnss: [{ servers: [words('2001:db8::1'), words('fe80::1')], lifetimeSec: 1800 }],
  dnssl: [{ names: ['lab.test', 'more.lab.test'], lifetimeSec: 1800 }],
  pref64: [{ prefix: words('64:ff9b::'), prefixLen: 96, lifetimeSec: 1800 }],
};

const BYTES = `
  86 00 0000 40 40 0708 00000000 00000000
  01 01 52 55 0a 00 02 02
  05 01 0000 000005dc
  03 04 40 c0 00015180 00003840 00000000 20010db8 00000000 00000000 00000000
  19 05 0000 00000708 20010db8 00000000 00000000 00000001 fe800000 00000000 00000000 00000001
  1f 05 0000 00000708 03 6c6162 04 74657374 00 04 6d6f7265 03 6c6162 04 74657374 00 0000000000 00 00
  26 02 0708 0064ff9b 00000000 00000000`;

test('write: every option as the RFCs draw it', (t) => {
  t.deepEqual(Buffer.from(ra.write(FULL)).toString('hex'), Buffer.from(hex(BYTES)).toString('hex'));
});

test('parse gives back what write wrote', (t) => {
  const b = ra.write(FULL);
  t.deepEqual(ra.parse(b, 0, b.length), FULL);
});

test('PREF64: all six lengths, lifetimes in units of 8 s, cut at the longest', (t) => {
  for (const prefixLen of [32, 40, 48, 56, 64, 96]) {
    const pref64 = [{ prefix: words('2001:db8::'), prefixLen, lifetimeSec: 1801 }];
    const b = ra.write({ ...FULL, pref64 });
    const back = ra.parse(b, 0, b.length)!.pref64[0]!;
    t.is(back.prefixLen, prefixLen);
    t.is(back.lifetimeSec, 1808);
  }
  const long = ra.write({ ...FULL, pref64: [{ ...FULL.pref64[0]!, lifetimeSec: 1e9 }] });
  t.is(ra.parse(long, 0, long.length)!.pref64[0]!.lifetimeSec, ra.PREF64_MAX_SEC);
});

test('a search list longer than one option takes several', (t) => {
  const names = Array.from({ length: 40 }, (_, i) => `${'x'.repeat(60)}.n${i}.test`);
  const b = ra.write({ ...FULL, dnssl: [{ names, lifetimeSec: 60 }] });
  const back = ra.parse(b, 0, b.length)!;
  t.true(back.dnssl.length > 1);
  t.deepEqual(
    back.dnssl.flatMap((each) => each.names),
    names,
  );
});

test('any bytes: never an exception, never a read past the end', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (tail) => {
      const b = Uint8Array.of(134, 0, 0, 0, ...tail);
      ra.parse(b, 0, b.length);
    }),
  );
  t.pass();
});
