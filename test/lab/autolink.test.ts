import test from 'ava';
import { Autolinks, MAX_LINKS, MAX_WIRES, type SwitchControl, splitCommand } from '../../src/lab/autolink.ts';
import { autolinkCommands, runScript } from '../../src/lab/autolink-commands.ts';

/** A switch, processes and a clock that the test moves. */
function world() {
  const ports = new Map<number, { active: boolean; frames: number }>();
  const ran: { words: string; ended: (why: string) => void; stopped: boolean }[] = [];
  const log: string[] = [];
  const changes: string[] = [];
  let now = 0;
  const timers = new Map<object, { at: number; run: () => void }>();
  const settings = { fstp: true, failing: false };
  const check = (): void => {
    if (settings.failing) throw new Error('no switch');
  };
  const control: SwitchControl = {
    reserve: async () => {
      check();
      const port = ports.size + 1;
      ports.set(port, { active: false, frames: 0 });
      return port;
    },
    ensure: async (port) => {
      check();
      if (!ports.has(port)) ports.set(port, { active: false, frames: 0 });
    },
    release: async (port) => void ports.delete(port),
    look: async (port) => {
      check();
      return { ...(ports.get(port) ?? { active: false, frames: 0 }) };
    },
    fstp: async () => settings.fstp,
  };
  const links = new Autolinks({
    sock: '/s',
    control,
    run: (argv, ended) => {
      const entry = { words: argv.join('|'), ended, stopped: false };
      ran.push(entry);
      return { stop: () => (entry.stopped = true) };
    },
    timers: {
      now: () => now,
      start: (run, ms) => {
        const handle = {};
        timers.set(handle, { at: now + ms, run });
        return handle;
      },
      stop: (handle) => void timers.delete(handle as object),
    },
    checkMs: 30_000,
    retryMs: 60_000,
    slowMs: 120_000,
    log: (text) => log.push(text),
    changed: ({ name }, up) => changes.push(`${name} ${up ? 'up' : 'down'}`),
  });
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await Promise.resolve();
  };
  const advance = async (ms: number): Promise<void> => {
    now += ms;
    for (const [handle, { at, run }] of [...timers]) if (at <= now && timers.delete(handle)) run();
    await settle();
  };
  return { ports, ran, log, changes, settings, links, settle, advance };
}

async function linked(types = 1, ...hosts: string[]) {
  const w = world();
  for (let i = 0; i < types; i++) w.links.addWire(`T${i}`, `w${i} $mysock[$myport] $remotehost $other`);
  await w.links.addLink('l', hosts.length === 0 ? ['h'] : hosts);
  for (let i = 0; i < types; i++) w.links.addType('l', `T${i}`);
  w.links.turn('l', true);
  await w.settle();
  return { ...w, state: () => w.links.list()[0]!.state };
}

test('a wire is run with the variables put in, word by word', async (t) => {
  const { ran, links } = await linked(1, 'a;rm -rf');
  t.deepEqual(
    ran.map(({ words }) => words),
    ['w0|/s[1]|a;rm -rf|$other'],
  );
  t.deepEqual(links.jobs(), [{ action: 'check', link: 'l', inMs: 30_000 }]);
});

test('BPDUs make a link up; silence is the end of its wire, and the next way is tried', async (t) => {
  const { ran, ports, advance, changes, state } = await linked(2, 'a', 'b');
  ports.set(1, { active: true, frames: 3 });
  await advance(30_000);
  t.is(state(), 'up');
  ports.get(1)!.frames = 9;
  await advance(30_000);
  t.is(state(), 'up');
  await advance(30_000);
  t.true(ran[0]!.stopped);
  t.is(ran[1]!.words.split('|')[0], 'w1');
  t.deepEqual(changes, ['l up', 'l down']);
  ran[0]!.ended('late news');
  t.is(ran.length, 2, 'what an old wire tells is not heard');
});

test('without FSTP the endpoint counts alone', async (t) => {
  const { ports, advance, settings, state } = await linked();
  settings.fstp = false;
  ports.set(1, { active: true, frames: 0 });
  await advance(30_000);
  t.is(state(), 'up');
  ports.get(1)!.active = false;
  await advance(30_000);
  t.is(state(), 'trying', 'it was up: its ways are tried anew without a pause');
  await advance(30_000);
  t.is(state(), 'waiting');
});

test('ways are tried in turn, then pauses of 60 and 120 s', async (t) => {
  const { ran, advance, settle, links, state } = await linked(2, 'a', 'b');
  const failAll = async (from: number): Promise<void> => {
    for (let i = from; i < from + 4; i++) {
      ran[i]!.ended('it ended with status 1');
      await settle();
    }
  };
  await failAll(0);
  t.deepEqual(
    ran.map(({ words }) =>
      words
        .split('|')
        .filter((_, i) => i !== 1 && i !== 3)
        .join(' '),
    ),
    ['w0 a', 'w1 a', 'w0 b', 'w1 b'],
  );
  t.is(state(), 'waiting');
  t.deepEqual(links.jobs(), [{ action: 'retry', link: 'l', inMs: 60_000 }]);
  await advance(60_000);
  t.is(ran.length, 5);
  await failAll(4);
  t.deepEqual(links.jobs(), [{ action: 'retry', link: 'l', inMs: 120_000 }]);
});

test('a switch that is away: the link is tried again, and its port made again', async (t) => {
  const { ports, settings, advance, state, log } = await linked();
  ports.set(1, { active: true, frames: 1 });
  await advance(30_000);
  settings.failing = true;
  await advance(30_000);
  t.is(state(), 'up', 'a switch that does not answer says nothing about the link');
  t.regex(log.at(-1)!, /cannot be checked: no switch/);
  settings.failing = false;
  ports.clear();
  await advance(30_000);
  t.true(ports.has(1));
});

test('off, removed, closed: the wire is stopped and the port given back', async (t) => {
  const { links, ran, ports, settle } = await linked();
  links.turn('l', false);
  t.true(ran[0]!.stopped);
  t.deepEqual(links.jobs(), []);
  links.turn('l', true);
  await settle();
  await links.removeLink('l');
  t.true(ran[1]!.stopped);
  t.is(ports.size, 0);
  await links.addLink('m', ['h']);
  links.addType('m', 'T0');
  links.turn('m', true);
  await settle();
  await links.close();
  t.true(ran[2]!.stopped);
  t.is(ports.size, 0);
});

test('what makes no sense is refused', async (t) => {
  const { links } = await linked();
  t.throws(() => links.addWire('T0', 'x'), { message: /already/ });
  t.throws(() => links.addWire('T9', ' '), { message: /empty/ });
  t.throws(() => links.addWire('T9', "a 'b"), { message: /a quote is not closed/ });
  t.throws(() => links.removeWire('T0'), { message: /link l uses T0/ });
  await t.throwsAsync(links.addLink('l', ['h']), { message: /already/ });
  await t.throwsAsync(links.addLink('n', []), { message: /1 to 16 hosts/ });
  await t.throwsAsync(links.addLink('n', ['-oProxyCommand=x']), { message: /is not a host/ });
  t.throws(() => links.addType('l', 'T0'), { message: /has T0 already/ });
  t.throws(() => links.addType('l', 'no'), { message: /no type of wire no/ });
  t.throws(() => links.turn('x', true), { message: /no link x/ });
  await links.addLink('empty', ['h']);
  t.throws(() => links.turn('empty', true), { message: /has no wires/ });
  for (let i = 0; i < MAX_WIRES - 1; i++) links.addWire(`X${i}`, 'x');
  t.throws(() => links.addWire('Y', 'x'), { message: /no more than/ });
  for (let i = 0; i < MAX_LINKS - 2; i++) await links.addLink(`k${i}`, ['h']);
  await t.throwsAsync(links.addLink('k', ['h']), { message: /no more than/ });
});

test('words of a command', (t) => {
  t.deepEqual(splitCommand(` a 'b c'"d e"f  "" g`), ['a', 'b cd ef', '', 'g']);
  t.throws(() => splitCommand('a "b'));
});

test('the console prints what the original does (vde_autolink-mgmt)', async (t) => {
  const { links, ports } = world();
  ports.set(1, { active: true, frames: 0 });
  const entries = autolinkCommands(links, () => 'bogus\naddwire X y\n');
  const ask = async (line: string): Promise<readonly string[] | null> => {
    const [path, ...words] = line.split(' ');
    const reply = await entries.find((entry) => entry.path === path)!.run!(words, words.join(' '));
    t.is(reply.status, 'OK');
    return reply.data;
  };
  t.deepEqual(await ask('addwire SSH dpipe vde_plug -p $myport $mysock = ssh $remotehost vde_plug'), []);
  t.deepEqual(await ask('showwires'), [
    'TYPE = SSH',
    'CMD = dpipe vde_plug -p $myport $mysock = ssh $remotehost vde_plug',
    '',
  ]);
  await ask('addlink l1 hostA hostB');
  await ask('addtypelink l1 SSH');
  const wires = (host: string): string[] => [
    ...[`RHOST: ${host}`, 'WIRES:', `SSH: dpipe vde_plug -p 2 /s = ssh ${host} vde_plug`, ''],
  ];
  t.deepEqual(await ask('showlinks'), ['NAME = l1 (PORT: 2)', ...wires('hostA'), ...wires('hostB'), '']);
  t.deepEqual(await ask('runninglinks'), []);
  t.deepEqual(await ask('jobsqueue'), ['jobs queue is empty']);
  t.deepEqual(await ask('linkonoff l1 1'), []);
  t.deepEqual(await ask('deltypelink l1 SSH'), []);
  t.deepEqual(await ask('dellink l1'), []);
  t.deepEqual(await ask('runscript f'), ['line 1: bogus: 1038 Function not implemented']);
  t.deepEqual(await runScript(entries, '# x\n\nlinkonoff no 1'), [
    'line 3: linkonoff no 1: 1022 Invalid argument: there is no link no',
  ]);
});
