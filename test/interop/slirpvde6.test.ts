// The command slirpvde6 with its own defaults, and systemd-networkd as the guest's manager.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SERVER6 } from './lab/lab.ts';
import { cable } from './lab/namespace.ts';
import { NETWORKD } from './lab/needs.ts';
import { until } from './lab/process.ts';
import { Suite } from './lab/suite.ts';

const ROUTER6 = '2001:db8:2::1';

const suite = new Suite('slirpvde6', 'embedded', {
  command: 'slirpvde6',
  ipv6: true,
  router: ['-H10.0.2.1/24', `-H${ROUTER6}/64`, '-dhcp', '-r', '-N', '--dhcp6'],
});

suite.test(
  'router .1, addresses from .15, names at the router by both families',
  ['dig', 'dnsmasq'],
  async (t, lab) => {
    t.regex(lab.router.stderr, /^Starting slirpvde6: virtual_host=10\.0\.2\.1\/24$/m);
    await lab.startDns();
    const reachable = async (): Promise<boolean> =>
      (await lab.guest.run(['ping', '-6', '-c', '1', '-W', '1', ROUTER6])).code === 0;
    await until(reachable, 15_000, 'the router answers');
    const ask = async (server: string): Promise<string> =>
      (await lab.guest.must(['dig', `@${server}`, '+short', '+tries=1', '+time=4', 'host.test'])).trim();
    t.is(await ask(ROUTER6), '192.0.2.77');
    const address = await lab.guest.dhcp(); // takes the addresses of both families away first
    t.regex(address, /^10\.0\.2\.(1[5-9]|2[0-4])\/24$/);
    t.regex(await lab.guest.must(['ip', 'route', 'show', 'default']), /via 10\.0\.2\.1 /);
    t.is(await ask('10.0.2.1'), '192.0.2.77');
  },
);

suite.test(
  'systemd-networkd: an address by DHCP, by DHCPv6 and by itself, and the default route',
  ['systemd-networkd'],
  async (t, lab) => {
    const { guest } = lab;
    await guest.join();
    const etc = join(lab.dir, 'networkd');
    const run = join(lab.dir, 'networkd-run');
    for (const dir of [etc, run]) mkdirSync(dir, { recursive: true });
    writeFileSync(
      join(etc, 'tap0.network'),
      '[Match]\nName=tap0\n[Network]\nDHCP=yes\nIPv6AcceptRA=yes\n[DHCPv4]\nClientIdentifier=mac\n',
    );
    const script = `mount --bind ${etc} /etc/systemd/network && mount -t tmpfs none /run && mkdir /run/systemd && mount --bind /sys /sys && mount -o remount,bind,ro /sys && SYSTEMD_LOG_LEVEL=info exec ${NETWORKD}`;
    const child = guest.space.start(['sh', '-c', script]);
    const all = async (): Promise<string> => guest.must(['ip', '-o', 'address', 'show', 'dev', 'tap0']);
    await until(
      async () => {
        const text = await all();
        return (
          /inet 10\.0\.2\./.test(text) &&
          /inet6 2001:db8:2::1[0-9a-f]{3}\/128/.test(text) &&
          /inet6 2001:db8:2:\S+\/64/.test(text)
        );
      },
      20_000,
      () => `networkd has configured tap0: ${child.stderr}`,
    );
    t.regex(await guest.must(['ip', '-6', 'route', 'show', 'default']), /via fe80::/);
    await child.stop();
  },
);

suite.end();

const OTHER = '2001:db8:5:';
const prefixes = new Suite('slirpvde6 -r with prefixes', 'embedded', {
  command: 'slirpvde6',
  ipv6: true,
  router: [`-H${ROUTER6}/64`, `-r2001:db8:2::/64,${OTHER}:/64`],
});

prefixes.test('a guest is served at the addresses that it made of any of them', ['ip', 'curl'], async (t, lab) => {
  const { guest } = lab;
  const made = async (): Promise<string> => {
    const text = await guest.must([
      'ip',
      '-6',
      '-o',
      'address',
      'show',
      'dev',
      'tap0',
      'scope',
      'global',
      '-tentative',
    ]);
    return new RegExp(`inet6 (${OTHER}\\S+)/64`).exec(text)?.[1] ?? '';
  };
  await until(async () => (await made()) !== '', 15_000, 'an address of the second prefix');
  const ping = await guest.run(['ping', '-6', '-n', '-c', '1', '-W', '2', '-I', await made(), SERVER6]);
  t.is(ping.code, 0, ping.stdout);
  const got = await guest.must(['curl', '-sg', '-m', '5', '--interface', await made(), `http://[${SERVER6}]/bytes/5`]);
  t.is(got.length, 5);
  t.is(
    (await guest.run(['ping', '-6', '-n', '-c', '1', '-W', '2', `${OTHER}:1`])).code,
    0,
    'the router is host 1 there',
  );
});

// Linux' bridge sends a group only where a listener has reported within 5 s, once it asks for reports itself.
const SNOOPING = [
  ...['mcast_snooping', '1', 'mcast_querier', '1', 'mcast_mld_version', '2', 'mcast_query_interval', '200'],
  ...['mcast_query_response_interval', '100', 'mcast_startup_query_interval', '100'],
  ...['mcast_membership_interval', '500'],
];
const FORGOTTEN_MS = 6000;

prefixes.test('a bridge with MLD snooping between router and guest', ['ip', 'bridge'], async (t, lab) => {
  const { guest } = lab;
  const behind = await lab.addSpace('behind');
  await guest.must(['ip', 'link', 'add', 'br0', 'type', 'bridge', ...SNOOPING]);
  await cable(guest.space, ['port0', '192.0.2.1/30'], behind, ['eth0', '192.0.2.2/30']);
  for (const port of ['tap0', 'port0']) await guest.must(['ip', 'link', 'set', port, 'master', 'br0']);
  await guest.must(['ip', 'link', 'set', 'br0', 'up']);
  const heard = async (): Promise<boolean> =>
    /port tap0 grp ff02::1:ff00:1 /.test(await guest.must(['bridge', 'mdb', 'show']));
  await until(heard, 10_000, 'the router has reported its group');
  await delay(FORGOTTEN_MS);
  t.true(await heard(), 'queries are answered');
  for (const router of [ROUTER6, `${OTHER}:1`]) {
    const answers = async (): Promise<boolean> =>
      (await behind.run(['ping', '-6', '-n', '-c', '1', '-W', '1', router])).code === 0;
    await until(answers, 10_000, `${router} is found`);
    await behind.must(['ip', '-6', 'neighbor', 'flush', 'dev', 'eth0']);
    t.true(await answers(), `${router} is found again`);
  }
  await guest.must(['ip', 'link', 'delete', 'br0']);
});

prefixes.end();
