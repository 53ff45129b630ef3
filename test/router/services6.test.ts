// The services of a router with IPv6, on the wire: advertisements, DHCPv6, names by both transports, DNS64.
import test from 'ava';
import { formatAddress, parseAddress, parseEndpoint } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import type { RouterOptions } from '../../src/router/index.ts';
import { prefixInformation, RA_DEFAULTS } from '../../src/services/index.ts';
import { i32 } from '../../src/wire/bytes.ts';
import * as checksum from '../../src/wire/checksum.ts';
import * as icmp from '../../src/wire/icmpv6.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import { WELL_KNOWN_PREFIX } from '../../src/wire/nat64.ts';
import { parse, type Words } from '../../src/wire/router-advert.ts';
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

test('without the service port 53 of the gateway is that of the host', (t) => {
  const h = router();
  h.send(udp6Frame({ dst: ROUTER6, sport: 4000, dport: 53, data: query({}) }));
  t.is(String(h.host.udp[0]!.sent[0]!.to), '[::1]:53');
});
