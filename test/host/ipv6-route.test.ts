import test from 'ava';
import { hasDefaultRoute, hasIpv6 } from '../../src/host/ipv6-route.ts';

const ZERO = '0'.repeat(32);
const line = (to: string, len: string, flags: string, device: string): string =>
  `${to} ${len} ${ZERO} 00 fe800000000000000000000000000001 00000400 00000001 00000000 ${flags} ${device}`;

const cases: [name: string, give: string, want: boolean][] = [
  ['a default route by a router', line(ZERO, '00', '00000003', 'eth0'), true],
  ['a default route on the link', line(ZERO, '00', '00000001', 'ppp0'), true],
  ['the unreachable one that every namespace has', line(ZERO, '00', '00200200', 'lo'), false],
  ['one that rejects', line(ZERO, '00', '00000203', 'eth0'), false],
  ['one that is down', line(ZERO, '00', '00000002', 'eth0'), false],
  ['other destinations', line(`20010db8${'0'.repeat(24)}`, '40', '00000001', 'eth0'), false],
  ['nothing', '', false],
  ['among others', `${line(ZERO, '00', '00200200', 'lo')}\n${line(ZERO, '00', '00450003', 'wlan0')}\n`, true],
];
for (const [name, give, want] of cases) test(`hasDefaultRoute: ${name}`, (t) => t.is(hasDefaultRoute(give), want));

test('without a list of routes the addresses decide', (t) => {
  t.is(typeof hasIpv6('/nonexistent'), 'boolean');
});
