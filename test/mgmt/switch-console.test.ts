// The console of vde_switch beyond the transcripts: how arguments are read (each answer was compared with Debian's
// vde_switch 2.3.2), scripts, plugins, the menus that were added, and what the control socket refuses.

import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { encodeRequest } from '../../src/link/vde-protocol.ts';
import { datagramSocket, rawClient, until } from '../link/support.ts';
import { BareClient, BareConsole, type SwitchLab, switchLab } from '../support/vde-switch.ts';

async function consoleOf(lab: SwitchLab): Promise<BareConsole> {
  const console = new BareConsole(lab);
  await console.answer();
  return console;
}

/** A frame of 60 bytes: to a station (0: to all) from a station. */
function frame(to: number, from: number, type = '88b5', payload = ''): Uint8Array {
  const bytes = new Uint8Array(60);
  const head = `${to === 0 ? 'ffffffffffff' : `02000000000${to}`}02000000000${from}${type}${payload}`;
  bytes.set(Buffer.from(head, 'hex'));
  return bytes;
}

const SUCCESS = '1000 Success\n';
const EINVAL = '1022 Invalid argument\n';
const ENXIO = '1006 No such device or address\n';
const EMPTY = "0000 DATA END WITH '.'\n.\n";

/** As Debian's vde_switch answered, one after the other on a new switch. */
const QUIRKS: readonly (readonly [string, string])[] = [
  ['   port/create   3  ', SUCCESS],
  ['port/create 1 2', SUCCESS],
  ['port/create', SUCCESS],
  ['port/create -1', EINVAL],
  ['port/setvlan 01 0x0', SUCCESS],
  ['port/setvlan', EINVAL],
  ['port/setvlan 1', EINVAL],
  ['port/setvlan 1 -1', EINVAL],
  ['port/setvlan 1 5000', EINVAL],
  ['port/setvlan 99 0', ENXIO],
  ['port/allocatable 1 5', SUCCESS],
  ['port/allocatable 99 1', ENXIO],
  ['port/allocatable x 1', EINVAL],
  ['port/setuser 99 root', ENXIO],
  ['port/setuser 1 -1', EINVAL],
  ['port/setgroup 1 0', SUCCESS],
  ['port/remove -1', EINVAL],
  ['port/remove 0', ENXIO],
  ['port/resetcounter x', SUCCESS],
  ['port/resetcounter 20', SUCCESS],
  ['port/resetcounter -1', EINVAL],
  ['port/print -1', `${EMPTY}${EINVAL}`],
  ['port/sethub', SUCCESS],
  ['vlan/create 12abc', SUCCESS],
  ['vlan/create 0x10', EINVAL],
  ['vlan/remove x', '1098 Address already in use\n'],
  ['vlan/remove 4095', EINVAL],
  ['vlan/addport 10', EINVAL],
  ['vlan/addport 0 1', SUCCESS],
  ['vlan/addport 4095 1', EINVAL],
  ['vlan/addport 0 99', ENXIO],
  ['vlan/delport 9 1', ENXIO],
  ['vlan/delport 0 -1', EINVAL],
  ['vlan/print 12', "0000 DATA END WITH '.'\nVLAN 0012\n.\n1000 Success\n"],
  ['vlan/print -1', `${EMPTY}${EINVAL}`],
  ['hash/find', `${EMPTY}${EINVAL}`],
  ['hash/find 1:2:3:4:5:6 99999', `${EMPTY}1019 No such device\n`],
  ['hash/setsize -1', EINVAL],
  ['hash/setsize 3', SUCCESS],
  ['hash/setgcint 7', SUCCESS],
  ['fstp/setfstp 2', `${EMPTY}${SUCCESS}`],
  ['fstp/setfstp x', `${EMPTY}${SUCCESS}`],
  ['fstp/setedge -1 1 1', EINVAL],
  ['fstp/bonus 9 1 1', ENXIO],
  ['fstp/print -1', `${EMPTY}${EINVAL}`],
  ['plugin/add', EINVAL],
  ['plugin/del', '1002 No such file or directory\n'],
  ['debug/add   port', SUCCESS],
  ['load', '1002 No such file or directory\n'],
  ['ds', '1038 Function not implemented\n'],
  ['Help', '1038 Function not implemented\n'],
];

test('arguments are read as the original reads them', async (t) => {
  const console = await consoleOf(await switchLab(t));
  for (const [command, answer] of QUIRKS) t.is(await console.ask(command), answer, command);
  t.regex(await console.ask('hash/showinfo'), /Hash size 4\nGC interval 7 secs\n/);
  t.is(await console.ask('hash/setexpire -5'), SUCCESS);
  t.regex(await console.ask('hash/showinfo'), /GC expire 0 secs\n/, 'a negative time counts as none');
  t.regex(await console.ask('port/allprint 1'), /untagged_vlan=0000 INACTIVE - Unnamed Allocatable\n.*Group: root\)/);
});

test('port/setnumports while it runs, beyond what the original allows; a port that is there keeps it', async (t) => {
  const lab = await switchLab(t);
  const console = await consoleOf(lab);
  t.is(await console.ask('port/setnumports 5000'), SUCCESS);
  const client = await BareClient.join(lab, 4999, 'far');
  t.regex(client.dataPath!, /\/4999\.\d+$/);
  t.is(await console.ask('port/setnumports 4999'), '1098 Address already in use\n');
  t.is(await console.ask('port/setnumports 70000'), EINVAL);
});

test('load: depth is bounded, what is no file is not read', async (t) => {
  const lab = await switchLab(t);
  const console = await consoleOf(lab);
  const own = join(lab.dir, 'loop');
  writeFileSync(own, `load ${own}\n`);
  const text = await console.ask(`load ${own}`);
  t.is(text.match(/^vde\[/gm)!.length, 8);
  t.regex(text, /1040 Too many levels of symbolic links/);
  mkdirSync(join(lab.dir, 'sub'));
  t.is(await console.ask(`load ${lab.dir}/sub`), '1021 Is a directory\n');
  t.is(await console.ask('load /dev/null'), SUCCESS);
  t.regex(await console.ask(`load ${lab.ctl}/ctl`), /^1005 Input\/output error/);
});

test('plugins: what is built in, dump as events, pdump as a pcap file, iplog', async (t) => {
  const lab = await switchLab(t);
  const console = await consoleOf(lab);
  t.regex(await console.ask('plugin/list all'), /^iplog +log ip\/port\/user assignment \(built in, not added\)$/m);
  for (const name of ['dump.so', '/usr/lib/vde2/plugins/pdump.so', 'iplog'])
    t.is(await console.ask(`plugin/add ${name}`), SUCCESS);
  const [one, two] = [await BareClient.join(lab, -1, 'demo: one'), await BareClient.join(lab, -1, 'demo: two')];
  t.is(await console.ask('debug/add dump'), SUCCESS);
  t.is(await console.ask('dump/active 1'), SUCCESS);
  one.send(frame(0, 1));
  const bytes = `ff ff ff ff ff ff 02 00 00 00 00 01 88 b5 ${'00 '.repeat(46)}`;
  t.is(
    await console.lines(2),
    `3101 dump/packetin Pkt: Port 0001 len=0060 ${bytes}\n3102 dump/packetout Pkt: Port 0002 len=0060 ${bytes}\n`,
  );
  t.is(await console.ask('plugin/del dump'), SUCCESS);
  t.is(await console.ask('pdump/active'), `${EMPTY}1002 No such file or directory\n`);
  t.is(await console.ask('pdump/filename x.cap'), "0000 DATA END WITH '.'\ndumpfile=x.cap\n.\n1000 Success\n");
  t.is(await console.ask('pdump/active 1'), `${EMPTY}${SUCCESS}`);
  t.is(await console.ask('iplog/ipadd 10.0.0.0/8'), SUCCESS);
  t.is(await console.ask('iplog/ipadd fe80::/10'), SUCCESS);
  t.is(await console.ask('iplog/ipadd 10.0.0.0/8'), '1017 File exists\n');
  t.is(await console.ask(`iplog/logfile ${lab.dir}/iplog`), SUCCESS);
  t.is(await console.ask('debug/add iplog'), SUCCESS);
  one.send(frame(2, 1, '0800', '4500002000000000401100000a000007c0000201'));
  one.send(frame(2, 1, '86dd', '6000000000003b40fe800000000000000000000000000001ff020000000000000000000000000001'));
  const me = 'mac=02:00:00:00:00:01 port=1 vlan=0 user=\\S+ "demo: one"\n';
  t.regex(
    await console.lines(2),
    new RegExp(`^3301 iplog/newip ipv4 10\\.0\\.0\\.7 ${me}3301 iplog/newip ipv6 fe80::1 ${me}$`),
  );
  t.regex(await console.ask('iplog/ipsearch fe80::1'), /^ipv6 fe80::1 port=1 user=/m);
  t.regex(readFileSync(join(lab.dir, 'iplog'), 'utf8'), /^\w{3} \d\d [\d:]{8} ipv4 10\.0\.0\.7 mac=/);
  one.leave();
  while ((await console.ask('iplog/iplist')) !== `${EMPTY}${SUCCESS}`);
  t.is(await console.ask('pdump/active 0'), `${EMPTY}${SUCCESS}`);
  const file = readFileSync(join(lab.dir, 'x.cap'));
  t.is(file.readUInt32LE(0), 0xa1b2c3d4);
  t.is(file.length, 24 + 4 * (16 + 60), 'two frames in, two out');
  t.is(statSync(join(lab.dir, 'x.cap')).mode & 0o777, 0o600);
  t.is(two.receive().length, 3);
});

test('mirror, capture, queue and drops', async (t) => {
  const lab = await switchLab(t);
  const console = await consoleOf(lab);
  const [one, two, three] = [
    await BareClient.join(lab, -1, 'one'),
    await BareClient.join(lab, -1, 'two'),
    await BareClient.join(lab, -1, 'three'),
  ];
  t.is(await console.ask('mirror/add 3 1,2 in'), SUCCESS);
  const file = join(lab.dir, 'all.pcapng');
  t.is(await console.ask(`capture/start ${file}`), SUCCESS);
  t.regex(await console.ask(`capture/start ${file}`), /^1016 Device or resource busy/);
  one.send(frame(0, 1));
  two.send(frame(1, 2));
  await until(() => three.receive().length > 0, 'a copy');
  while (!/3 +1,2 +in +2$/m.test(await console.ask('mirror/list')));
  t.is(await console.ask('mirror/del 3'), SUCCESS);
  t.is(await console.ask('mirror/del 3'), ENXIO);
  t.is(await console.ask('mirror/add 99 all'), EINVAL);
  t.is(await console.ask('mirror/add 1 2 sideways'), EINVAL);
  t.is(await console.ask('capture/stop'), SUCCESS);
  t.is(await console.ask('capture/stop'), '1002 No such file or directory\n');
  t.regex(await console.ask('capture/status'), /all\.pcapng all ports frames [4-9] missed 0 ended: closed/);
  t.is(await console.ask('capture/start relative'), EINVAL);
  t.regex(
    await console.ask('queue/print 1'),
    /^PORT {2}ENDPOINT {2}WAITING {2}SENT {2}FULL {2}ERROR\n1 +\d+ +0 +1 +0 +0$/m,
  );
  one.send(frame(1, 1));
  while (!/^1 +in +switch_same_port +1 +Destination is on/m.test(await console.ask('drops/list 1')));
  t.is(await console.ask('drops/list 30'), `${EMPTY}${ENXIO}`);
});

test('guard and rstp', async (t) => {
  const lab = await switchLab(t);
  const console = await consoleOf(lab);
  const [one, two] = [await BareClient.join(lab, -1, 'one'), await BareClient.join(lab, -1, 'two')];
  for (const command of ['guard/mode all enforce', 'guard/bind 1 02:00:00:00:00:01 10.0.0.1', 'guard/trust 2 1'])
    t.is(await console.ask(command), SUCCESS);
  t.regex(await console.ask('guard/bindings'), /^0 +1 +02:00:00:00:00:01 +10\.0\.0\.1 +static$/m);
  one.send(frame(0, 1, '0800', '4500002000000000401100000a000063c0000201'));
  while (!/^1 +in +(guard_source|ipv4_\w+) +1 /m.test(await console.ask('drops/list 1')));
  t.is(two.receive().length, 0, 'another source than the bound one');
  t.is(await console.ask('guard/unbind 10.0.0.1'), SUCCESS);
  t.is(await console.ask('guard/unbind 10.0.0.1'), '1002 No such file or directory\n');
  for (const command of ['guard/mode x off', 'guard/mode arp maybe', 'guard/trust x 1', 'guard/storm 1 all x'])
    t.is(await console.ask(command), EINVAL, command);
  t.is(await console.ask('guard/trust 30 1'), ENXIO);
  for (const command of [
    'guard/storm all all 100',
    'guard/storm 1 broadcast 0',
    'guard/isolate 1 1',
    'guard/share 1 5',
  ])
    t.is(await console.ask(command), SUCCESS, command);
  t.regex(await console.ask('guard/stormlist'), /^2 +broadcast +100 +20$/m);
  t.regex(
    await console.ask('guard/showinfo'),
    /source=enforce\ntrusted=2\nisolated=1\ntransparent=none\nclosed=none\n/,
  );
  t.is(await console.ask('rstp/setrstp 1'), SUCCESS);
  t.is(await console.ask('rstp/setedge 1 1'), SUCCESS);
  t.is(await console.ask('rstp/setcost 1 0'), EINVAL);
  t.regex(
    await console.ask('rstp/print'),
    /^root 80:00:00:ff:11:22:33:44 this switch\n[\s\S]*^1 +Designated +Forwarding /m,
  );
  t.regex(await console.ask('fstp/showinfo'), /FSTP=false/);
  t.is(await console.ask('port/sethub 1'), SUCCESS);
  t.regex(await console.ask('rstp/setrstp 1'), /^1022 /);
});

// ---- the control socket, with the switch behind it

test('an endpoint whose data socket dies goes away by itself, and leaves no file', async (t) => {
  const lab = await switchLab(t);
  const console = await consoleOf(lab);
  const [one, two] = [await BareClient.join(lab, -1, 'one'), await BareClient.join(lab, -1, 'two')];
  two.closeData();
  one.send(frame(0, 1));
  await until(() => two.ended, 'the end of the control connection');
  t.regex(await console.ask('port/print 2'), /1006 /);
  t.false(existsSync(two.dataPath!));
  t.deepEqual(lab.log, []);
});

test('a port that is refused, belongs to others or is closed to the user: the end, not silence', async (t) => {
  const lab = await switchLab(t);
  t.true((await BareClient.join(lab, 99, 'no such port')).ended);
  t.is((await BareClient.join(lab, 9, 'free')).ended, false);
  t.regex(lab.log.join('\n'), /client refused: no such port/);
});

test('port/setuser and port/setgroup decide by the credentials of the connection', async (t) => {
  if (process.getuid!() !== 0) {
    t.pass('only root can be another user');
    return;
  }
  const lab = await switchLab(t, ['-m', '666']);
  const console = await consoleOf(lab);
  chmodSync(lab.dir, 0o777);
  for (const command of ['port/create 5', 'port/create 6', 'port/create 7', 'port/setuser 5 12345'])
    t.is(await console.ask(command), SUCCESS);
  t.is(await console.ask('port/setuser 6 1'), SUCCESS);
  t.is(await console.ask('port/setgroup 7 1'), SUCCESS);
  for (const [port, heard] of [
    [5, 110],
    [6, 0],
    [7, 0],
  ] as const) {
    const own = join(lab.dir, `other${port}`);
    const request = encodeRequest(port, own, 'other').toString('base64');
    const script = `
      import socket, base64, sys
      d = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); d.bind('${own}')
      c = socket.socket(socket.AF_UNIX); c.connect('${lab.ctl}/ctl')
      c.send(base64.b64decode('${request}')); r = c.recv(200)
      if r: d.connect(r[2:].split(bytes(1))[0])  # the data socket is the client's, too
      sys.exit(len(r))`.replace(/^ {6}/gm, '');
    const child = spawn('python3', ['-c', script], { uid: 12345, gid: 12345, cwd: '/', stdio: 'ignore' });
    const codes: (number | null)[] = [];
    child.on('exit', (code) => codes.push(code));
    child.on('error', () => codes.push(-1));
    await until(() => codes.length > 0, 'the other user');
    if (codes[0] === -1) t.pass('there is no python3 here');
    else t.is(codes[0], heard, `port ${port}`);
  }
});

test('--storm holds for every port that is taken; a request that is cut short gets none', async (t) => {
  const lab = await switchLab(t, ['--storm', '10']);
  const console = await consoleOf(lab);
  await BareClient.join(lab, -1, 'one');
  t.regex(await console.ask('guard/stormlist'), /^1 +broadcast +10 +2$/m);
  const silent = await rawClient(t, join(lab.ctl, 'ctl'));
  const fd = datagramSocket(join(lab.dir, 'late'));
  silent.socket.write(encodeRequest(-1, join(lab.dir, 'late'), 'late').subarray(0, 60));
  silent.socket.end();
  await until(() => silent.ended, 'the end of a request that was cut short');
  t.is(silent.heard.length, 0);
  t.true(fd > 0);
});
