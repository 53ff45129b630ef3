// Guests that are network namespaces: slirpvde on a TAP interface of its own, and `vdenet run`.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { COMMANDS } from '../../src/cli/commands.ts';
import { GATEWAY, type Lab, SERVER, SLIRPVDE } from './lab/lab.ts';
import { IS_ROOT, type Namespace, PROJECT } from './lab/namespace.ts';
import { patternDigest, patternFile } from './lab/pattern.ts';
import { type Child, isRunning, until } from './lab/process.ts';
import { Suite } from './lab/suite.ts';

const RUN = [process.execPath, join(PROJECT, 'bin/vdenet'), 'run'];
const BYTES = 20_000_000;

const suite = new Suite('namespaces', 'embedded', { start: false, guests: 0 });

const digest = (bytes: number): string => `${bytes} ${patternDigest(bytes)}\n`;

/** A shell line that downloads `bytes` and prints their digest. */
const download = (bytes: number): string => `curl -sS --fail http://${SERVER}/bytes/${bytes} | sha256sum`;

/** A guest namespace without any interface, and slirpvde for it. */
async function behind(lab: Lab, name: string, args: readonly string[]): Promise<{ space: Namespace; router: Child }> {
  const space = await lab.addSpace(name);
  const router = lab.world.start([...SLIRPVDE, '--netns', String(space.pid), ...args]);
  await until(() => !router.running || router.stderr.includes('Starting'), 20_000, 'slirpvde is ready');
  if (!router.running) throw new Error(`slirpvde has ended: ${router.stderr}`);
  return { space, router };
}

suite.test('vdenet run: address, name server, and data both ways', ['curl', 'dig', 'dnsmasq'], async (t, lab) => {
  await lab.startDns();
  const file = await patternFile(lab.dir, BYTES);
  const script = [
    'ip -4 -o address show dev tap0',
    'cat /etc/resolv.conf',
    'dig +short +tries=2 host.test',
    download(BYTES),
    `curl -sS --fail -T ${file} http://${SERVER}/digest`,
  ];
  const out = await lab.world.must([...RUN, '--', 'sh', '-ec', script.join('\n')], { timeoutMs: 60_000 });
  const [address, nameserver, answer, down, up] = out.split('\n');
  t.regex(address!, /inet 10\.0\.2\.15\/24 /);
  t.is(nameserver, 'nameserver 10.0.2.3');
  t.is(answer, '192.0.2.77');
  t.is(down!.split(' ')[0], patternDigest(BYTES));
  t.is(`${up}\n`, digest(BYTES));
});

suite.test('a TAP interface that outlives its plug is left as it was', ['ethtool'], async (t, lab) => {
  const space = await lab.addSpace('kept');
  await space.must(['ip', 'tuntap', 'add', 'dev', 'kept0', 'mode', 'tap']);
  for (const [name, segments] of [
    ['kept0', 'off'],
    ['own0', 'on'],
  ] as const) {
    const plug = space.start([process.execPath, join(PROJECT, 'bin/vde_plug'), 'null://', `tap://${name}`]);
    const up = async () => (await space.run(['ip', 'link', 'set', name, 'up'])).code === 0;
    const carrier = async () => (await space.run(['ip', '-o', 'link', 'show', name])).stdout.includes('LOWER_UP');
    await until(async () => !plug.running || ((await up()) && (await carrier())), 10_000, `a plug on ${name}`);
    t.regex(await space.must(['ethtool', '-k', name]), new RegExp(`tcp-segmentation-offload: ${segments}`), name);
    await plug.stop();
  }
});

suite.test('vdenet run ends as its command does, and says what cannot be', [], async (t, lab) => {
  const statusOf = async (...words: string[]): Promise<number | null> => (await lab.world.run([...RUN, ...words])).code;
  t.is(await statusOf('--', 'sh', '-c', 'exit 7'), 7);
  t.is(await statusOf('sh', '-c', 'kill -TERM $$'), 143);
  t.is(await statusOf('--', 'no-such-program'), 127);
  t.is(await statusOf('-H', 'junk', 'true'), 2);
  t.is(await statusOf(), 2);
  const taken = await lab.world.run([...RUN, '--restrict', '--', 'curl', '-sS', '-m', '20', `http://${SERVER}/peer`]);
  t.is(taken.code, 7, 'the policy refuses');
});

suite.test('vdenet run: signals are those of the command', [], async (t, lab) => {
  const traps = ['HUP', 'INT', 'USR1', 'TERM'].map((name, i) => `trap 'exit ${10 + i}' ${name};`).join(' ');
  const script = `${traps} echo ready; while :; do sleep 0.1; done`;
  for (const [i, signal] of (['SIGHUP', 'SIGINT', 'SIGUSR1', 'SIGTERM'] as const).entries()) {
    const running = lab.world.start([...RUN, '--', 'sh', '-c', script]);
    await running.until(({ stdout }) => stdout.includes('ready'), 20_000, 'the command runs');
    running.process.kill(signal);
    t.is((await running.exited).code, 10 + i, signal);
  }
  const ignores = lab.world.start([...RUN, '--', 'sh', '-c', `trap '' TERM; echo $$; exec sleep 60`]);
  await ignores.until(({ stdout }) => stdout.endsWith('\n'), 20_000, 'the command runs');
  ignores.process.kill('SIGTERM');
  await sleep(500);
  t.true(ignores.running, 'it is for the command to end');
  ignores.process.kill('SIGKILL');
  await until(() => !isRunning(Number(ignores.stdout)), 5000, 'the command does not outlive vdenet');
});

suite.test('vdenet run: --ready-fd and --exit-fd', [], async (t, lab) => {
  const script = `exec ${RUN.join(' ')} --ready-fd 3 --exit-fd 0 -- sleep 60 3>${join(lab.dir, 'run-ready')}`;
  const running = lab.world.start(['sh', '-c', script]);
  await until(() => lab.read('run-ready') === '1', 20_000, 'it says that it is ready');
  running.end();
  t.is((await running.exited).code, 143, 'the command was ended by SIGTERM');
});

suite.test('vdenet run where user namespaces are forbidden says so', [], async (t, lab) => {
  const forbid = 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"';
  const { code, stderr } = await lab.world.run(['unshare', '-Ur', 'sh', '-c', forbid, 'sh', ...RUN, '--', 'true']);
  t.is(code, 1);
  t.regex(stderr, /^vdenet run: .*user\.max_user_namespaces is 0 here; allow them with: sysctl -w/m);
});

suite.test('vdenet: every command is a verb, also in the background; help', [], async (t, lab) => {
  const [node, vdenet] = RUN as [string, string];
  const run = (...words: string[]) => lab.world.run([node, vdenet, ...words]);
  for (const { name } of COMMANDS) {
    if (name === 'vdenet') continue;
    const words = name.replace('vdenet ', '');
    const { code, stdout } = await run('help', words);
    t.is(code, 0);
    t.true(stdout.startsWith(`Usage: ${name} `), name);
    t.is((await run(words, '--help')).stdout, stdout);
  }
  t.regex((await run('help')).stdout, /^Usage: vdenet VERB/);
  t.regex((await run('--help')).stdout, /^ {2}vde_switch {2}/m);
  const pidFile = join(lab.dir, 'verb.pid');
  const ctl = join(lab.dir, 'verb.ctl');
  const start = await run('vde_switch', '-d', '-s', ctl, '-p', pidFile);
  t.is(start.code, 0, start.stderr);
  const pid = Number(lab.read('verb.pid'));
  t.is((await run('vde_switch', '-d', '-s', `${ctl}2`, '-p', pidFile)).code, 1, 'that pid file is in use');
  process.kill(pid, 'SIGTERM');
  await until(() => !isRunning(pid), 5000, 'the switch ends');
  for (const [words, told] of [
    [[], /^vdenet: which verb\?\ntry 'vdenet --help'\n$/],
    [['switch'], /^vdenet: there is no verb 'switch'\ndid you mean vdenet vde_switch\?\n$/],
    [['launch.cjs'], /no verb/],
    [['--nonsense'], /unknown option '--nonsense'/],
  ] as const) {
    const { code, stderr } = await run(...words);
    t.is(code, 2);
    t.regex(stderr, told);
  }
});

suite.test('vdenet run: forwards lead to the command; SIGTERM ends both', ['curl', 'python3'], async (t, lab) => {
  const serve = 'cd /etc && exec python3 -m http.server 80';
  const running = lab.world.start([...RUN, '-L', '127.0.0.1:8080:10.0.2.15:80', '--', 'sh', '-c', serve]);
  const get = ['curl', '-sS', '-o', '/dev/null', '-w', '%{http_code}', '-m', '5', 'http://127.0.0.1:8080/hostname'];
  await until(async () => (await lab.world.run(get)).stdout === '200', 20_000, 'the server in the namespace answers');
  running.process.kill('SIGTERM');
  await until(() => !running.running, 10_000, 'SIGTERM has ended it');
  t.is(running.process.exitCode, 143, 'the command has ended by it too');
});

suite.test('vdenet run without any right', ['curl', 'mknod'], async (t, lab) => {
  const run = [
    'setpriv',
    '--reuid=65534',
    '--regid=65534',
    '--clear-groups',
    ...RUN,
    '--',
    'sh',
    '-c',
    download(1_000_000),
  ];
  // Where only root may open /dev/net/tun, another node of it serves: the right to open is all that is asked for.
  const node = join(lab.dir, 'tun');
  const open = `mknod -m 666 ${node} c 10 200 && mount --bind ${node} /dev/net/tun && exec "$@"`;
  const argv = IS_ROOT
    ? ['unshare', '--mount', 'sh', '-c', open, 'sh', ...run]
    : [...RUN, '--', 'sh', '-c', download(1_000_000)];
  const out = await lab.world.must(argv, { timeoutMs: 30_000 });
  t.is(out.split(' ')[0], patternDigest(1_000_000));
});

suite.test('slirpvde --netns PID --configure: pieces longer than the MTU both ways', ['curl'], async (t, lab) => {
  const { space, router } = await behind(lab, 'n1', ['--configure']);
  const file = await patternFile(lab.dir, BYTES);
  const { stdout } = await space.run(['sh', '-c', download(BYTES)], { timeoutMs: 60_000 });
  t.is(stdout.split(' ')[0], patternDigest(BYTES));
  t.is(await space.must(['curl', '-sS', '--fail', '-T', file, `http://${SERVER}/digest`]), digest(BYTES));
  const size = async (way: 'rx' | 'tx'): Promise<number> => {
    const [{ stats64 }] = JSON.parse(await space.must(['ip', '-s', '-j', 'link', 'show', 'dev', 'tap0']));
    return stats64[way].bytes / stats64[way].packets;
  };
  t.true((await size('rx')) > 3000, 'what the router sends is cut by the kernel');
  t.true((await size('tx')) > 3000, 'what the guest sends comes uncut');
  t.is((await space.run(['ping', '-n', '-c', '1', '-W', '5', GATEWAY])).code, 0);
  t.is((await router.stop()).code, 0);
  t.not((await space.run(['ip', 'link', 'show', 'tap0'])).code, 0, 'the interface is gone');
});

suite.test('slirpvde --netns PATH with DHCP, IPv6 and a large MTU', ['curl', 'udhcpc'], async (t, lab) => {
  const space = await lab.addSpace('n2');
  const path = join(lab.dir, 'n2.netns');
  writeFileSync(path, '');
  await lab.world.must(['mount', '--bind', `/proc/${space.pid}/ns/net`, path]);
  const networks = ['-H', '10.0.2.2/24', '-H', '2001:db8:7::1/64', '-r', '-D', '--mtu', '9000'];
  const router = lab.world.start([...SLIRPVDE, '--netns', path, '--tap', 'eth7', ...networks]);
  await until(() => router.stderr.includes('Starting'), 20_000, 'slirpvde is ready');
  t.regex(await space.must(['ip', 'link', 'show', 'eth7']), /mtu 9000 .*\n?/);
  await space.must(['udhcpc', '-i', 'eth7', '-s', lab.dhcpScript, '-n', '-q', '-t', '10', '-T', '1']);
  const six = async (): Promise<string> => await space.must(['ip', '-6', '-o', 'address', 'show', 'dev', 'eth7']);
  const usable = async () => /2001:db8:7:/.test(await six()) && !/tentative/.test(await six());
  await until(usable, 40_000, 'an address of the advertised prefix');
  const { stdout } = await space.run(['sh', '-c', download(BYTES)], { timeoutMs: 60_000 });
  t.is(stdout.split(' ')[0], patternDigest(BYTES));
  const nat64 = '[64:ff9b::198.51.100.2]';
  const translated = await space.run(['sh', '-c', download(BYTES).replace(SERVER, nat64)], { timeoutMs: 60_000 });
  t.is(translated.stdout.split(' ')[0], patternDigest(BYTES), translated.stderr);
  await space.must(['ip', 'link', 'delete', 'eth7']);
  await until(() => !router.running, 10_000, 'slirpvde has noticed that the interface is gone');
  t.is(router.process.exitCode, 0);
  await lab.world.must(['umount', path]);
});

suite.test('slirpvde --tap in its own namespace, --ready-fd and --exit-fd', [], async (t, lab) => {
  const space = await lab.addSpace('n3');
  const ready = join(lab.dir, 'ready');
  const slirpvde = [...SLIRPVDE, '--tap', 'tap3', '--ready-fd', '3', '--exit-fd', '0'].join(' ');
  const router = space.start(['sh', '-c', `exec ${slirpvde} 3>${ready}`]);
  await until(() => lab.read('ready') === '1', 20_000, 'slirpvde says that it is ready');
  await space.must(['ip', 'address', 'add', '10.0.2.15/24', 'dev', 'tap3']);
  await space.must(['ip', 'link', 'set', 'tap3', 'up']);
  const answers = async () => (await space.run(['ping', '-n', '-c', '1', '-W', '1', GATEWAY])).code === 0;
  await until(answers, 20_000, 'the gateway answers');
  router.end();
  await until(() => !router.running, 10_000, 'the end of descriptor 0 has ended it');
  t.is(router.process.exitCode, 0);
});

suite.test('what cannot be set up is told with its reason', [], async (t, lab) => {
  const refused = async (who: 'root' | 'nobody', ...args: string[]): Promise<string> => {
    const { code, stderr } = await lab.world.run([...SLIRPVDE, ...args], { who });
    t.is(code, args.includes('-s') || args.includes('99') ? 2 : 1, stderr);
    return stderr;
  };
  t.regex(
    await refused('root', '--netns', '4194999'),
    /namespace \/proc\/4194999\/ns\/net: ENOENT; there is no process/,
  );
  t.regex(await refused('root', '--netns', join(lab.dir, 'none')), /ENOENT; there is no such file; expected a process/);
  t.regex(await refused('root', '--netns', '/etc/passwd'), /cannot enter the network namespace .*EINVAL; is it one\?/);
  t.regex(await refused('nobody', '--netns', String(lab.server.pid)), /EACCES|EPERM/);
  t.regex(await refused('root', '--tap', 'a-name-that-is-too-long'), /at most 15 bytes/);
  t.regex(await refused('root', '--tap', 'tap0', '-s', lab.ctl), /the router's only cable, but a switch is named too/);
  t.regex(await refused('root', '--tap', 'tap0', '--ready-fd', '99'), /'99' is not an open descriptor/);
});

suite.end();
