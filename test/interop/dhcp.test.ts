import { GATEWAY } from './lab/lab.ts';
import { Suite, SWITCHES } from './lab/suite.ts';

for (const kind of [...SWITCHES, 'own'] as const) {
  const suite = new Suite('dhcp', kind, { guests: 2 });

  suite.test('udhcpc gets a lease and can reach the gateway', [], async (t, lab) => {
    t.regex(await lab.guest.dhcp(), /^10\.0\.2\.\d+\/24$/);
    t.is((await lab.guest.run(['ping', '-n', '-c', '2', '-i', '0.2', '-W', '2', GATEWAY])).code, 0);
    t.regex(await lab.guest.must(['cat', '/etc/resolv.conf']), /^nameserver 10\.0\.2\.3$/m);
    t.regex(await lab.guest.must(['ip', 'route']), /^default via 10\.0\.2\.2 /m);
  });

  suite.test('a second guest gets another address, and the first keeps its own', [], async (t, lab) => {
    const [first, second] = lab.guests;
    const before = await first!.dhcp();
    const other = await second!.dhcp();
    t.regex(other, /^10\.0\.2\.\d+\/24$/);
    t.not(other, before);
    t.is(await first!.dhcp(), before);
    t.is(await second!.dhcp(), other);
    for (const guest of [first!, second!]) {
      t.is((await guest.run(['ping', '-n', '-c', '1', '-W', '2', GATEWAY])).code, 0);
    }
  });

  suite.test('guests reach each other through the switch', [], async (t, lab) => {
    const [first, second] = lab.guests;
    await first!.dhcp();
    const address = (await second!.dhcp()).split('/')[0]!;
    t.is((await first!.run(['ping', '-n', '-c', '1', '-W', '2', address])).code, 0);
  });

  suite.test('dhclient gets a lease, renews it and releases it', ['dhclient'], async (t, lab) => {
    const guest = lab.guest;
    await guest.must(['ip', 'address', 'flush', 'dev', 'tap0']);
    const files = ['-lf', `${lab.dir}/dhclient.leases`, '-pf', `${lab.dir}/dhclient.pid`, '-sf', lab.dhcpScript];
    const dhclient = (...args: string[]): string[] => ['dhclient', '-v', ...files, ...args, 'tap0'];

    const first = await guest.run(dhclient('-1'), { timeoutMs: 30_000 });
    t.is(first.code, 0, first.stderr);
    t.regex(first.stderr, /DHCPOFFER of (10\.0\.2\.\d+) from 10\.0\.2\.2/);
    t.regex(first.stderr, /DHCPACK of (10\.0\.2\.\d+) from 10\.0\.2\.2/);
    const address = await guest.address();
    t.regex(address, /^10\.0\.2\.\d+\/24$/);
    t.is((await guest.run(['ping', '-n', '-c', '1', '-W', '2', GATEWAY])).code, 0);

    // It finds its lease in the file, and asks for the same address again (INIT-REBOOT).
    await guest.must(dhclient('-x'));
    const again = await guest.run(dhclient('-1'), { timeoutMs: 30_000 });
    t.is(again.code, 0, again.stderr);
    t.notRegex(again.stderr, /DHCPDISCOVER/);
    t.is(await guest.address(), address);

    const release = await guest.run(dhclient('-r'), { timeoutMs: 30_000 });
    t.regex(release.stderr, /DHCPRELEASE of 10\.0\.2\.\d+ on tap0 to 10\.0\.2\.2/);
  });

  suite.end();
}
