import { openSync } from 'node:fs';
import test from 'ava';
import { formatForward } from '../../src/cli/forward.ts';
import { parseCommandLine } from '../../src/cli/parse.ts';
import { classicBanner, stateLines } from '../../src/cli/slirpvde-banner.ts';
import { type SlirpvdeConfig, slirpvdeConfig } from '../../src/cli/slirpvde-config.ts';
import { SLIRPVDE6_PERSONALITY } from '../../src/cli/slirpvde-networks.ts';
import { SLIRPVDE } from '../../src/cli/slirpvde-options.ts';
import { SLIRPVDE6 } from '../../src/cli/slirpvde6-options.ts';
import { UsageError } from '../../src/cli/usage-error.ts';
import { formatIpv4 } from '../../src/core/address.ts';
import { formatIpv6, type Ipv6Network } from '../../src/core/ipv6-network.ts';
import { formatPolicyRule } from '../../src/mgmt/policy-text.ts';

/** An inherited descriptor that is a file. */
const FILE_FD = openSync('/dev/null', 'r');

const config = (line: string): SlirpvdeConfig =>
  slirpvdeConfig(parseCommandLine(SLIRPVDE, line === '' ? [] : line.split(' ')), '/home/me');

const DEFAULT_NETWORKS = {
  ipv4: [{ address: 0x0a000202, network: 0x0a000200, prefixLen: 24, mask: 0xffffff00 }],
  ipv6: [],
};

test('without options: the defaults of the original', (t) => {
  t.deepEqual(config(''), {
    socket: null,
    stdio: false,
    port: null,
    group: null,
    mode: null,
    embeddedSwitch: true,
    guard: 'warn',
    hosts: DEFAULT_NETWORKS,
    networks: DEFAULT_NETWORKS,
    names: { told4: 0x0a000203, told6: null, at4: 0x0a000203, at6: null, ofHost: false, upstream: null },
    ipv6: { radv: null, radvFollowsHost: false, dhcp6: null, nat64: null, dns64: false, pref64: false },
    dhcp: null,
    leaseSec: 86_400,
    leases: null,
    search: { names: [], ofHost: false },
    domain: '',
    dnsRecords: [],
    rebindExempt: null,
    tftp: null,
    mtu: 1500,
    hostLoopback: true,
    noHost: false,
    restrict: false,
    rules: [],
    udpFilter: 'any',
    udpTimeouts: 'short',
    mgmt: null,
    forwardBind: '0.0.0.0',
    forwards: [],
    displays: [],
    unixForwards: [],
    unixServices: [],
    qemuStreams: [],
    qemuConnects: [],
    qemuDgrams: [],
    tap: null,
    readyFd: null,
    exitFd: null,
    config: null,
    daemon: false,
    pidfile: null,
    log: null,
    capture: null,
    quiet: false,
    verbose: false,
  });
});

// router/length, name server told, DNS answered at, first DHCP address; as Debian's slirpvde prints them
const networks: [give: string, want: string][] = [
  ['-D', '10.0.2.2/24 10.0.2.3 10.0.2.3 10.0.2.15'],
  ['-D -H 10.1.2.3/16', '10.1.2.3/16 10.1.0.3 10.1.0.3 10.1.0.15'],
  ['-D -H 10.1.0.0/16', '10.1.0.2/16 10.1.0.3 10.1.0.3 10.1.0.15'],
  ['-D -n 10.2.0.0', '10.2.0.2/24 10.2.0.3 10.2.0.3 10.2.0.15'],
  ['-D -H 192.168.5.1', '192.168.5.1/24 192.168.5.3 192.168.5.3 192.168.5.15'],
  ['-D -H 10.0.2.2/8', '10.0.2.2/8 10.0.0.3 10.0.0.3 10.0.0.15'],
  ['-D -H 172.16.4.128/25', '172.16.4.130/25 172.16.4.131 172.16.4.131 172.16.4.143'],
  ['-D -H 10.3.0.0 -H 1.2.3.4', '10.3.0.2/24 10.3.0.3 10.3.0.3 10.3.0.15'],
  ['-D10.4.0.9 -H 10.3.0.0 -H 10.4.0.0', '10.3.0.2/24 10.3.0.3 10.3.0.3 10.4.0.9'],
  // where host 15 is the broadcast address or outside: the first free host
  ['-D -H 10.0.2.16/28', '10.0.2.18/28 10.0.2.19 10.0.2.19 10.0.2.17'],
  ['-D -H 10.0.2.1/29', '10.0.2.1/29 10.0.2.3 10.0.2.3 10.0.2.2'],
  // where host 3 is the broadcast address: the router answers DNS
  ['-D -H 10.0.2.0/30', '10.0.2.2/30 10.0.2.2 10.0.2.2 10.0.2.1'],
  ['-D -H 10.0.2.1/30', '10.0.2.1/30 10.0.2.1 10.0.2.1 10.0.2.2'],
  // name server inside: answered there; outside: told only
  ['-D -N 10.0.2.99', '10.0.2.2/24 10.0.2.99 10.0.2.99 10.0.2.15'],
  ['-D -N 10.0.2.2', '10.0.2.2/24 10.0.2.2 10.0.2.2 10.0.2.15'],
  ['-D -N 9.9.9.9', '10.0.2.2/24 9.9.9.9 10.0.2.3 10.0.2.15'],
  ['-D -H 10.4.0.0/16 -N 10.5.0.1', '10.4.0.2/16 10.5.0.1 10.4.0.3 10.4.0.15'],
  ['-D10.0.2.100', '10.0.2.2/24 10.0.2.3 10.0.2.3 10.0.2.100'],
  ['--dhcp=10.9.0.7 -H 10.9.0.0/16', '10.9.0.2/16 10.9.0.3 10.9.0.3 10.9.0.7'],
];
for (const [give, want] of networks) {
  test(`addresses of '${give}'`, (t) => {
    const { networks, names, dhcp } = config(give);
    const network = networks.ipv4[0]!;
    const addresses = [names.told4!, names.at4!, dhcp!.start].map(formatIpv4).join(' ');
    t.is(`${formatIpv4(network.address)}/${network.prefixLen} ${addresses}`, want);
  });
}

const sockets: [give: string, socket: string | null, port: number | null][] = [
  ['-s /tmp/x', '/tmp/x', null],
  ['/tmp/x', '/tmp/x', null],
  ['-s x', '/home/me/x', null],
  ['-s ../x/', '/home/x', null],
  ['-s vde:///tmp/x', '/tmp/x', null],
  ['vde://', null, null],
  ['-s /tmp/x[7]', '/tmp/x', 7],
  ['-s /tmp/x[7] -P 9', '/tmp/x', 9],
  ['-s /tmp/x[0]', '/tmp/x', null],
  ['-P 0', null, null],
  ['-P 16777215', null, 16777215],
];
for (const [give, socket, port] of sockets) {
  test(`switch of '${give}'`, (t) => {
    const { socket: gotSocket, port: gotPort } = config(give);
    t.deepEqual([gotSocket, gotPort], [socket, port]);
  });
}

test('the remaining options', (t) => {
  const c = config(
    '-dq -p run/pid -g kvm -m 0660 --no-switch --no-host-loopback --mtu 9216 --capture c.pcapng --log /l --verbose ' +
      '--udp-filter address-port --udp-timeouts=rfc',
  );
  t.like(c, {
    daemon: true,
    quiet: true,
    verbose: true,
    pidfile: '/home/me/run/pid',
    group: 'kvm',
    mode: 0o660,
    embeddedSwitch: false,
    guard: 'warn',
    hostLoopback: false,
    mtu: 9216,
    capture: '/home/me/c.pcapng',
    log: '/l',
    udpFilter: 'address-port',
    udpTimeouts: 'rfc',
  });
});

test('forwards: classic and with an address, TCP and UDP, in order', (t) => {
  const { forwards } = config(
    '-L 8022:10.0.2.15:22 -L 127.0.0.1:8080:10.0.2.16:80 -U 5353:10.0.2.15:53 -U 1:10.0.2.254:65535',
  );
  t.deepEqual(
    forwards.map((f) => `${f.protocol} ${f.listen} ${f.guest} ${formatForward(f)}`),
    [
      'tcp 0.0.0.0:8022 10.0.2.15:22 8022:10.0.2.15:22',
      'tcp 127.0.0.1:8080 10.0.2.16:80 127.0.0.1:8080:10.0.2.16:80',
      'udp 0.0.0.0:5353 10.0.2.15:53 5353:10.0.2.15:53',
      'udp 0.0.0.0:1 10.0.2.254:65535 1:10.0.2.254:65535',
    ],
  );
  t.notThrows(() => config('-L 53:10.0.2.15:53 -U 53:10.0.2.15:53'));
  t.notThrows(() => config('-L 127.0.0.1:80:10.0.2.15:80 -L 127.0.0.2:80:10.0.2.16:80'));
});

// as given, and what it means: host, guest, ports
const extendedForwards: [give: string, want: string, form?: string][] = [
  ['8022:10.0.2.15', '0.0.0.0:8022 10.0.2.15:8022 x1', '8022:10.0.2.15:8022'],
  ['127.0.0.1:8022:10.0.2.15', '127.0.0.1:8022 10.0.2.15:8022 x1', '127.0.0.1:8022:10.0.2.15:8022'],
  ['8000-8009:10.0.2.15', '0.0.0.0:8000 10.0.2.15:8000 x10', '8000-8009:10.0.2.15:8000-8009'],
  ['8000-8009:10.0.2.15:9000-9009', '0.0.0.0:8000 10.0.2.15:9000 x10'],
  ['127.0.0.1:7-8:10.0.2.15:9-10', '127.0.0.1:7 10.0.2.15:9 x2'],
  ['0:10.0.2.15:22', '0.0.0.0:0 10.0.2.15:22 x1'],
  ['80:web:8080', '0.0.0.0:80 web:8080 x1'],
  ['80:Web-1', '0.0.0.0:80 web-1:80 x1', '80:web-1:80'],
  ['80:52:54:00:12:34:56:8080', '0.0.0.0:80 52:54:00:12:34:56:8080 x1'],
  ['80:52:54:0:12:34:AB', '0.0.0.0:80 52:54:00:12:34:ab:80 x1', '80:52:54:00:12:34:ab:80'],
  ['127.0.0.1:80:52-54-00-12-34-56:1', '127.0.0.1:80 52:54:00:12:34:56:1 x1', '127.0.0.1:80:52:54:00:12:34:56:1'],
];
for (const [give, want, form = give] of extendedForwards) {
  test(`-L ${give}`, (t) => {
    const [f] = config(`-L ${give}`).forwards;
    t.is(`${f!.listen} ${f!.guestName ?? f!.guest.host}:${f!.guest.port} x${f!.count}`, want);
    t.is(formatForward(f!), form);
    t.is(formatForward(config(`-L ${form}`).forwards[0]!), form, 'what is printed can be given again');
  });
}

test('ranges that overlap are two forwards of one port', (t) => {
  t.throws(() => config('-L 8000-8009:10.0.2.15 -L 8009:10.0.2.16'), { message: /two forwards of TCP port 8009/ });
  t.notThrows(() => config('-L 0:10.0.2.15:22 -L 0:10.0.2.16:22'));
});

test('--allow and --deny keep the order of the command line', (t) => {
  const { rules } = config(
    '--deny 10.0.0.0/8 --allow 0.0.0.0/0:80-81/tcp -L 1:10.0.2.15:1 --deny 192.0.2.7:53 --allow 0.0.0.0/0/icmp',
  );
  t.deepEqual(
    rules.map((rule) => `${rule.allow ? 'allow' : 'deny'} ${formatPolicyRule(rule)} ${rule.protocols}`),
    ['deny 10.0.0.0/8 7', 'allow 0.0.0.0/0:80-81/tcp 1', 'deny 192.0.2.7/32:53 3', 'allow 0.0.0.0/0/icmp 4'],
  );
});

const badRules: [give: string, why: RegExp][] = [
  ['x', /'x' is not an IP address/],
  ['10.0.0.0/33', /prefix length 33/],
  ['10.1.0.0/8', /has host bits; did you mean 10.0.0.0\?/],
  ['10.0.0.0/8:0', /'0' is not a port/],
  ['10.0.0.0/8:9-1', /'9-1' is not a port/],
  ['10.0.0.0/8:80/icmp', /ICMP has no ports/],
  ['10.0.0.0/8/sctp', /'sctp' is not tcp, udp or icmp/],
  ['10.0.0.0/tcp/8', /does not have the form/],
];
for (const [give, why] of badRules) {
  test(`--deny '${give}' is refused`, (t) => {
    const error = t.throws(() => config(`--deny ${give}`), { instanceOf: UsageError, code: 'ERR_VDE_BAD_POLICY' });
    t.regex(error.message, why);
  });
}

test('--no-host closes the loopback services too', (t) => {
  t.false(config('--no-host').hostLoopback);
  t.true(config('--no-host').noHost);
});

test('-M: absolute path, mode and group', (t) => {
  t.deepEqual(config('-M sock').mgmt, { path: '/home/me/sock', mode: 0o600, group: null });
  t.deepEqual(config('--mgmt /s --mgmtmode 660 --mgmtgroup vde').mgmt, { path: '/s', mode: 0o660, group: 'vde' });
  t.throws(() => config('--mgmtmode 660'), { message: /needs the management socket/ });
  t.throws(() => config('-M /s --mgmtmode 8'), { message: /option '--mgmtmode': '8' is not a mode/ });
});

const badForwards: [give: string, why: RegExp][] = [
  ['x', /it has 1 fields, not 2 to 4/],
  ['1:2:3:4:5', /it has 5 fields/],
  ['::', /guest address '' is not an IPv4 address|host port '' is not a port/],
  ['0:10.0.2.15', /with host port 0 the guest port must be written/],
  ['00:10.0.2.15:22', /host port '00' is not a port \(1 to 65535, 0 for any\)/],
  ['65536:10.0.2.15:22', /host port '65536'/],
  ['99999:10.0.2.15:22', /host port '99999'/],
  ['-1:10.0.2.15:22', /host port '-1'/],
  ['8022:10.0.2.15:ssh', /guest port 'ssh'/],
  ['8022:10.0.2.15:0', /guest port '0'/],
  ['0x10:10.0.2.15:22', /host port '0x10'/],
  ['8022:-guest:22', /guest address '-guest'/],
  ['8022:15:22', /guest address '15'/],
  ['8022:[2001:db8::5]:22', /2001:db8::5 is not the address of a host in 10.0.2.0/],
  ['8022:[2001:db8::g]:22', /not an IPv4 address, IPv6 in brackets/],
  ['[ff02::1]:8022:10.0.2.15:22', /is a multicast, broadcast/],
  ['8000-8009:10.0.2.15:9000', /not ranges of the same length/],
  ['8000:10.0.2.15:9000-9001', /not ranges of the same length/],
  ['8009-8000:10.0.2.15', /host port '8009-8000'/],
  ['1-1025:10.0.2.15', /more than 1024 ports/],
  ['0-9:10.0.2.15:0-9', /host port '0-9'/],
  ['8022:10.0.2:22', /guest address '10.0.2'/],
  ['8022:10.0.2.256:22', /guest address '10.0.2.256'/],
  ['localhost:8022:10.0.2.15:22', /address to listen on 'localhost'/],
  [':8022:10.0.2.15:22', /address to listen on ''/],
  ['224.0.0.1:8022:10.0.2.15:22', /multicast, broadcast or reserved/],
  ['8022:10.0.3.15:22', /10.0.3.15 is not the address of a host in 10.0.2.0\/24/],
  ['8022:10.0.2.0:22', /10.0.2.0 is not the address of a host/],
  ['8022:10.0.2.255:22', /10.0.2.255 is not the address of a host/],
  ['8022:10.0.2.2:22', /10.0.2.2 is an address of the router/],
  ['8022:10.0.2.3:53', /10.0.2.3 is an address of the router/],
];
for (const [give, why] of badForwards) {
  for (const option of ['-L', '-U']) {
    test(`${option} '${give}' is refused`, (t) => {
      const error = t.throws(() => config(`${option} ${give}`), {
        instanceOf: UsageError,
        code: 'ERR_VDE_BAD_FORWARD',
      });
      t.regex(error.message, why);
      t.true(error.message.startsWith(`option '${option}': bad forward '${give}': `));
    });
  }
}

test('one port of the host cannot be forwarded twice', (t) => {
  const error = t.throws(() => config('-L 80:10.0.2.15:80 -L 80:10.0.2.16:8080'), { code: 'ERR_VDE_BAD_FORWARD' });
  t.is(error?.message, "two forwards of TCP port 80: '80:10.0.2.15:80' and '80:10.0.2.16:8080'");
});

test('guests that are namespaces: the interface, its namespace, and what is set there', (t) => {
  const tap = (give: string) => config(give).tap;
  t.deepEqual(tap('--tap t7'), { name: 't7', netns: null, userns: null, guest: null });
  t.deepEqual(tap('--netns 4711'), { name: 'tap0', netns: '4711', userns: null, guest: null });
  t.deepEqual(tap('--netns run/n --userns u'), {
    name: 'tap0',
    netns: '/home/me/run/n',
    userns: '/home/me/u',
    guest: null,
  });
  const { guest } = tap('--netns 1 --configure -H 10.7.0.1/16')!;
  t.is(formatIpv4(guest!.address), '10.7.0.15');
  t.is(guest!.network.prefixLen, 16);
  t.is(config('--tap t --mtu 65521').mtu, 65_521);
});

const refused: [give: string, message: RegExp, hint?: RegExp][] = [
  ['--configure', /^--configure goes with --netns$/],
  ['--tap t --userns /u', /^--userns goes with --netns$/],
  ['--tap t --mtu 65522', /^option '--mtu': '65522' is not between 576 and 65521$/],
  ['--netns 1 --qemu-stream /q', /the router's only cable, but guests of QEMU are named too/],
  ['--netns 1 -P 3', /the router's only cable, but a switch is named too/],
  ['--tap t --exit-fd x', /^option '--exit-fd': 'x' is not an open descriptor$/],
  [
    `--tap t --exit-fd ${FILE_FD}`,
    /^option '--exit-fd': descriptor \d+ is no pipe and no socket: it has no other end$/,
  ],
  ['--tap t --ready-fd 1 -d', /^--ready-fd and --exit-fd are for a process that stays in the foreground$/],
  ['-s /tmp/x /tmp/y', /the switch is named twice: --sock '\/tmp\/x' and '\/tmp\/y'/],
  ['a b', /too many arguments: 'a' 'b'/],
  ['-dhcp 10.0.2.100', /'10.0.2.100' is an address, not the control directory/, /did you mean --dhcp=10.0.2.100\?/],
  ['- -d', /'-' and --daemon exclude each other/],
  ['--qemu-stream q --no-switch', /guests of QEMU are ports of the embedded switch/, /--no-switch/],
  ['--qemu-dgram a', /option '--qemu-dgram': cannot read 'a'/, /LOCAL,REMOTE/],
  ['--qemu-dgram a,b,c', /cannot read 'a,b,c'/],
  ['--qemu-stream q --mtu 65533', /'65533' is not between 576 and 65532/],
  ['-x 53:/s -N 10.0.2.2', /port 53 of the router is that of DNS/],
  ['-x 80:/a -x 80:/b', /port 80 of the router leads to two sockets/],
  ['-L /s:10.0.2.15:22 -L /s:10.0.2.16:22', /two forwards of \/s/],
  ['-s --dhcp', /option '--sock' got '--dhcp', which looks like an option/, /\.\/--dhcp/],
  ['-p -d', /option '--pidfile' got '-d'/],
  ['--log -q', /option '--log' got '-q'/],
  ['--capture -q', /option '--capture' got '-q'/],
  ['tap://tap0', /cannot join 'tap:\/\/tap0': only vde:\/\/ and plain paths/],
  ['/tmp/x[name]', /cannot read '\/tmp\/x\[name\]'/],
  ['[7]', /cannot read '\[7\]'/],
  ['-P x', /'x' is not a switch port/],
  ['-P 16777216', /'16777216' is not a switch port/],
  ['-P -1', /'-1' is not a switch port/],
  ['-m 888', /option '--mode': '888' is not a mode/],
  ['-m 1777', /'1777' is not a mode/],
  ['-m rw', /'rw' is not a mode/],
  ['--mtu 575', /option '--mtu': '575' is not between 576 and 9216/],
  ['--mtu 9217', /'9217' is not between/],
  ['--udp-filter none', /'--udp-filter': 'none' is not one of any, address, address-port/],
  ['--udp-timeouts long', /'--udp-timeouts': 'long' is not one of short, rfc/],
  ['--mtu 1e3', /'1e3' is not between/],
  ['-H bogus', /option '--host': 'bogus' is not an IPv4 or IPv6 address/, /for example/],
  ['-H 10.0.2', /'10.0.2' is not an IPv4 or IPv6 address/],
  ['-H fd00::1 --mtu 1279', /'1279' is not between 1280 and 9216/],
  ['-H fd00::1/127', /the prefix length is not a number from 16 to 126/],
  ['-H fd00::g', /'fd00::g' is not an IPv6 address/],
  ['-H fe80::1', /fe80::1 cannot be/],
  ['-H ff02::1', /ff02::1 cannot be/],
  ['-H ::1', /::1 cannot be/],
  ['-H ::ffff:10.0.2.1/96', /is not an IPv6 address/],
  ['-H fd00::1 -H fd00::2/48', /overlap/],
  ['-H 10.0.0.0/8 -H 10.1.0.0/16', /overlap/],
  ['-D -H fd00::1', /'--dhcp' needs an IPv4 network/, /--dhcp6/],
  ['-r', /'--radvd' needs an IPv6 network/, /--host 2001:db8::1/],
  ['--dhcp6', /'--dhcp6' needs an IPv6 network/],
  ['--nat64 off', /'--nat64' needs an IPv6 network/],
  ['--dhcp6 -H fd00::1/120', /'--dhcp6' needs a network of at most 114 bits/],
  ['-H fd00::1 --nat64 fd64::/72', /has 72 bits/, /32, 40, 48, 56, 64, 96/],
  ['-H fd00::1 --nat64 fd64::1/96', /has host bits; did you mean fd64::/],
  ['-H fd00::1 --nat64 fd64:0:0:0:100::/96', /bits 64 to 71/],
  ['-H fd00::1 --nat64 fd00::/96', /overlaps the guest network/],
  ['-H fd00::1 --nat64 ::/96', /cannot be the prefix/],
  ['-H 64:ff9b::1/96', /'64:ff9b::\/96' overlaps the guest network 64:ff9b::\/96/, /or off/],
  ['-H fd00::1 --nat64 off --dns64 on', /means nothing with --nat64 off/],
  ['-H fd00::1 --dns64 yes', /neither on nor off/],
  ['-H fd00::1 -rff02::/64', /'ff02::\/64' is not a prefix for guests/],
  ['-H fd00::1 -R /nonexistent/ra', /cannot read \/nonexistent\/ra: ENOENT/],
  ['-H fd00::1 --radv-follow-host', /means nothing without advertisements/],
  ['-H fd00::1 -N ::1', /guests cannot reach ::1/],
  ['-H fd00::1/64 -N fd00::', /fd00:: is not the address of a host in fd00::\/64/],
  ['-D/0', /the number of addresses is not from 1 to 4096/],
  ['-H 10.0.2.2/31', /prefix length is not a number from 8 to 30/],
  ['-H 10.0.2.2/7', /prefix length/],
  ['-H 10.0.2.2/', /prefix length/],
  ['-H 10.0.2.2/255.255.255.0', /prefix length/],
  ['-H 10.0.2.255', /10.0.2.255 is the broadcast address of 10.0.2.0\/24/],
  ['-H 127.0.0.1', /127.0.0.1 cannot be the address of a network of hosts/],
  ['-H 0.0.0.0', /0.0.0.0 cannot be/],
  ['-H 224.0.0.0', /224.0.0.0 cannot be/],
  ['-N x', /option '--nameserver': 'x' is not an IPv4 or IPv6 address/],
  ['-N 10.0.2.0', /10.0.2.0 is not the address of a host in 10.0.2.0\/24/],
  ['-N 10.0.2.255', /10.0.2.255 is not the address of a host/],
  ['-N 127.0.0.1', /guests cannot reach 127.0.0.1/, /without --nameserver/],
  ['-D10.0.2.1x', /option '--dhcp': '10.0.2.1x' is not an IPv4 address/],
  ['--dhcp=192.168.0.50', /192.168.0.50 is not the address of a host in 10.0.2.0\/24/],
  ['--dhcp=10.0.2.255', /10.0.2.255 is not the address of a host/],
];
for (const [give, message, hint] of refused) {
  test(`'${give}' is refused`, (t) => {
    const error = t.throws(() => config(give), { instanceOf: UsageError });
    t.regex(error.message, message);
    if (hint !== undefined) t.regex(error.hint, hint);
  });
}

test('--no-host is not the opposite of --host, in any order', (t) => {
  for (const line of ['--host 10.0.5.0/24 --no-host', '--no-host --host 10.0.5.0/24']) {
    const { networks, noHost } = config(line);
    t.is(networks.ipv4[0]!.network, 0x0a000500);
    t.true(noHost);
  }
  t.false(config('--host 10.0.5.0/24').noHost);
});

test('a path with NUL bytes is refused', (t) => {
  t.throws(() => slirpvdeConfig(parseCommandLine(SLIRPVDE, ['-p', 'a\0b']), '/'), { message: /NUL/ });
});

const banner = (line: string): string[] =>
  classicBanner('slirpvde', config(line), { socket: '/tmp/vde.ctl', displays: [], forwards: config(line).forwards });

test('start-up text: the lines of the original', (t) => {
  t.deepEqual(banner('-D -L 8022:10.0.2.15:22 -U 5353:10.0.2.15:53'), [
    'Starting slirpvde: virtual_host=10.0.2.2/24',
    '                   DNS         =10.0.2.3',
    '                   dhcp_start  =10.0.2.15',
    '                   vde switch  =/tmp/vde.ctl',
    '                   redir TCP   =8022:10.0.2.15:22',
    '                   redir UDP   =5353:10.0.2.15:53',
  ]);
  t.deepEqual(banner('-H 10.1.2.3/16 -N 8.8.8.8'), [
    'Starting slirpvde: virtual_host=10.1.2.3/16',
    '                   DNS         =8.8.8.8',
    '                   vde switch  =/tmp/vde.ctl',
  ]);
});

test('--forward-bind: where forwards listen that name no address', (t) => {
  const at = (line: string): string[] => config(line).forwards.map(({ listen }) => String(listen));
  t.deepEqual(at('-L 80:10.0.2.15:80 -U 53:10.0.2.15:53'), ['0.0.0.0:80', '0.0.0.0:53']);
  t.deepEqual(at('--forward-bind 127.0.0.1 -L 80:10.0.2.15:80 -U 192.0.2.1:53:10.0.2.15:53'), [
    '127.0.0.1:80',
    '192.0.2.1:53',
  ]);
  t.deepEqual(at('--forward-bind ::1 -L 80:10.0.2.15:80'), ['[::1]:80']);
  const state = { socket: '/s', role: 'joined', displays: [], pingProblem: null } as const;
  const { forwards } = config('--forward-bind 127.0.0.1 -L 80:10.0.2.15:80');
  t.false(stateLines(config(''), { ...state, forwards }).some((line) => line.includes('all addresses')));
  t.throws(() => config('--forward-bind localhost'), { message: /--forward-bind.*'localhost' is not an IP address/ });
});

test('start-up text: what guests reach, and how they join', (t) => {
  const joined = stateLines(config('--no-host-loopback'), {
    socket: '/s',
    role: 'joined',
    displays: [],
    pingProblem: 'no ping sockets',
    forwards: [],
  });
  t.deepEqual(joined, [
    'joined the switch at /s',
    'guests do not reach the loopback services of this host',
    'ping of guests is not forwarded: no ping sockets',
  ]);
  const { forwards } = config('-L 80:10.0.2.15:80');
  const embedded = stateLines(config(''), {
    socket: '/s',
    role: 'embedded',
    displays: [],
    pingProblem: null,
    forwards,
  });
  t.regex(embedded[0]!, /no switch was listening at \/s: serving as switch too/);
  t.true(embedded.some((line) => line.includes('-netdev vde,id=n0,sock=/s ')));
  t.true(embedded.some((line) => line.includes('vde_plug vde:///s ')));
  t.true(embedded.some((line) => line.includes('at 10.0.2.2 (--no-host-loopback refuses them)')));
  t.true(embedded.includes('ping of guests is forwarded'));
  t.true(embedded.includes('forwards without an address are open on all addresses of this host'));
});

// IPv6

const six = (give: string): string => {
  const { networks, names, ipv6 } = config(give);
  const text = (words: Ipv6Network['address'] | null): string => (words === null ? '-' : formatIpv6(words));
  const routers = networks.ipv6.map(({ address, prefixLen }) => `${text(address)}/${prefixLen}`).join(' ');
  const nat64 = ipv6.nat64 === null ? 'off' : `${text(ipv6.nat64.words)}/${ipv6.nat64.prefixLen}`;
  return `${routers} dns ${text(names.told6)} ${text(names.at6)} nat64 ${nat64}${ipv6.dns64 ? ' dns64' : ''}${ipv6.pref64 ? ' pref64' : ''}`;
};
const sixes: [give: string, want: string][] = [
  ['-H2001::1', '2001::1/64 dns 2001::3 2001::3 nat64 64:ff9b::/96 dns64 pref64'],
  ['-H10.0.2.1/24 -H2001::1/64', '2001::1/64 dns 2001::3 2001::3 nat64 64:ff9b::/96'],
  ['-H fd00:1::/48', 'fd00:1::2/48 dns fd00:1::3 fd00:1::3 nat64 64:ff9b::/96 dns64 pref64'],
  ['-H fd00::1/126', 'fd00::1/126 dns fd00::1 fd00::1 nat64 64:ff9b::/96 dns64 pref64'],
  ['-H fd00::1 -H fd01::1', 'fd00::1/64 fd01::1/64 dns fd00::3 fd00::3 nat64 64:ff9b::/96 dns64 pref64'],
  ['-H fd00::1 -N fd00::53', 'fd00::1/64 dns fd00::53 fd00::53 nat64 64:ff9b::/96 dns64 pref64'],
  ['-H fd00::1 -N 2001:db8::53', 'fd00::1/64 dns 2001:db8::53 fd00::3 nat64 64:ff9b::/96 dns64 pref64'],
  ['-H fd00::1 --nat64 off', 'fd00::1/64 dns fd00::3 fd00::3 nat64 off'],
  ['-H fd00::1 --nat64 2001:db8:64::/48', 'fd00::1/64 dns fd00::3 fd00::3 nat64 2001:db8:64::/48 dns64 pref64'],
  ['-H fd00::1 --dns64 off', 'fd00::1/64 dns fd00::3 fd00::3 nat64 64:ff9b::/96 pref64'],
  ['-H fd00::1 -H10.0.2.1 --dns64 on', 'fd00::1/64 dns fd00::3 fd00::3 nat64 64:ff9b::/96 dns64'],
];
for (const [give, want] of sixes) test(`IPv6 of '${give}'`, (t) => t.is(six(give), want));

test('-r: without prefixes those of the networks; with them those; -R a file', (t) => {
  const prefixes = (line: string): string[] =>
    (config(line).ipv6.radv?.prefixes ?? []).map(({ prefix, prefixLen, autonomous }) => {
      return `${formatIpv6(prefix)}/${prefixLen}${autonomous ? ' A' : ''}`;
    });
  t.deepEqual(prefixes('-H fd00::1'), []);
  t.deepEqual(prefixes('-H fd00::1 -H fd01::1/48 -r'), ['fd00::/64 A', 'fd01::/48']);
  t.deepEqual(prefixes('-H fd00::1 -rfd02::/64,fd03::'), ['fd02::/64 A', 'fd03::/64 A']);
  t.deepEqual(prefixes('-H fd00::1 --radvd=fd02::'), ['fd02::/64 A']);
  t.deepEqual(prefixes('-H fd00::1 -radvd'), ['fd00::/64 A']);
  t.true(config('-H fd00::1 -rd').daemon, '-rd is -r -d');
  t.true(config('-H fd00::1 -r --dhcp6').ipv6.radv!.advManagedFlag);
  t.true(config('-H fd00::1 -r --radv-follow-host').ipv6.radvFollowsHost);
});

test('-r: prefixes for addresses that no -H holds are networks of guests too', (t) => {
  const networks = (line: string): string[] =>
    config(line).networks.ipv6.map((n) => `${formatIpv6(n.address)} in ${formatIpv6(n.network)}/${n.prefixLen}`);
  t.deepEqual(networks('-H fd00::1 -r'), ['fd00::1 in fd00::/64']);
  t.deepEqual(networks('-H fd00::1/48 -rfd00:0:0:5::,fd01::'), ['fd00::1 in fd00::/48', 'fd01::2 in fd01::/64']);
  t.deepEqual(networks('-H fd00::7/80 -rfd00::'), ['fd00::7 in fd00::/80', 'fd00::7 in fd00::/64']);
  t.deepEqual(networks('-H fd00::1 -rfd01::/56'), ['fd00::1 in fd00::/64'], 'guests make no addresses of it');
  const six = config6('-H fd00::1 -rfd01::').networks.ipv6;
  t.is(formatIpv6(six[1]!.address), 'fd01::1', 'slirpvde6: the router is host 1');
  t.throws(() => config('-H fd00::1 -rfd64:: --nat64 fd64::/96'), { message: /overlaps the guest network fd64::\/64/ });
});

test("the seed manual's command line", (t) => {
  const c = config('-d -H10.0.2.1/24 -H2001::1/64 -s /tmp/vde.ctl -dhcp -r');
  t.true(c.daemon);
  t.is(c.dhcp!.start, 0x0a00020f);
  t.is(c.ipv6.radv!.prefixes.length, 1);
  t.deepEqual([c.networks.ipv4.length, c.networks.ipv6.length, c.socket], [1, 1, '/tmp/vde.ctl']);
});

test('forwards across families, and in brackets', (t) => {
  const line = '-H10.0.2.1 -H2001::1 -L [::]:8080:[2001::15]:80 -L [::1]:81:10.0.2.15:80 -U 82:[2001::15]:80';
  t.deepEqual(config(line).forwards.map(formatForward), [
    '[::]:8080:[2001::15]:80',
    '[::1]:81:10.0.2.15:80',
    '82:[2001::15]:80',
  ]);
  t.is(String(config('-H2001::1 -X [2001::15]:2').displays[0]!.guest), '[2001::15]:6002');
  t.is(String(config('-H2001::1 -L /s:[2001::15]:22').unixForwards[0]!.guest), '[2001::15]:22');
});

const config6 = (line: string): SlirpvdeConfig =>
  slirpvdeConfig(parseCommandLine(SLIRPVDE6, line === '' ? [] : line.split(' ')), '/home/me', SLIRPVDE6_PERSONALITY);

test('slirpvde6: its own defaults', (t) => {
  const c = config6('-D');
  t.is(formatIpv4(c.networks.ipv4[0]!.address), '10.0.2.1');
  t.deepEqual([formatIpv4(c.dhcp!.start), c.dhcp!.count], ['10.0.2.15', 10]);
  t.deepEqual(c.names, { told4: null, told6: null, at4: null, at6: null, ofHost: true, upstream: null });
  const n = config6('-H10.0.2.1 -H2001::1 -N').names;
  t.deepEqual([formatIpv4(n.at4!), formatIpv6(n.at6!), n.ofHost, n.upstream], ['10.0.2.1', '2001::1', false, null]);
  t.is(String(config6('-N192.0.2.53').names.upstream), '192.0.2.53:53');
  t.is(String(config6('-N2001:db8::53').names.upstream), '[2001:db8::53]:53');
  t.is(config6('-Nq').quiet, true);
  t.is(formatIpv6(config6('-H2001::/64').networks.ipv6[0]!.address), '2001::1');
  t.deepEqual([config6('-D10.0.2.40/5').dhcp!.count, config6('-D/7').dhcp!.count], [5, 7]);
});

test('slirpvde6: start-up text', (t) => {
  const c = config6('-H10.0.2.1/24 -H2001::1/64 -dhcp -r -N');
  const state = { socket: '/tmp/vde.ctl', displays: [], forwards: [] };
  t.deepEqual(classicBanner('slirpvde6', c, state), [
    'Starting slirpvde6: virtual_host=10.0.2.1/24',
    '                    virtual_host=2001::1/64',
    '                    DNS         =10.0.2.1',
    '                    DNS         =2001::1',
    '                    dhcp_start  =10.0.2.15 nclients 10',
    '                    router adv  =2001::/64',
    '                    vde switch  =/tmp/vde.ctl',
  ]);
});
