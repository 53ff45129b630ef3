import { readFileSync } from 'node:fs';
import { GATEWAY, SERVER } from './lab/lab.ts';
import { IS_ROOT } from './lab/namespace.ts';
import { patternDigest } from './lab/pattern.ts';
import { Suite, SWITCHES } from './lab/suite.ts';

const BYTES = 5_000_000;

for (const kind of SWITCHES) {
  const suite = new Suite('as an unprivileged user', kind, { who: 'nobody' });

  suite.test(
    'slirpvde has no right, and serves DHCP, ping, DNS and TCP',
    ['curl', 'dig', 'dnsmasq'],
    async (t, lab) => {
      const status = readFileSync(`/proc/${lab.router.pid}/status`, 'utf8');
      t.regex(status, /^CapEff:\s+0+$/m);
      if (IS_ROOT) t.regex(status, /^Uid:\s+65534\s+65534\s+65534\s+65534$/m);

      await lab.startDns();
      t.regex(await lab.guest.dhcp(), /^10\.0\.2\.\d+\/24$/);
      for (const address of [GATEWAY, SERVER]) {
        t.is((await lab.guest.run(['ping', '-n', '-c', '1', '-W', '2', address])).code, 0, address);
      }
      t.is(await lab.guest.must(['dig', '+tries=1', '+time=3', '+short', 'host.test']), '192.0.2.77\n');
      const { stdout } = await lab.guest.shell(`curl -sS --fail http://${SERVER}/bytes/${BYTES} | sha256sum`);
      t.is(stdout.split(' ')[0], patternDigest(BYTES));
    },
  );

  suite.end();
}
