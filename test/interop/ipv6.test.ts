// IPv6 next to IPv4, with other people's clients: what guests configure by router advertisements and DHCPv6, and what they
// then reach of a host that has IPv6 too.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Guest, type Lab, SERVER, SERVER6 } from './lab/lab.ts';
import { connectError, TELLS_OFFENDER } from './lab/offender.ts';
import { patternDigest } from './lab/pattern.ts';
import { until } from './lab/process.ts';
import { Suite, SWITCHES } from './lab/suite.ts';

const PREFIX = '2001:db8:2:';
const ROUTER = `${PREFIX}:1`;
const DNS6 = `${PREFIX}:3`;
const BYTES = 3_000_000;

/** Addresses of tap0 in the prefix, with the flags that `ip` shows. */
async function addresses(guest: Guest): Promise<string[]> {
  const text = await guest.must(['ip', '-6', '-o', 'address', 'show', 'dev', 'tap0', 'scope', 'global']);
  return text.split('\n').flatMap((line) => /inet6 (\S+) (.*?)\\/.exec(line)?.slice(1, 3).join(' ') ?? []);
}

/** Waits until the guest has an address of the prefix that is not tentative any more. */
async function configured(guest: Guest): Promise<string> {
  let found = '';
  const ready = async (): Promise<boolean> => {
    const list = (await addresses(guest)).filter((each) => !each.includes('tentative') && each.startsWith(PREFIX));
    found = list[0]?.split('/')[0] ?? '';
    return found !== '';
  };
  await until(ready, 15_000, 'the guest has an address');
  return found;
}

for (const kind of SWITCHES) {
  const suite = new Suite('IPv6', kind, {
    guests: 2,
    ipv6: true,
    router: [...['-H10.0.2.2/24', `-H${ROUTER}/64`, '-dhcp', '-r', '--dhcp6', '--dhcp-search', 'lab.test']],
  });

  suite.test('rdisc6: everything that an advertisement tells', ['rdisc6'], async (t, lab) => {
    await configured(lab.guest);
    const said = await lab.guest.must(['rdisc6', '-1', '-w', '4000', 'tap0'], { timeoutMs: 30_000 });
    t.regex(said, /Hop limit +: +64/, said);
    t.regex(said, /Stateful address conf\. +: +Yes/, said);
    t.regex(said, /Stateful other conf\. +: +Yes/, said);
    t.regex(said, /Router lifetime +: +1800 /, said);
    t.regex(said, /Prefix +: 2001:db8:2::\/64\n.*On-link +: +Yes\n.*Autonomous address conf\.: +Yes/s, said);
    t.regex(said, /Valid time +: +86400 /, said);
    t.regex(said, /Pref\. time +: +14400 /, said);
    t.regex(said, /MTU +: +1500 bytes/, said);
    t.regex(said, /Source link-layer address: 52:55:0A:00:02:02/, said);
    t.regex(said, /Recursive DNS server +: 2001:db8:2::3\n.*DNS server lifetime +: +1800 /s, said);
    t.regex(said, /DNS search list +: lab\.test/, said);
  });

  suite.test('Linux configures itself, with and without privacy addresses; default route', ['ip'], async (t, lab) => {
    const [first, second] = lab.guests as [Guest, Guest];
    await first.space.sysctl('net.ipv6.conf.default.use_tempaddr', '0');
    await second.space.sysctl('net.ipv6.conf.default.use_tempaddr', '2');
    for (const guest of [first, second]) await guest.join(); // a new tap0
    await Promise.all([configured(first), configured(second)]);
    t.is((await addresses(first)).length, 1, (await addresses(first)).join('\n'));
    t.regex((await addresses(first))[0]!, /mngtmpaddr/);
    await until(async () => (await addresses(second)).length === 2, 5000, 'a temporary address');
    t.true((await addresses(second)).some((each) => each.includes('temporary')));
    for (const guest of [first, second]) {
      t.regex(await guest.must(['ip', '-6', 'route', 'show', 'default']), /default via fe80::\S+ dev tap0 proto ra/);
    }
  });

  if (TELLS_OFFENDER) {
    suite.test('TCP: what the next router says of an address comes from it', ['python3'], async (t, lab) => {
      await configured(lab.guest);
      await lab.world.must(['ip', '-6', 'route', 'add', '2001:db8:98::/64', 'via', SERVER6]);
      await lab.server.sysctl('net.ipv6.conf.all.forwarding', '1');
      await lab.server.sysctl('net.ipv6.icmp.ratelimit', '0');
      await lab.server.must(['ip', '-6', 'route', 'add', 'prohibit', '2001:db8:98::66']);
      await lab.server.must(['ip', '-6', 'route', 'add', 'unreachable', '2001:db8:98::65']);
      t.is(await connectError(lab.guest, '2001:db8:98::66'), `EACCES 1/1 of ${SERVER6}`);
      t.regex(await connectError(lab.guest, '2001:db8:98::65'), new RegExp(`^E\\w+UNREACH 1/\\d of ${SERVER6}$`));
    });
  }

  suite.test(
    'two guests reach the router, the server and each other; ping, TCP both ways, UDP',
    ['curl', 'socat'],
    async (t, lab) => {
      const [first, second] = lab.guests as [Guest, Guest];
      const [, address] = await Promise.all([configured(first), configured(second)]);
      for (const guest of [first, second]) {
        for (const to of [ROUTER, DNS6, SERVER6]) {
          const ping = await guest.run(['ping', '-6', '-n', '-c', '2', '-i', '0.2', '-W', '2', to]);
          t.is(ping.code, 0, `${to}: ${ping.stdout}`);
        }
      }
      t.is((await first.run(['ping', '-6', '-n', '-c', '1', '-W', '2', address])).code, 0);
      const down = await first.shell(`curl -sg 'http://[${SERVER6}]/bytes/${BYTES}' | sha256sum`);
      t.true(down.stdout.startsWith(patternDigest(BYTES)), down.stdout);
      const up = await second.shell(
        `curl -sg 'http://[${SERVER6}]/bytes/${BYTES}' | curl -sgT - 'http://[${SERVER6}]/digest'`,
      );
      t.is(up.stdout.trim(), `${BYTES} ${patternDigest(BYTES)}`);
      const echo = await first.run(['socat', '-t', '1', '-', `UDP6:[${SERVER6}]:7003`], { input: 'over six' });
      t.is(echo.stdout, 'over six');
    },
  );

  suite.test(
    'traceroute; a ping beyond the MTU, on a path with a smaller one',
    ['traceroute', 'ping'],
    async (t, lab) => {
      await configured(lab.guest);
      const said = await lab.guest.must(['traceroute', '-6', '-n', '-q', '1', '-w', '2', SERVER6], {
        timeoutMs: 30_000,
      });
      t.regex(said, /^ 1 +(2001:db8:2::1|fe80::\S+) /m, said);
      t.regex(said, new RegExp(`^ 2 +${SERVER6} `, 'm'), said);
      const setMtu = async (mtu: string): Promise<void> => {
        await lab.server.must(['ip', 'link', 'set', 'eth0', 'mtu', mtu]);
        await lab.world.must(['ip', 'link', 'set', 'w0', 'mtu', mtu]);
      };
      await setMtu('1400');
      const big = await lab.guest.run(['ping', '-6', '-n', '-c', '1', '-W', '2', '-s', '3000', SERVER6]);
      await setMtu('1500');
      t.is(big.code, 0, big.stdout);
    },
  );

  suite.test('what cannot be reached is told at once', ['curl', 'socat'], async (t, lab) => {
    await configured(lab.guest);
    const refused = await lab.guest.run(['curl', '-sg', '-m', '5', `http://[${SERVER6}]:81/`]);
    t.is(refused.code, 7);
    t.true(refused.ms < 2000, `${refused.ms}`);
    const nowhere = await lab.guest.run(['curl', '-sg', '-m', '5', 'http://[2001:db8:77::1]/']);
    t.is(nowhere.code, 7);
    t.true(nowhere.ms < 2500, `${nowhere.ms}`);
    const closed = await lab.guest.run(['socat', '-t', '2', '-', `UDP6:[${SERVER6}]:7999`], { input: 'x' });
    t.regex(closed.stderr, /refused/i);
  });

  suite.test('UDP to the router reaches a service that listens on 127.0.0.1 only', ['socat'], async (t, lab) => {
    await configured(lab.guest);
    const server = lab.world.start(['socat', '-d', '-d', 'UDP4-RECVFROM:7005,bind=127.0.0.1,fork', 'EXEC:cat']);
    await server.until((child) => child.stderr.includes('receiving on'), 5000, 'socat listens');
    const echo = await lab.guest.run(['socat', '-t', '2', '-', `UDP6:[${ROUTER}]:7005`], { input: 'by four' });
    t.is(echo.stdout, 'by four', echo.stderr);
    await server.stop();
  });

  suite.test('DNS over IPv6, UDP and TCP; the name of the router', ['dig', 'dnsmasq'], async (t, lab) => {
    await configured(lab.guest);
    await lab.startDns();
    const dig = async (...words: string[]): Promise<string> =>
      (await lab.guest.must(['dig', `@${DNS6}`, '+short', '+tries=1', '+time=3', ...words])).trim();
    t.is(await dig('host.test'), '192.0.2.77');
    t.is(await dig('+tcp', 'host.test'), '192.0.2.77');
    t.is((await dig('+tcp', 'big.test', 'TXT')).split('\n').length, 40);
    t.is(await dig('gateway', 'AAAA'), ROUTER);
    t.is(await dig('gateway'), '10.0.2.2');
    t.is(await dig('host.test', 'AAAA'), '', 'guests have IPv4: no DNS64');
  });

  suite.test('resolvers of the host by IPv6', ['dig', 'dnsmasq'], async (t, lab) => {
    await configured(lab.guest);
    const own = ['--no-daemon', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file='];
    const link = /inet6 (fe80::\S+)\//.exec(
      await lab.server.must(['ip', '-6', '-o', 'address', 'show', 'dev', 'eth0', 'scope', 'link']),
    )![1]!;
    const listen = [`--listen-address=${SERVER6}`, `--listen-address=${link}`, '--bind-interfaces'];
    const six = lab.server.start(['dnsmasq', ...own, ...listen, '--local=/test/', '--host-record=six.test,192.0.2.66']);
    await six.until((child) => child.stderr.includes('started'), 5000, 'dnsmasq is ready');
    const conf = join(lab.dir, 'resolv.conf.world');
    for (const server of [SERVER6, `${link}%w0`]) {
      writeFileSync(conf, `nameserver ${server}\n`);
      await delay(1100);
      t.is(
        (await lab.guest.must(['dig', `@${DNS6}`, '+short', '+tries=1', '+time=4', 'six.test'])).trim(),
        '192.0.2.66',
      );
    }
    writeFileSync(conf, `nameserver ${SERVER}\n`);
    await six.stop();
  });

  suite.test(
    'dhclient -6: an address, name server and search list; released at the end',
    ['dhclient'],
    async (t, lab) => {
      const guest = lab.guests[1]!;
      await configured(guest);
      const script = join(lab.dir, 'dhclient6.sh');
      const out = join(lab.dir, 'dhclient6.out');
      writeFileSync(
        script,
        `#!/bin/sh\necho "$reason $new_ip6_address $new_dhcp6_name_servers $new_dhcp6_domain_search" >> ${out}\n` +
          `[ "$reason" = BOUND6 ] && ip -6 address add $new_ip6_address/128 dev $interface nodad\nexit 0\n`,
        { mode: 0o755 },
      );
      const files = ['-lf', join(lab.dir, 'dhclient6.leases'), '-pf', join(lab.dir, 'dhclient6.pid')];
      await guest.must(['dhclient', '-6', '-1', '-v', ...files, '-sf', script, 'tap0'], { timeoutMs: 30_000 });
      const said = lab.read('dhclient6.out');
      t.regex(said, /BOUND6 2001:db8:2::1[0-9a-f]{3} 2001:db8:2::3 lab\.test\./, said);
      const address = /BOUND6 (\S+)/.exec(said)![1]!;
      const ping = await guest.run(['ping', '-6', '-n', '-c', '1', '-W', '2', '-I', address, SERVER6]);
      t.is(ping.code, 0, ping.stdout + ping.stderr);
      const end = await guest.run(['dhclient', '-6', '-r', '-v', ...files, '-sf', script, 'tap0'], {
        timeoutMs: 20_000,
      });
      t.regex(end.stderr, /RELEASE6|Release/i, end.stderr);
    },
  );

  suite.test('dhcpcd: router advertisement and DHCPv6 in one', ['dhcpcd'], async (t, lab) => {
    const guest = lab.guests[1]!;
    const hook = join(lab.dir, 'dhcpcd6.sh');
    const out = join(lab.dir, 'dhcpcd6.out');
    writeFileSync(hook, `#!/bin/sh\n{ echo "$reason"; env | grep -E '^(new_|nd)'; } >> ${out}\nexit 0\n`, {
      mode: 0o755,
    });
    const config = join(lab.dir, 'dhcpcd6.conf');
    writeFileSync(config, 'duid\noption dhcp6_name_servers, dhcp6_domain_search\nipv6rs\nia_na\n');
    const child = guest.space.start(['dhcpcd', '-6', '-B', '-d', '-f', config, '-c', hook, 'tap0']);
    await until(
      () => /BOUND6.*new_dhcp6_name_servers/s.test(lab.read('dhcpcd6.out')),
      25_000,
      () => `dhcpcd is bound: ${child.stderr}`,
    );
    const said = lab.read('dhcpcd6.out');
    t.regex(said, /new_dhcp6_ia_na1_ia_addr1='?2001:db8:2::1[0-9a-f]{3}/, said);
    t.regex(said, /new_dhcp6_name_servers='?2001:db8:2::3/, said);
    t.regex(said, /nd1_rdnss1_servers='?2001:db8:2::3/, said);
    await child.stop();
  });

  suite.test('the end: an advertisement with lifetime 0 takes the default route away', ['ip'], async (t, lab: Lab) => {
    await configured(lab.guest);
    t.regex(await lab.guest.must(['ip', '-6', 'route', 'show', 'default']), /via fe80/);
    await lab.stopRouter();
    const gone = async (): Promise<boolean> =>
      (await lab.guest.must(['ip', '-6', 'route', 'show', 'default'])).trim() === '';
    await until(gone, 3000, 'the default route is gone');
    t.pass();
  });

  suite.end();

  const inward = new Suite('IPv6 forwards', kind, {
    ipv6: true,
    router: [
      ...['-H10.0.2.2/24', `-H${ROUTER}/64`],
      ...['-L', '[::1]:8080:10.0.2.15:80', '-L', `127.0.0.1:8081:[${PREFIX}:15]:80`],
      ...['-L', `[::1]:8082:[${PREFIX}:15]:80`, '-U', `127.0.0.1:8083:[${PREFIX}:15]:7000`],
      ...['-U', `[::1]:8084:10.0.2.15:7000`, '-L', `[::]:8085:[${PREFIX}:15]:7004`],
    ],
  });

  inward.test('forwards across families, TCP and UDP', ['curl', 'socat', 'busybox'], async (t, lab) => {
    const guest = lab.guest;
    await guest.configure('10.0.2.15');
    await guest.must(['ip', '-6', 'address', 'replace', `${PREFIX}:15/64`, 'dev', 'tap0', 'nodad']);
    const www = join(lab.dir, 'www');
    await guest.must(['mkdir', '-p', www]);
    writeFileSync(join(www, 'hello'), 'hello from the guest\n');
    const servers = [
      guest.space.start(['busybox', 'httpd', '-f', '-p', '10.0.2.15:80', '-h', www]),
      guest.space.start(['busybox', 'httpd', '-f', '-p', `[${PREFIX}:15]:80`, '-h', www]),
      guest.space.start(['socat', 'UDP4-RECVFROM:7000,fork', 'EXEC:cat']),
      guest.space.start(['socat', 'UDP6-RECVFROM:7000,ipv6only=1,fork', 'EXEC:cat']),
    ];
    for (const url of ['[::1]:8080', '127.0.0.1:8081', '[::1]:8082']) {
      const got = async (): Promise<boolean> =>
        (await lab.world.run(['curl', '-sg', '-m', '5', `http://${url}/hello`])).stdout === 'hello from the guest\n';
      await until(got, 10_000, `an answer at ${url}`);
      t.pass();
    }
    for (const to of ['UDP4:127.0.0.1:8083', 'UDP6:[::1]:8084']) {
      const echo = await lab.world.run(['socat', '-t', '2', '-', to], { input: 'across' });
      t.is(echo.stdout, 'across', `${to} ${echo.stderr}`);
    }
    for (const each of servers) await each.stop();
  });

  inward.end();
}
