// A Windows guest joins by IPv6: its frames (fixtures/windows, made by hand after the public documents) and our answers.
import { readFileSync } from 'node:fs';
import test from 'ava';
import { formatAddress, parseAddress } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import { MemoryLeaseStore, prefixInformation, RA_DEFAULTS } from '../../src/services/index.ts';
import { i32, u16 } from '../../src/wire/bytes.ts';
import * as checksum from '../../src/wire/checksum.ts';
import * as icmp from '../../src/wire/icmpv6.ts';
import { WELL_KNOWN_PREFIX } from '../../src/wire/nat64.ts';
import { parse, type Words } from '../../src/wire/router-advert.ts';
import { decode, query } from '../support/dns-harness.ts';
import { DNS6, L4, ROUTER6_LINK, udp6Frame, words6 } from '../support/guest6-frames.ts';
import { hex, toHex } from '../support/hex.ts';
import { LINK6 } from '../support/ip-harness.ts';
import { RouterHarness } from '../support/router-harness.ts';

const MAC = '00:15:5d:01:02:03';
const LINK = 'fe80::8c3e:51d7:94b2:6f1a';
const GLOBAL = '2001:db8:2:0:49d5:7e10:c3a8:2b96';
const TEMPORARY = '2001:db8:2:0:d0b1:33fa:5c07:e844';
const LEASED = '2001:db8:2::1000';

const windows = (name: string): Uint8Array =>
  hex(readFileSync(new URL(`../../fixtures/windows/${name}.hex`, import.meta.url), 'utf8'));
const words = (text: string): Words => parseAddress(text)!;
const at = (f: Uint8Array, o: number): string => formatAddress(i32(f, o), i32(f, o + 4), i32(f, o + 8), i32(f, o + 12));
const src = (f: Uint8Array): string => at(f, 22);
const dst = (f: Uint8Array): string => at(f, 38);
const isIcmp = (f: Uint8Array, type: number): boolean => f[20] === 58 && f[L4] === type;

function router(managed: boolean): RouterHarness {
  const network = { network: words('2001:db8:2::'), prefixLen: 64 };
  return new RouterHarness({
    ipv6: LINK6,
    networks: [],
    aliases: [],
    dhcp: null,
    nat64: [WELL_KNOWN_PREFIX],
    dns: {
      address: null,
      others: [words6(DNS6)],
      upstreams: { servers: () => [], suspect: () => {} },
      domain: 'lab.test',
    },
    dhcp6: {
      networks: [network],
      dns: [words(DNS6)],
      search: () => ['lab.test'],
      domain: 'lab.test',
      pool: managed
        ? { ...network, start: 0x1000, size: 16, reserved: [], leaseSec: 1000, store: new MemoryLeaseStore() }
        : null,
    },
    ra: {
      settings: { ...RA_DEFAULTS, advManagedFlag: managed, prefixes: [prefixInformation(network.network, 64)] },
      dns: [words(DNS6)],
      search: () => ['lab.test'],
      pref64: WELL_KNOWN_PREFIX,
      available: null,
    },
  });
}

/** The options of the one DHCPv6 message that was sent, by RFC 8415 and nothing of the server's code: code to value. */
function reply(h: RouterHarness): { type: number; options: Map<number, Uint8Array> } {
  h.settle();
  const [f, ...more] = h.link.take().filter((each) => each[20] === 17);
  if (f === undefined || more.length > 0) throw new Error('not one answer');
  if (src(f) !== ROUTER6_LINK || dst(f) !== LINK || u16(f, L4) !== 547 || u16(f, L4 + 2) !== 546)
    throw new Error('odd');
  const m = f.subarray(L4 + 8, L4 + u16(f, L4 + 4));
  const options = new Map<number, Uint8Array>();
  for (let o = 4; o < m.length; o += 4 + u16(m, o + 2))
    options.set(u16(m, o), m.subarray(o + 4, o + 4 + u16(m, o + 2)));
  return { type: m[0]!, options };
}

test('Windows: the frames of the fixtures are sound', (t) => {
  for (const name of ['ip6-1-mld-report', 'ip6-2-dad-link', 'ip6-3-router-solicitation', 'ip6-4-dad-global']) {
    const f = windows(name);
    const l4 = f[20] === 0 ? L4 + 8 : L4;
    const sum = checksum.pseudoWords(...words6(src(f)), ...words6(dst(f)), 58);
    t.is(icmp.check(f, l4, f.length, sum), Drop.None, name);
  }
  for (const own of [LINK, GLOBAL, TEMPORARY]) t.false(own.includes('ff:fe'), 'no EUI-64');
});

test('Windows: routers are solicited before the test of the address has ended; the answer is all that it needs', (t) => {
  const h = router(false);
  h.router.announce();
  h.advance(20_000);
  h.link.take();
  t.deepEqual(h.send(windows('ip6-1-mld-report'), windows('ip6-2-dad-link')), [], 'the address is free');
  h.send(windows('ip6-3-router-solicitation'));
  h.advance(500);
  const advert = h.link.take().find((f) => isIcmp(f, icmp.TYPE_ROUTER_ADVERTISEMENT))!;
  t.is(dst(advert), LINK, 'to the one who asked');
  t.is(toHex(advert.slice(0, 6)), MAC.replaceAll(':', ''));
  t.is(src(advert), ROUTER6_LINK);
  const ra = parse(advert, L4, advert.length)!;
  t.deepEqual(
    ra.prefixes.map((p) => [formatAddress(...p.prefix), p.prefixLen, p.onLink, p.autonomous]),
    [['2001:db8:2::', 64, true, true]],
  );
  t.deepEqual(
    ra.rdnss.map(({ servers }) => servers.map((s) => formatAddress(...s))),
    [[DNS6]],
  );
  t.is(h.dropped(Drop.NdMalformed) + h.dropped(Drop.NdBadSender) + h.dropped(Drop.NeighborMismatch), 0);
});

test('Windows: random and temporary addresses are its own, tested first, and used side by side', (t) => {
  const h = router(false);
  t.deepEqual(h.send(windows('ip6-4-dad-global'), windows('ip6-5-dad-temporary')), []);
  for (const [i, from] of [GLOBAL, TEMPORARY].entries()) {
    h.send(
      udp6Frame({ srcMac: MAC, src: from, dst: '2001:db8:ffff::1', sport: 5000, dport: 7, data: Uint8Array.of(i) }),
    );
    h.host.udp[i]!.deliver(h.host.udp[i]!.sent[0]!.to, Uint8Array.of(9));
    h.settle();
    const [f] = h.link.take().filter((each) => each[20] === 17);
    t.is(dst(f!), from);
  }
  t.is(h.host.udp.length, 2);
});

test('Windows: INFORMATION-REQUEST with vendor class 311: name servers, search list, refresh time', (t) => {
  const h = router(false);
  h.send(windows('ip6-3-router-solicitation'));
  h.link.take();
  h.link.receive(windows('dhcp6-3-information-request'));
  const { type, options } = reply(h);
  t.is(type, 7);
  t.is(toHex(options.get(1)!), '000100012b1d4c5a00155d010203', 'DUID-LLT as it came');
  t.is(at(options.get(23)!, 0), DNS6);
  t.is(Buffer.from(options.get(24)!).toString('latin1'), '\x03lab\x04test\0');
  t.true(options.has(32));
  t.false(options.has(17), 'nothing of the vendor’s');
});

test('Windows: SOLICIT and REQUEST in its order of options: an address, and the host name for all to see', (t) => {
  const h = router(true);
  h.send(windows('ip6-3-router-solicitation'));
  h.link.receive(windows('dhcp6-1-solicit'));
  const offer = reply(h);
  t.is(offer.type, 2);
  const ia = offer.options.get(3)!;
  t.is(toHex(ia.slice(0, 4)), '0700155d');
  t.is(at(ia, 16), LEASED);
  t.is(Buffer.from(offer.options.get(39)!).toString('latin1'), '\x03\x0fDESKTOP-1A2B3C4\x03lab\x04test\0', 'S and O');
  h.link.receive(windows('dhcp6-2-request'));
  const ack = reply(h);
  t.is(ack.type, 7);
  t.is(at(ack.options.get(3)!, 16), LEASED);
  t.is(Buffer.from(ack.options.get(39)!).toString('latin1'), '\x03\x0fDESKTOP-1A2B3C4\x03lab\x04test\0');
  h.introduce6();
  const ask = (name: string, type: string): unknown[] => {
    const data = query({ name, type });
    const [f] = h.send(udp6Frame({ dst: DNS6, sport: 4000, dport: 53, data })).filter((each) => each[20] === 17);
    return decode(f!.subarray(L4 + 8)).answers.map((r) => r.data);
  };
  t.deepEqual(ask('desktop-1a2b3c4.lab.test', 'AAAA'), [LEASED]);
  t.deepEqual(ask(`0.0.0.1.${'0.'.repeat(16)}2.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa`, 'PTR'), ['DESKTOP-1A2B3C4.lab.test']);
});
