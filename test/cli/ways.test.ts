import test from 'ava';
import { parseCommandLine } from '../../src/cli/parse.ts';
import { classicBanner } from '../../src/cli/slirpvde-banner.ts';
import { type SlirpvdeConfig, slirpvdeConfig } from '../../src/cli/slirpvde-config.ts';
import { SLIRPVDE } from '../../src/cli/slirpvde-options.ts';
import { UsageError } from '../../src/cli/usage-error.ts';
import { parseEndpoint } from '../../src/core/address.ts';

const config = (line: string): SlirpvdeConfig =>
  slirpvdeConfig(parseCommandLine(SLIRPVDE, line.split(' ')), '/home/me');

for (const give of ['-', '-s -', '-dhcp -', '--sock=-']) {
  test(`'${give}': standard input and output, quiet`, (t) => {
    t.like(config(give), { stdio: true, socket: null, quiet: true });
  });
}

test("'- --verbose' is not quiet", (t) => t.like(config('- --verbose'), { quiet: false, verbose: true }));

test('QEMU: paths become absolute, options repeat', (t) => {
  const c = config('--qemu-stream q1 --qemu-stream /tmp/q2 --qemu-connect ../q3 --qemu-dgram l,/r');
  t.deepEqual(c.qemuStreams, ['/home/me/q1', '/tmp/q2']);
  t.deepEqual(c.qemuConnects, ['/home/q3']);
  t.deepEqual(c.qemuDgrams, [{ local: '/home/me/l', remote: '/r' }]);
  t.is(config('--qemu-stream q --mtu 65532').mtu, 65_532);
});

test('-L with a path; the path may hold colons', (t) => {
  const { forwards, unixForwards } = config('-L /run/a:b.sock:10.0.2.15:22 -L 80:10.0.2.15:80');
  t.deepEqual(
    unixForwards.map((f) => `${f.path} ${f.guest}`),
    ['/run/a:b.sock 10.0.2.15:22'],
  );
  t.is(forwards.length, 1);
});

test('-x: port and path', (t) => {
  t.deepEqual(config('-x 6010:/run/s:1 -x 80:rel').unixServices, [
    { port: 6010, path: '/run/s:1' },
    { port: 80, path: '/home/me/rel' },
  ]);
});

for (const [give, want] of [
  ['10.0.2.15', '10.0.2.15:6000'],
  ['10.0.2.15:0', '10.0.2.15:6000'],
  ['10.0.2.15:1.0', '10.0.2.15:6001'],
  ['10.0.2.20:63', '10.0.2.20:6063'],
] as const) {
  test(`-X ${give} leads to ${want}`, (t) => {
    t.deepEqual(
      config(`-X ${give}`).displays.map((d) => String(d.guest)),
      [want],
    );
  });
}

const refused: [give: string, message: RegExp][] = [
  ['-L /run/s', /bad forward '\/run\/s': no guest and port follow the path/],
  ['-L /run/s:guest:22', /the guest address 'guest' is not an IPv4 address/],
  ['-L /run/s:10.0.2.15:0', /the guest port '0' is not a port/],
  ['-L /run/s:10.0.3.15:22', /10.0.3.15 is not the address of a host in 10.0.2.0\/24/],
  ['-x 80', /bad forward '80': no path follows the port/],
  ['-x 0:/s', /'0' is not a port/],
  ['-x 65536:/s', /'65536' is not a port/],
  ['-x 80:', /the path is empty/],
  ['-X guest', /'guest' is not an IPv4 address/],
  ['-X 10.0.2.15:x', /what follows the guest is not a display/],
  ['-X 10.0.2.15:59536', /there is no display 59536/],
  ['-X 10.0.2.2', /10.0.2.2 is an address of the router/],
];
for (const [give, message] of refused) {
  test(`'${give}' is refused`, (t) => {
    t.regex(t.throws(() => config(give), { instanceOf: UsageError, code: 'ERR_VDE_BAD_FORWARD' }).message, message);
  });
}

test('start-up text: Unix sockets, and the port found for a display', (t) => {
  const display = {
    protocol: 'tcp' as const,
    listen: parseEndpoint('0.0.0.0', 6003),
    guest: parseEndpoint('10.0.2.15', 6000),
  };
  const state = { socket: '/tmp/vde.ctl', forwards: [], displays: [display] };
  t.deepEqual(classicBanner('slirpvde', config('-L /s:10.0.2.15:22 -x 80:/w -X 10.0.2.15'), state).slice(3), [
    '                   redir TCP   =/s:10.0.2.15:22',
    '                   redir X     =6003:10.0.2.15:6000',
    '                   redir UNIX  =80:/w',
  ]);
});
