import { mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parseEndpoint } from '../../src/core/address.ts';
import { VdeError } from '../../src/core/errors.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { CapturedLink } from '../../src/link/capture.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { Captures } from '../../src/mgmt/captures.ts';
import { durationText } from '../../src/mgmt/columns.ts';
import type { ConsoleEntry } from '../../src/mgmt/console.ts';
import { bucketOf } from '../../src/mgmt/hash-commands.ts';
import { failureOf, statusLine } from '../../src/mgmt/replies.ts';
import { slirpvdeCommands } from '../../src/mgmt/slirpvde-console.ts';
import { switchCommands } from '../../src/mgmt/switch-commands.ts';
import { MemoryLeaseStore } from '../../src/services/index.ts';
import { Switch } from '../../src/switch/index.ts';
import * as d6 from '../../src/wire/dhcpv6.ts';
import { leaseTo } from '../support/dhcp-exchange.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { tcpFrame, udpFrame } from '../support/guest-frames.ts';
import { udp6Frame } from '../support/guest6-frames.ts';
import { LINK6 } from '../support/ip-harness.ts';
import { GuestTcp, RouterHarness } from '../support/router-harness.ts';
import { TestLink } from '../support/test-link.ts';

/** The data of a command, then its status if that is not success. */
async function ask(entries: readonly ConsoleEntry[], line: string): Promise<string[]> {
  const [path, ...words] = line.split(' ');
  const entry = entries.find((each) => each.path === path);
  if (entry?.run === undefined) throw new Error(`no command ${path}`);
  const run = entry.run;
  const reply = await (async () => run(words, words.join(' ')))().catch((error: unknown) => failureOf(error, 'EINVAL'));
  const status = statusLine(reply);
  return [...(reply.data ?? []), ...(status === '1000 Success' ? [] : [status])];
}

function routerConsole(
  options: ConstructorParameters<typeof RouterHarness>[0] = {},
  reload: () => Promise<readonly string[]> = async () => [],
) {
  const h = new RouterHarness(options);
  const log = { level: 'info' };
  const events: string[] = [];
  const [end] = memoryPair('test', { delivery: 'direct' });
  const link = new CapturedLink(end, null);
  const entries = slirpvdeCommands(
    {
      version: '1.2.3',
      router: h.router,
      link,
      role: 'joined',
      embedded: null,
      socket: '/tmp/vde.ctl',
      networks: ['10.0.2.0/24'],
      dnsAddresses: ['10.0.2.3'],
      dhcpStart: 0x0a00020f,
      mac: '52:55:0a:00:02:02',
      captures: new Captures(link, 'test'),
      log,
      logLevels: ['error', 'info'],
      openFiles: () => 30,
      maxFiles: 1024,
      path: '/tmp/m',
      mode: 0o600,
      gid: -1,
      shutdown: () => {},
      reload,
      report: () => {},
    },
    (what, text) => events.push(`${what} ${text}`),
  );
  return { h, log, events, link, ask: (line: string) => ask(entries, line) };
}

test('showinfo tells what is in use and the bounds', async (t) => {
  const c = routerConsole();
  c.h.send(udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7 }));
  c.h.send(tcpFrame({ dst: '192.0.2.1', sport: 1, dport: 80, flags: 'S' }));
  c.h.send(udpFrame({ dst: '127.0.0.1', sport: 5000, dport: 7 }));
  const lines = await c.ask('showinfo');
  t.true(lines.some((line) => line.startsWith(`pid ${process.pid} MAC 52:55:0a:00:02:02 uptime `)));
  for (const line of [
    'slirpvde (vdenet) V.1.2.3',
    'mgmt /tmp/m perm 0600',
    'switch /tmp/vde.ctl joined mtu 1500',
    'network 10.0.2.0/24 router 10.0.2.2 dns 10.0.2.3 dhcp from 10.0.2.15',
    'tcp flows        1, half-open 1 of 2048, waiting 0 of 4096, time-wait 0 of 4096',
    'udp flows        1 of 500',
    'icmp flows       0 of 125',
    'forward clients  0 of 4096, forwards 0, ports 0 of 1024, waiting 0 of 256',
    'descriptors      30 of 1024, of flows 2 of 1000, 250 for one guest of several; guests with flows 1',
    'neighbors        1 of 2048, incomplete 0 of 256',
    'reassembly       0 of 1024, 0.0 MiB of 4.0 MiB',
    'leases           0 of 240, aside 0',
    'dns              queries 0 answers 0 failed 0 waiting 0 upstreams 198.51.100.53:53',
    'drops            1',
  ])
    t.true(lines.includes(line), `${line}\n${lines.join('\n')}`);
});

test('flow/list and flow/close', async (t) => {
  const c = routerConsole();
  const guest = new GuestTcp(c.h, '192.0.2.1', 80);
  guest.send('S');
  c.h.host.lastTcp.connect();
  guest.poll();
  guest.send('A', new Uint8Array(100));
  c.h.host.lastTcp.data(new Uint8Array(2000));
  guest.poll();
  c.h.advance(65_000);
  t.deepEqual(await c.ask('flow/list'), [
    'ID  GUEST            PEER          STATE        OUT  IN    AGE    IDLE',
    't1  10.0.2.15:40000  192.0.2.1:80  ESTABLISHED  100  2000  1m05s  1m05s',
  ]);
  t.is((await c.ask('flow/list udp')).length, 1);
  t.is((await c.ask('flow/list tcp 10.0.2.15')).length, 2);
  t.is((await c.ask('flow/list 10.0.2.16')).length, 1);
  t.regex((await c.ask('flow/list nonsense'))[0]!, /^1022 /);
  t.deepEqual(await c.ask('flow/close t1'), []);
  guest.poll();
  t.true(guest.takeFlags().at(-1)!.includes('R'));
  t.true(c.h.host.lastTcp.wasReset);
  t.deepEqual(await c.ask('flow/close t1'), ['1002 No such file or directory']);
});

test('a list is cut at 2000 lines and says so', async (t) => {
  const c = routerConsole({ maxFlows: 5000 });
  for (let port = 1; port <= 2300; port++) c.h.send(udpFrame({ dst: '192.0.2.1', sport: port, dport: 7 }));
  const lines = await c.ask('flow/list');
  t.is(lines.length, 2002);
  t.is(lines.at(-1), '... and 300 more');
});

test('lease/list: an address that is kept for a guest has no end, and no lease to release', async (t) => {
  const { network, mask } = { network: 0x0a000200, mask: 0xffffff00 };
  const nas = { macHi: 0x5254, macLo: 0x40, address: 0x0a000228, name: 'nas' };
  const c = routerConsole({
    dhcp: {
      network: { address: 0x0a000202, network, mask, prefixLen: 24 },
      dns: [],
      poolStart: 0x0a00020f,
      store: new MemoryLeaseStore(),
      hosts: [nas],
    },
  });
  t.regex((await c.ask('lease/list'))[1]!, /^10\.0\.2\.40 +52:54:00:00:00:40 +reserved +- +nas$/);
  t.regex((await c.ask('lease/release 10.0.2.40'))[0]!, /^1002/);
});

test('lease/list and lease/release', async (t) => {
  const c = routerConsole();
  const address = leaseTo(c.h, '52:54:00:aa:bb:cc', 'web');
  const [head, row] = await c.ask('lease/list');
  t.regex(head!, /^ADDRESS +MAC +STATE +LEFT +NAME$/);
  t.regex(row!, new RegExp(`^${address} +52:54:00:aa:bb:cc +bound +(23h59m|1d00h) +web$`));
  t.deepEqual(await c.ask(`lease/release ${address}`), []);
  t.regex((await c.ask('lease/list'))[1]!, /idle/);
  t.regex((await c.ask(`lease/release ${address}`))[0]!, /^1002/);
  t.regex((await c.ask('lease/release x'))[0]!, /^1022/);
});

test('lease6/list and lease6/release', async (t) => {
  const network = { network: [0x20010db8, 0x20000, 0, 0] as const, prefixLen: 64 };
  const pool = { ...network, start: 0x1000, size: 16, reserved: [], leaseSec: 1000, store: new MemoryLeaseStore() };
  const c = routerConsole({ ipv6: LINK6, dhcp6: { networks: [network], dns: [], search: () => [], pool } });
  c.h.introduce6('fe80::15');
  const w = new d6.Dhcpv6Writer().option(1, Uint8Array.of(0, 3, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56));
  w.ia({ kind: 'na', iaid: 7, addresses: [] }, 0, 0, [], 0).option(14, new Uint8Array(0));
  w.option(39, Buffer.from('\0\x03web'));
  const data = w.message(d6.SOLICIT, 1);
  c.h.send(udp6Frame({ src: 'fe80::15', dst: 'ff02::1:2', sport: 546, dport: 547, data }));
  const [head, row] = await c.ask('lease6/list');
  t.regex(head!, /^ADDRESS +CLIENT +STATE +LEFT +NAME$/);
  t.regex(row!, /^2001:db8:2::1000 +00030001525400123456\/7 +bound +16m40s +web$/);
  t.deepEqual(await c.ask('lease6/release 2001:db8:2::1000'), []);
  t.regex((await c.ask('lease6/list'))[1]!, / idle /);
  t.regex((await c.ask('lease6/release 2001:db8:2::1000'))[0]!, /^1002/);
  for (const odd of ['10.0.2.15', 'x', '2001:db8:2::10000']) {
    t.regex((await c.ask(`lease6/release ${odd}`))[0]!, /^1022/);
  }
});

test('unix/add, list and remove', async (t) => {
  const c = routerConsole();
  t.deepEqual(await c.ask('unix/add /run/web.sock:10.0.2.15:80'), []);
  t.deepEqual(await c.ask('unix/add 9000:/run/app.sock'), []);
  for (const [odd, why] of [
    ['', /PATH:GUEST/],
    ['/run/x:10.0.2.2:80', /10\.0\.2\.2 is not the address of a guest/],
    ['/run/x:10.0.2.15:0', /guest port '0'/],
    ['/run/x', /no guest and port/],
    ['9001:app.sock', /absolute path/],
    ['9000:/run/other.sock', /leads to \/run\/app\.sock/],
    ['99999:/run/app.sock', /'99999' is not a port/],
  ] as const) {
    t.regex((await c.ask(`unix/add ${odd}`))[0]!, why, odd);
  }
  t.deepEqual((await c.ask('unix/list')).slice(1), [
    'forward  /run/web.sock  10.0.2.15:80',
    'service  10.0.2.2:9000  /run/app.sock',
  ]);
  t.deepEqual(await c.ask('unix/remove /run/web.sock'), []);
  t.deepEqual(await c.ask('unix/remove 9000'), []);
  t.regex((await c.ask('unix/remove 9000'))[0]!, /^1002/);
  t.is((await c.ask('unix/list')).length, 1);
});

test('forward/add, list and remove', async (t) => {
  const c = routerConsole();
  c.h.host.takenPorts.add(80);
  t.deepEqual(
    (await c.ask('forward/add tcp 127.0.0.1:8022:10.0.2.15:22'))[1],
    '1   tcp    127.0.0.1:8022:10.0.2.15:22  0        0',
  );
  t.regex((await c.ask('forward/add udp 0:web:53'))[1]!, /^2 +udp +\d+:web:53 /);
  t.regex((await c.ask('forward/add tcp 80:10.0.2.15:80'))[0]!, /^1098 Address already in use: /);
  for (const line of [
    '',
    ' tcp',
    ' sctp 1:10.0.2.15:1',
    ' tcp 1:10.0.2.15:x',
    ' tcp 1:10.9.9.9:1',
    ' tcp 1:10.0.2.15:1 x',
  ])
    t.regex((await c.ask(`forward/add${line}`)).at(-1)!, /^1022 /, line);
  c.h.host.listeners[0]!.incoming(parseEndpoint('203.0.113.5', 1));
  t.is((await c.ask('forward/list'))[1], '1   tcp    127.0.0.1:8022:10.0.2.15:22  1        0');
  t.deepEqual(await c.ask('forward/remove 1'), []);
  t.regex((await c.ask('forward/remove 1'))[0]!, /^1002/);
  t.regex((await c.ask('forward/remove x'))[0]!, /^1002/);
  t.is((await c.ask('forward/list')).length, 2);
  t.deepEqual(
    c.events.map((e) => e.replace(/ \d{5}:/, ' N:')),
    ['forward/+ 1 tcp 127.0.0.1:8022:10.0.2.15:22', 'forward/+ 2 udp N:web:53', 'forward/- 1'],
  );
});

test('policy/list, allow, deny and remove', async (t) => {
  const c = routerConsole({ restrict: true });
  t.deepEqual(await c.ask('policy/allow 192.0.2.0/24:443/tcp'), ['Rule 1']);
  t.deepEqual(await c.ask('policy/deny 192.0.2.7 1'), ['Rule 2']);
  c.h.send(tcpFrame({ dst: '192.0.2.7', sport: 1, dport: 443, flags: 'S' }));
  t.deepEqual(await c.ask('policy/list'), [
    'host loopback at the router address: open',
    'addresses of the host: open',
    'ID  VERDICT  RULE                  HITS',
    '2   deny     192.0.2.7/32          1',
    '1   allow    192.0.2.0/24:443/tcp  0',
    'everything else: refused',
  ]);
  for (const line of ['policy/allow', 'policy/allow x', 'policy/deny 1.2.3.4 9', 'policy/deny 1.2.3.4 x'])
    t.regex((await c.ask(line))[0]!, /^1022 /, line);
  t.deepEqual(await c.ask('policy/remove 2'), []);
  t.regex((await c.ask('policy/remove 2'))[0]!, /^1002/);
});

test('reload shows what has changed, and fails with the reason', async (t) => {
  const good = routerConsole({}, async () => ['/c read again', '--dns-record: changed']);
  t.deepEqual(await good.ask('reload'), ['/c read again', '--dns-record: changed']);
  const bad = routerConsole({}, async () => {
    throw new VdeError('ERR_VDE_BAD_OPTION', '/c:3: there is no option x');
  });
  t.deepEqual(await bad.ask('reload'), ['1022 Invalid argument: /c:3: there is no option x']);
});

test('drop/list, neighbor/list, dns and log level', async (t) => {
  const c = routerConsole();
  c.h.send(udpFrame({ dst: '127.0.0.1', sport: 1, dport: 1 }));
  const drops = await c.ask('drop/list');
  t.regex(drops[1]!, /^router +ipv4_bad_destination +1 +IPv4 destination that is never forwarded/);
  t.is((await c.ask('neighbor/list'))[1], '10.0.2.15  52:54:00:12:34:56  reachable  0s      0');
  t.deepEqual(await c.ask('dns/upstreams'), ['198.51.100.53:53']);
  t.is((await c.ask('dns/counters'))[0], 'queries 0');
  t.deepEqual(await c.ask('log/level'), ['info']);
  t.deepEqual(await c.ask('log/level error'), []);
  t.is(c.log.level, 'error');
  t.regex((await c.ask('log/level loud'))[0]!, /^1022 /);
});

test('capture/start, status and stop: only what passes meanwhile is in the file', async (t) => {
  const c = routerConsole();
  const path = join(mkdtempSync(join(tmpdir(), 'vdenet-mgmt-')), 'x.pcapng');
  const frame = (): void => c.link.tx.frame(new Uint8Array(100), 0, 100);
  frame();
  t.deepEqual(await c.ask('capture/status'), ['no capture']);
  t.regex((await c.ask('capture/stop'))[0]!, /^1002 /);
  t.regex((await c.ask('capture/start x.pcapng'))[0]!, /^1022 .*absolute/);
  t.regex((await c.ask('capture/start /nonexistent/x'))[0]!, /^1002 .*cannot capture/);
  t.deepEqual(await c.ask(`capture/start ${path}`), []);
  frame();
  frame();
  t.regex((await c.ask(`capture/start ${path}2`))[0]!, /^1016 .*capturing to/);
  t.deepEqual(await c.ask('capture/status'), [`capturing to ${path}: 2 frames, 0 left out`]);
  t.deepEqual(await c.ask('capture/stop'), []);
  frame();
  t.deepEqual(await c.ask('capture/status'), [`${path}: 2 frames, 0 left out; ended: closed`]);
  t.true(statSync(path).size > 200);
  t.deepEqual(await c.ask(`capture/start ${path}`), []);
  t.deepEqual(await c.ask('capture/stop'), []);
});

// ---- the switch (fixtures mgmt-port-allprint, mgmt-hash)

test('the bucket numbers are those of the classic switch', (t) => {
  const bucket = (macLo: number): number => bucketOf({ macHi: 0x0200, macLo, vlan: 0 }, 128);
  t.deepEqual([bucket(1), bucket(2), bucket(3)], [43, 60, 105]);
});

test('port/print and hash/print have the classic form', async (t) => {
  const sw = new Switch({ wheel: new TimerWheel(new FakeClock()), numPorts: 32 });
  const entries = switchCommands(sw);
  const link = new TestLink(1500);
  sw.plug(link, { port: 9, uid: 0, description: 'demo: user=carol PID=1203' });
  const frame = new Uint8Array(60);
  frame.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1]);
  link.receive(frame);
  const want = [
    'Port 0009 untagged_vlan=0000 ACTIVE - Unnamed Allocatable',
    ' Current User: root Access Control: (User: NONE - Group: NONE)',
    ' IN:  pkts          1          bytes                   60',
    ' OUT: pkts          0          bytes                    0',
    '  -- endpoint ID 0000 module internal    : demo: user=carol PID=1203',
  ];
  t.deepEqual(await ask(entries, 'port/print'), want);
  t.deepEqual(await ask(entries, 'port/print 9'), want);
  t.deepEqual(await ask(entries, 'port/print 5'), ['1006 No such device or address']);
  t.deepEqual(await ask(entries, 'port/print 99'), ['1022 Invalid argument']);
  t.deepEqual(await ask(entries, 'port/showinfo'), ['Numports=32', 'HUB=false', 'counters=true']);
  const line = 'Hash: 0043 Addr: 02:00:00:00:00:01 VLAN 0000 to port: 009  age 0 secs';
  t.deepEqual(await ask(entries, 'hash/print'), [line]);
  t.deepEqual(await ask(entries, 'hash/find 02.00.00.00.00.01 0'), [line]);
  t.deepEqual(await ask(entries, 'hash/find 02:00:00:00:00:99'), ['1019 No such device']);
  t.deepEqual(await ask(entries, 'hash/find zz'), ['1022 Invalid argument']);
});

for (const [ms, want] of [
  [0, '0s'],
  [59_999, '59s'],
  [184_000, '3m04s'],
  [7_500_000, '2h05m'],
  [86_400_000 * 4 + 3_600_000 * 3, '4d03h'],
] as const)
  test(`${ms} ms is ${want}`, (t) => t.is(durationText(ms), want));
