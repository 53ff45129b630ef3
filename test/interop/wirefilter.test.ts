// wirefilter between Debian's switches, between Debian's plugs, and its console with Debian's clients; vde_pcapplug on a veth.

import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { numbered } from '../link/support.ts';
import type { Guest, Lab } from './lab/lab.ts';
import { PROJECT } from './lab/namespace.ts';
import { type Child, until } from './lab/process.ts';
import { framed } from './lab/stations.ts';
import { Suite } from './lab/suite.ts';

const WIREFILTER = [process.execPath, join(PROJECT, 'bin/wirefilter')];
const PCAPPLUG = [process.execPath, join(PROJECT, 'bin/vde_pcapplug')];
const LONG = 60_000; // ms: deadlines of waits that are short on an idle machine
const LATE = 15; // s: answers that a stall delays
const LEFT = '10.9.0.1';
const RIGHT = '10.9.0.2';

const suite = new Suite('wirefilter', 'debian', { start: false, guests: 0 });

let left: Guest;
let right: Guest;
let other: Child;
const ctl2 = (lab: Lab): string => join(lab.dir, 'run/ctl2');

async function stations(lab: Lab): Promise<void> {
  other = lab.world.start(['vde_switch', '-s', ctl2(lab)]);
  await until(() => lab.listens(ctl2(lab)), 5000, 'the second switch listens');
  left = await lab.addGuest();
  right = await lab.addGuest(false);
  await right.join(ctl2(lab));
  await left.must(['ip', 'address', 'add', `${LEFT}/24`, 'dev', 'tap0']);
  await right.must(['ip', 'address', 'add', `${RIGHT}/24`, 'dev', 'tap0']);
}

/** Runs the body while a cable with these options is in use. */
async function withCable(lab: Lab, options: readonly string[], body: (cable: Child) => Promise<void>): Promise<void> {
  const cable = lab.world.start([...WIREFILTER, '-v', `${lab.ctl}:${ctl2(lab)}`, '--nostdin', ...options]);
  try {
    await cable.until(({ stderr }) => stderr.includes('bidirectional vdeplug filter'), 10_000, 'the cable is there');
    await body(cable);
  } finally {
    await cable.stop();
  }
}

interface Pings {
  readonly received: number;
  readonly duplicates: number;
  /** Round trip times, ms, in order. */
  readonly times: number[];
}

/** Pings; `wait` is how long the last answers are waited for, s: short where some are lost. */
async function ping(from: Guest, wait: number, ...args: string[]): Promise<Pings> {
  const { stdout } = await from.run(['ping', '-n', '-W', String(wait), ...args, RIGHT]);
  return {
    received: Number(/(\d+) received/.exec(stdout)?.[1]),
    duplicates: Number(/\+(\d+) duplicates/.exec(stdout)?.[1] ?? 0),
    times: [...stdout.matchAll(/time=([\d.]+) ms(?! \(DUP)/g)].map((m) => Number(m[1])),
  };
}

/** Pings until one is answered: both stations have each other's address, and the cable is in use. */
const answered = (from: Guest): Promise<void> =>
  until(async () => (await ping(from, 1, '-c', '1')).received === 1, LONG, 'the first ping is answered');

suite.test('delay 50+-10 ms each way, measured by ping', [], async (t, lab) => {
  await stations(lab);
  await withCable(lab, ['--delay', '50+10', '-N', '--seed', '1'], async () => {
    await answered(left);
    const medians: number[] = [];
    // Never less than the delay; hardly more, unless the machine was busy with something else all the time.
    await until(
      async () => {
        const { received, times } = await ping(left, LATE, '-c', '40', '-i', '0.02');
        t.is(received, 40);
        t.true(Math.min(...times) >= 79, `never less than twice 40: ${times}`);
        medians.push([...times].sort((a, b) => a - b)[20]!);
        return medians.at(-1)! < 125;
      },
      LONG,
      () => `a median below 125 ms: ${medians}`,
    );
    t.true(
      medians.every((each) => each > 97),
      `${medians}`,
    );
  });
});

suite.test('loss of 20 percent, counted', [], async (t, lab) => {
  await withCable(lab, ['--loss', 'LR20', '--seed', '42'], async () => {
    await answered(left);
    const { received } = await ping(left, 3, '-c', '250', '-i', '0.004');
    t.log(`${received} of 250`);
    t.true(received > 140 && received < 240, `${received} of 250`); // mean 200, deviation 6
  });
});

suite.test('duplicates, counted', [], async (t, lab) => {
  await withCable(lab, ['--dup', 'LR30', '--seed', '9'], async () => {
    await answered(left);
    const { received, duplicates } = await ping(left, LATE, '-c', '100', '-i', '0.01');
    t.log(`${received} received, ${duplicates} duplicates`);
    t.is(received, 100);
    t.true(duplicates > 10 && duplicates < 100, `${duplicates}`); // mean 43: p / (1 - p), deviation 8
  });
});

suite.test('bandwidth, measured by iperf3', ['iperf3'], async (t, lab) => {
  await withCable(lab, ['--band', '250K'], async () => {
    await answered(left);
    const ideal = (250 * 1024 * 8 * (1000 / 1044)) / 1e6; // 1000 bytes in frames of 1042, and 2
    const rates: number[] = [];
    // Twice as much is offered. A busy machine sends less, or counts what had waited: one quiet second is enough.
    await until(
      async () => {
        const server = right.space.start(['iperf3', '-s', '-1']);
        await until(async () => /:5201/.test(await right.must(['ss', '-ltn'])), LONG, 'iperf3 listens');
        const client = await left.run(['iperf3', '-c', RIGHT, '-u', '-b', '4M', '-l', '1000', '-t', '1']);
        if (client.code !== 0) t.log(client.stderr, client.stdout);
        await server.exited;
        rates.push(Number(/([\d.]+) Mbits\/sec.* receiver/.exec(server.stdout)?.[1]));
        return rates.at(-1)! > 0.8 * ideal && rates.at(-1)! < 1.03 * ideal;
      },
      LONG,
      () => `payload near ${ideal} Mbit/s: ${rates}`,
    );
    t.true(
      rates.every((rate) => rate < 1.5 * ideal),
      `payload ${rates} Mbit/s`,
    );
  });
});

/**
 * What Debian's unixterm prints while a command is typed. Then it is told to log out, which ends it; the answer to that it
 * prints or not, for it looks at the end of the connection first.
 */
async function typed(lab: Lab, socket: string, command: string): Promise<string> {
  const term = lab.world.start(['unixterm', socket]);
  const prompts = (n: number): Promise<void> =>
    term.until(({ stdout }) => stdout.split('VDEwf$ ').length > n, LONG, `prompt ${n}`);
  await prompts(1);
  term.write(`${command}\n`);
  await prompts(2);
  term.write('logout\n');
  await term.exited;
  return term.stdout;
}

/** All that a console says to one line, to the end of the connection. */
async function answerTo(path: string, line: string): Promise<string> {
  const socket = connect(path);
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    if (text === '') socket.write(`${line}\n`);
    text += chunk;
  });
  await once(socket, 'close');
  return text;
}

suite.test('noise flips bits: pings are lost by their checksum', ['unixterm'], async (t, lab) => {
  await withCable(lab, ['--noise', 'LR1024', '-M', join(lab.dir, 'wf')], async () => {
    await answered(left);
    const { received } = await ping(left, 3, '-c', '40', '-i', '0.01', '-s', '1400');
    t.log(`${received} of 40`); // 1442 bytes: 1.4 flipped bits on average, a quarter of the frames has none
    t.true(received < 28);
    t.regex(await typed(lab, join(lab.dir, 'wf'), 'counters'), /flipped bits [1-9]/);
  });
});

suite.test(
  "the console with Debian's unixcmd, unixterm and vdeterm",
  ['unixcmd', 'unixterm', 'vdeterm', 'script'],
  async (t, lab) => {
    const socket = join(lab.dir, 'console');
    await withCable(lab, ['-M', socket], async (cable) => {
      const command = ['unixcmd', '-s', socket, '-f', '/etc/vde2/vdecmd'];
      t.regex((await lab.world.run([...command, 'delay', 'LR', '30+5N'])).stdout, /^$|Success/);
      t.regex((await lab.world.run([...command, 'showinfo'])).stdout, /Delay {2}L->R 30\+5N {3}R->L 0\+0U/);
      const shown = await typed(lab, socket, 'showinfo');
      t.regex(
        shown,
        /^\nVDE wirefilter V\.2\.3\.2\n[\s\S]*VDEwf\$ 0000 DATA END WITH '\.'\nWireFilter: bidirectional\n/,
      );
      t.regex(await answerTo(socket, 'logout'), /1-01 Unknown error -1\n$/);
      const term = lab.world.start(['script', '-qfec', `vdeterm ${socket}`, '/dev/null']);
      await term.until(({ stdout }) => stdout.includes(']: '), 5000, 'the prompt');
      term.write('showcurrent\n');
      await term.until(({ stdout }) => stdout.includes('Current Markov Node 0'), 5000, 'the answer');
      term.write('shutdown\n');
      await until(() => !cable.running, 5000, 'shutdown has ended it');
      t.is(cable.process.exitCode, 0);
      t.false(existsSync(socket));
    });
  },
);

suite.test("between Debian's plugs in dpipe, both ways and one way", ['dpipe', 'vde_plug'], async (t, lab) => {
  const chain = [...['dpipe', 'vde_plug', lab.ctl, '=', ...WIREFILTER], '--delay', '20', '=', 'vde_plug', ctl2(lab)];
  const both = lab.world.start(chain);
  await both.until(({ stderr }) => stderr.includes('bidirectional filter starting'), 10_000, 'the chain is there');
  await answered(left);
  const { received, times } = await ping(left, LATE, '-c', '10', '-i', '0.02');
  t.is(received, 10);
  t.true(Math.min(...times) >= 39, `${times}`);
  await both.stop();
  await until(() => lab.endpoints() === 1, 5000, 'the plugs have gone');

  const one = lab.world.start([
    'sh',
    '-c',
    `vde_plug ${lab.ctl} | "$@" | vde_plug ${ctl2(lab)} >/dev/null`,
    'sh',
    ...WIREFILTER,
    '-l',
    '0',
  ]);
  await one.until(({ stderr }) => stderr.includes('monodirectional filter starting'), 10_000, 'the pipe is there');
  const heard = right.space.start(['tcpdump', '-i', 'tap0', '-n', '-l', '-c', '1', 'arp and src', LEFT]);
  await heard.until(({ stderr }) => stderr.includes('listening'), 5000, 'tcpdump');
  await left.must(['ip', 'neighbor', 'flush', 'all']);
  t.is((await ping(left, 1, '-c', '2', '-i', '0.2')).received, 0, 'nothing comes back');
  await heard.until(({ stdout }) => stdout.includes(`tell ${LEFT}`), 5000, 'frames go from left to right');
  one.end();
  await one.exited;
});

for (const [name, wirefilter] of [
  ['ours', WIREFILTER],
  ["Debian's", ['wirefilter']],
] as const)
  suite.test(`speed brakes who sends, and nothing is lost: ${name}`, ['wirefilter'], async (t, lab) => {
    // Three times of what a socket holds, in 3 seconds, through pipes: the writer must wait.
    const frames = Array.from({ length: 600 }, (_, i) => framed(numbered(i, 998)));
    const rate = 200_000; // bytes/s, with the 2 of each length
    const pipe = lab.world.start(['sh', '-c', 'cat | "$@" | cat', 'sh', ...wirefilter, '-s', String(rate)]);
    const began = performance.now();
    const all = Buffer.concat(frames);
    pipe.write(all); // its end would be the end of the cable, and of what waits
    await until(
      () => pipe.stdoutBytes.length >= all.length,
      LONG,
      () => `all came: ${pipe.stdoutBytes.length} of ${all.length}: ${pipe.stderr}`,
    );
    const ms = performance.now() - began;
    t.true(pipe.stdoutBytes.equals(all));
    t.true(ms > 0.9 * ((all.length * 1000) / rate), `${ms} ms`);
    t.log(`${Math.round((all.length / ms) * 1000)} of ${rate} bytes/s`);
    pipe.end();
    await pipe.exited;
  });

suite.test(
  "Debian's wirefilter in the place of ours, and ours in its chain",
  ['wirefilter', 'dpipe'],
  async (t, lab) => {
    // Two cables in a row: left switch = ours = middle switch = Debian's = right switch.
    const middle = join(lab.dir, 'run/ctl3');
    lab.world.start(['vde_switch', '-s', middle]);
    await until(() => lab.listens(middle), 5000, 'the middle switch listens');
    const theirs = lab.world.start(['wirefilter', '-v', `${middle}:${ctl2(lab)}`, '-d', '10']);
    const ours = lab.world.start([...WIREFILTER, '-v', `${lab.ctl}:${middle}`, '-d', '10', '--nostdin']);
    await ours.until(({ stderr }) => stderr.includes('starting'), 10_000, 'our cable');
    const joined = (): number => readdirSync(middle).filter((name) => /^\d{3}\./.test(name)).length;
    await until(() => joined() === 2, 5000, 'both cables have joined the middle switch');
    await answered(left);
    const { received, times } = await ping(left, LATE, '-c', '10', '-i', '0.02');
    t.is(received, 10);
    t.true(Math.min(...times) >= 38, `${times}`);
    await theirs.stop();
    await ours.stop();
  },
);

suite.test('a switch that dies: no spinning, and joined again when it is back', [], async (t, lab) => {
  await withCable(lab, ['-d', '1'], async (cable) => {
    await other.stop();
    await cable.until(({ stderr }) => stderr.includes(': lost '), 5000, 'the loss is told');
    const used = (): number => {
      const fields = readFileSync(`/proc/${cable.pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
      return Number(fields[11]) + Number(fields[12]);
    };
    const before = used();
    await delay(1000);
    t.true(used() - before < 30, `${used() - before} ticks of 10 ms in one second`);
    rmSync(ctl2(lab), { recursive: true, force: true });
    other = lab.world.start(['vde_switch', '-s', ctl2(lab)]);
    await cable.until(({ stderr }) => stderr.includes('again'), 8000, 'it joins again');
    await right.join(ctl2(lab));
    await right.must(['ip', 'address', 'replace', `${RIGHT}/24`, 'dev', 'tap0']);
    await left.must(['ip', 'neighbor', 'flush', 'all']);
    await answered(left);
  });
});

suite.test('standard input is a console whose end is the end; /dev/null is none', [], async (t, lab) => {
  const argv = [...WIREFILTER, '-v', `${lab.ctl}:${ctl2(lab)}`];
  const typed = await lab.world.run(argv, { input: 'loss 7\nshowinfo\n' });
  t.is(typed.code, 0);
  t.regex(typed.stdout, /Loss {3}L->R 7\+0U/);
  const none = lab.world.start(['sh', '-c', 'exec "$@" </dev/null', 'sh', ...argv]);
  await none.until(({ stderr }) => stderr.includes('starting'), 10_000, 'the cable');
  await delay(500);
  t.true(none.running);
  await none.stop();
});

async function veth(t: ExecutionContext, lab: Lab): Promise<void> {
  await lab.world.must([
    'ip',
    'link',
    'add',
    'p0',
    'type',
    'veth',
    'peer',
    'name',
    'p1',
    'netns',
    String(lab.server.pid),
  ]);
  await lab.world.must(['ip', 'link', 'set', 'p0', 'up']);
  await lab.server.must(['ip', 'link', 'set', 'p1', 'up']);
  await lab.server.must(['ip', 'address', 'add', '10.9.0.3/24', 'dev', 'p1']);
  t.pass();
}

suite.test('vde_pcapplug: pings both ways, checksums, VLAN tags, interface down and up', ['nc'], async (t, lab) => {
  await veth(t, lab);
  const plug = lab.world.start([...PCAPPLUG, '-s', lab.ctl, 'p0']);
  await until(
    () => lab.endpoints() === 2,
    10_000,
    () => `the plug has joined: ${plug.stderr}`,
  );
  const pings = async (size = '56'): Promise<boolean> =>
    (await left.run(['ping', '-n', '-c', '2', '-i', '0.1', '-W', '1', '-s', size, '10.9.0.3'])).code === 0;
  await until(pings, LONG, 'pings of the guest');
  await until(() => pings('1472'), LONG, 'long pings');
  const back = async (): Promise<boolean> =>
    (await lab.server.run(['ping', '-n', '-c', '2', '-i', '0.1', '-W', '1', LEFT])).code === 0;
  await until(back, LONG, 'pings of the other side');
  // UDP and TCP of the veth's far end leave without checksum: it is completed on the way.
  const nc = left.space.start(['nc', '-u', '-l', '-p', '5000']);
  await until(async () => /:5000/.test(await left.must(['ss', '-lun'])), LONG, 'nc listens');
  await lab.server.must(['sh', '-c', `echo checked | nc -u -w 1 ${LEFT} 5000`]);
  await nc.until(({ stdout }) => stdout.includes('checked'), 3000, 'the datagram came with a good checksum');
  // A tagged frame arrives with its tag, which the kernel has taken off.
  const sockets = async (): Promise<number> => (await lab.world.must(['cat', '/proc/net/packet'])).split('\n').length;
  const before = await sockets();
  const seen = lab.world.start([...PCAPPLUG, '-s', '-', 'p0']);
  await until(async () => (await sockets()) > before, LONG, 'the second plug listens');
  const tagged = Buffer.alloc(62);
  tagged.writeUInt16BE(60);
  tagged.write('ffffffffffff02000000000781000007', 2, 'hex');
  tagged.write('88b5', 18, 'hex');
  const sender = lab.server.start([...PCAPPLUG, '-s', '-', 'p1']);
  sender.write(tagged);
  await seen.until(({ stdoutBytes }) => stdoutBytes.includes(tagged), 5000, 'the tagged frame, as it was');
  sender.end();
  t.deepEqual(await sender.exited, { code: 0, signal: null });
  await seen.stop();
  // The interface goes down and comes back.
  await lab.world.must(['ip', 'link', 'set', 'p0', 'down']);
  await plug.until(({ stderr }) => stderr.includes('p0 is down or gone'), 3000, 'told');
  await lab.world.must(['ip', 'link', 'set', 'p0', 'up']);
  await until(pings, LONG, 'pings again');
  t.deepEqual(await plug.stop(), { code: 0, signal: null });
});

suite.test('vde_pcapplug: refusals say what would help', [], async (t, lab) => {
  const none = await lab.world.run([...PCAPPLUG, '-s', lab.ctl, 'none0']);
  t.is(none.code, 1);
  t.regex(none.stderr, /cannot use interface none0: there is none of that name/);
  const nobody = await lab.world.run([...PCAPPLUG, '-s', lab.ctl, 'p0'], { who: 'nobody' });
  t.is(nobody.code, 1);
  t.regex(nobody.stderr, /EPERM; raw frames need root or CAP_NET_RAW/);
});

suite.end();
