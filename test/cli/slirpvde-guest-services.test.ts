import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Logger } from '../../src/cli/log.ts';
import { parseCommandLine } from '../../src/cli/parse.ts';
import { slirpvdeConfig } from '../../src/cli/slirpvde-config.ts';
import { guestServices } from '../../src/cli/slirpvde-guest-services.ts';
import { SLIRPVDE_PERSONALITY, SLIRPVDE6_PERSONALITY } from '../../src/cli/slirpvde-networks.ts';
import { SLIRPVDE } from '../../src/cli/slirpvde-options.ts';
import { SLIRPVDE6 } from '../../src/cli/slirpvde6-options.ts';
import { formatAddress, formatIpv4 } from '../../src/core/address.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { ResolverConfig } from '../../src/host/resolver-config.ts';
import { FakeClock } from '../support/fake-clock.ts';

/** What the services of a command line are told, with this resolv.conf of the host. */
function services(t: ExecutionContext, six: boolean, line: string, resolvConf: string) {
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-services-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'resolv.conf');
  writeFileSync(path, resolvConf);
  const [spec, personality] = six
    ? ([SLIRPVDE6, SLIRPVDE6_PERSONALITY] as const)
    : ([SLIRPVDE, SLIRPVDE_PERSONALITY] as const);
  const wheel = new TimerWheel(new FakeClock());
  const closers: (() => void | Promise<void>)[] = [];
  const config = slirpvdeConfig(parseCommandLine(spec, line.split(' ')), dir, personality);
  const resolver = new ResolverConfig({ clock: wheel.clock, path });
  const log = new Logger({ name: 'test', quiet: true, verbose: false, sinks: [] });
  const made = guestServices({ config, resolver, wheel, mtu: 1500, log, embedded: null, closers });
  const close = async (): Promise<void> => {
    for (const closer of closers.reverse()) await closer();
  };
  return { ...made, dir, close };
}

const told = (made: ReturnType<typeof services>): string =>
  [...(made.dhcp?.dns ?? []).map(formatIpv4), ...(made.dhcp6?.dns ?? []).map((w) => formatAddress(...w))].join(' ');

const BOTH = '-D -H10.0.2.1 -H2001::1 -r';

test('slirpvde tells guests its own DNS addresses, whatever the host asks', (t) => {
  t.is(told(services(t, false, BOTH, 'nameserver 192.0.2.53\n')), '10.0.2.3 2001::3');
});

test('slirpvde6 without -N tells the first server of the host of each family, if guests can ask it', (t) => {
  t.is(told(services(t, true, BOTH, 'nameserver 192.0.2.53\nnameserver 2001:db8::53\n')), '192.0.2.53 2001:db8::53');
  t.is(told(services(t, true, BOTH, 'nameserver 127.0.0.53\nnameserver fe80::1%eth0\nnameserver ::1\n')), '');
  t.is(services(t, true, BOTH, 'nameserver 192.0.2.53\n').dns, null);
});

test('slirpvde6 -N: its own addresses, and the server that is named', (t) => {
  const made = services(t, true, `${BOTH} -N198.51.100.7`, 'nameserver 192.0.2.53\n');
  t.is(told(made), '10.0.2.1 2001::1');
  t.deepEqual(made.dns!.upstreams.servers().map(String), ['198.51.100.7:53']);
});

test('--dhcp6 leases 4096 addresses from host 0x1000; its leases have a file of their own', async (t) => {
  const made = services(t, false, '-H2001:db8::1 --dhcp6 --leases leases --dhcp-lease-time 600', '');
  const pool = made.dhcp6!.pool!;
  t.deepEqual([pool.start, pool.size, pool.leaseSec], [0x1000, 4096, 600]);
  t.deepEqual(pool.reserved, [1, 3]);
  const lease = { address: 0x1005, client: 'duid:00/7', macHi: 2, macLo: 1, hostname: '', expiresAt: 2e6 };
  await new Promise<void>((done) => pool.store.put(lease, done));
  await made.close();
  t.regex(readFileSync(join(made.dir, 'leases6'), 'utf8'), /"ip":"2001:db8::1005","client":"duid:00\/7"/);
});

test('router advertisements: the settings, and PREF64 only where guests have no IPv4', (t) => {
  t.is(services(t, false, BOTH, '').ra!.pref64, null);
  t.is(services(t, false, '-H2001::1 -r', '').ra!.pref64!.prefixLen, 96);
  t.is(services(t, false, '-H2001::1', '').ra, undefined);
  t.is(services(t, false, '-H2001::1 -r', '').ra!.available, null);
  t.is(typeof services(t, false, '-H2001::1 -r --radv-follow-host', '').ra!.available!(), 'boolean');
});
