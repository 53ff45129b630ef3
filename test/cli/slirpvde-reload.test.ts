// SIGHUP: from one configuration to another while the router runs.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Logger } from '../../src/cli/log.ts';
import { parseCommandLine } from '../../src/cli/parse.ts';
import { type SlirpvdeConfig, slirpvdeConfig } from '../../src/cli/slirpvde-config.ts';
import { guestServices, type ServiceParts } from '../../src/cli/slirpvde-guest-services.ts';
import { SLIRPVDE } from '../../src/cli/slirpvde-options.ts';
import { LiveConfig } from '../../src/cli/slirpvde-reload.ts';
import { START_OPTIONS } from '../../src/cli/slirpvde-settings.ts';
import { formatIpv4 } from '../../src/core/address.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { ResolverConfig } from '../../src/host/resolver-config.ts';
import { ask as dhcpAsk, rawOptions } from '../support/dhcp-client.ts';
import { leaseTo } from '../support/dhcp-exchange.ts';
import { decode, query } from '../support/dns-harness.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { BROADCAST_MAC, tcpFrame, udpFrame } from '../support/guest-frames.ts';
import { toHex } from '../support/hex.ts';
import { LINK6 } from '../support/ip-harness.ts';
import { RouterHarness } from '../support/router-harness.ts';

const config = (line: string): SlirpvdeConfig =>
  slirpvdeConfig(parseCommandLine(SLIRPVDE, line === '' ? [] : line.split(' ')), '/');

/** A router that runs with the configuration of `line`, and what changes it. */
async function running(t: ExecutionContext, line: string) {
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-reload-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'resolv.conf');
  writeFileSync(path, 'nameserver 198.51.100.53\n');
  const first = config(line);
  const wheel = new TimerWheel(new FakeClock());
  const services: ServiceParts = {
    config: first,
    resolver: new ResolverConfig({ clock: wheel.clock, path }),
    wheel,
    mtu: 1500,
    embedded: null,
    log: new Logger({ name: 'test', quiet: true, verbose: false, sinks: [] }),
    closers: [],
  };
  const h = new RouterHarness({
    ...guestServices(services),
    ...(first.networks.ipv6.length > 0 ? { ipv6: LINK6 } : {}),
    hostLoopback: first.hostLoopback,
    restrict: first.restrict,
    rules: first.rules,
  });
  const live = new LiveConfig(h.router, services, { again: () => first, files: [] });
  await live.open();
  return { h, dir, change: (next: string) => live.change(config(next)) };
}

/** What is open: listeners by address or path, UDP by port. */
const open = (h: RouterHarness): string[] =>
  [
    ...h.host.listeners.filter((l) => !l.closed).map((l) => (l.path === '' ? `tcp ${l.local.port}` : l.path)),
    ...h.host.openUdpSockets.map((s) => `udp ${s.localPort}`),
  ].sort();

test('forwards come, go and change; the rest stays untouched', async (t) => {
  const { h, change } = await running(
    t,
    '-L 80:10.0.2.15:80 -L 81:10.0.2.15:81 -U 53:10.0.2.15:53 -L /a:10.0.2.15:22 -x 6010:/x',
  );
  t.deepEqual(open(h), ['/a', 'tcp 80', 'tcp 81', 'udp 53']);
  const untouched = h.host.listeners.find((l) => l.local.port === 80)!;
  t.deepEqual(await change('-L 80:10.0.2.15:80 -L 81:10.0.2.16:81 -L /b:10.0.2.15:22'), [
    'closed TCP 81:10.0.2.15:81',
    'closed UDP 53:10.0.2.15:53',
    'closed socket /a:10.0.2.15:22',
    'closed router port 6010:/x',
    'opened TCP 81:10.0.2.16:81',
    'opened socket /b:10.0.2.15:22',
  ]);
  t.deepEqual(open(h), ['/b', 'tcp 80', 'tcp 81']);
  t.false(untouched.closed);
  t.deepEqual(await change('-L 80:10.0.2.15:80 -L 81:10.0.2.16:81 -L /b:10.0.2.15:22'), []);
});

test('displays come and go, each at the first port that is free', async (t) => {
  const { h, change } = await running(t, '-X 10.0.2.15');
  h.host.takenPorts.add(6000).add(6001);
  t.deepEqual(await change('-X 10.0.2.15 -X 10.0.2.16:1'), ['opened display 10.0.2.16:6001 at 0.0.0.0']);
  t.deepEqual(open(h), ['tcp 6000', 'tcp 6002']);
  t.deepEqual(await change('-X 10.0.2.16:1'), ['closed display 10.0.2.15:6000 at 0.0.0.0']);
  t.deepEqual(open(h), ['tcp 6002']);
});

test('one thing that cannot be: all is as it was', async (t) => {
  const { h, dir, change } = await running(t, '--dhcp -L 80:10.0.2.15:80 -L 81:10.0.2.15:81 -x 6010:/x');
  leaseTo(h, '02:00:00:00:00:10', '');
  const asBefore = (): void => {
    t.deepEqual(open(h), ['tcp 80', 'tcp 81']);
    t.true(h.router.policy.hostLoopback);
    t.deepEqual(h.router.policy.rules.list(), []);
    t.is(h.router.dhcp!.usage().bound, 1);
  };
  h.host.takenPorts.add(99);
  const more = '-L 80:10.0.2.16:80 -U 70:10.0.2.15:70 --no-host-loopback --deny 10.0.0.0/8 --dhcp-domain x.test';
  await t.throwsAsync(change(`--dhcp=10.0.2.99 ${more} -L 99:10.0.2.15:99`), { code: 'ERR_VDE_LISTEN' });
  asBefore();
  await t.throwsAsync(change(`--dhcp ${more} --tftp ${join(dir, 'none')}`), { message: /it is not a directory/ });
  asBefore();
  const many = Array.from({ length: 257 }, (_, i) => `--allow 192.0.2.1:${i + 1}`).join(' ');
  await t.throwsAsync(change(`--dhcp ${more} ${many}`), { code: 'ERR_VDE_BAD_POLICY' });
  asBefore();
  t.deepEqual(await change('--dhcp -L 81:10.0.2.15:81'), ['closed TCP 80:10.0.2.15:80', 'closed router port 6010:/x']);
});

test('the loopback of the host is closed and opened, and host.internal goes with it', async (t) => {
  const { h, change } = await running(t, '');
  t.deepEqual(await change('--no-host-loopback'), ['--no-host-loopback: changed']);
  t.false(h.router.policy.hostLoopback);
  h.send(udpFrame({ sport: 3000, dport: 53, dst: '10.0.2.3', data: query({ name: 'host.internal' }) }));
  t.is(h.host.udp.length, 1, 'asked upstream');
  await change('');
  t.true(h.router.policy.hostLoopback);
  t.is(resolve(h, 'host.internal'), '10.0.2.2');
});

test('rules are replaced where they stand among those of the console; the same rule keeps its number', async (t) => {
  const { h, change } = await running(t, '--allow 192.0.2.1 --deny 192.0.2.0/24');
  const { rules } = h.router.policy;
  const web = config('--allow 198.51.100.9').rules[0]!;
  rules.add(web);
  rules.add(web, 1);
  t.deepEqual(await change('--allow 192.0.2.2 --deny 192.0.2.0/24 --restrict'), [
    '--restrict: changed',
    '--allow and --deny: changed',
  ]);
  t.deepEqual(
    rules.list().map(({ id }) => id),
    [4, 5, 2, 3],
  );
  t.true(h.router.policy.restrict);
  h.send(tcpFrame({ flags: 'S', dst: '192.0.2.2', sport: 40_000, dport: 80, seq: 1 }));
  t.is(h.host.tcp.length, 1, 'allowed');
  t.is(h.send(tcpFrame({ flags: 'S', dst: '203.0.113.1', dport: 80, sport: 41_000, seq: 1 })).length, 1, 'RST');
  t.is(h.host.tcp.length, 1, 'refused');
  await change('');
  t.deepEqual(
    rules.list().map(({ id }) => id),
    [4, 3],
    'those of the console stay',
  );
});

test('--no-host takes and gives back the addresses of this host', async (t) => {
  const { h, change } = await running(t, '');
  t.deepEqual(await change('--no-host'), ['--no-host-loopback: changed', '--no-host: changed']);
  t.true(h.router.policy.noHost);
  await change('');
  t.false(h.router.policy.noHost);
});

const resolve = (h: RouterHarness, name: string): string => {
  const [frame] = h.send(udpFrame({ sport: 3001, dport: 53, dst: '10.0.2.3', data: query({ name }) }));
  return frame === undefined ? 'nothing' : String(decode(frame.subarray(42)).answers[0]?.data ?? 'no address');
};

test('names and domain: records come and go, the search list is that of now', async (t) => {
  const { h, change } = await running(t, '--dhcp --dns-record nas,10.0.2.9');
  t.is(resolve(h, 'nas'), '10.0.2.9');
  t.deepEqual(await change('--dhcp --dns-record box,10.0.2.8 --dhcp-domain lab.test --dhcp-search lab.test'), [
    '--dns-record: changed',
    '--dhcp-domain: changed',
    '--dhcp-search: changed',
  ]);
  t.is(resolve(h, 'box'), '10.0.2.8');
  t.is(resolve(h, 'gateway.lab.test'), '10.0.2.2');
  t.is(resolve(h, 'nas'), 'nothing', 'asked upstream');
  const offer = discover(h, [15, 119]);
  t.is(toHex(offer.get(119)!), '036c6162047465737400');
  t.is(Buffer.from(offer.get(15)!).toString(), 'lab.test');
  await change('--dhcp --dns-record box,10.0.2.8 --dhcp-domain lab.test --dhcp-search other.test');
  t.is(toHex(discover(h, [119]).get(119)!), '056f74686572047465737400');
});

/** Options of an OFFER to a client that is new. */
let clients = 0;
function discover(h: RouterHarness, params: number[]): Map<number, Uint8Array> {
  const mac = `02:00:00:00:01:${(++clients).toString(16).padStart(2, '0')}`;
  const data = dhcpAsk('DISCOVER', { mac, params });
  const all = { src: '0.0.0.0', srcMac: mac, dst: '255.255.255.255', dstMac: BROADCAST_MAC };
  const atOnce = h.send(udpFrame({ ...all, sport: 68, dport: 67, data }));
  h.advance(200);
  return rawOptions([...atOnce, ...h.link.take()].find((f) => f[23] === 17)!.subarray(42));
}

test('DHCP: options, boot file, lease time and static hosts for who asks from now on; leases stay', async (t) => {
  const { h, change } = await running(t, '--dhcp --dhcp-host 02:00:00:00:00:40,10.0.2.40,web');
  const dhcp = h.router.dhcp!;
  t.is(leaseTo(h, '02:00:00:00:00:10', 'alpha'), '10.0.2.15');
  t.is(leaseTo(h, '02:00:00:00:00:11', 'beta'), '10.0.2.16');
  t.deepEqual(
    await change(
      '--dhcp --dhcp-host 02:00:00:00:00:41,10.0.2.41 --dhcp-host 02:00:00:00:00:42,10.0.2.16 --dhcp-file boot.ipxe ' +
        '--dhcp-next-server 10.0.2.7 --dhcp-option 42,10.0.2.5 --dhcp-lease-time 600',
    ),
    [
      '--dhcp-lease-time: changed',
      '--dhcp-host: changed',
      '--dhcp-next-server: changed',
      '--dhcp-file: changed',
      '--dhcp-option: changed',
    ],
  );
  const offer = discover(h, [42, 51, 66, 67]);
  t.deepEqual(
    [42, 51, 66, 67].map((code) => toHex(offer.get(code)!)),
    ['0a000205', '00000258', toHex(Buffer.from('10.0.2.7')), toHex(Buffer.from('boot.ipxe'))],
  );
  t.is(leaseTo(h, '02:00:00:00:00:41', ''), '10.0.2.41');
  t.deepEqual(
    dhcp
      .leases()
      .filter(({ state }) => state === 'bound')
      .map(({ address, hostname }) => [formatIpv4(address), hostname]),
    [
      ['10.0.2.15', 'alpha'],
      ['10.0.2.41', ''],
    ],
    'the lease of what now is another host’s has ended',
  );
  t.is(dhcp.addressOf('web'), -1);
  t.is(leaseTo(h, '02:00:00:00:00:10', 'alpha'), '10.0.2.15', 'who has a lease keeps the address');
});

test('DHCP: another range; leases outside of it are refused when they are renewed', async (t) => {
  const { h, change } = await running(t, '--dhcp');
  t.is(leaseTo(h, '02:00:00:00:00:10', ''), '10.0.2.15');
  t.deepEqual(await change('--dhcp=10.0.2.100/20'), ['--dhcp: changed']);
  t.is(h.router.dhcp!.usage().size, 20);
  const renew = dhcpAsk('REQUEST', { mac: '02:00:00:00:00:10', ciaddr: '10.0.2.15' });
  const frames = h.send(
    udpFrame({ src: '10.0.2.15', srcMac: '02:00:00:00:00:10', dst: '10.0.2.2', sport: 68, dport: 67, data: renew }),
  );
  t.is(toHex(rawOptions(frames[0]!.subarray(42)).get(53)!), '06', 'NAK');
  t.is(leaseTo(h, '02:00:00:00:00:10', ''), '10.0.2.100');
});

test('TFTP begins, is served from another directory, and ends', async (t) => {
  const { h, dir, change } = await running(t, '');
  const ask = () => h.send(udpFrame({ sport: 2000, dport: 69, data: Buffer.from('\0\x01boot\0octet\0') }));
  ask();
  t.is(h.host.udp.length, 1, 'the host’s');
  t.deepEqual(await change(`--tftp ${dir}`), ['--tftp: changed']);
  ask();
  t.is(h.host.udp[0]!.sent.length, 1, 'ours');
  await change('');
  ask();
  t.is(h.host.udp[0]!.sent.length, 2);
});

test('UDP: filter and timeouts for ports that guests open from now on', async (t) => {
  const { h, change } = await running(t, '');
  t.deepEqual(await change('--udp-filter address --udp-timeouts rfc'), [
    '--udp-filter: changed',
    '--udp-timeouts: changed',
  ]);
  t.is(h.router.udpNat.filter, 'address');
  t.is(h.router.udpNat.timeouts.oneWayMs, 300_000);
});

test('router advertisements: settings and search list are told at once, to all', async (t) => {
  const { h, change } = await running(t, '-H 10.0.2.2 -H 2001:db8::1/48 --radvd --dhcp6 --dhcp-search a.test');
  h.router.announce();
  h.advance(20_000);
  h.link.take();
  const before = h.router.advertiser!.sentToAll;
  t.deepEqual(await change('-H 10.0.2.2 -H 2001:db8::1/48 --radvd=2001:db8:0:9::/64 --dhcp6 --dhcp-search a.test'), [
    '--radvd: changed',
  ]);
  h.advance(4000);
  t.is(h.router.advertiser!.sentToAll, before + 1);
  const advert = h.link.take().find((f) => f[54] === 134)!;
  t.true(toHex(advert).includes('20010db800000009'));
  t.deepEqual(
    await change('-H 10.0.2.2 -H 2001:db8::1/48 --radvd=2001:db8:9::/64 --dhcp6 --dhcp-search a.test'),
    ['--radvd: the old value stays until slirpvde is started again'],
    'a prefix that is a network of its own',
  );
  t.deepEqual(await change('-H 10.0.2.2 -H 2001:db8::1/48 --dhcp-search a.test'), [
    '--dhcp6: the old value stays until slirpvde is started again',
    '--radvd: the old value stays until slirpvde is started again',
  ]);
});

test('what needs a start is named on a line each, keeps its value, and is named again', async (t) => {
  const { h, change } = await running(t, '--dhcp');
  const next = '-H 10.9.0.0/16 --mtu 1400 --capture /c --verbose';
  const lines = await change(next);
  t.deepEqual(lines, [
    '--host: the old value stays until slirpvde is started again',
    '--mtu: the old value stays until slirpvde is started again',
    '--capture: the old value stays until slirpvde is started again',
  ]);
  t.is(h.router.dhcp!.usage().size, 240, 'the range is that of the old network');
  t.deepEqual(await change(next), lines);
  t.deepEqual(await change('--dhcp'), []);
});

/** For each option another command line than '' and what of it a reload says. */
const OPTIONS: Readonly<Record<string, string>> = {
  sock: '-s /a',
  port: '-P 3',
  group: '-g g',
  mode: '-m 660',
  noSwitch: '--no-switch',
  guard: '--guard off',
  tap: '--tap t',
  netns: '--netns 1',
  userns: '--netns 1 --userns /u',
  configure: '--netns 1 --configure',
  readyFd: '--ready-fd 1',
  exitFd: '--exit-fd 0',
  forwardBind: '--forward-bind 127.0.0.1',
  qemuStream: '--qemu-stream /a',
  qemuConnect: '--qemu-connect /a',
  qemuDgram: '--qemu-dgram /a,/b',
  host: '-H 10.9.0.0/16',
  nameserver: '-N 192.0.2.53',
  dhcp: '--dhcp',
  mtu: '--mtu 1400',
  udpFilter: '--udp-filter address',
  udpTimeouts: '--udp-timeouts rfc',
  noHostLoopback: '--no-host-loopback',
  noHost: '--no-host',
  restrict: '--restrict',
  allow: '--allow 192.0.2.1',
  deny: '--deny 192.0.2.1',
  dhcpDomain: '--dhcp-domain a.test',
  dnsRecord: '--dns-record a,10.0.2.9',
  dnsRebindProtect: '--dns-rebind-protect',
  dnsRebindOk: '--dns-rebind-protect --dns-rebind-ok a.test',
  tftp: '--tftp /',
  tcp: '-L 80:10.0.2.15:80',
  udp: '-U 80:10.0.2.15:80',
  display: '-X 10.0.2.15',
  unix: '-x 80:/a',
  mgmt: '-M /m',
  mgmtMode: '-M /m --mgmtmode 660',
  mgmtGroup: '-M /m --mgmtgroup g',
  daemon: '-d',
  pidfile: '-p /p',
  log: '--log /l',
  capture: '--capture /c',
};
/** Those that mean something only beside others, which the tests above have; and those of slirpvde.ts. */
const ELSEWHERE = new Set([
  ...['leases', 'dhcpLeaseTime', 'dhcpHost', 'dhcpSearch', 'dhcpNextServer', 'dhcpFile', 'dhcpOption'],
  ...['radv', 'radvFile', 'radvFollowsHost', 'dhcp6', 'nat64', 'dns64', 'pref64'],
  ...['config', 'quiet', 'verbose', 'help', 'version'],
]);
for (const { key, long } of SLIRPVDE.options.filter((option) => !ELSEWHERE.has(option.key))) {
  test(`a change of --${long[0]} is applied or named`, async (t) => {
    const { change } = await running(t, '');
    const lines = await change(OPTIONS[key]!);
    const named = /^(opened|--\S+( and --\S+)?: (changed|the old value stays until slirpvde is started again)$)/;
    t.true(lines.length > 0);
    for (const line of lines) t.regex(line, named);
    const kept = lines.filter((line) => line.includes('stays')).map((line) => line.split(':')[0]!);
    for (const option of kept) t.true([...START_OPTIONS, '--dhcp'].includes(option), option);
  });
}

test('ranges that overlap: the old one makes room, and comes back when the new one cannot be opened', async (t) => {
  const { h, change } = await running(t, '-L 80-82:10.0.2.15 -U 0:10.0.2.15:53');
  h.host.takenPorts.add(84);
  const ports = (): string[] => open(h).filter((line) => line.startsWith('tcp'));
  const bad = '-L 80:10.0.2.16:80 -L 81-84:10.0.2.15 -U 0:10.0.2.15:53';
  await t.throwsAsync(change(bad), { code: 'ERR_VDE_LISTEN' });
  t.deepEqual(ports(), ['tcp 80', 'tcp 81', 'tcp 82']);
  await change('-L 80:10.0.2.16:80 -L 81-83:web');
  t.deepEqual(ports(), ['tcp 80', 'tcp 81', 'tcp 82', 'tcp 83']);
  t.is(h.host.openUdpSockets.length, 0, 'also the one at any port is closed');
});

test('a forward that the console has closed does not come back when a reload fails', async (t) => {
  const { h, change } = await running(t, '-L 80:10.0.2.15:80');
  h.router.forwards.remove(1);
  h.host.takenPorts.add(99);
  await t.throwsAsync(change('-L 80:10.0.2.16:80 -L 99:10.0.2.15:99'), { code: 'ERR_VDE_LISTEN' });
  t.deepEqual(open(h), []);
});
