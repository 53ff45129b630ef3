import test from 'ava';
import { parseAddress, parseIpv4, parseIpv4Network, parseMac } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import { OwnAddresses } from '../../src/host/own-addresses.ts';
import { LinkAddresses } from '../../src/ip/index.ts';
import { formatPolicyRule, parsePolicyRule } from '../../src/mgmt/policy-text.ts';
import { Destination, EgressPolicy, type PolicyOptions } from '../../src/router/policy.ts';
import { MAX_RULES, PolicyProtocol, type PolicyRule } from '../../src/router/policy-rules.ts';
import { Translation } from '../../src/router/translation.ts';
import { WELL_KNOWN_PREFIX } from '../../src/wire/nat64.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { echoFrame, tcpFrame, udpFrame } from '../support/guest-frames.ts';
import { RouterHarness } from '../support/router-harness.ts';

const { Tcp, Udp, Icmp } = PolicyProtocol;
const rules = (...texts: string[]): PolicyRule[] =>
  texts.map((text) => parsePolicyRule(text[0] === '+', text.slice(1)));

const OWN = new LinkAddresses(
  [parseIpv4Network('10.0.2.2/24', 24)],
  [parseIpv4('10.0.2.3')],
  { addresses: [{ words: parseAddress('2001:db8:2::1')!, prefixLen: 64 }], aliases: [parseAddress('2001:db8:2::3')!] },
  parseMac('52:55:0a:00:02:02')!,
);

const make = (options: Partial<PolicyOptions> = {}): EgressPolicy =>
  new EgressPolicy({
    own: OWN,
    translation: new Translation([WELL_KNOWN_PREFIX], true),
    hostLoopback: true,
    ...options,
  });

/** `allowed ADDRESS:PORT`, `denied` or `dropped`. */
function decide(policy: EgressPolicy, address: string, port = 80, protocol: number = Tcp): string {
  const out = new Destination();
  const why = policy.resolve(protocol, !address.includes(':'), ...parseAddress(address)!, port, out);
  if (why === Drop.None) return `allowed ${out}`;
  return why === Drop.PolicyDenied ? 'denied' : 'dropped';
}

// Every way to the host's loopback and to the host itself, with all of them shut.
const sideDoors: [address: string, open: string, shut: string][] = [
  ['10.0.2.2', 'allowed 127.0.0.1:80', 'denied'],
  ['10.0.2.3', 'denied', 'denied'],
  ['127.0.0.1', 'dropped', 'dropped'],
  ['127.255.255.254', 'dropped', 'dropped'],
  ['0.0.0.0', 'dropped', 'dropped'],
  ['0.1.2.3', 'dropped', 'dropped'],
  ['255.255.255.255', 'dropped', 'dropped'],
  ['10.0.2.255', 'dropped', 'dropped'],
  ['224.0.0.1', 'dropped', 'dropped'],
  ['240.0.0.1', 'dropped', 'dropped'],
  ['169.254.169.254', 'denied', 'denied'],
  ['169.254.0.1', 'denied', 'denied'],
  ['192.0.2.1', 'allowed 192.0.2.1:80', 'denied'], // the host's own
  ['192.0.2.2', 'allowed 192.0.2.2:80', 'allowed 192.0.2.2:80'],
];
for (const [address, open, shut] of sideDoors) {
  test(`${address}: ${open} as a rule, ${shut} with --no-host-loopback and --no-host`, (t) => {
    const own = Int32Array.from(['127.0.0.1', '192.0.2.1', '::1', '2001:db8:9::9'].flatMap((a) => parseAddress(a)!));
    for (const protocol of [Tcp, Udp, Icmp]) {
      t.is(decide(make(), address, 80, protocol), open);
      const all = rules('+0.0.0.0/0', '+127.0.0.1', '+192.0.2.1', '+0.0.0.0/8', '+240.0.0.0/4');
      const closed = make({ hostLoopback: false, hostAddresses: () => own, rules: all });
      t.is(decide(closed, address, 80, protocol), shut, 'and no rule opens it');
    }
  });
}

test('the first rule that fits decides; ports and protocols count', (t) => {
  const policy = make({
    rules: rules('+10.1.2.3:53/udp', '-10.0.0.0/8', '-0.0.0.0/0:25/tcp', '+0.0.0.0/0', '-1.2.3.4'),
  });
  const cases: [address: string, port: number, protocol: number, want: string][] = [
    ['10.1.2.3', 53, Udp, 'allowed 10.1.2.3:53'],
    ['10.1.2.3', 53, Tcp, 'denied'],
    ['10.1.2.3', 54, Udp, 'denied'],
    ['10.1.2.4', 53, Udp, 'denied'],
    ['10.1.2.3', 0, Icmp, 'denied'],
    ['192.0.2.1', 25, Tcp, 'denied'],
    ['192.0.2.1', 25, Udp, 'allowed 192.0.2.1:25'],
    ['1.2.3.4', 80, Tcp, 'allowed 1.2.3.4:80'],
    ['11.0.0.0', 80, Tcp, 'allowed 11.0.0.0:80'],
    ['192.168.255.255', 65535, Udp, 'allowed 192.168.255.255:65535'],
  ];
  for (const [address, port, protocol, want] of cases) t.is(decide(policy, address, port, protocol), want);
  t.deepEqual(
    policy.rules.list().map((rule) => rule.hits),
    [1, 4, 1, 4, 0],
  );
});

test('rules see the host loopback as 127.0.0.1', (t) => {
  const policy = make({ rules: rules('+127.0.0.1:80/tcp', '-127.0.0.0/8') });
  t.is(decide(policy, '10.0.2.2', 80), 'allowed 127.0.0.1:80');
  t.is(decide(policy, '10.0.2.2', 81), 'denied');
  t.is(decide(policy, '127.0.0.1', 80), 'dropped');
});

test('restrict: nothing but what is allowed, the gateway alias included', (t) => {
  const policy = make({ restrict: true, rules: rules('+192.0.2.0/24:443/tcp', '+127.0.0.1:5432/tcp') });
  t.is(decide(policy, '192.0.2.7', 443), 'allowed 192.0.2.7:443');
  t.is(decide(policy, '192.0.2.7', 80), 'denied');
  t.is(decide(policy, '203.0.113.1', 443), 'denied');
  t.is(decide(policy, '10.0.2.2', 80), 'denied');
  t.is(decide(policy, '10.0.2.2', 5432), 'allowed 127.0.0.1:5432');
  t.is(decide(policy, '192.0.2.7', 0, Icmp), 'denied');
});

test('link-local addresses are opened by exact address only', (t) => {
  t.is(decide(make({ rules: rules('+169.254.0.0/16') }), '169.254.169.254'), 'denied');
  t.is(decide(make({ rules: rules('+169.254.169.254:80') }), '169.254.169.254'), 'allowed 169.254.169.254:80');
  t.is(decide(make({ rules: rules('+169.254.169.254:80') }), '169.254.169.253'), 'denied');
});

test('rules are added, ordered and removed by number', (t) => {
  const { rules: list } = make({ rules: rules('-10.0.0.0/8') });
  const second = list.add(rules('+192.0.2.1')[0]!);
  list.add(rules('+10.1.0.0/16:1-9')[0]!, 1);
  const texts = (): string[] => list.list().map((r) => `${r.id} ${r.allow} ${formatPolicyRule(r)}`);
  t.deepEqual(texts(), ['3 true 10.1.0.0/16:1-9', '1 false 10.0.0.0/8', '2 true 192.0.2.1/32']);
  t.true(list.remove(second));
  t.false(list.remove(second));
  t.deepEqual(texts(), ['3 true 10.1.0.0/16:1-9', '1 false 10.0.0.0/8']);
  t.throws(() => list.add(rules('+1.1.1.1')[0]!, 99), { code: 'ERR_VDE_BAD_POLICY' });
  for (let i = 2; i < MAX_RULES; i++) list.add(rules('+1.1.1.1')[0]!);
  t.throws(() => list.add(rules('+1.1.1.1')[0]!), { code: 'ERR_VDE_BAD_POLICY' });
});

test('the host’s addresses are looked at again after two seconds, not before', (t) => {
  const clock = new FakeClock();
  let now = ['192.0.2.1'];
  let looks = 0;
  const own = new OwnAddresses(clock, () => {
    looks++;
    return now;
  });
  const policy = make({ hostAddresses: own.list });
  t.is(decide(policy, '192.0.2.1'), 'denied');
  now = ['192.0.2.1', '192.0.2.9'];
  clock.advance(1999);
  t.is(decide(policy, '192.0.2.9'), 'allowed 192.0.2.9:80');
  t.is(looks, 1);
  clock.advance(1);
  t.is(decide(policy, '192.0.2.9'), 'denied');
  const words = own.list();
  clock.advance(2000);
  t.is(own.list(), words, 'the same array while nothing changed');
  t.is(looks, 3);
});

test('this machine has an address', (t) => {
  t.true(new OwnAddresses(new FakeClock()).list().includes(parseIpv4('127.0.0.1') | 0));
});

test('TCP, UDP and ICMP ask the same policy, each by its name', (t) => {
  const h = new RouterHarness({
    rules: rules('+192.0.2.1/32/tcp', '+192.0.2.2/32/udp', '+192.0.2.3/32/icmp'),
    restrict: true,
  });
  for (const n of [1, 2, 3]) {
    h.send(tcpFrame({ dst: `192.0.2.${n}`, sport: n, dport: 80, flags: 'S' }));
    h.send(udpFrame({ dst: `192.0.2.${n}`, sport: n, dport: 80 }));
    h.send(echoFrame({ dst: `192.0.2.${n}`, id: n, seq: 1 }));
  }
  t.deepEqual(
    [
      h.host.tcp.map((s) => s.remote.host),
      h.host.udp.map((s) => s.sent[0]!.to.host),
      h.host.pings.map((s) => s.to.host),
    ],
    [['192.0.2.1'], ['192.0.2.2'], ['192.0.2.3']],
  );
  t.is(h.dropped(Drop.PolicyDenied), 6);
});

test('a rule that is added while datagrams flow stops them', (t) => {
  const h = new RouterHarness();
  const frame = udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7 });
  h.send(frame);
  h.router.policy.rules.add(rules('-192.0.2.1')[0]!);
  h.link.receive(frame);
  t.regex(h.sent().join(), /prohibited/);
  t.is(h.host.lastUdp.sent.length, 1);
});

for (const [give, want] of [
  ['2001:db8::/32', '2001:db8::/32'],
  ['2001:DB8::7', '2001:db8::7/128'],
  ['[2001:db8::7]:443/tcp', '[2001:db8::7]/128:443/tcp'],
  ['[2001:db8::]/32:1-9', '[2001:db8::]/32:1-9'],
  ['[2001:db8::]/32/udp', '2001:db8::/32/udp'],
  ['::/0/icmp', '::/0/icmp'],
  ['2001:db8::/16', 'has host bits'],
  ['2001:db8::/129', 'above 128'],
  ['[10.0.0.0]/8', 'not an IP address'],
  ['2001:db8::g', 'not an IP address'],
  ['::ffff:10.0.0.1', 'as IPv4'],
  ['10.0.0.0/33', 'above 32'],
] as const) {
  test(`rule ${give}: ${want}`, (t) => {
    let text = '';
    try {
      text = formatPolicyRule(rules(`+${give}`)[0]!);
      t.deepEqual(rules(`+${text}`), rules(`+${give}`), 'what is printed reads the same');
    } catch (error) {
      text = (error as Error).message;
    }
    t.true(text.includes(want), text);
  });
}

test('rules of both families: each for its own, those of IPv4 for translated destinations', (t) => {
  const policy = make({
    rules: rules('-[2001:db8:f::]/48:80/tcp', '+2001:db8:f::/48', '-192.0.2.0/24', '+0.0.0.0/0', '-::/0'),
  });
  t.is(decide(policy, '2001:db8:f::1', 80), 'denied');
  t.is(decide(policy, '2001:db8:f::1', 81), 'allowed [2001:db8:f::1]:81');
  t.is(decide(policy, '2001:db8:e::1'), 'denied');
  t.is(decide(policy, '64:ff9b::192.0.2.9'), 'denied');
  t.is(decide(policy, '::ffff:192.0.2.9'), 'denied');
  t.is(decide(policy, '64:ff9b::198.51.100.9'), 'allowed 198.51.100.9:80');
  t.is(decide(policy, '10.0.2.2'), 'allowed 127.0.0.1:80', 'what is said of IPv6 says nothing of IPv4');
  t.is(decide(policy, '2001:db8:2::1'), 'denied', 'the IPv6 gateway is ::1 too');
  t.is(decide(make({ rules: rules('-127.0.0.1:631') }), '2001:db8:2::1', 631), 'denied', 'and 127.0.0.1');
  t.is(decide(make({ rules: rules('+fd00:ec2::254') }), 'fd00:ec2::254'), 'allowed [fd00:ec2::254]:80');
  t.is(decide(make({ rules: rules('+169.254.169.254') }), '64:ff9b::169.254.169.254'), 'allowed 169.254.169.254:80');
});

test('--no-host and --restrict hold for IPv6', (t) => {
  const own = Int32Array.from(['192.0.2.1', '2001:db8:9::9'].flatMap((a) => parseAddress(a)!));
  const policy = make({ hostAddresses: () => own });
  t.deepEqual(
    ['2001:db8:9::9', '64:ff9b::192.0.2.1', '::ffff:192.0.2.1', '2002:c000:201::1', '2001:db8:9::8'].map((a) =>
      decide(policy, a),
    ),
    ['denied', 'denied', 'denied', 'denied', 'allowed [2001:db8:9::8]:80'],
  );
  const strict = make({ restrict: true, rules: rules('+2001:db8:7::/48') });
  t.deepEqual(
    ['2001:db8:7::1', '2001:db8:8::1', '64:ff9b::192.0.2.1', '2001:db8:2::1'].map((a) => decide(strict, a)),
    ['allowed [2001:db8:7::1]:80', 'denied', 'denied', 'denied'],
  );
});
