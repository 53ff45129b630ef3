// vde_autolink between switches of Debian and of ours, seen by the switches and by Debian's terminals; and Debian's
// vde_autolink on our switch.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { PROJECT } from './lab/namespace.ts';
import { Child, processesOf, type Result, run, until } from './lab/process.ts';
import { interopTest } from './lab/suite.ts';
import { consoleSession } from './lab/vde-net.ts';

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

type Make = 'debian' | 'own';

async function startSwitch(name: string, make: Make = 'debian'): Promise<Child> {
  const command = make === 'debian' ? ['vde_switch'] : [...ours('vde_switch'), '-f', '/dev/null'];
  const child = start(...command, '-F', '-s', at(`${name}.ctl`), '-M', at(`${name}.mgmt`));
  await until(async () => (await ask(`${name}.mgmt`, 'help')).code === 0, 10_000, `switch ${name} answers`);
  return child;
}

const NEEDS = ['vde_switch', 'vde_plug', 'dpipe', 'unixcmd', 'unixterm'];
const THEIRS = [...NEEDS, 'vde_autolink', 'setsid'];
const WIRE = 'dpipe vde_plug $mysock[$myport] = vde_plug $remotehost';

/** Our vde_autolink on a switch of one make, to one of another. */
async function keepsLinkAlive(t: ExecutionContext, near: Make, other: Make): Promise<void> {
  const [a, b, l] = [`a-${near}`, `b-${near}`, `l-${near}`];
  const nearby = await startSwitch(a, near);
  let far = await startSwitch(b, other);
  writeFileSync(at('rc'), `addwire W ${WIRE}\naddlink l ${at(`${b}.ctl`)}\naddtypelink l W\nbogus\nlinkonoff l 1\n`);
  const switches = ['-s', at(`${a}.ctl`), '-S', at(`${a}.mgmt`)];
  const times = ['--check', '4.5', '--retry', '0.5'];
  const link = start(...ours('vde_autolink'), ...switches, ...times, '-M', at(`${l}.mgmt`), '-f', at('rc'));
  await link.until(({ stderr }) => stderr.includes('l: up by W to'), 20_000, 'the link is up');
  t.regex(link.stderr, /rc: line 4: bogus: 1038 Function not implemented/);
  t.regex((await ask(`${a}.mgmt`, 'port/print', '1')).stdout, /NOT Unnamed Allocatable[\s\S]* vdeplug: user=/);
  t.regex((await ask(`${a}.mgmt`, 'fstp/print')).stdout, /Port 0001 .* role=(Root|Designated)/);
  const running = `NAME = l (PORT: 1)\nRHOST: ${at(`${b}.ctl`)}\nWIRE: W\n\n`;
  t.is((await ask(`${l}.mgmt`, 'runninglinks')).stdout, running);
  // Debian's terminals on our console.
  const line = ['unixcmd', '-s', at(`${l}.mgmt`), '-f', '/etc/vde2/vdecmd', 'runninglinks'];
  t.is((await run(dir, line)).stdout.replaceAll('\0', ''), running);
  const term = start('unixterm', at(`${l}.mgmt`));
  await term.until(({ stdout }) => stdout.includes('VDEal$ '), 5000, 'the prompt');
  term.write('jobsqueue\n');
  await term.until(({ stdout }) => /TIME: \d+, ACTION: check, LINK: l\n/.test(stdout), 5000, 'the job');

  await far.stop();
  await link.until(({ stderr }) => stderr.includes('l: down'), 10_000, 'the end is noticed');
  far = await startSwitch(b, other);
  await link.until(({ stderr }) => stderr.split('l: up by W').length === 3, 20_000, 'the link is up again');

  t.is((await ask(`${l}.mgmt`, 'shutdown')).code, 0);
  t.is((await link.exited).code, 0);
  t.is((await ask(`${a}.mgmt`, 'port/allprint', '1')).code, 6, 'the port was given back');
  t.false(existsSync(at(`${l}.mgmt`)));
  await Promise.all([nearby.stop(), far.stop()]);
  t.deepEqual(
    processesOf(dir).filter((pid) => ![...children].some((child) => child.pid === pid)),
    [],
    'no wire is left',
  );
}

for (const [title, near, other] of [
  ["on Debian's switch, to ours", 'debian', 'own'],
  ["on our switch, to Debian's", 'own', 'debian'],
] as const)
  interopTest(`vde_autolink ${title}: joins them, notices the end of one, and joins them again`, NEEDS, (t) =>
    keepsLinkAlive(t, near, other),
  );

interopTest("Debian's vde_autolink on our switch: reserves a port, runs its wire, follows FSTP", THEIRS, async (t) => {
  await startSwitch('d', 'own');
  const far = await startSwitch('e');
  // It ends the whole process group that it is in.
  const link = start('setsid', 'vde_autolink', '-s', at('d.ctl'), '-S', at('d.mgmt'), '-M', at('d.link'));
  await until(() => !link.running || existsSync(at('d.link')), 10_000, 'its console');
  const commands = [`addwire W ${WIRE}`, `addlink l ${at('e.ctl')}`, 'addtypelink l W', 'showlinks', 'linkonoff l 1'];
  const answers = await consoleSession(at('d.link'), 'vde_autolink', commands, /VDEal\$ $/);
  t.true(
    answers.every((answer) => answer.endsWith('1000 Success')),
    answers.join('\n'),
  );
  const port = Number(/NAME = l \(PORT: (\d+)\)/.exec(answers[3]!)![1]);
  const said = (text: string) => link.until(({ stdout, stderr }) => `${stdout}${stderr}`.includes(text), 20_000, text);
  await said(`[l] received fstp/+ for port ${port}`);
  await said('[l] state change, discard -> active');
  const shows = async (mgmt: string, command: string[], wanted: RegExp) =>
    until(async () => wanted.test((await ask(mgmt, ...command)).stdout), 20_000, `${wanted}`);
  await shows('d.mgmt', ['port/print', String(port)], /NOT Unnamed Allocatable[\s\S]* vdeplug: user=/);
  await shows('d.mgmt', ['fstp/print', '0'], new RegExp(`Port 000${port} .* role=(Root|Designated)`));
  await shows('e.mgmt', ['fstp/print', '0'], /Port 0001 .* role=(Root|Designated)/);
  await far.stop();
  await said(`[l] received fstp/- for port ${port}`);
  link.kill('SIGTERM');
  await link.exited;
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
