// Guests that have IPv6 only, on a host that has IPv4 only: what they reach through NAT64 and DNS64. And what it costs.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { farther, PROHIBITED, UNREACHABLE } from './lab/far.ts';
import { type Guest, type Lab, SERVER } from './lab/lab.ts';
import { runLinux } from './lab/linux-guest.ts';
import { connectError, TELLS_OFFENDER } from './lab/offender.ts';
import { patternDigest } from './lab/pattern.ts';
import { until } from './lab/process.ts';
import { Suite, SWITCHES } from './lab/suite.ts';

const ROUTER = '2001:db8:2::1';
const DNS6 = '2001:db8:2::3';
/** SERVER, 198.51.100.2, behind the translator. */
const SERVER64 = '64:ff9b::c633:6402';
const BYTES = 3_000_000;
const IPERF_SEC = '1';
const ROUNDS = 3;
/** Gbit/s: far below what any router does that is not broken. */
const IPERF_FLOOR = 0.02;

/** Waits until the guest has made itself an address, and has a default route. */
async function configured(guest: Guest): Promise<void> {
  const ready = async (): Promise<boolean> => {
    const show = await guest.must(['ip', '-6', '-o', 'address', 'show', 'dev', 'tap0', 'scope', 'global']);
    return show.includes('2001:db8:2:') && !show.includes('tentative');
  };
  await until(ready, 15_000, 'the guest has an address');
}

/** Gives the guest the name server of the router. */
const resolves = (lab: Lab, guest: Guest): void =>
  writeFileSync(join(lab.dir, `resolv.conf.${guest.space.name}`), `nameserver ${DNS6}\n`);

for (const kind of SWITCHES) {
  const suite = new Suite('IPv6 only', kind, { guests: 2, router: [`-H${ROUTER}/64`, '-r'] });

  suite.test('the host has IPv6 switched off', ['sysctl'], async (t, lab) => {
    await lab.world.sysctl('net.ipv6.conf.all.disable_ipv6', '1');
    t.is((await lab.world.run(['ping', '-6', '-c', '1', '-W', '1', '::1'])).code === 0, false);
    for (const guest of lab.guests) {
      await configured(guest);
      resolves(lab, guest);
      t.is((await guest.must(['ip', '-4', '-o', 'address', 'show', 'dev', 'tap0'])).trim(), '');
    }
  });

  if (TELLS_OFFENDER) {
    suite.test(
      'TCP: what a router of the IPv4 world says comes from its address behind the prefix',
      ['python3'],
      async (t, lab) => {
        await farther(lab);
        for (const [address, want] of [
          [UNREACHABLE, 'ENETUNREACH 1/0'],
          [PROHIBITED, 'EACCES 1/1'],
        ] as const) {
          t.regex(await connectError(lab.guest, `64:ff9b::${address}`), new RegExp(`^(${want}) of ${SERVER64}$`));
        }
      },
    );
  }

  suite.test('rdisc6: the prefix of the translator is told', ['rdisc6', 'tcpdump'], async (t, lab) => {
    const dump = lab.guest.space.start(['tcpdump', '-i', 'tap0', '-n', '-vv', '-l', 'icmp6 and ip6[40] == 134']);
    await dump.until((child) => child.stderr.includes('listening'), 5000, 'tcpdump listens');
    const said = await lab.guest.must(['rdisc6', '-1', 'tap0'], { timeoutMs: 30_000 });
    t.regex(said, /Source link-layer address: 52:56:00:00:00:01/i, 'with IPv6 alone: 52:56 and the end of the address');
    await dump.until((child) => /pref64|option \(38\)/.test(child.stdout), 5000, 'PREF64 is seen');
    t.regex(dump.stdout, /64:ff9b::|0x0000: {2}0\S* 0064 ff9b/, dump.stdout);
    await dump.stop();
  });

  suite.test('dig: DNS64, ipv4only.arpa, names back', ['dig', 'dnsmasq'], async (t, lab) => {
    await lab.startDns();
    const dig = async (...words: string[]): Promise<string> =>
      (await lab.guest.must(['dig', `@${DNS6}`, '+short', '+tries=1', '+time=4', ...words])).trim();
    t.is(await dig('host.test', 'AAAA'), '64:ff9b::c000:24d');
    t.is(await dig('+tcp', 'host.test', 'AAAA'), '64:ff9b::c000:24d');
    t.is(await dig('host.test', 'A'), '192.0.2.77');
    t.is(await dig('ipv4only.arpa', 'AAAA'), '64:ff9b::c000:aa\n64:ff9b::c000:ab');
    t.is(await dig('+dnssec', '+cdflag', 'host.test', 'AAAA'), '', 'who checks for himself gets what there is');
    t.regex(await dig('-x', '64:ff9b::c000:24d'), /^77\.2\.0\.192\.in-addr\.arpa\.\nhost\.test\.$/);
    t.is(await dig('gateway', 'AAAA'), ROUTER);
  });

  suite.test(
    'curl, ping, UDP, refused ports and traceroute, through NAT64, two guests at once',
    ['curl', 'traceroute'],
    async (t, lab) => {
      const get = (guest: Guest) => guest.shell(`curl -sg 'http://[${SERVER64}]/bytes/${BYTES}' | sha256sum`);
      const results = await Promise.all(lab.guests.map(get));
      for (const { stdout } of results) t.true(stdout.startsWith(patternDigest(BYTES)), stdout);
      for (const guest of lab.guests) {
        const peer = await guest.must(['curl', '-sg', `http://[${SERVER64}]/peer`]);
        t.is(peer.trim(), '198.51.100.1');
        const ping = await guest.run(['ping', '-6', '-n', '-c', '2', '-i', '0.2', '-W', '2', SERVER64]);
        t.is(ping.code, 0, ping.stdout);
        t.regex(ping.stdout, new RegExp(`from ${SERVER64}: icmp_seq=2`));
      }
      const echo = await lab.guest.run(['socat', '-t', '1', '-', `UDP6:[${SERVER64}]:7003`], { input: 'to four' });
      t.is(echo.stdout, 'to four');
      const refused = await lab.guest.run(['curl', '-sg', '-m', '5', `http://[${SERVER64}]:81/`]);
      t.is(refused.code, 7);
      t.true(refused.ms < 2000, `${refused.ms}`);
      const closed = await lab.guest.run(['socat', '-t', '2', '-', `UDP6:[${SERVER64}]:7999`], { input: 'x' });
      t.regex(closed.stderr, /refused/i);
      const path = await lab.guest.must(['traceroute', '-6', '-n', '-q', '1', '-w', '2', SERVER64], {
        timeoutMs: 30_000,
      });
      t.regex(path, new RegExp(`^ 2 +${SERVER64} `, 'm'), path);
    },
  );

  suite.test('iperf3 both ways through NAT64', ['iperf3'], async (t, lab) => {
    const server = lab.server.start(['iperf3', '-s', '--forceflush']);
    await server.until((child) => child.stdout.includes('listening'), 5000, 'iperf3 listens');
    t.true((await iperf(lab.guest, ['-c', SERVER64])) > IPERF_FLOOR);
    t.true((await iperf(lab.guest, ['-c', SERVER64, '-R'])) > IPERF_FLOOR);
    await server.stop();
  });

  suite.test('what is refused in IPv4 is refused behind the translator, in every form', ['curl'], async (t, lab) => {
    for (const address of [
      '64:ff9b::7f00:1',
      '64:ff9b::a9fe:a9fe',
      '64:ff9b::',
      '64:ff9b::ffff:ffff',
      '2002:7f00:1::',
    ]) {
      const tried = await lab.guest.run(['curl', '-sg', '-m', '1', `http://[${address}]/`]);
      t.not(tried.code, 0, address);
    }
  });

  suite.test(
    'an IPv6-only Linux in QEMU: addresses, name, download, ping',
    ['qemu-system-x86_64', 'busybox', 'guest-kernel', 'dnsmasq'],
    async (t, lab) => {
      const said = await runLinux(
        lab,
        `
i=0
while [ $i -lt 20 ]; do ip -6 address show dev eth0 scope global | grep -q 'inet6 2001:db8:2:.*global' && break; i=$((i+1)); sleep 1; done
sleep 2
ip -6 address show dev eth0
ip -6 route show default
echo "nameserver ${DNS6}" > /etc/resolv.conf
nslookup -type=AAAA host.test
ping -6 -c 2 -W 2 ${ROUTER}
ping -6 -c 2 -W 2 ${SERVER64}
wget -q -O /tmp/pattern 'http://[${SERVER64}]/bytes/${BYTES}'
echo "down: $(sha256sum < /tmp/pattern)"
`,
      );
      t.regex(said, /inet6 2001:db8:2:\S+\/64 scope global/, said);
      t.regex(said, /default via fe80::/, said);
      t.regex(said, /64:ff9b::c000:24d/, said);
      t.regex(said, new RegExp(`${SERVER64} ping statistics ---\\n2 packets transmitted, 2 packets received`), said);
      t.true(said.includes(`down: ${patternDigest(BYTES)}`), said);
    },
  );

  suite.end();
}

/**
 * Gbit/s of iperf3's sum, to the guest with `-R`. Its server is busy until it has heard the last client's end, which a
 * full queue of a switch may have lost once.
 */
async function iperf(guest: Guest, words: readonly string[]): Promise<number> {
  let rate = 0;
  const measured = async (): Promise<boolean> => {
    const result = await guest.run(['iperf3', '-J', '-t', IPERF_SEC, ...words], { timeoutMs: 30_000 });
    const { end, error = '' } = JSON.parse(result.stdout) as {
      end: { sum_received?: { bits_per_second: number } };
      error?: string;
    };
    rate = (end.sum_received?.bits_per_second ?? 0) / 1e9;
    return !error.includes('busy');
  };
  await until(measured, 10_000, 'the server of iperf3 has time');
  return rate;
}

const cost = new Suite('IPv6 rates', 'embedded', {
  ipv6: true,
  router: ['-H10.0.2.2/24', `-H${ROUTER}/64`, '-r'],
});

cost.test('iperf3 by IPv4, IPv6 and NAT64: none is far behind', ['iperf3'], async (t, lab) => {
  const guest = lab.guest;
  await guest.configure('10.0.2.15');
  await configured(guest);
  const server = lab.server.start(['iperf3', '-s', '--forceflush']);
  await server.until((child) => child.stdout.includes('listening'), 5000, 'iperf3 listens');
  const ways = [SERVER, '2001:db8:99::2', SERVER64];
  for (const direction of [[], ['-R']]) {
    const best = ways.map(() => 0);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, to] of ways.entries()) best[i] = Math.max(best[i]!, await iperf(guest, ['-c', to, ...direction]));
    }
    const text = best.map((rate) => rate.toFixed(2)).join(' : ');
    t.log(
      `${direction.length === 0 ? 'from' : 'to'} the guest, best of ${ROUNDS}, Gbit/s, IPv4 : IPv6 : NAT64 = ${text}`,
    );
    // A machine that others use is noisy: this only finds a path that is broken, or slow by its nature.
    t.true(best[1]! > 0.4 * best[0]! && best[2]! > 0.4 * best[0]!, text);
  }
});

cost.end();
