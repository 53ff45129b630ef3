// The services of a router with IPv6, on the wire: advertisements, DHCPv6, names by both transports, DNS64.
import test from 'ava';
import { formatAddress, parseAddress, parseEndpoint } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import type { RouterOptions } from '../../src/router/index.ts';
import { MemoryLeaseStore, prefixInformation, RA_DEFAULTS } from '../../src/services/index.ts';
import { i32 } from '../../src/wire/bytes.ts';
import * as checksum from '../../src/wire/checksum.ts';
import * as d6 from '../../src/wire/dhcpv6.ts';
import * as icmp from '../../src/wire/icmpv6.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import { WELL_KNOWN_PREFIX } from '../../src/wire/nat64.ts';
import { parse, type Words } from '../../src/wire/router-advert.ts';
import { leaseTo } from '../support/dhcp-exchange.ts';
import { answerTo, decode, query } from '../support/dns-harness.ts';
import {
  DNS6,
  GUEST6,
  GUEST6_LINK,
  icmp6Frame,
  L4,
  ROUTER6,
  ROUTER6_LINK,
  udp6Frame,
  words6,
} from '../support/guest6-frames.ts';
import { hex } from '../support/hex.ts';
import { RouterHarness } from '../support/router-harness.ts';

const SERVERS = 'ff02::1:2';
const words = (text: string): Words => parseAddress(text)!;
const upstream = parseEndpoint('198.51.100.53', 53);
const UPSTREAM = { servers: () => [upstream], suspect: () => {} };

function router(change: Partial<RouterOptions> = {}): RouterHarness {
  const networks = [{ network: words('2001:db8:2::'), prefixLen: 64 }];
  const h = new RouterHarness({
    ipv6: { addresses: [{ words: words6(ROUTER6), prefixLen: 64 }], aliases: [words6(DNS6)] },
    nat64: [WELL_KNOWN_PREFIX],
    dns: { address: null, others: [words6(DNS6)], dns64: true, upstreams: UPSTREAM },
    dhcp6: { networks, dns: [words(DNS6)], search: () => ['lab.test'], pool: null },
    ra: {
      settings: { ...RA_DEFAULTS, prefixes: [prefixInformation(words('2001:db8:2::'), 64)] },
      dns: [words(DNS6)],
      search: () => [],
      pref64: WELL_KNOWN_PREFIX,
      available: null,
    },
    ...change,
  });
  h.introduce6();
  return h;
}

const src = (f: Uint8Array): string => formatAddress(i32(f, 22), i32(f, 26), i32(f, 30), i32(f, 34));
const dst = (f: Uint8Array): string => formatAddress(i32(f, 38), i32(f, 42), i32(f, 46), i32(f, 50));
const isAdvert = (f: Uint8Array): boolean => f[20] === ipv6.NEXT_ICMPV6 && f[L4] === icmp.TYPE_ROUTER_ADVERTISEMENT;

test('an advertisement: from the link-local address to all nodes, hop limit 255, checksum right', (t) => {
  const h = router();
  h.router.announce();
  h.settle();
  const f = h.link.take().find(isAdvert)!;
  t.is(src(f), ROUTER6_LINK);
  t.is(dst(f), 'ff02::1');
  t.is(f[21], 255);
  t.is(Buffer.from(f.subarray(0, 6)).toString('hex'), '333300000001');
  const [link, all] = [words6(ROUTER6_LINK), words6('ff02::1')];
  const pseudo = checksum.pseudoWords(...link, ...all, ipv6.NEXT_ICMPV6);
  t.is(icmp.check(f, L4, f.length, pseudo), Drop.None);
  const ra = parse(f, L4, f.length)!;
  t.is(ra.routerLifetimeSec, 1800);
  t.is(ra.pref64[0]!.prefixLen, 96);
  t.is(ra.mtu, 1500);
});

test('a solicitation is answered to its sender; the end takes everything back', (t) => {
  const h = router();
  h.router.announce();
  h.settle();
  h.link.take();
  h.send(icmp6Frame({ src: GUEST6_LINK, dst: 'ff02::2', hops: 255 }, hex('85000000 00000000')));
  h.advance(600);
  const answers = h.link.take().filter(isAdvert);
  t.deepEqual(answers.map(dst), [GUEST6_LINK]);
  h.router.close();
  const last = h.link.take().filter(isAdvert);
  t.is(last.length, 1);
  t.is(parse(last[0]!, L4, last[0]!.length)!.routerLifetimeSec, 0);
});

test('DHCPv6: asked at ff02::1:2 from a link-local address, answered from ours', (t) => {
  const h = router();
  h.send(icmp6Frame({ src: GUEST6_LINK, dst: 'ff02::2', hops: 255 }, hex('85000000 00000000')));
  const data = hex('0b 123456 0006 0004 0017 0018');
  const frames = h.send(udp6Frame({ src: GUEST6_LINK, dst: SERVERS, sport: 546, dport: 547, data }));
  const f = frames.find((each) => each[20] === 17)!;
  t.is(src(f), ROUTER6_LINK);
  t.is(dst(f), GUEST6_LINK);
  t.is(Buffer.from(f.subarray(L4, L4 + 4)).toString('hex'), '02230222');
  t.is(Buffer.from(f.subarray(L4 + 8, L4 + 12)).toString('hex'), '07123456');
  t.true(Buffer.from(f).includes(Buffer.from(hex('0017 0010 20010db8000200000000000000000003'))));
  t.deepEqual(h.send(udp6Frame({ src: GUEST6, dst: SERVERS, sport: 546, dport: 547, data })), [], 'only from the link');
  t.is(h.host.udp.length, 0, 'nothing of this reached a host socket');
});

test('names by IPv6: asked and answered at the DNS address, forwarded by IPv4, DNS64 on the way back', (t) => {
  const h = router();
  const ask = query({ type: 'AAAA' });
  h.send(udp6Frame({ dst: DNS6, sport: 4000, dport: 53, data: ask }));
  const [first] = h.host.udp;
  first!.deliver(upstream, answerTo(first!.sent[0]!.bytes, '', { answers: [] }));
  const second = h.host.udp.find((each) => each.sent.some(({ bytes }) => decode(bytes).questions[0]!.type === 'A'))!;
  const asked = second.sent.find(({ bytes }) => decode(bytes).questions[0]!.type === 'A')!;
  second.deliver(upstream, answerTo(asked.bytes, '192.0.2.1'));
  h.settle();
  const f = h.link.take().find((each) => each[20] === 17)!;
  t.is(src(f), DNS6);
  t.is(dst(f), GUEST6);
  t.is(decode(f.subarray(L4 + 8)).answers[0]!.data, '64:ff9b::c000:201');
});

test('the names of the router lead to its addresses of both families', (t) => {
  const h = router();
  const [f] = h.send(udp6Frame({ dst: DNS6, sport: 4000, dport: 53, data: query({ type: 'AAAA', name: 'gateway' }) }));
  t.is(decode(f!.subarray(L4 + 8)).answers[0]!.data, ROUTER6);
  t.is(h.host.udp.length, 0);
});

test('the names of guests lead to their addresses of both families, and back', (t) => {
  const h = router();
  const mac = '52:54:00:aa:bb:cc';
  const ask = (name: string, type: string): string => {
    const data = query({ type, name });
    const f = h.send(udp6Frame({ dst: DNS6, sport: 4000, dport: 53, data })).find((each) => each[20] === 17);
    if (f === undefined) return 'upstream';
    const { rcode, answers } = decode(f.subarray(L4 + 8));
    return `${rcode} ${answers.map((r) => r.data).join(' ')}`.trim();
  };
  const reverse = `a.0.0.0.${'0.'.repeat(16)}2.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa`;
  const address = leaseTo(h, mac, 'web');
  t.is(ask('web', 'A'), `NOERROR ${address}`);
  t.is(ask('web', 'AAAA'), 'NOERROR', 'none was heard of');
  t.is(ask(reverse, 'PTR'), 'NXDOMAIN');
  h.introduce6('fe80::a', mac);
  h.introduce6('2001:db8:2::a', mac);
  h.advance(10);
  h.introduce6('2001:db8:2::b', mac);
  h.introduce6('2001:db8:2::c', '52:54:00:aa:bb:cd');
  t.is(
    ask('web', 'AAAA'),
    'NOERROR 2001:db8:2::b 2001:db8:2::a',
    'not the link-local one, nor that of another station',
  );
  t.is(ask(reverse, 'PTR'), 'NOERROR web');
  t.is(ask(reverse.replace('a', 'c'), 'PTR'), 'NXDOMAIN');
});

test('a name is one guest’s in both families: DHCPv6 does not give what DHCPv4 gave to another, nor the other way', async (t) => {
  const pool = { network: words('2001:db8:2::'), prefixLen: 64, start: 0x1000, size: 16, reserved: [], leaseSec: 1000 };
  const networks = [{ network: words('2001:db8:2::'), prefixLen: 64 }];
  const store = new MemoryLeaseStore();
  const h = router({ dhcp6: { networks, dns: [], search: () => [], pool: { ...pool, store } } });
  const name = (mac: string, label: string): string | undefined => {
    const src = `fe80::${mac.slice(-2)}`;
    h.introduce6(src, mac);
    const w = new d6.Dhcpv6Writer().option(1, Uint8Array.of(0, 3, 0, 1, ...hex(mac.replaceAll(':', ''))));
    w.ia({ kind: 'na', iaid: 1, addresses: [] }, 0, 0, [], 0).option(14, new Uint8Array(0));
    w.option(39, Buffer.from(`\0${String.fromCharCode(label.length)}${label}`));
    h.send(udp6Frame({ srcMac: mac, src, dst: SERVERS, sport: 546, dport: 547, data: w.message(d6.SOLICIT, 1) }));
    return h.router.dhcp6!.leases().at(-1)?.hostname;
  };
  leaseTo(h, '52:54:00:aa:bb:01', 'web');
  t.is(name('52:54:00:aa:bb:02', 'web'), '', 'another station’s');
  t.is(name('52:54:00:aa:bb:03', 'six'), 'six');
  leaseTo(h, '52:54:00:aa:bb:04', 'six');
  t.is(h.router.dhcp!.addressOf('six'), -1);
  await h.router.addForward({
    protocol: 'tcp',
    listen: parseEndpoint('::', 8080),
    guest: parseEndpoint('0.0.0.0', 80),
    guestName: 'six',
  });
  h.host.listeners[0]!.incoming(parseEndpoint('2001:db8:ffff::9', 4000));
  h.settle();
  const syn = h.link.take().find((f) => f[20] === 6 || (f[20] === 58 && f[L4] === 135));
  t.truthy(syn, 'a forward finds a guest that has a name by DHCPv6 only');
});

test('without the service port 53 of the gateway is that of the host', (t) => {
  const h = router();
  h.send(udp6Frame({ dst: ROUTER6, sport: 4000, dport: 53, data: query({}) }));
  t.is(String(h.host.udp[0]!.sent[0]!.to), '[::1]:53');
});
