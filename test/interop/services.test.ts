// DHCP, DNS and TFTP with other people's clients, and a machine that boots from nothing but its network.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { DNS, GATEWAY, type Lab, SERVER } from './lab/lab.ts';
import { pattern } from './lab/pattern.ts';
import { until } from './lab/process.ts';
import { Suite, SWITCHES } from './lab/suite.ts';

const BYTES = 300_000;
/** What slirpvde serves and keeps, the same for all groups. */
const files = mkdtempSync(join(tmpdir(), 'vdenet-interop-files-'));
chmodSync(files, 0o755);
test.after.always(() => rmSync(files, { recursive: true, force: true }));

const data = pattern(BYTES);
writeFileSync(join(files, 'pattern'), data);
writeFileSync(join(files, 'lines'), 'one\ntwo\n');
writeFileSync(
  join(files, 'boot.ipxe'),
  `#!ipxe
echo script: from \${next-server} as \${filename}, I am \${ip} in \${domain}
imgfetch tftp://\${next-server}/pattern && echo pattern: fetched || echo pattern: failed
imgstat
echo script: done
`,
);

/** A machine without disk whose firmware is iPXE; what its serial line says. */
async function pxe(lab: Lab, mac: string): Promise<string> {
  const qemu = lab.world.start([
    ...['qemu-system-x86_64', '-accel', 'tcg', '-m', '64', '-nodefaults', '-no-user-config', '-no-reboot'],
    ...['-display', 'none', '-nographic', '-serial', 'stdio', '-boot', 'n'],
    ...['-netdev', `vde,id=n0,sock=${lab.ctl}`, '-device', `virtio-net-pci,netdev=n0,mac=${mac}`],
    ...['-device', 'sga'],
  ]);
  await qemu.until((child) => !child.running || child.stdout.includes('script: done'), 60_000, 'the script has run');
  await qemu.stop();
  return qemu.stdout.replaceAll('\r', '');
}

for (const kind of SWITCHES) {
  const leases = join(files, `leases-${kind}`);
  const args = [
    ...['-dhcp', '-t', files, '--leases', leases, '--dhcp-file', 'boot.ipxe'],
    ...['--dhcp-domain', 'lab.test', '--dhcp-search', 'lab.test,more.test', '--dns-record', 'nas.test,192.0.2.9'],
    ...['--dhcp-host', '52:54:00:00:be:ef,10.0.2.9,bare', '--dhcp-option', '121,10.77.0.0/16,10.0.2.200'],
    ...['--dhcp-option', '42,10.0.2.2'],
  ];
  const suite = new Suite('services', kind, { guests: 2, router: args });

  suite.test('dhcpcd gets a lease with name, domain, search list, routes and MTU', ['dhcpcd'], async (t, lab) => {
    const guest = lab.guest;
    await guest.must(['ip', 'address', 'flush', 'dev', 'tap0']);
    const hook = join(lab.dir, 'dhcpcd.sh');
    writeFileSync(hook, '#!/bin/sh\n[ "$reason" = BOUND ] && env | grep ^new_ >&2\nexit 0\n', { mode: 0o755 });
    const config = join(lab.dir, 'dhcpcd.conf');
    const wanted =
      'domain_name_servers, domain_name, domain_search, host_name, classless_static_routes, interface_mtu, ntp_servers';
    writeFileSync(config, `hostname penguin\nclientid\noption ${wanted}\nfqdn both\nnoipv4ll\n`);
    const words = ['dhcpcd', '-4', '-1', '-B', '-d', '-t', '20', '-f', config, '-c', hook, 'tap0'];
    const result = await guest.run(words, { timeoutMs: 40_000 });
    const said = `${result.stdout}${result.stderr}`;
    t.regex(said, /new_ip_address=10\.0\.2\.\d+/, said);
    t.regex(said, /new_domain_name='?lab\.test/, said);
    t.regex(said, /new_domain_search='?lab\.test more\.test/, said);
    t.regex(said, /new_interface_mtu='?1500/, said);
    t.regex(said, /new_ntp_servers='?10\.0\.2\.2/, said);
    t.regex(said, /new_classless_static_routes='?10\.77\.0\.0\/16 10\.0\.2\.200 0\.0\.0\.0\/0 10\.0\.2\.2/, said);
  });

  suite.test(
    'names: guests by their DHCP name, both ways; records; NODATA is not NXDOMAIN',
    ['dig'],
    async (t, lab) => {
      const [first, second] = lab.guests;
      const once = ['-n', '-q', '-t', '10', '-T', '1', '-s', lab.dhcpScript];
      await first!.must(['udhcpc', '-i', 'tap0', ...once, '-x', 'hostname:alpha']);
      await second!.must(['udhcpc', '-i', 'tap0', ...once, '-x', 'hostname:beta']);
      const address = (await second!.address()).split('/')[0]!;
      const dig = async (...words: string[]): Promise<string> =>
        (await first!.must(['dig', `@${DNS}`, '+tries=1', '+time=3', ...words])).trim();
      for (const name of ['beta', 'beta.lab.test']) t.is(await dig('+short', name), address);
      t.is(await dig('+short', '-x', address), 'beta.lab.test.');
      t.is(await dig('+short', '+tcp', 'beta'), address);
      t.is(await dig('+short', 'nas.test'), '192.0.2.9');
      t.is(await dig('+short', 'gateway'), GATEWAY);
      t.is(await dig('+short', 'bare'), '10.0.2.9');
      const nodata = await dig('beta.lab.test', 'AAAA');
      t.regex(nodata, /status: NOERROR.*\n.*ANSWER: 0, AUTHORITY: 1/, nodata);
      t.notRegex(nodata, /WARNING|malformed/i, nodata);
      t.regex(await dig('-x', '10.0.2.250'), /status: NXDOMAIN.*\n.*AUTHORITY: 1/);
      t.is((await first!.run(['ping', '-n', '-c', '1', '-W', '2', 'beta'])).code, 0);
    },
  );

  suite.test('the first of two resolvers dead, resolv.conf changed meanwhile', ['dig', 'dnsmasq'], async (t, lab) => {
    await lab.guest.dhcp();
    await lab.startDns();
    const conf = join(lab.dir, 'resolv.conf.world');
    const before = readFileSync(conf, 'utf8');
    const ask = (): Promise<string> => lab.guest.must(['dig', `@${DNS}`, '+short', '+tries=1', '+time=6', 'host.test']);
    t.is((await ask()).trim(), '192.0.2.77');
    writeFileSync(conf, `nameserver 198.51.100.77\nnameserver ${SERVER}\n`);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    t.is((await ask()).trim(), '192.0.2.77');
    const start = Date.now();
    t.is((await ask()).trim(), '192.0.2.77');
    t.true(Date.now() - start < 1500, 'the dead one is asked last now');
    writeFileSync(conf, 'nameserver 198.51.100.77\nnameserver 198.51.100.78\n');
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const said = await lab.guest.must(['dig', `@${DNS}`, '+tries=1', '+time=8', 'host.test']);
    t.regex(said, /status: SERVFAIL/, 'all of them dead: an answer, not silence');
    writeFileSync(conf, before);
  });

  suite.test('dnsperf: every query is answered', ['dnsperf', 'dnsmasq'], async (t, lab) => {
    const queries = join(lab.dir, 'queries');
    writeFileSync(queries, 'host.test A\nbeta A\nnothing.test A\nhost.test AAAA\n');
    const words = ['dnsperf', '-s', DNS, '-d', queries, '-l', '3', '-c', '4', '-q', '40'];
    const said = await lab.guest.must(words, { timeoutMs: 20_000 });
    t.log(/Queries per second:\s+(\S+)/.exec(said)?.[1] ?? said);
    t.regex(said, /Queries lost:\s+0 /, said);
    t.notRegex(said, /SERVFAIL/, said);
  });

  suite.test(
    'tftp-hpa, atftp and curl fetch files; nothing else is served',
    ['tftp', 'atftp', 'curl'],
    async (t, lab) => {
      const guest = lab.guest;
      const to = (name: string): string => join(lab.dir, name);
      await guest.must(['tftp', '-m', 'binary', GATEWAY, '-c', 'get', 'pattern', to('hpa')]);
      t.true(data.equals(readFileSync(to('hpa'))));
      await guest.must(['tftp', '-m', 'ascii', GATEWAY, '-c', 'get', 'lines', to('ascii')]);
      t.is(readFileSync(to('ascii'), 'utf8'), 'one\ntwo\n');
      const options = ['--option', 'blksize 1428', '--option', 'tsize 0', '--option', 'timeout 2'];
      await guest.must(['atftp', ...options, '-g', '-r', 'pattern', '-l', to('atftp'), GATEWAY]);
      t.true(data.equals(readFileSync(to('atftp'))));
      await guest.must(['curl', '-sS', '--max-time', '20', '-o', to('curl'), `tftp://${GATEWAY}/pattern`]);
      t.true(data.equals(readFileSync(to('curl'))));
      const refused = await guest.run(['tftp', GATEWAY, '-c', 'get', '../leases', to('no')]);
      t.regex(`${refused.stdout}${refused.stderr}`, /Error code 2/i);
      const missing = await guest.run(['tftp', GATEWAY, '-c', 'get', 'nothing', to('no')]);
      t.regex(`${missing.stdout}${missing.stderr}`, /Error code 1/i);
      const written = await guest.run(['tftp', GATEWAY, '-c', 'put', to('ascii'), 'written']);
      t.regex(`${written.stdout}${written.stderr}`, /Error code 2/i);
    },
  );

  const bootNeeds = ['qemu-system-x86_64'];
  suite.test('a machine without a disk boots iPXE: script and image by TFTP', bootNeeds, async (t, lab) => {
    const said = await pxe(lab, '52:54:00:00:be:ef');
    t.regex(said, /script: from 10\.0\.2\.2 as boot\.ipxe, I am 10\.0\.2\.9 in lab\.test/, said);
    t.regex(said, /pattern: fetched/, said);
    t.regex(said, new RegExp(`pattern : ${BYTES} bytes`), said);
  });

  suite.test('killed and started again: leases and names are what they were', ['dig'], async (t, lab) => {
    const [first, second] = lab.guests;
    const addresses = [await first!.dhcp(), await second!.dhcp()];
    const link = async (guest: (typeof lab.guests)[number]): Promise<string> =>
      /link\/ether (\S+)/.exec(await guest.must(['ip', '-o', 'link', 'show', 'dev', 'tap0']))![1]!;
    const macs = [await link(first!), await link(second!)];
    const router = lab.router;
    router.process.kill('SIGKILL');
    await until(() => !router.running, 5000, 'slirpvde is gone');
    await lab.startRouter();
    for (const [i, guest] of lab.guests.entries()) {
      if (kind === 'embedded') await guest.join(); // their switch is gone too
      await guest.must(['ip', 'link', 'set', 'tap0', 'address', macs[i]!]);
      await guest.configure(addresses[i]!.split('/')[0]!);
    }
    const address = addresses[1]!.split('/')[0]!;
    const names = (): Promise<string> => first!.must(['dig', `@${DNS}`, '+short', '+tries=1', '-x', address]);
    t.is((await names()).trim(), 'beta.lab.test.', 'before anybody asked for a lease again');
    t.deepEqual([await second!.dhcp(), await first!.dhcp()].reverse(), addresses);
  });

  suite.end();
}

const changing = new Suite('resolv.conf', 'embedded', { start: false, guests: 0 });

changing.test(
  'replaced by rename, by a link, and behind the link: followed within two seconds',
  ['dig', 'dnsmasq'],
  async (t, lab) => {
    // A directory of our own in place of /etc: nothing can be renamed over a file that is bound there by itself.
    const etc = join(lab.dir, 'etc');
    mkdirSync(etc);
    for (const name of ['passwd', 'group', 'nsswitch.conf', 'ld.so.cache']) {
      if (existsSync(`/etc/${name}`)) copyFileSync(`/etc/${name}`, join(etc, name));
    }
    const write = (name: string, server: string): void => {
      writeFileSync(join(etc, `${name}.new`), `nameserver ${server}\n`);
      renameSync(join(etc, `${name}.new`), join(etc, name));
    };
    write('resolv.conf', SERVER);
    await lab.world.must(['mount', '--bind', etc, '/etc']);
    await lab.startDns();
    const own = [
      '--no-daemon',
      '--conf-file=/dev/null',
      '--no-resolv',
      '--no-hosts',
      '--pid-file=',
      '--bind-interfaces',
    ];
    const names = ['--listen-address=127.0.0.53', '--host-record=host.test,192.0.2.88', '--user=root'];
    const stub = lab.world.start(['dnsmasq', ...own, ...names]);
    await stub.until((child) => child.stderr.includes('started'), 5000, 'the second resolver is ready');
    await lab.startRouter();
    const guest = await lab.addGuest();
    await guest.dhcp();
    const answer = async (): Promise<string> =>
      (await guest.run(['dig', `@${DNS}`, '+short', '+tries=1', '+time=3', 'host.test'])).stdout.trim();
    const becomes = async (address: string, what: string): Promise<void> => {
      const start = Date.now();
      await until(async () => (await answer()) === address, 5000, `${what}: ${address}`);
      t.true(Date.now() - start < 2500, what);
    };
    await becomes('192.0.2.77', 'at the start');
    write('resolv.conf', '127.0.0.53');
    await becomes('192.0.2.88', 'replaced by rename');
    write('stub.conf', SERVER);
    symlinkSync('stub.conf', join(etc, 'link.new'));
    renameSync(join(etc, 'link.new'), join(etc, 'resolv.conf'));
    await becomes('192.0.2.77', 'replaced by a link');
    write('stub.conf', '127.0.0.53');
    await becomes('192.0.2.88', 'what the link leads to was replaced');
  },
);

changing.end();
