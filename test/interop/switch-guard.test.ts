// What our vde_switch protects, between real stations: kernels behind Debian's vde_plug2tap, a DHCP server, tcpdump, and
// scapy for what an attacker sends. Guests are on ports 1 and 2, a watcher is on port 3, the router is on port 4.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { until } from './lab/process.ts';
import { type GuestStation, Segment } from './lab/segment.ts';
import { interopTest } from './lab/suite.ts';

const NEEDS = ['namespaces', 'tap', 'ip', 'vde_plug2tap', 'scapy', 'ping'];
const MODES = ['off', 'warn', 'enforce'] as const;
const MAC_TABLE = 500;
const MAC_SHARE = 300;

let opened: Promise<Segment> | null = null;

/** A test on the segment that all of this file share; what it has set is taken back. */
function segmentTest(
  title: string,
  needs: readonly string[],
  body: (t: ExecutionContext, net: Segment, stations: readonly GuestStation[]) => Promise<void>,
): void {
  interopTest(title, [...NEEDS, ...needs], async (t) => {
    opened ??= Segment.open(['--mac-table', String(MAC_TABLE), '--mac-share', String(MAC_SHARE)], 4);
    const net = await opened;
    await net.console('guard/mode all off', 'guard/mode bpdu off', 'guard/trust 4 1', 'port/resetcounter');
    for (const station of net.stations.slice(0, -1)) await net.settle(station, net.router);
    await body(t, net, net.stations);
  });
}

test.after.always(async () => {
  await opened?.then((net) => net.close());
});

/** A packet is let pass, let pass and counted, and dropped and counted, as the mode of a guard is. */
async function inModes(
  t: ExecutionContext,
  net: Segment,
  kind: string,
  packet: string,
  reason: string,
  to: GuestStation,
): Promise<void> {
  const [from] = net.stations as [GuestStation];
  for (const mode of MODES) {
    await net.console(`guard/mode ${kind} ${mode}`, 'port/resetcounter');
    t.is(await net.passes(from, to, packet), mode !== 'enforce', `${mode}: ${packet}`);
    t.is((await net.counted(1, 'warn'))[reason] ?? 0, mode === 'warn' ? 1 : 0, `${mode}: ${packet}`);
    t.is((await net.counted(1, 'in'))[reason] ?? 0, mode === 'enforce' ? 1 : 0, `${mode}: ${packet}`);
  }
}

/** A packet passes and nothing is counted, though the guard of a kind drops what it objects to. */
async function isFree(
  t: ExecutionContext,
  net: Segment,
  kind: string,
  packet: string,
  from: GuestStation,
  to: GuestStation,
): Promise<void> {
  await net.console(`guard/mode ${kind} enforce`, 'port/resetcounter');
  t.true(await net.passes(from, to, packet), packet);
  t.deepEqual(await net.counted(from.port, 'in'), {}, packet);
}

segmentTest(
  'storm policing: the burst and so many a second pass, the rest is counted; other kinds are free',
  [],
  async (t, net, [one, two]) => {
    const [rate, burst, sent] = [10, 20, 150]; // fewer than a socket holds
    await net.console(`guard/storm 1 broadcast ${rate} ${burst}`);
    t.regex(await net.console('guard/stormlist'), /^ *1 +broadcast +10 +20$/m);
    const flood = async (dst: string): Promise<{ heard: number; seconds: number }> => {
      const text = net.text();
      const start = performance.now();
      await one!.order({
        send: `Ether(src="${one!.mac}", dst="${dst}", type=0x88b5)`,
        end: text.padEnd(46),
        repeat: sent,
      });
      await net.settle(one!, two!);
      return { heard: await two!.heard(text), seconds: (performance.now() - start) / 1000 };
    };
    const { heard, seconds } = await flood('ff:ff:ff:ff:ff:ff');
    t.true(heard >= burst && heard <= burst + rate * seconds + 1, `${heard} in ${seconds} s`);
    t.deepEqual(await net.counted(1, 'in'), { storm_broadcast: sent - heard });
    t.is((await flood('01:00:5e:01:02:03')).heard, sent, 'groups');
    t.is((await flood('02:99:99:99:99:99')).heard, sent, 'unknown stations');
    await net.console(`guard/storm 1 multicast ${rate} ${burst}`, `guard/storm 1 unknown ${rate} ${burst}`);
    t.true((await flood('01:00:5e:01:02:03')).heard < sent);
    t.true((await flood('02:99:99:99:99:99')).heard < sent);
    t.is((await flood(two!.mac)).heard, sent, 'a station that is known');
    await net.console('guard/storm 1 all 0');
    t.is((await flood('ff:ff:ff:ff:ff:ff')).heard, sent);
  },
);

segmentTest('isolation: guests do not hear each other, and both reach the router', [], async (t, net, [one, two]) => {
  const to = (station: GuestStation) => `Ether(src="${one!.mac}", dst="${station.mac}", type=0x88b5)`;
  const all = `Ether(src="${one!.mac}", dst="ff:ff:ff:ff:ff:ff", type=0x88b5)`;
  await net.console('guard/isolate 1 1', 'guard/isolate 2 1');
  for (const packet of [all, to(two!)]) t.false(await net.passes(one!, two!, packet), packet);
  t.deepEqual(Object.keys(await net.counted(1, 'in')), ['port_isolated']);
  t.true(await net.passes(one!, net.router, all));
  t.true(await net.passes(net.router, two!, all.replace(one!.mac, net.router.mac)));
  await net.console('guard/isolate 1 0', 'guard/isolate 2 0');
  for (const packet of [all, to(two!)]) t.true(await net.passes(one!, two!, packet), packet);
});

segmentTest(
  'BPDU guard: a guest is not elected root; strict, its port is closed until it is enabled',
  [],
  async (t, net, [one, two]) => {
    // Priority 0: better than the switch.
    const root = '0000020000000001';
    const bpdu =
      `bytes.fromhex("0180c2000000" "020000000001" "0027" "424203" "0000" "02" "02" "3c" "${root}" "00000000" "${root}"` +
      ' "8001" "0000" "2800" "0400" "0000" "00")';
    const isRoot = async (): Promise<boolean> => / ROOTSWITCH /.test(await net.console('fstp/print 0'));
    const send = async (): Promise<void> => {
      await one!.order({ send: `[${bpdu}]` });
      await net.settle(one!, net.router);
    };
    await net.console('guard/mode bpdu enforce', 'fstp/setfstp 1');
    await send();
    t.true(await isRoot());
    t.deepEqual(await net.counted(1, 'in'), { guard_bpdu: 1 });
    await net.console('guard/mode bpdu disable');
    await one!.order({ send: `[${bpdu}]` });
    const closed = async () => /^closed=1$/m.test(await net.console('guard/showinfo'));
    await until(closed, 10_000, 'the port is closed');
    t.true(await isRoot());
    const text = net.text();
    await one!.order({ send: `Ether(src="${one!.mac}", dst="ff:ff:ff:ff:ff:ff", type=0x88b5)`, end: text });
    const dropped = async () => ((await net.counted(1, 'in'))['port_disabled'] ?? 0) > 0;
    await until(dropped, 10_000, 'frames of the closed port are counted');
    t.is(await two!.heard(text), 0);
    await net.console('guard/enable 1', 'guard/mode bpdu warn', 'port/resetcounter');
    await send();
    t.false(await isRoot(), 'what happens without the guard');
    t.deepEqual(await net.counted(1, 'warn'), { guard_bpdu: 1 });
    await net.console('fstp/setfstp 0');
  },
);

segmentTest('ARP inspection: who claims the address of another is not heard', [], async (t, net, [one, two, three]) => {
  const arp = (fields: string, src = one!.mac) => `Ether(src="${src}", dst="ff:ff:ff:ff:ff:ff")/ARP(${fields})`;
  await net.console(`guard/bind 2 ${two!.mac} 10.0.9.2`, `guard/bind 4 ${net.router.mac} 10.0.9.1`);
  const victims = ['10.0.9.2', '10.0.9.1'];
  for (const psrc of victims) {
    const claim = arp(`op=2, hwsrc="${one!.mac}", psrc="${psrc}", hwdst="ff:ff:ff:ff:ff:ff", pdst="${psrc}"`);
    await inModes(t, net, 'arp', claim, 'guard_arp', three!);
  }
  const other = arp(`op=2, hwsrc="${two!.mac}", psrc="10.0.9.9", pdst="10.0.9.3"`);
  await inModes(t, net, 'arp', other, 'guard_arp', three!);
  const impossible = arp(`op=1, hwsrc="${one!.mac}", psrc="255.255.255.255", pdst="10.0.9.3"`);
  await inModes(t, net, 'arp', impossible, 'guard_arp', three!);
  const own = arp(`op=1, hwsrc="${two!.mac}", psrc="10.0.9.2", pdst="10.0.9.1"`, two!.mac);
  await isFree(t, net, 'arp', own, two!, three!);
  await isFree(t, net, 'arp', arp(`op=1, hwsrc="${one!.mac}", psrc="0.0.0.0", pdst="10.0.9.7"`), one!, three!);
  await net.console('guard/unbind 10.0.9.2', 'guard/unbind 10.0.9.1');
});

segmentTest('ARP inspection of IPv6: neighbor advertisements', [], async (t, net, [one, two, three]) => {
  await net.console(`guard/bind 2 ${two!.mac} fd00::2`);
  const claim = (fields: string) =>
    `Ether(src="${one!.mac}", dst="33:33:00:00:00:01")/IPv6(src="fe80::1", dst="ff02::1", ${fields})` +
    `/ICMPv6ND_NA(tgt="fd00::2", R=0, O=1)/ICMPv6NDOptDstLLAddr(lladdr="${one!.mac}")`;
  await inModes(t, net, 'arp', claim('hlim=255'), 'guard_nd', three!);
  await inModes(t, net, 'arp', claim('hlim=254').replace('fd00::2', 'fd00::77'), 'guard_nd', three!);
  await net.console('guard/unbind fd00::2');
});

segmentTest('DHCP guard: servers are heard from trusted ports only', [], async (t, net, [one, , three]) => {
  const offer = (station: GuestStation) =>
    `Ether(src="${station.mac}", dst="ff:ff:ff:ff:ff:ff")/IP(src="10.0.9.66", dst="255.255.255.255")` +
    '/UDP(sport=67, dport=68)/BOOTP(op=2, yiaddr="10.0.9.99")/DHCP(options=[("message-type", "offer"), "end"])';
  await inModes(t, net, 'dhcp', offer(one!), 'guard_dhcp', three!);
  const six =
    `Ether(src="${one!.mac}", dst="33:33:00:01:00:02")/IPv6(src="fe80::66", dst="ff02::1:2")` +
    '/UDP(sport=547, dport=546)/DHCP6_Advertise()';
  await inModes(t, net, 'dhcp', six, 'guard_dhcp', three!);
  await isFree(t, net, 'dhcp', offer(net.router), net.router, three!);
});

segmentTest(
  'RA guard: routers are heard from trusted ports only, whatever hides them',
  [],
  async (t, net, stations) => {
    const [one, , three] = stations;
    const message = '/ICMPv6ND_RA(routerlifetime=1800)/ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::", prefixlen=64)';
    const ip = (station: GuestStation) =>
      `Ether(src="${station.mac}", dst="33:33:00:00:00:01")/IPv6(src="fe80::bad", dst="ff02::1", hlim=255)`;
    await inModes(t, net, 'ra', ip(one!) + message, 'guard_ra', three!);
    await inModes(t, net, 'ra', `${ip(one!)}/IPv6ExtHdrDestOpt()/IPv6ExtHdrHopByHop()${message}`, 'guard_ra', three!);
    await inModes(
      t,
      net,
      'ra',
      `${ip(one!)}/IPv6ExtHdrFragment(nh=60, m=1)/Raw(b"\\x3a\\x01" + bytes(6))`,
      'guard_fragment',
      three!,
    );
    await isFree(t, net, 'ra', ip(net.router) + message, net.router, three!);
    await isFree(t, net, 'ra', `${ip(one!)}/ICMPv6ND_RS()`, one!, three!);
  },
);

segmentTest(
  'source guard: off, warn, enforce: only what DHCP has given',
  ['dnsmasq', 'udhcpc', 'ping'],
  async (t, net, stations) => {
    const [one, two] = stations as [GuestStation, GuestStation];
    const { space } = net.router;
    await space.must(['ip', 'address', 'replace', '10.0.9.1/24', 'dev', 'tap0']);
    const files = [
      '--conf-file=/dev/null',
      '--pid-file=',
      `--dhcp-leasefile=${join(net.dir, 'leases')}`,
      '--user=root',
    ];
    const range = ['--dhcp-range=10.0.9.50,10.0.9.60,10m', '--dhcp-authoritative', '--no-ping', '--port=0'];
    const server = space.start(['dnsmasq', '--no-daemon', '--interface=tap0', '--bind-interfaces', ...files, ...range]);
    await server.until(({ stderr }) => stderr.includes('DHCP, IP range'), 20_000, 'dnsmasq');
    const script = join(net.dir, 'dhcp.sh');
    const set = 'ip address flush dev tap0; [ "$1" = bound ] && ip address replace "$ip/24" dev tap0; exit 0';
    writeFileSync(script, `#!/bin/sh\n${set}\n`, { mode: 0o755 });
    const pings = async (station: GuestStation): Promise<boolean> =>
      (await station.space.run(['ping', '-n', '-c', '5', '-i', '0.2', '-W', '2', '10.0.9.1'])).code === 0;

    await net.console('guard/mode source enforce', 'guard/mode dhcp enforce', 'guard/mode arp enforce');
    for (const { space: guest } of [one, two])
      await guest.must(['udhcpc', '-i', 'tap0', '-s', script, '-n', '-q', '-t', '20', '-T', '1'], {
        timeoutMs: 30_000,
      });
    const bindings = await net.console('guard/bindings');
    t.regex(bindings, new RegExp(`^ *0 +1 +${one.mac} +10\\.0\\.9\\.5\\d +dhcp$`, 'm'));
    t.regex(bindings, new RegExp(`^ *0 +2 +${two.mac} +10\\.0\\.9\\.5\\d +dhcp$`, 'm'));
    t.true(await pings(one), 'by the address that DHCP gave');
    t.true(await pings(two));

    const steal = ['ip', 'address', 'replace', '10.0.9.77/24', 'dev', 'tap0'];
    await one.space.must(['ip', 'address', 'flush', 'dev', 'tap0']);
    await one.space.must(steal);
    await net.console('port/resetcounter');
    const spoofed = `Ether(src="${one.mac}", dst="${net.router.mac}")/IP(src="10.0.9.77", dst="10.0.9.1")/UDP(dport=9)`;
    t.false(await pings(one), 'by an address of its own');
    t.true(((await net.counted(1, 'in'))['guard_source'] ?? 0) > 0);
    await inModes(t, net, 'source', spoofed, 'guard_source', net.router);
    const leased = /10\.0\.9\.5\d/.exec(/^.* 2 +02:.*$/m.exec(bindings)![0])![0];
    await inModes(t, net, 'source', spoofed.replace('10.0.9.77', leased), 'guard_source', net.router);
    await net.console('guard/mode source warn', 'guard/mode arp off', 'port/resetcounter');
    t.true(await pings(one), 'warn lets it pass');
    t.true(((await net.counted(1, 'warn'))['guard_source'] ?? 0) > 0);
    await net.console('guard/mode source off', 'port/resetcounter');
    t.true(await pings(one));
    t.deepEqual(await net.counted(1, 'warn'), {});
    await server.stop();
    for (const { space: each } of stations) await each.must(['ip', 'address', 'flush', 'dev', 'tap0']);
  },
);

segmentTest(
  'mirror: tcpdump on the mirror port sees both directions of a watched port, and no other',
  ['tcpdump'],
  async (t, net, stations) => {
    const [one, two, three] = stations as [GuestStation, GuestStation, GuestStation];
    for (const { space, port } of [one, two, net.router])
      await space.must(['ip', 'address', 'replace', `10.0.9.${port}/24`, 'dev', 'tap0']);
    await net.console('mirror/add 3 1 both');
    t.regex(await net.console('mirror/list'), /^ *3 +1 +both +0$/m);
    const watch = three.space.start(['tcpdump', '-l', '-n', '-i', 'tap0', 'icmp']);
    await watch.until(({ stderr }) => stderr.includes('listening on'), 20_000, 'tcpdump');
    // Between two others first: what is not watched would have come before what is.
    await two.space.must(['ping', '-n', '-c', '1', '-W', '10', '10.0.9.4']);
    await one.space.must(['ping', '-n', '-c', '1', '-W', '10', '10.0.9.2']);
    await watch.until(({ stdout }) => stdout.includes('echo reply'), 20_000, 'the answer at the mirror');
    const lines = watch.stdout
      .trim()
      .split('\n')
      .map((line) => line.replace(/^\S+ IP (.*), id .*$/, '$1'));
    t.deepEqual(lines, ['10.0.9.1 > 10.0.9.2: ICMP echo request', '10.0.9.2 > 10.0.9.1: ICMP echo reply']);
    await watch.stop();
    const text = net.text();
    await three.order({ send: `Ether(src="${three.mac}", dst="ff:ff:ff:ff:ff:ff", type=0x88b5)`, end: text });
    await until(
      async () => Object.keys(await net.counted(3, 'in')).length > 0,
      10_000,
      'what the watcher sends is counted',
    );
    t.is(await two.heard(text), 0, 'the mirror port says nothing');
    await net.console('mirror/del 3');
    t.true(await net.passes(three, two, `Ether(src="${three.mac}", dst="ff:ff:ff:ff:ff:ff", type=0x88b5)`));
  },
);

segmentTest(
  'MAC flood: each port has its share, the table its bound, and who is known is not flooded',
  [],
  async (t, net, stations) => {
    const [one, two, three] = stations as [GuestStation, GuestStation, GuestStation];
    const learned = async () =>
      (await net.console('hash/print')).split('\n').filter((line) => line.startsWith('Hash:'));
    const of = (lines: readonly string[], port: number) =>
      lines.filter((line) => line.includes(`to port: 00${port} `)).length;
    const unknown = '02:88:88:88:88:88';
    const count = 5000;
    const text = net.text();
    await one.order({ flood: count, dst: unknown });
    await net.settle(one, net.router);
    let lines = await learned();
    t.is(of(lines, 1), MAC_SHARE);
    await two.order({ flood: count, dst: unknown });
    await net.settle(two, net.router);
    lines = await learned();
    t.is(lines.length, MAC_TABLE);
    t.is(of(lines, 1), MAC_SHARE, 'nobody is pushed out');
    for (const { port, mac } of [three, net.router])
      t.true(
        lines.some((line) => line.includes(`${mac} VLAN 0000 to port: 00${port} `)),
        `${mac} is known`,
      );
    for (const station of [three, one]) await net.settle(net.router, station); // the flood has drained
    // A frame between two known stations is heard by them alone, as before.
    const known = `Ether(src="${net.router.mac}", dst="${three.mac}", type=0x88b5)`;
    await net.router.order({ send: known, end: text.padEnd(46) });
    await net.settle(net.router, three);
    await net.settle(net.router, one);
    t.deepEqual([await three.heard(text), await one.heard(text)], [1, 0]);
    // A station that came too late is reached by flooding.
    t.true(await net.passes(net.router, one, known.replace(three.mac, unknown)));
    await net.console('hash/setsize 128');
    t.is((await learned()).length, 0);
  },
);

segmentTest('a station that moves: held at first, then moved, counted and logged', [], async (t, net, [one, two]) => {
  const mac = '02:77:77:77:77:77';
  const from = (station: GuestStation) =>
    net.passes(station, net.router, `Ether(src="${mac}", dst="${net.router.mac}", type=0x88b5)`);
  await net.console('hash/setminper 1000', 'hash/setexpire 2000');
  await from(one!);
  await from(two!);
  t.regex(await net.console('guard/moves'), /^ *2 +0 +1$/m);
  await net.console('hash/setminper 0');
  const moved = async () => {
    await from(two!);
    return /^ *2 +1 /m.test(await net.console('guard/moves'));
  };
  await until(moved, 20_000, 'the station has moved');
  t.regex(net.log, new RegExp(`^vde_switch: MAC ${mac} moved from port 1 to port 2$`, 'm'));
  await net.console('hash/setminper 3', 'hash/setexpire 100');
});

interopTest('the segment leaves nothing behind', NEEDS, async (t) => {
  t.deepEqual((await (await opened)?.close()) ?? [], []);
  opened = null;
});
