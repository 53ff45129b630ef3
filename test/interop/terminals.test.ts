// The terminals on consoles of Debian's programs and of ours, from a terminal and from scripts.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { PROJECT } from './lab/namespace.ts';
import { Child, type Result, run, until } from './lab/process.ts';
import { interopTest } from './lab/suite.ts';

const dir = mkdtempSync(join(tmpdir(), 'vdenet-terminals-'));
const at = (name: string): string => join(dir, name);
const ours = (name: string): string[] => [process.execPath, join(PROJECT, 'bin', name)];
const children: Child[] = [];

test.after.always(async () => {
  for (const child of children.reverse()) await child.stop();
  rmSync(dir, { recursive: true, force: true });
});

function start(...argv: string[]): Child {
  const child = new Child(dir, argv, argv.join(' '), { TERM: 'xterm', COLUMNS: '80' });
  children.push(child);
  return child;
}

/** Debian's switch with a console; the path of the console. */
async function debianSwitch(name: string): Promise<{ ctl: string; mgmt: string; child: Child }> {
  const [ctl, mgmt] = [at(`${name}.ctl`), at(`${name}.mgmt`)];
  const child = start('vde_switch', '-s', ctl, '-M', mgmt);
  await answers(mgmt);
  return { ctl, mgmt, child };
}

const answers = (mgmt: string): Promise<void> =>
  until(async () => (await unixcmd(mgmt, 'help')).code !== 255, 10_000, `${mgmt} answers`);

const unixcmd = (mgmt: string, ...words: string[]): Promise<Result> =>
  run(dir, [...ours('unixcmd'), '-s', mgmt, ...words]);

/** Our vdeterm on a terminal; what it draws is in `stdout`. */
async function terminal(mgmt: string, ...args: string[]): Promise<Child> {
  const words = [...ours('vdeterm'), ...args, mgmt];
  const child = start('script', '-qfec', `stty cols 80 rows 24; exec ${words.join(' ')}`, '/dev/null');
  await child.until(({ stdout }) => stdout.includes(']: '), 10_000, 'the prompt');
  return child;
}

/** The rows of a screen after what was written to it: enough of a terminal for what readline draws. */
function screen(text: string, columns = 80): string[] {
  const rows: string[] = [''];
  let [row, column] = [0, 0];
  const put = (c: string): void => {
    if (column >= columns) {
      row++;
      column = 0;
    }
    while (rows.length <= row) rows.push('');
    rows[row] = `${rows[row]!.padEnd(column).slice(0, column)}${c}${rows[row]!.slice(column + 1)}`;
    column++;
  };
  for (const [token, count, what] of text.matchAll(/\x1b\[\??(\d*)(?:;\d*)*([A-Za-z])|[\s\S]/g)) {
    const n = Number(count || 1);
    if (what === 'A') row = Math.max(0, row - n);
    else if (what === 'B') row += n;
    else if (what === 'C') column += n;
    else if (what === 'D') column = Math.max(0, column - n);
    else if (what === 'G') column = n - 1;
    else if (what === 'J') {
      rows.length = row + 1;
      rows[row] = rows[row]!.slice(0, column);
    } else if (what === 'K') rows[row] = (rows[row] ?? '').slice(0, column);
    else if (token === '\r') column = 0;
    else if (token === '\n') row++;
    else if (token === '\b') column--;
    else if (what === undefined && token! >= ' ') put(token!);
    while (rows.length <= row) rows.push('');
  }
  return rows.map((line) => line.trimEnd());
}

const SWITCH = ['vde_switch', 'script', 'vde_plug'];

interopTest('vdeterm on a terminal: completion, history, status texts, the end', SWITCH, async (t) => {
  const { mgmt } = await debianSwitch('term');
  const term = await terminal(mgmt, '--history', at('history'));
  term.write('po\t');
  await term.until(({ stdout }) => stdout.includes(']: port/') || stdout.includes('port/'), 5000, 'the menu');
  term.write('showi');
  term.write('\t');
  await term.until(({ stdout }) => stdout.includes('port/showinfo'), 5000, 'the command');
  term.write('\r');
  await term.until(({ stdout }) => stdout.includes('Numports=32'), 5000, 'the answer');
  await term.until(({ stdout }) => stdout.includes('Success'), 5000, 'the status');
  term.write('bogus\r');
  await term.until(({ stdout }) => stdout.includes('Function not implemented'), 5000, 'the refusal');
  term.write('\x1b[A\x1b[A\r'); // two up: port/showinfo again
  await term.until(({ stdout }) => stdout.split('Numports=32').length === 3, 5000, 'the command of the history');
  term.write('discard me\x03');
  await term.until(({ stdout }) => stdout.includes('^C'), 5000, 'the line was cleared');
  t.true(term.running);
  term.write('logout\r');
  t.deepEqual(await term.exited, { code: 0, signal: null });
  const shown = screen(term.stdout);
  t.true(shown.includes(`vde[${mgmt}]: port/showinfo`), shown.join('\n'));
  t.false(term.stdout.includes('0000 DATA'), 'the marks of data are not shown');
  t.deepEqual(readFileSync(at('history'), 'utf8').split('\n').slice(0, 3), ['bogus', 'port/showinfo', 'logout']);
});

interopTest('vdeterm on a terminal: events stand above the line that is edited', SWITCH, async (t) => {
  const { ctl, mgmt } = await debianSwitch('events');
  const term = await terminal(mgmt);
  term.write('debug/add port\r');
  await term.until(({ stdout }) => stdout.includes('Success'), 5000, 'the answer');
  const prompt = `vde[${mgmt}]: `;
  const long = `help ${'x'.repeat(100)}`;
  for (const line of ['port/allpri', long]) {
    const before = term.stdout.split('port/ep/- ').length;
    term.write(line);
    await term.until(
      ({ stdout }) =>
        screen(stdout)
          .join('')
          .endsWith(prompt + line),
      5000,
      'the line is typed',
    );
    const plug = start('vde_plug', ctl);
    await term.until(({ stdout }) => stdout.split('port/ep/+ ').length > before, 5000, 'the event');
    // Debian's switch forgets to tell of a plug that goes before it has its reply, on which the plug removes its own name.
    await term.until(({ stdout }) => stdout.split('port/descr ').length > before, 5000, 'the switch knows the plug');
    await until(() => !readdirSync(ctl).some((name) => name.startsWith('.')), 5000, 'the plug has its reply');
    await plug.stop();
    await term.until(({ stdout }) => stdout.split('port/ep/- ').length > before, 5000, 'the other event');
    await term.until(
      ({ stdout }) =>
        screen(stdout)
          .join('')
          .endsWith(prompt + line),
      5000,
      'the line is there again',
    );
    const rows = screen(term.stdout);
    t.true(
      rows.some((row) => /^port\/ep\/\+ Port 01 FD +\d+$/.test(row)),
      rows.join('\n'),
    );
    t.is(rows.filter((row) => row.startsWith(prompt + line.slice(0, 8))).length, 1, rows.join('\n'));
    term.write(line === long ? '\r' : 'nt\r');
    await term.until(({ stdout }) => screen(stdout).at(-1) === prompt.trimEnd(), 5000, 'the answer');
  }
  term.write('\x04');
  t.deepEqual(await term.exited, { code: 0, signal: null });
});

interopTest('vdeterm on a terminal: the end of the switch is told', SWITCH, async (t) => {
  const { mgmt, child } = await debianSwitch('gone');
  const term = await terminal(mgmt);
  await child.stop();
  t.is((await term.exited).code, 1);
  t.regex(term.stdout, /the program ended the session/);
});

interopTest('vdeterm as a script: answers in order, refusals, the end of the input', ['vde_switch'], async (t) => {
  const { mgmt } = await debianSwitch('script');
  const input = 'port/create 7\n\n# comment\nport/create 7\nport/allprint 7\nhash/showinfo';
  const done = await run(dir, [...ours('vdeterm'), mgmt], { input });
  t.is(done.code, 3);
  t.regex(done.stdout, /^Port 0007 untagged_vlan=0000 INACTIVE [\s\S]*Hash size 128\n/);
  t.is(done.stderr, 'vdeterm: port/create 7: File exists\n');
  const fine = await run(dir, [...ours('vdeterm'), mgmt], { input: 'showinfo\nlogout\nport/remove 7\n' });
  t.deepEqual([fine.code, fine.stderr], [0, '']);
  t.is((await unixcmd(mgmt, 'port/allprint', '7')).code, 0, 'nothing behind logout was carried out');
  const shut = await run(dir, [...ours('vdeterm'), mgmt], { input: 'shutdown\n' });
  t.deepEqual([shut.code, shut.stderr], [0, '']);
});

interopTest('terminals on wirefilter and vde_l3 of Debian', ['wirefilter', 'vde_l3', 'vde_switch'], async (t) => {
  const { ctl } = await debianSwitch('wire');
  start('wirefilter', '-v', `${ctl}:${ctl}`, '-M', at('wf.mgmt'));
  start('vde_l3', '-v', `${ctl}:10.1.0.1/255.255.255.0`, '-M', at('l3.mgmt'));
  await answers(at('wf.mgmt'));
  await until(() => existsSync(at('l3.mgmt')), 5000, 'vde_l3 listens');
  t.is((await unixcmd(at('wf.mgmt'), 'delay', '10')).code, 0);
  t.regex(
    (await unixcmd(at('wf.mgmt'), 'showinfo')).stdout,
    /^WireFilter: bidirectional\nLoss .*\n[\s\S]*Delay {2}L->R 10\+0U/,
  );
  t.is((await unixcmd(at('wf.mgmt'), 'bogus')).code, 38);
  const end = await run(dir, [...ours('vdeterm'), at('wf.mgmt')], { input: 'loss 1\nlogout\n' });
  t.deepEqual([end.code, end.stderr], [0, '']);
  // One session: Debian's vde_l3 serves no second one in order.
  const l3 = await run(dir, [...ours('vdeterm'), at('l3.mgmt')], { input: 'ifconfig\nbogus\nroute list\nlogout\n' });
  t.deepEqual([l3.code, l3.stderr], [0, ''], 'no status is no failure');
  t.regex(l3.stdout, /inet addr:10\.1\.0\.1 Netmask:255\.255\.255\.0[\s\S]*Destination\tGateway/);
});

interopTest('terminals on our slirpvde', ['script'], async (t) => {
  start(...ours('slirpvde'), '-s', at('slirp.ctl'), '-M', at('slirp.mgmt'));
  await answers(at('slirp.mgmt'));
  t.regex((await unixcmd(at('slirp.mgmt'), 'policy/list')).stdout, /^host loopback/);
  const raw = await run(dir, [...ours('unixterm'), at('slirp.mgmt')], { input: 'policy/list\nlogout\n' });
  t.is(raw.code, 0);
  t.regex(raw.stdout, /^slirpvde \(vdenet\)[\s\S]*0000 DATA END WITH '\.'\nhost loopback[\s\S]*9999 END OF SESSION$/);
  const term = await terminal(at('slirp.mgmt'));
  term.write('logo\t');
  await term.until(({ stdout }) => stdout.includes('logout'), 5000, 'the completion');
  term.write('\r');
  t.is((await term.exited).code, 0);
});

const VDECMD = '/etc/vde2/vdecmd';
interopTest("unixcmd: statuses, and Debian's state machine from its file", ['vde_switch', 'unixcmd'], async (t) => {
  const { mgmt } = await debianSwitch('cmd');
  const both = async (...words: string[]): Promise<Result[]> => [
    await unixcmd(mgmt, ...words),
    await unixcmd(mgmt, '-f', VDECMD, ...words),
  ];
  for (const each of await both('port/showinfo')) t.deepEqual([each.code, each.stdout], [0, SHOWINFO]);
  for (const each of await both('port/print', '99')) t.is(each.code, 22);
  const theirs = await run(dir, ['unixcmd', '-s', mgmt, '-f', VDECMD, 'port/showinfo']);
  t.is(theirs.stdout.replaceAll('\0', ''), SHOWINFO);
  const traced = await unixcmd(mgmt, '-v', '-f', VDECMD, 'port/create', '3');
  t.regex(traced.stderr, /^NOW 1 parsing \nNOW 3 parsing VDE switch/);
  const ended = await unixcmd(mgmt, 'shutdown');
  t.deepEqual([ended.code, ended.stdout], [0, '']);
});
const SHOWINFO = 'Numports=32\nHUB=false\ncounters=true\n';

async function failure(t: ExecutionContext, argv: string[], code: number, stderr: RegExp): Promise<void> {
  const done = await run(dir, argv);
  t.is(done.code, code, done.stderr);
  t.regex(done.stderr, stderr);
}

interopTest('terminals: what cannot work is told, with its status', [], async (t) => {
  const silent = createServer(() => {}).listen(at('silent'));
  writeFileSync(at('rc'), '1 GOTO 2\n');
  for (const name of ['vdeterm', 'unixterm']) {
    await failure(t, ours(name), 2, /which socket\?/);
    await failure(t, [...ours(name), at('none')], 1, /cannot connect to .*none: there is no such socket/);
  }
  await failure(t, ours('unixcmd'), 255, /which command\?/);
  await failure(t, [...ours('unixcmd'), '-s', at('none'), 'x'], 255, /there is no such socket/);
  await failure(t, [...ours('unixcmd'), '-s', at('silent'), '--timeout', '200', 'x'], 255, /no answer within 200 ms/);
  await failure(t, [...ours('unixcmd'), '-s', at('silent'), '-f', at('rc'), 'x'], 255, /rc:1: there is no state 2/);
  await failure(t, [...ours('unixcmd'), '-f', at('norc'), 'x'], 255, /cannot read .*norc: ENOENT/);
  silent.close();
});
