// vdeq, vdeqemu and vdekvm with the real QEMU, without KVM, on Debian's switch and on ours.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { listens } from './lab/listens.ts';
import { PROJECT } from './lab/namespace.ts';
import { Child, processesOf, run, until } from './lab/process.ts';
import { interopTest } from './lab/suite.ts';

const dir = mkdtempSync(join(tmpdir(), 'vdenet-vdeq-'));
const ours = (name: string): string[] => [process.execPath, join(PROJECT, 'bin', name)];
const children: Child[] = [];
// A machine that is stopped at its first instruction: its cards and networks are there, nothing runs.
const STOPPED = ['-accel', 'tcg', '-S', '-nodefaults', '-display', 'none', '-m', '16'];

test.after.always(async () => {
  for (const child of children.reverse()) await child.stop();
  rmSync(dir, { recursive: true, force: true });
});

function start(...argv: string[]): Child {
  const child = new Child(dir, argv);
  children.push(child);
  return child;
}

const SWITCHES: { title: string; argv: (ctl: string, mgmt: string) => string[] }[] = [
  { title: "Debian's switch", argv: (ctl, mgmt) => ['vde_switch', '-s', ctl, '-M', mgmt] },
  { title: 'our switch', argv: (ctl, mgmt) => [...ours('slirpvde'), '-s', ctl, '-M', mgmt] },
];

for (const [i, { title, argv }] of SWITCHES.entries()) {
  interopTest(`vdeqemu: cards on ${title}`, ['vde_switch', 'qemu-system-x86_64'], async (t) => {
    const [a, b] = ['a', 'b'].map((name) => join(dir, `${name}${i}`));
    for (const each of [a, b]) start(...argv(`${each}.ctl`, `${each}.mgmt`));
    const ports = async (each: string): Promise<string> =>
      (await run(dir, [...ours('unixcmd'), '-s', `${each}.mgmt`, 'port/print'])).stdout;
    const listens = async (each: string): Promise<boolean> =>
      (await run(dir, [...ours('unixcmd'), '-s', `${each}.mgmt`, 'help'])).code === 0;
    for (const each of [a!, b!]) await until(() => listens(each), 10_000, `${each} listens`);
    const cards = ['-net', 'nic,vlan=0', '-net', 'nic,vlan=1,model=e1000'];
    const nets = ['-net', `vde,vlan=0,sock=${a}.ctl,port=5`, '-net', `vde,vlan=1,sock=${b}.ctl`];
    const qemu = start(...ours('vdeqemu'), '--verbose', ...STOPPED, ...cards, ...nets, '-monitor', 'stdio');
    await qemu.until(({ stdout }) => stdout.includes('(qemu)'), 20_000, 'QEMU is up');
    t.regex(qemu.stderr, /^vdeqemu: qemu-system-\w+ -nic vde,sock=\S+,port=5 -nic vde,sock=\S+,model=e1000 /);
    t.regex(await ports(a!), /Port 0005 [\s\S]* QEMU user=/);
    t.regex(await ports(b!), /QEMU user=/);
    qemu.write('info network\n');
    await qemu.until(({ stdout }) => stdout.includes('model=e1000'), 10_000, 'the cards');
    t.true(commandIs(qemu.pid, 'qemu-system'), 'QEMU is what was started, no process in between');
    t.deepEqual(
      processesOf(dir).filter((pid) => commandIs(pid, process.execPath)),
      i === 0 ? [] : children.filter((child) => child.title.includes('slirpvde')).map((child) => child.pid),
    );
    qemu.kill('SIGTERM');
    t.is((await qemu.exited).code, 0, 'QEMU ends in order on SIGTERM');
    await until(async () => !(await ports(a!)).includes('QEMU'), 5000, 'the port is free');
  });
}

interopTest(
  'vdeq: hubs, exit status, signals and descriptors',
  ['vde_switch', 'qemu-system-x86_64', 'script'],
  async (t) => {
    const ctl = join(dir, 'hub.ctl');
    start('vde_switch', '-s', ctl);
    await until(() => listens(join(ctl, 'ctl')), 10_000, 'the switch listens');
    const show = ['-net', 'nic', '-net', `vde,sock=${ctl}`, '-net', `vde,sock=${ctl}`, '-monitor', 'stdio'];
    const hub = await run(dir, [...ours('vdeq'), 'qemu-system-x86_64', ...STOPPED, ...show], {
      input: 'info network\nquit\n',
    });
    t.is(hub.code, 0, hub.stderr);
    t.regex(hub.stdout, /hub 0[\s\S]*vlan0net0[\s\S]*vlan0net1|hub 0[\s\S]*vlan0net1[\s\S]*vlan0net0/);
    const refused = await run(dir, [...ours('vdeq'), 'qemu-system-x86_64', '-nonsense']);
    t.deepEqual([refused.code, /-nonsense: invalid option/.test(refused.stderr)], [1, true]);
    t.is((await run(dir, [...ours('vdeq'), 'no-such-qemu'])).code, 127);
    t.is((await run(dir, [...ours('vdeq'), '/dev/null'])).code, 126);
    t.is((await run(dir, [...ours('vdeq'), 'sh', '-c', 'kill -9 $$'])).signal, 'SIGKILL');
    const fd = `exec 7</etc/hostname; exec ${ours('vdeq').join(' ')} sh -c 'cat <&7; exit 5' fd=7`;
    const read = await run(dir, ['sh', '-c', fd]);
    t.deepEqual([read.code, read.stdout], [5, readFileSync('/etc/hostname', 'utf8')]);
    // As a shell would have started it: same pid, nothing ignored, pipes that block, the terminal.
    const look = 'echo $$; grep SigIgn /proc/$$/status; grep -h flags /proc/$$/fdinfo/0 /proc/$$/fdinfo/1; exit 4';
    const plain = start('sh', '-c', look);
    const through = start(...ours('vdeq'), '--verbose', 'sh', '-c', look);
    t.deepEqual([(await plain.exited).code, (await through.exited).code], [4, 4]);
    t.is(through.stdout.split('\n')[0], String(through.pid));
    t.regex(through.stdout, /SigIgn:\s0000000000000000\n/);
    t.deepEqual(through.stdout.split('\n').slice(2), plain.stdout.split('\n').slice(2));
    const tty = await run(dir, [
      'script',
      '-qfec',
      `${ours('vdeq').join(' ')} sh -c 'test -t 0 && stty -a && exit 6'`,
      '/dev/null',
    ]);
    t.is(tty.code, 6, tty.stdout);
    t.regex(tty.stdout, / icanon .* echo /);
  },
);

function commandIs(pid: number, name: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(name);
  } catch {
    return false;
  }
}
