import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { hex } from '../support/hex.ts';
import { DNS, type Guest, type Lab, SERVER } from './lab/lab.ts';
import { PROJECT } from './lab/namespace.ts';
import { patternDigest } from './lab/pattern.ts';
import { until } from './lab/process.ts';
import { Suite } from './lab/suite.ts';

const BYTES = 5_000_000;

/** The guest gets an address from the router, and a download through it. */
async function works(t: ExecutionContext, guest: Guest): Promise<void> {
  t.regex(await guest.dhcp(), /^10\.0\.2\.\d+\/24$/);
  const { stdout } = await guest.shell(`curl -sS --fail http://${SERVER}/bytes/${BYTES} | sha256sum`);
  t.is(stdout.split(' ')[0], patternDigest(BYTES));
}

/** A second switch, Debian's, that is joined to slirpvde's by a cable. */
async function throughCable(t: ExecutionContext, lab: Lab, words: (a: string, b: string) => string[]): Promise<void> {
  const other = join(lab.dir, 'other');
  const behind = lab.world.start(['vde_switch', '-s', other]);
  await until(() => lab.listens(other), 5000, 'the second switch listens');
  const wire = lab.world.start(words(lab.ctl, other));
  const guest = await lab.addGuest(false);
  await guest.join(other);
  await works(t, guest);
  await guest.leave();
  await wire.stop();
  await behind.stop();
}

for (const kind of ['embedded', 'own'] as const) {
  const suite = new Suite('VDE programs', kind, { guests: 0 });

  suite.test('vde_plug carries frames on its standard input and output', ['vde_plug'], async (t, lab) => {
    const frame = hex(readFileSync(join(PROJECT, 'fixtures/interop/arp-who-has-gateway.hex'), 'utf8'));
    const plug = lab.world.start(['vde_plug', lab.ctl]);
    plug.write(Buffer.concat([Buffer.from([0, frame.length]), frame]));
    const toAsker = Buffer.from('020000000099', 'hex'); // the router may announce itself before it answers
    await plug.until((child) => child.stdoutBytes.indexOf(toAsker) > 1, 5000, 'an answer to the asker');
    const answer = plug.stdoutBytes.subarray(plug.stdoutBytes.indexOf(toAsker));
    t.is(answer.subarray(12, 22).toString('hex'), '08060001080006040002', 'an ARP reply');
    t.is(answer.subarray(22, 32).toString('hex'), '52550a0002020a000202', 'the gateway is at 52:55:0a:00:02:02');
    await plug.stop();
  });

  suite.test('vde_plug2tap', ['vde_plug2tap', 'curl'], async (t, lab) => {
    const guest = await lab.addGuest(false);
    await guest.join();
    await works(t, guest);
  });

  suite.test('vde_plug between the switch and a TAP interface', ['vde_plug', 'curl'], async (t, lab) => {
    const guest = await lab.addGuest(false);
    await guest.join(lab.ctl, ['vde_plug', `vde://${lab.ctl}`, 'tap://tap0']);
    await works(t, guest);
  });

  suite.test('vde_plug as a cable to another switch', ['vde_plug', 'vde_switch', 'curl'], (t, lab) =>
    throughCable(t, lab, (a, b) => ['vde_plug', a, b]),
  );

  suite.test('dpipe of two vde_plug as a cable', ['dpipe', 'vde_plug', 'vde_switch', 'curl'], (t, lab) =>
    throughCable(t, lab, (a, b) => ['dpipe', 'vde_plug', a, '=', 'vde_plug', b]),
  );

  suite.test('wirefilter as a cable', ['wirefilter', 'vde_switch', 'curl'], (t, lab) =>
    throughCable(t, lab, (a, b) => ['wirefilter', '-v', `${a}:${b}`]),
  );

  suite.test('vdens', ['vdens', 'curl', 'sha256sum'], async (t, lab) => {
    const guest = await lab.addGuest(false);
    const script = [
      `udhcpc -i vde0 -n -q -t 10 -T 1 -s ${lab.dhcpScript} >&2`,
      `curl -sS --fail http://${SERVER}/bytes/${BYTES} | sha256sum`,
    ];
    const url = `vde://${lab.ctl}`;
    const result = await guest.run(['vdens', '-R', DNS, url, 'sh', '-c', script.join(' && ')], { timeoutMs: 30_000 });
    t.is(result.stdout.split(' ')[0], patternDigest(BYTES), result.stderr);
  });

  suite.end();
}

for (const kind of ['embedded', 'own'] as const) {
  const foreign = new Suite('another router', kind, {
    router: ['-n', '10.9.0.0/24'],
    guests: 1,
  });

  foreign.test('Debian’s slirpvde serves its guests there', ['slirpvde', 'curl'], async (t, lab) => {
    // It dies of SIGPIPE where a peer closes early.
    const router = lab.world.start(['sh', '-c', 'trap "" PIPE; exec slirpvde -s "$1" -D', 'sh', lab.ctl]);
    await router.until((child) => child.stderr.includes('vde switch'), 5000, 'slirpvde starts');
    await works(t, lab.guest);
  });

  foreign.end();
}
