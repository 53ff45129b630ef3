// vde_autolink between switches of Debian, seen by the switches and by Debian's terminals.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { PROJECT } from './lab/namespace.ts';
import { Child, processesOf, type Result, run, until } from './lab/process.ts';
import { interopTest } from './lab/suite.ts';

const dir = mkdtempSync(join(tmpdir(), 'vdenet-autolink-'));
const at = (name: string): string => join(dir, name);
const ours = (name: string): string[] => [process.execPath, join(PROJECT, 'bin', name)];
const children: Child[] = [];

test.after.always(async () => {
  for (const child of children.reverse()) await child.stop();
  rmSync(dir, { recursive: true, force: true });
});

function start(...argv: string[]): Child {
  const child = new Child(dir, argv);
  children.push(child);
  return child;
}

const ask = (mgmt: string, ...words: string[]): Promise<Result> =>
  run(dir, [...ours('unixcmd'), '-s', at(mgmt), ...words]);

async function startSwitch(name: string): Promise<Child> {
  const child = start('vde_switch', '-F', '-s', at(`${name}.ctl`), '-M', at(`${name}.mgmt`));
  await until(async () => (await ask(`${name}.mgmt`, 'help')).code === 0, 10_000, `switch ${name} answers`);
  return child;
}

const NEEDS = ['vde_switch', 'vde_plug', 'dpipe', 'unixcmd', 'unixterm'];
const WIRE = 'dpipe vde_plug $mysock[$myport] = vde_plug $remotehost';

interopTest('vde_autolink: joins two switches, notices the end of one, and joins them again', NEEDS, async (t) => {
  await startSwitch('a');
  const far = await startSwitch('b');
  writeFileSync(at('rc'), `addwire W ${WIRE}\naddlink l ${at('b.ctl')}\naddtypelink l W\nbogus\nlinkonoff l 1\n`);
  const switches = ['-s', at('a.ctl'), '-S', at('a.mgmt')];
  const times = ['--check', '4.5', '--retry', '0.5'];
  const link = start(...ours('vde_autolink'), ...switches, ...times, '-M', at('l.mgmt'), '-f', at('rc'));
  await link.until(({ stderr }) => stderr.includes('l: up by W to'), 20_000, 'the link is up');
  t.regex(link.stderr, /rc: line 4: bogus: 1038 Function not implemented/);
  t.regex((await ask('a.mgmt', 'port/print', '1')).stdout, /NOT Unnamed Allocatable[\s\S]* vdeplug: user=/);
  t.regex((await ask('a.mgmt', 'fstp/print')).stdout, /Port 0001 .* role=(Root|Designated)/);
  const running = `NAME = l (PORT: 1)\nRHOST: ${at('b.ctl')}\nWIRE: W\n\n`;
  t.is((await ask('l.mgmt', 'runninglinks')).stdout, running);
  // Debian's terminals on our console.
  const line = ['unixcmd', '-s', at('l.mgmt'), '-f', '/etc/vde2/vdecmd', 'runninglinks'];
  t.is((await run(dir, line)).stdout.replaceAll('\0', ''), running);
  const term = start('unixterm', at('l.mgmt'));
  await term.until(({ stdout }) => stdout.includes('VDEal$ '), 5000, 'the prompt');
  term.write('jobsqueue\n');
  await term.until(({ stdout }) => /TIME: \d+, ACTION: check, LINK: l\n/.test(stdout), 5000, 'the job');

  await far.stop();
  await link.until(({ stderr }) => stderr.includes('l: down'), 10_000, 'the end is noticed');
  await startSwitch('b');
  await link.until(({ stderr }) => stderr.split('l: up by W').length === 3, 20_000, 'the link is up again');

  t.is((await ask('l.mgmt', 'shutdown')).code, 0);
  t.is((await link.exited).code, 0);
  t.is((await ask('a.mgmt', 'port/allprint', '1')).code, 6, 'the port was given back');
  t.false(existsSync(at('l.mgmt')));
  t.deepEqual(
    processesOf(dir).filter((pid) => ![...children].some((child) => child.pid === pid)),
    [],
    'no wire is left',
  );
});

interopTest('vde_autolink: what Debian’s crashes at, and a start without a switch', NEEDS, async (t) => {
  const none = await run(dir, [...ours('vde_autolink'), '-s', at('x'), '-S', at('none.mgmt')]);
  t.is(none.code, 1);
  t.regex(none.stderr, /^vde_autolink: cannot connect to .*none\.mgmt: there is no such socket/);
  t.is((await run(dir, [...ours('vde_autolink'), '-s', at('x')])).code, 2);
  await startSwitch('c');
  const link = start(...ours('vde_autolink'), '-s', at('c.ctl'), '-S', at('c.mgmt'), '-M', at('c.link'));
  await until(async () => (await ask('c.link', 'help')).code === 0, 10_000, 'the console answers');
  t.is((await ask('c.link', 'addlink', 'l', 'host')).code, 0);
  const off = await ask('c.link', 'linkonoff', 'l', '1');
  t.deepEqual([off.code, /link l has no wires/.test(off.stderr)], [22, true]);
  t.is((await ask('c.link', 'dellink', 'l')).code, 0);
  t.true(link.running);
  link.kill('SIGTERM');
  t.is((await link.exited).code, 0);
});
