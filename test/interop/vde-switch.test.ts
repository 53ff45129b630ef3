// Our vde_switch as a process: how it starts and ends, and how Debian's terminals, plugs and tools get on with it.
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { COMMANDS } from '../../src/cli/commands.ts';
import { renderHelp } from '../../src/cli/help.ts';
import { native } from '../../src/native/native.ts';
import { datagramSocket, receiveAll } from '../link/support.ts';
import { VDE_SWITCH } from './lab/lab.ts';
import { PROJECT } from './lab/namespace.ts';
import { Child, isRunning, processesOf, type Result, run, until } from './lab/process.ts';
import { interopTest } from './lab/suite.ts';

/** A directory for the sockets of one test, and the processes that were started in it. */
class Bench {
  readonly dir = mkdtempSync(join(tmpdir(), 'vdenet-sw-'));
  readonly ctl = join(this.dir, 'ctl');
  readonly mgmt = join(this.dir, 'mgmt');
  private readonly children: Child[] = [];
  private readonly sockets: Socket[] = [];

  constructor(t: ExecutionContext) {
    t.teardown(() => this.close());
  }

  start(argv: readonly string[]): Child {
    const child = new Child(this.dir, argv);
    this.children.push(child);
    return child;
  }

  run(argv: readonly string[], input = ''): Promise<Result> {
    return run(this.dir, argv, { input });
  }

  /** Our switch with its control directory and console here, listening. */
  async switch(...words: string[]): Promise<Child> {
    const child = this.start([...VDE_SWITCH, '-s', this.ctl, '-M', this.mgmt, '-f', '/dev/null', ...words]);
    await this.ready(child);
    return child;
  }

  async ready(child: Child, path = this.mgmt): Promise<void> {
    await until(
      async () => !child.running || (await this.connects(path)),
      10_000,
      () => `the switch listens: ${child.stderr}`,
    );
    if (!child.running) throw new Error(`the switch has ended: ${child.stderr}${child.stdout}`);
  }

  connects(path: string): Promise<boolean> {
    return new Promise((done) => {
      const socket = connect(path);
      socket.on('error', () => done(false));
      socket.on('connect', () => {
        socket.destroy();
        done(true);
      });
    });
  }

  /** Connections that say nothing. */
  idle(path: string, count: number): Socket[] {
    const made = Array.from({ length: count }, () => connect(path).on('error', () => {}));
    this.sockets.push(...made);
    return made;
  }

  /** Runs console commands in one session; all that came. */
  ask(...commands: string[]): Promise<string> {
    return new Promise((done, fail) => {
      const socket = connect(this.mgmt);
      let text = '';
      socket.on('error', fail);
      socket.on('data', (chunk) => {
        text += chunk.toString();
      });
      socket.on('close', () => done(text));
      socket.write([...commands, 'logout', ''].join('\n'));
    });
  }

  /** Waits until a command prints something. */
  async shows(command: string, wanted: RegExp): Promise<string> {
    let text = '';
    await until(
      async () => wanted.test((text = await this.ask(command))),
      5000,
      () => `${wanted} in ${text}`,
    );
    return text;
  }

  private async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    for (const child of this.children.reverse()) await child.stop();
    for (const pid of processesOf(this.dir)) process.kill(pid, 'SIGKILL');
    await until(() => processesOf(this.dir).length === 0, 5000, 'all processes are gone');
    rmSync(this.dir, { recursive: true, force: true });
  }
}

// ---- start and end

test.serial('--help and --version on standard output with status 0; mistakes with status 2', async (t) => {
  const bench = new Bench(t);
  const help = await bench.run([...VDE_SWITCH, '-h']);
  t.is(help.code, 0);
  t.regex(help.stdout, /^Usage: vde_switch \[OPTION\]\.\.\.\n/);
  const version = await bench.run([...VDE_SWITCH, '-v']);
  t.is(version.code, 0);
  t.regex(version.stdout, /^vde_switch \(vdenet\) \d/);
  const mistake = await bench.run([...VDE_SWITCH, '-n', 'x']);
  t.is(mistake.code, 2);
  t.regex(mistake.stderr, /^vde_switch: option '--numports': 'x' is not a number from 2 to 65536\n/);
});

for (const [title, stdin] of [
  ['</dev/null', '</dev/null'],
  ['a closed standard input', '<&-'],
] as const) {
  test.serial(`with ${title} the switch goes on`, async (t) => {
    const bench = new Bench(t);
    const line = `exec ${VDE_SWITCH.join(' ')} -s ${bench.ctl} -M ${bench.mgmt} ${stdin}`;
    const child = bench.start(['sh', '-c', line]);
    await bench.ready(child);
    t.regex(await bench.ask('port/showinfo'), /Numports=32\n/);
    t.true(child.running);
  });
}

test.serial('a pipe is a console, without prompts; its end is not the end of the switch', async (t) => {
  const bench = new Bench(t);
  const child = await bench.switch();
  child.write('port/create 5\nlogout\nport/showinfo\n');
  await child.until(({ stdout }) => stdout.includes('counters=true'), 5000, 'the answer');
  t.is(child.stdout, "1000 Success\n0000 DATA END WITH '.'\nNumports=32\nHUB=false\ncounters=true\n.\n1000 Success\n");
  child.end();
  t.regex(await bench.shows('port/allprint', /Port 0005/), /Port 0005 untagged_vlan=0000 INACTIVE - NOT/);
  t.true(child.running);
});

test.serial('shutdown on standard input ends it with status 0', async (t) => {
  const bench = new Bench(t);
  const child = await bench.switch();
  child.write('shutdown\n');
  t.deepEqual(await child.exited, { code: 0, signal: null });
  t.regex(child.stderr, /^vde_switch: Shutdown from mgmt command$/m);
});

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  test.serial(`${signal} leaves nothing behind, status 0`, async (t) => {
    const bench = new Bench(t);
    const pid = join(bench.dir, 'pid');
    const child = await bench.switch('-p', pid);
    const plug = bench.start(['vde_plug', bench.ctl]);
    await bench.shows('port/print', /Port 0001/);
    t.is(readFileSync(pid, 'utf8'), `${child.pid}\n`);
    t.deepEqual(readdirSync(bench.dir).sort(), ['ctl', 'mgmt', 'mgmt.lock', 'pid']);
    child.kill(signal);
    t.deepEqual(await child.exited, { code: 0, signal: null });
    await plug.exited;
    t.deepEqual(readdirSync(bench.dir), []);
  });
}

test.serial('a second switch at the same place is refused with status 1, and the first is not disturbed', async (t) => {
  const bench = new Bench(t);
  const pid = join(bench.dir, 'pid');
  const rc = join(bench.dir, 'rc');
  writeFileSync(rc, `capture/start ${join(bench.dir, 'capture')}\n`);
  const first = await bench.switch('-p', pid);
  const second = await bench.run([...VDE_SWITCH, '-s', bench.ctl, '-p', join(bench.dir, 'pid2'), '-f', rc]);
  t.is(second.code, 1);
  t.regex(second.stderr, /^vde_switch: vde: a switch is already running at /);
  t.false(existsSync(join(bench.dir, 'capture')), 'its commands were not carried out');
  const third = await bench.run([...VDE_SWITCH, '-s', `${bench.ctl}2`, '-p', pid]);
  t.is(third.code, 1);
  t.regex(third.stderr, new RegExp(`pid file ${pid} belongs to process ${first.pid}, which is running`));
  t.is(readFileSync(pid, 'utf8'), `${first.pid}\n`);
  t.deepEqual(readdirSync(bench.dir).sort(), ['ctl', 'mgmt', 'mgmt.lock', 'pid', 'rc']);
  t.regex(await bench.ask('showinfo'), new RegExp(`^pid ${first.pid} `, 'm'));
});

interopTest("Debian's switch is refused at our place, and we at its", ['vde_switch'], async (t) => {
  const bench = new Bench(t);
  await bench.switch();
  const theirs = await bench.run(['vde_switch', '-s', bench.ctl]);
  t.is(theirs.code, 255);
  t.regex(theirs.stderr, /Address already in use/);
  t.regex(await bench.ask('ds/showinfo'), new RegExp(`^ctl dir ${bench.ctl}$`, 'm'));
  const debian = bench.start(['vde_switch', '-s', `${bench.ctl}2`]);
  await bench.ready(debian, join(`${bench.ctl}2`, 'ctl'));
  const ours = await bench.run([...VDE_SWITCH, '-s', `${bench.ctl}2`]);
  t.is(ours.code, 1);
  t.regex(ours.stderr, /a switch is already running/);
});

test.serial('what a killed switch left is taken over: sockets, pid file, directory', async (t) => {
  const bench = new Bench(t);
  const pid = join(bench.dir, 'pid');
  const first = await bench.switch('-p', pid);
  const plug = bench.start(['vde_plug', bench.ctl]);
  await bench.shows('port/print', /Port 0001/);
  first.kill('SIGKILL');
  await first.exited;
  await plug.exited;
  t.true(readdirSync(bench.ctl).some((name) => /^001\./.test(name)));
  const second = await bench.switch('-p', pid);
  t.deepEqual(readdirSync(bench.ctl).sort(), ['.lock', 'ctl']);
  t.is(readFileSync(pid, 'utf8'), `${second.pid}\n`);
  await second.stop();
  t.deepEqual(readdirSync(bench.dir), []);
});

test.serial('-d: status 0 when it listens, else the reason and another status', async (t) => {
  const bench = new Bench(t);
  const pid = join(bench.dir, 'pid');
  const words = ['-d', '-s', bench.ctl, '-M', bench.mgmt, '-p', pid];
  const good = await bench.run([...VDE_SWITCH, ...words]);
  t.is(good.code, 0, good.stderr);
  t.true(await bench.connects(join(bench.ctl, 'ctl')));
  const daemon = Number(readFileSync(pid, 'utf8'));
  const again = await bench.run([...VDE_SWITCH, ...words]);
  t.is(again.code, 1);
  t.regex(again.stderr, /is running/);
  t.is(Number(readFileSync(pid, 'utf8')), daemon, 'the pid file of the first one stays');
  const lost = await bench.run([...VDE_SWITCH, '-d', '-s', join(bench.dir, 'none/ctl')]);
  t.is(lost.code, 1);
  t.regex(lost.stderr, /cannot use .*none\/ctl as control directory: ENOENT/);
  t.regex(await bench.ask('shutdown'), /9999 END OF SESSION$/);
  await until(() => !isRunning(daemon), 5000, 'the daemon has ended');
  t.deepEqual(readdirSync(bench.dir), []);
});

/** Runs words with `log` as /dev/log, in a mount namespace of its own. */
function withLog(dir: string, log: string, words: readonly string[]): string[] {
  const root = process.getuid!() === 0 ? [] : ['--user', '--map-root-user'];
  const script = [
    `mkdir ${dir} && mount --rbind /dev ${dir} && mount -t tmpfs none /dev`,
    `for f in null zero random urandom; do touch /dev/$f && mount --bind ${dir}/$f /dev/$f; done`,
    `ln -s ${log} /dev/log && exec "$@"`,
  ].join('\n');
  return ['unshare', ...root, '--mount', '--', 'sh', '-ec', script, 'sh', ...words];
}

interopTest(
  '-d without --log: messages go to syslog once it is ready',
  ['namespaces', 'unshare', 'mount'],
  async (t) => {
    const bench = new Bench(t);
    const path = join(bench.dir, 'syslog');
    const log = datagramSocket(path);
    t.teardown(() => native().close(log));
    const words = [...VDE_SWITCH, '-d', '-s', bench.ctl, '-M', bench.mgmt, '-f', '/dev/null'];
    const start = await bench.run(withLog(join(bench.dir, 'dev'), path, words));
    t.is(start.code, 0, start.stderr);
    await bench.ask('shutdown');
    let lines: string[] = [];
    const said = () =>
      (lines = [...lines, ...receiveAll(log).map((bytes) => Buffer.from(bytes).toString())]).length > 0;
    await until(said, 5000, 'a message');
    t.regex(lines.join('\n'), /^<30>.* vde_switch\[\d+\]: Shutdown from mgmt command$/);
  },
);

interopTest('--help of each command is that of its table, and costs little more than Node itself', [], async (t) => {
  const bench = new Bench(t);
  for (const spec of COMMANDS) {
    const [program, ...verb] = spec.name.split(' ');
    const help = await bench.run([join(PROJECT, 'bin', program!), ...verb, '--help']);
    t.deepEqual([help.code, help.stdout, help.stderr], [0, renderHelp(spec), ''], spec.name);
  }
  // The best of interleaved runs, so that a stall of the machine does not count. The budget is 100 ms for our own part.
  const [node, help]: [number[], number[]] = [[], []];
  for (let i = 0; i < 5; i++) {
    node.push((await bench.run([process.execPath, '-e', '0'])).ms);
    help.push((await bench.run([...VDE_SWITCH, '--help'])).ms);
  }
  const more = Math.min(...help) - Math.min(...node);
  t.log(`${Math.min(...node).toFixed(0)} ms of Node itself and ${more.toFixed(0)} ms more`);
  t.true(more < 100, `${more} ms`);
});

test.serial('places that cannot be are refused with a reason, and stay as they are', async (t) => {
  const bench = new Bench(t);
  mkdirSync(join(bench.dir, 'real'));
  symlinkSync(join(bench.dir, 'real'), join(bench.dir, 'link'));
  const cases: [string[], RegExp][] = [
    [['-s', join(bench.dir, 'x'.repeat(100))], /control directory .* is longer than 97 bytes/],
    [['-M', join(bench.dir, 'x'.repeat(100))], /management socket .* is longer than 107 bytes/],
    [['-s', join(bench.dir, 'link')], /is a symbolic link; not using it/],
    [['-g', 'no-such-group'], /there is no group "no-such-group"/],
    [['-f', join(bench.dir, 'none')], /cannot read .*none: ENOENT/],
    [['-M', join(bench.dir, 'none/m')], /cannot make the management socket .*ENOENT/],
  ];
  for (const [words, why] of cases) {
    const result = await bench.run([...VDE_SWITCH, '-s', bench.ctl, ...words]);
    t.is(result.code, 1, result.stderr);
    t.regex(result.stderr, why);
    t.deepEqual(readdirSync(bench.dir).sort(), ['link', 'real']);
  }
});

test.serial('--rcfile: commands are carried out before anybody gets a port; failing ones are told', async (t) => {
  const bench = new Bench(t);
  const rc = join(bench.dir, 'rc');
  writeFileSync(rc, '# comment\nvlan/create 7\nport/create 1\nport/setvlan 1 7\nport/setvlan 2 9\n\nnonsense');
  const child = await bench.switch('-f', rc, '--storm', '1000', '--guard', 'warn', '--bpdu-guard', 'disable');
  const text = await bench.ask('port/allprint', 'guard/showinfo');
  t.regex(text, /Port 0001 untagged_vlan=0007 INACTIVE/);
  t.regex(text, /bpdu=disable\narp=warn\n/);
  t.regex(child.stderr, /rc:5: port\/setvlan 2 9: 1006 No such device or address$/m);
  t.regex(child.stderr, /rc:7: nonsense: 1038 Function not implemented$/m);
});

// ---- the terminal

interopTest(
  'on a terminal there are a prompt, completion and history; Ctrl-D ends the switch',
  ['script'],
  async (t) => {
    const bench = new Bench(t);
    const line = `${VDE_SWITCH.join(' ')} -s ${bench.ctl} -M ${bench.mgmt}`;
    const child = bench.start(['script', '-qfec', line, '/dev/null']);
    await child.until(({ stdout }) => stdout.includes('vde$ '), 10_000, 'the prompt');
    for (const [typed, shown] of [
      ['port/sh', 'port/sh'],
      ['\t', 'port/showinfo'],
      ['\r', 'Numports=32'],
    ] as const) {
      child.write(typed);
      await child.until(({ stdout }) => stdout.includes(shown), 5000, shown);
    }
    child.write('\x1b[A\r');
    await child.until(({ stdout }) => stdout.split('Numports=32').length === 3, 5000, 'history');
    child.write('debug/add port/+\r');
    await child.until(({ stdout }) => /debug\/add port\/\+[\s\S]*1000 Success/.test(stdout), 5000, 'the answer');
    child.write('port/crea');
    const plug = bench.start(['vde_plug', bench.ctl]);
    await child.until(
      ({ stdout }) => /3021 port\/\+ 01\r\n.*port\/crea/.test(stdout),
      5000,
      'the event above the line',
    );
    await plug.stop(); // its own socket lies in the switch's directory
    child.write('\x15\x04');
    t.is((await child.exited).code, 0);
    t.deepEqual(readdirSync(bench.dir), []);
  },
);

interopTest('in the background of a terminal it leaves the input alone and goes on', ['script', 'bash'], async (t) => {
  const bench = new Bench(t);
  const line = `set -m; ${VDE_SWITCH.join(' ')} -s ${bench.ctl} -M ${bench.mgmt} & wait $!`;
  const child = bench.start(['script', '-qfec', `bash -c '${line}'`, '/dev/null']);
  await bench.ready(child);
  child.write('port/create 5\n');
  const pid = /^pid (\d+) /m.exec(await bench.shows('showinfo', /^pid \d+ /m))![1]!;
  t.notRegex(await bench.ask('port/allprint'), /Port 0005/);
  t.notRegex(readFileSync(`/proc/${pid}/status`, 'utf8'), /^State:\s+T/m, 'not stopped');
  t.regex(await bench.ask('shutdown'), /9999 END OF SESSION$/);
  await child.exited;
});

interopTest('Ctrl-C at the prompt ends it in order', ['script'], async (t) => {
  const bench = new Bench(t);
  const child = bench.start(['script', '-qfec', `${VDE_SWITCH.join(' ')} -s ${bench.ctl}`, '/dev/null']);
  await child.until(({ stdout }) => stdout.includes('vde$ '), 10_000, 'the prompt');
  child.write('\x03');
  t.is((await child.exited).code, 0);
  t.deepEqual(readdirSync(bench.dir), []);
});

// ---- Debian's programs

interopTest('vdeterm, unixterm and unixcmd', ['vdeterm', 'unixterm', 'unixcmd', 'script'], async (t) => {
  const bench = new Bench(t);
  await bench.switch();
  const term = bench.start(['script', '-qfec', `vdeterm ${bench.mgmt}`, '/dev/null']);
  await term.until(({ stdout }) => stdout.includes(']: '), 5000, 'the prompt');
  term.write('port/create 9\n');
  await term.until(({ stdout }) => stdout.includes('Success'), 5000, 'the answer');
  term.write('logout\n');
  await until(() => !term.running, 5000, 'vdeterm has ended');
  const raw = bench.start(['unixterm', bench.mgmt]);
  await raw.until(({ stdout }) => stdout.includes('vde$ '), 5000, 'the prompt');
  raw.write('ds/showinfo\n');
  await raw.until(
    ({ stdout }) => stdout.includes(`ctl dir ${bench.ctl}\nstd mode 0600\n.\n1000 Success`),
    5000,
    'data',
  );
  const line = ['unixcmd', '-s', bench.mgmt, '-f', '/etc/vde2/vdecmd', 'port/allprint', '9'];
  t.regex((await bench.run(line)).stdout.replaceAll('\0', ''), /^Port 0009 untagged_vlan=0000 INACTIVE/m);
});

/** A frame on a byte stream: its length in front. */
const stream = (frame: Buffer): Buffer => Buffer.concat([Buffer.from([frame.length >> 8, frame.length & 255]), frame]);

interopTest(
  'vde_plug: frames of 60 to 9014 bytes pass whole, tagged ones with --transparent',
  ['vde_plug'],
  async (t) => {
    const bench = new Bench(t);
    await bench.switch('--transparent');
    const [one, two] = [bench.start(['vde_plug', bench.ctl]), bench.start(['vde_plug', bench.ctl])];
    await bench.shows('port/print', /Port 0002/);
    const head = (type: string): Buffer => Buffer.from(`ffffffffffff020000000001${type}`, 'hex');
    const frames = [
      ...[60, 1514, 1518, 9014].map((length) => Buffer.concat([head('88b5'), Buffer.alloc(length - 14, 0x55)])),
      Buffer.concat([head('8100000788b5'), Buffer.alloc(60, 0x66)]),
    ];
    for (const frame of frames) one.write(stream(frame));
    const wanted = Buffer.concat(frames.map(stream));
    await two.until(({ stdoutBytes }) => stdoutBytes.length >= wanted.length, 5000, 'all frames');
    t.deepEqual(two.stdoutBytes, wanted);
  },
);

interopTest('a port that is refused ends vde_plug at once', ['vde_plug'], async (t) => {
  const bench = new Bench(t);
  await bench.switch();
  const plug = await bench.run(['vde_plug', `${bench.ctl}[99]`]);
  t.not(plug.code, 0);
  t.true(plug.ms < 5000, `${plug.ms} ms`);
  t.false(plug.timedOut);
  t.regex(await bench.ask('port/print'), /0000 DATA END WITH '\.'\n\.\n1000 Success/);
});

interopTest('port/epclose ends vde_plug, and its port is free again', ['vde_plug'], async (t) => {
  const bench = new Bench(t);
  await bench.switch();
  const plug = bench.start(['vde_plug', `${bench.ctl}[7]`]);
  const text = await bench.shows('port/print 7', /endpoint ID \d+ module unix prog {3}: vdeplug: user=/);
  const id = Number(/endpoint ID (\d+)/.exec(text)![1]);
  t.regex(await bench.ask(`port/epclose 7 ${id}`), /1000 Success/);
  t.deepEqual(await plug.exited, { code: 0, signal: null });
  t.regex(await bench.ask('port/print 7'), /1006 No such device or address/);
  t.deepEqual(readdirSync(bench.ctl).sort(), ['.lock', 'ctl']);
});

interopTest(
  'vde_autolink finds its way: ports are reserved, events followed',
  ['vde_autolink', 'setsid'],
  async (t) => {
    const bench = new Bench(t);
    await bench.switch('-F');
    const own = join(bench.dir, 'autolink');
    // It ends the whole process group that it is in.
    const tool = bench.start(['setsid', 'vde_autolink', '-s', bench.ctl, '-S', bench.mgmt, '-M', own]);
    await until(() => !tool.running || existsSync(own), 5000, 'its console');
    const socket = connect(own);
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    for (const [command, wanted] of [
      ['addwire T sleep $myport $mysock $remotehost', /1000 Success[\s\S]*VDEal\$ $/],
      ['addlink l1 127.0.0.1', /1000 Success[\s\S]*1000 Success[\s\S]*VDEal\$ $/],
      ['showlinks', /NAME = l1 \(PORT: (\d+)\)/],
    ] as const) {
      await until(() => text.endsWith('VDEal$ '), 5000, 'its prompt');
      socket.write(`${command}\n`);
      await until(
        () => wanted.test(text),
        5000,
        () => `${wanted} in ${text}`,
      );
    }
    const port = /NAME = l1 \(PORT: (\d+)\)/.exec(text)![1]!.padStart(4, '0');
    t.regex(await bench.ask('port/allprint'), new RegExp(`Port ${port} untagged_vlan=0000 INACTIVE - NOT Unnamed`));
    socket.destroy();
  },
);

interopTest('a TAP interface of the host is a port', ['tap', 'namespaces', 'vde_plug', 'ip'], async (t) => {
  const bench = new Bench(t);
  // In a network namespace of its own; Unix sockets are the same for all.
  const line = `${VDE_SWITCH.join(' ')} -s ${bench.ctl} -M ${bench.mgmt} -t tap7 --nostdin & wait $!`;
  const root = process.getuid!() === 0 ? [] : ['--user', '--map-root-user'];
  const child = bench.start(['unshare', ...root, '--net', '--mount', '--', 'sh', '-c', `ip link set lo up; ${line}`]);
  await bench.ready(child);
  const text = await bench.ask('port/print 1');
  t.regex(text, /Current User: NONE/);
  t.regex(text, /endpoint ID 0000 module tuntap {6}: tap7$/m);
});

// ---- hostile clients

interopTest(
  'idle clients at the descriptor limit: no spinning, the others are served',
  ['prlimit', 'vde_plug'],
  async (t) => {
    const bench = new Bench(t);
    const limit = ['prlimit', '--nofile=200:200', ...VDE_SWITCH, '-s', bench.ctl, '-M', bench.mgmt, '--nostdin'];
    const child = bench.start(limit);
    await bench.ready(child);
    const [one, two] = [bench.start(['vde_plug', bench.ctl]), bench.start(['vde_plug', bench.ctl])];
    await bench.shows('port/print', /Port 0002/);
    const idle = bench.idle(join(bench.ctl, 'ctl'), 300);
    const busy = (): number => {
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'latin1')
        .replace(/^.*\) /s, '')
        .split(' ');
      return (Number(fields[11]) + Number(fields[12])) * 10; // ms
    };
    await until(
      () => idle.filter((socket) => socket.destroyed).length >= 200,
      10_000,
      'those beyond the limit are turned away',
    );
    const before = busy();
    const frame = Buffer.concat([Buffer.from('ffffffffffff02000000000188b5', 'hex'), Buffer.alloc(46, 1)]);
    one.write(stream(frame));
    await two.until(({ stdoutBytes }) => stdoutBytes.equals(stream(frame)), 2000, 'the frame');
    await new Promise((done) => setTimeout(done, 1000));
    t.true(busy() - before < 300, `${busy() - before} ms of CPU in a second`);
    for (const socket of idle) socket.destroy();
    bench.start(['vde_plug', bench.ctl]);
    await bench.shows('port/print', /Port 0003/);
    t.true(child.stderr.split('\n').length < 10, child.stderr);
    t.true(lstatSync(bench.ctl).isDirectory());
  },
);
