import { join } from 'node:path';
import test from 'ava';
import { AddressWatch } from '../../src/cli/address-watch.ts';
import { parseCommandLine } from '../../src/cli/parse.ts';
import { absoluteAddress, plug2tapConfig, splitCommand, vdePlugConfig } from '../../src/cli/plug-config.ts';
import { syslog, timestamp } from '../../src/cli/syslog.ts';
import { VDE_PLUG } from '../../src/cli/vde_plug-options.ts';
import { VDE_PLUG2TAP } from '../../src/cli/vde_plug2tap-options.ts';
import { native } from '../../src/native/native.ts';
import { datagramSocket, receiveAll, tempDir } from '../link/support.ts';
import { hex } from '../support/hex.ts';

const config = (...words: string[]) => {
  const { own, command } = splitCommand(words);
  return vdePlugConfig(parseCommandLine(VDE_PLUG, own), command, '/home/u');
};

test('vde_plug: default switch, URL, cable, command; options may follow the URL, not the command', (t) => {
  const none = { port: null, group: null, mode: null };
  t.like(config(), { first: { kind: 'url', url: '', access: none }, second: { kind: 'stdio' } });
  t.like(config('s', '-D', 'x', '--port=7', '-g', 'g', '-m', '770'), {
    first: { kind: 'url', url: '/home/u/s', access: { port: 7, group: 'g', mode: 0o770 } },
    description: 'x',
  });
  t.like(config('a', 'tap://t', '-G', 'h', '-M', '600', '--port2', '8'), {
    second: { kind: 'url', url: 'tap://t', access: { port: 8, group: 'h', mode: 0o600 } },
  });
  t.like(config('-l', '=', 'ssh', '-p', '22', '=', 'x'), {
    second: { kind: 'command', argv: ['ssh', '-p', '22', '=', 'x'] },
    syslog: true,
    iplog: false,
  });
  t.like(config('-L', 'a'), { syslog: true, iplog: true });
});

for (const words of [
  ['a', 'b', '=', 'c'],
  ['='],
  ['a', '=', ''],
  ['-d', 'a'],
  ['a', '--port2', '3'],
  ['a', '--port=0'],
  ['a', '-m', '9'],
])
  test(`vde_plug ${words.join(' ')} makes no sense`, (t) => {
    t.throws(() => config(...words), { code: 'ERR_VDE_BAD_OPTION' });
  });

test('vde_plug2tap', (t) => {
  const parse = (...words: string[]) => plug2tapConfig(parseCommandLine(VDE_PLUG2TAP, words), '/');
  t.like(parse('-s', 's', '-p', '3', 'tap0'), {
    first: { url: '/s', access: { port: 3 } },
    second: { url: 'tap://tap0' },
  });
  t.like(parse('-s', '-', 'tap0'), { first: { kind: 'stdio' } });
  t.throws(() => parse('-s', 's'), { message: /no TAP interface/ });
  t.throws(() => parse('-d', '-s', '-', 'tap0'), { message: /no standard input/ });
});

test('addresses do not depend on the working directory', (t) => {
  const all = ['', 's[3]', 'vde://s', 'ptp://p', 'udp://1->a:2', 'cmd://x', '[3]', 'vde://', '/a/../b'];
  t.deepEqual(
    all.map((each) => absoluteAddress(each, '/d')),
    [...['', '/d/s[3]', 'vde:///d/s', 'ptp:///d/p', 'udp://1->a:2', 'cmd://x', '[3]', 'vde://', '/b']],
  );
});

test('each IP address is told once, per VLAN; none is no address', (t) => {
  const told: string[] = [];
  const watch = new AddressWatch((address, version, vlan) => told.push(`${version} ${address} ${vlan}`));
  const ethernet = 'ffffffffffff 020000000001';
  const ipv4 = `0800 45000014 00000000 40110000 0a000205 0a000202`;
  const arp = `0806 0001 0800 0604 0001 020000000001 0a000206 000000000000 0a000202`;
  const ipv6 = `86dd 60000000 00003a40 fe800000000000000000000000000001 ff020000000000000000000000000001`;
  const probe = `0806 0001 0800 0604 0001 020000000001 00000000 000000000000 0a000202`;
  for (const body of [ipv4, ipv4, arp, ipv6, ipv6, probe, `8100 0007 ${ipv4}`, '0800 4500', '8100 00']) {
    const frame = hex(`${ethernet} ${body}`);
    watch.frame(frame, 0, frame.length);
  }
  t.deepEqual(told, ['4 10.0.2.5 0', '4 10.0.2.6 0', '6 fe80::1 0', '4 10.0.2.5 7']);
});

test('syslog: one datagram, control characters shown; a log that is not there is no error', (t) => {
  const path = join(tempDir(t), 'log');
  const fd = datagramSocket(path);
  syslog('name', 'info', 'a\nb', path);
  const [message] = receiveAll(fd);
  t.regex(
    Buffer.from(message!).toString(),
    new RegExp(`^<30>[A-Z][a-z]{2} [ \\d]\\d \\d\\d:\\d\\d:\\d\\d name\\[${process.pid}\\]: a.*b$`, 's'),
  );
  native().close(fd);
  t.notThrows(() => syslog('name', 'info', 'x', `${path}-none`));
  t.is(timestamp(new Date(2026, 10, 2, 5, 4, 3)), 'Nov  2 05:04:03');
});
