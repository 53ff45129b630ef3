// DHCP with guests that run Windows, frame to frame: fixtures/windows, made by hand after Microsoft's documents.
import { readFileSync } from 'node:fs';
import test from 'ava';
import { parseIpv4, parseIpv4Network } from '../../src/core/address.ts';
import { MemoryLeaseStore } from '../../src/services/index.ts';
import { rawOptions } from '../support/dhcp-client.ts';
import { hex, toHex } from '../support/hex.ts';
import { RouterHarness } from '../support/router-harness.ts';

const windows = (name: string): Uint8Array =>
  hex(readFileSync(new URL(`../../fixtures/windows/${name}.hex`, import.meta.url), 'utf8'));
const MAC = '00155d012a07';
const textHex = (text: string): string => toHex(Buffer.from(text));

/** Routes as option 121 and 249 have them: 10.17.0.0/16 by 10.0.2.9, and the default route. */
const ROUTES = '100a110a000209000a000202';

function router(): RouterHarness {
  return new RouterHarness({
    dhcp: {
      network: parseIpv4Network('10.0.2.2/24', 24),
      dns: [parseIpv4('10.0.2.3')],
      poolStart: parseIpv4('10.0.2.15'),
      store: new MemoryLeaseStore(),
      domain: 'lab.test',
      search: () => ['lab.test'],
      routes: [{ network: parseIpv4('10.17.0.0'), prefixLen: 16, router: parseIpv4('10.0.2.9') }],
      extra: new Map([
        [44, hex('0a000204')],
        [46, hex('08')],
        [252, Uint8Array.from(Buffer.from('http://wpad.lab.test/wpad.dat'))],
      ]),
    },
  });
}

interface Reply {
  /** Ethernet and IPv4 destination. */
  readonly to: string;
  readonly destination: string;
  readonly yiaddr: string;
  readonly flags: string;
  /** In the order of the message. */
  readonly codes: number[];
  readonly options: Map<number, Uint8Array>;
}

/** The answer to a frame, once the new address has been probed. */
function reply(h: RouterHarness, frame: Uint8Array): Reply {
  const frames = h.send(frame);
  h.advance(200);
  const all = [...frames, ...h.link.take()].filter((f) => f[12] === 8 && f[13] === 0);
  if (all.length !== 1) throw new Error(`${all.length} answers`);
  const f = all[0]!;
  const dhcp = f.subarray(42);
  const options = rawOptions(dhcp);
  return {
    to: toHex(f.subarray(0, 6)),
    destination: toHex(f.subarray(30, 34)),
    yiaddr: toHex(dhcp.subarray(16, 20)),
    flags: toHex(dhcp.subarray(10, 12)),
    codes: [...options.keys()],
    options,
  };
}

test('Windows: DISCOVER with the broadcast flag is answered to all, without it to the new address', (t) => {
  const flagged = reply(router(), windows('dhcp-discover-broadcast'));
  t.like(flagged, { to: 'ffffffffffff', destination: 'ffffffff', yiaddr: '0a00020f', flags: '8000' });
  const plain = reply(router(), windows('dhcp-discover'));
  t.like(plain, { to: MAC, destination: '0a00020f', yiaddr: '0a00020f', flags: '0000' });
});

test('Windows: what is asked for comes in the order of the list, between 53 54 51 and what was not asked for', (t) => {
  const { codes, options } = reply(router(), windows('dhcp-discover-broadcast'));
  t.deepEqual(codes, [53, 54, 51, 1, 3, 6, 15, 44, 46, 119, 121, 249, 252, 61]);
  const want: [number, string][] = [
    [53, '02'],
    [54, '0a000202'],
    [51, '00015180'],
    [1, 'ffffff00'],
    [3, '0a000202'],
    [6, '0a000203'],
    [15, textHex('lab.test')],
    [44, '0a000204'],
    [46, '08'],
    [119, '036c6162047465737400'],
    [121, ROUTES],
    [249, ROUTES],
    [252, textHex('http://wpad.lab.test/wpad.dat')],
    [61, `01${MAC}`],
  ];
  for (const [code, value] of want) t.is(toHex(options.get(code)!), value, `option ${code}`);
});

for (const [name, to, destination] of [
  ['dhcp-request-broadcast', 'ffffffffffff', 'ffffffff'],
  ['dhcp-request', MAC, '0a00020f'],
] as const) {
  test(`Windows: REQUEST with the full name (${name}): ACK, the name is known, option 81 is answered`, (t) => {
    const h = router();
    reply(h, windows('dhcp-discover'));
    const ack = reply(h, windows(name));
    t.like(ack, { to, destination, yiaddr: '0a00020f' });
    t.is(toHex(ack.options.get(53)!), '05');
    // Overridden (O) and done by the server (S); the result codes are 255; ASCII, as it was asked.
    t.is(toHex(ack.options.get(81)!), `03ffff${textHex('DESKTOP-7Q2.lab.test')}`);
    t.is(h.router.dhcp!.addressOf('desktop-7q2'), parseIpv4('10.0.2.15'));
  });
}

test('Windows: INFORM for the proxy configuration: ACK to its address, in its order, without a lease time', (t) => {
  const h = router();
  reply(h, windows('dhcp-discover'));
  reply(h, windows('dhcp-request'));
  const ack = reply(h, windows('dhcp-inform'));
  t.like(ack, { to: MAC, destination: '0a00020f', yiaddr: '00000000' });
  t.deepEqual(ack.codes, [53, 54, 1, 15, 3, 6, 44, 46, 121, 249, 252, 61]);
  t.is(Buffer.from(ack.options.get(252)!).toString(), 'http://wpad.lab.test/wpad.dat');
});

test('Windows: 249 is only sent to who asks for it, and nothing is said where there are no routes', (t) => {
  const h = new RouterHarness();
  const { codes } = reply(h, windows('dhcp-discover'));
  t.false(codes.includes(249));
  t.false(codes.includes(121));
});
