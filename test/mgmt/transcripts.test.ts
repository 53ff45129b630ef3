// Every transcript of Debian's vde_switch (fixtures/vde/mgmt-*.txt), replayed against this switch: the same commands in
// the same state, answer for answer. Process ids, uptimes, ages, endpoint numbers and paths are what they are; everything
// else that differs is in the table below, and in docs/reference/compat.md.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { nameOfUser } from '../../src/link/index.ts';
import { BareClient, BareConsole, type SwitchLab, switchLab } from '../support/vde-switch.ts';

const FIXTURES = new URL('../../fixtures/vde/', import.meta.url);
const PROMPT = '\nvde$ ';

interface Step {
  /** What was typed; null for the start of the session. */
  readonly command: string | null;
  /** Events that came before it. */
  readonly events: string;
  readonly answer: string;
}

interface Transcript {
  /** What the switch had been through. */
  readonly before?: (lab: SwitchLab) => Promise<void>;
  /** Runs before the step whose events are awaited. */
  readonly act?: (lab: SwitchLab) => Promise<void>;
  /** Deviations: text of the transcript and what is said here. */
  readonly deviations?: readonly (readonly [RegExp, string])[];
  /** Steps that stand for those of the transcript, where the original misreads what was typed. */
  readonly instead?: readonly Step[];
}

const frame = (to: string, from: string, type = '88b5', payload = ''): Uint8Array => {
  const bytes = new Uint8Array(60);
  bytes.set(Buffer.from(`${to}${from}${type}${payload}`.replaceAll(':', ''), 'hex'));
  return bytes;
};
const ALL = 'ff:ff:ff:ff:ff:ff';
const station = (n: number): string => `02:00:00:00:00:0${n}`;

const ask = async (lab: SwitchLab, ...commands: string[]): Promise<void> => {
  const console = new BareConsole(lab);
  await console.answer();
  for (const command of commands) await console.ask(command);
  console.write('logout\n');
};

/** Alice on port 1, Bob on port 2, Carol twice on port 9. */
const people = async (lab: SwitchLab): Promise<void> => {
  await BareClient.join(lab, -1, 'demo: user=alice PID=1201');
  await BareClient.join(lab, -1, 'demo: user=bob PID=1202');
  await BareClient.join(lab, 9, 'demo: user=carol PID=1203');
  await BareClient.join(lab, 9, 'demo: user=carol PID=1204');
};

/** Each has sent a frame: to all, to Alice, to Bob. */
const talking = async (lab: SwitchLab): Promise<void> => {
  await people(lab);
  const [alice, bob, carol] = lab.clients as [BareClient, BareClient, BareClient];
  for (const [who, to, from, packets] of [
    [alice, ALL, 1, 1],
    [bob, station(1), 2, 2],
    [carol, station(2), 3, 3],
  ] as const) {
    who.send(frame(to, station(from)));
    const console = new BareConsole(lab);
    await console.answer();
    const heard = (): Promise<number> =>
      console
        .ask('port/print')
        .then((text) => [...text.matchAll(/ IN: {2}pkts +(\d+)/g)].reduce((n, m) => n + Number(m[1]), 0));
    while ((await heard()) < packets);
    console.write('logout\n');
  }
};

const ADDED = /^-{12} +-{14} +ADDED BY VDENET\n(?:.*\n)*?(?=\.\n)/m;

const TRANSCRIPTS: Readonly<Record<string, Transcript>> = {
  'mgmt-debug': {},
  'mgmt-debug-events': {
    act: async (lab) => {
      const dave = await BareClient.join(lab, 6, 'demo: user=dave PID=1300');
      dave.send(frame(ALL, station(7)));
      const console = new BareConsole(lab);
      await console.answer();
      while (!(await console.ask('hash/print')).includes(station(7)));
      dave.leave();
    },
  },
  'mgmt-epclose': { before: people },
  'mgmt-epclose2': { before: people },
  'mgmt-errors': { before: (lab) => BareClient.join(lab, -1, 'demo: user=alice PID=1201').then(() => {}) },
  'mgmt-fstp-off': { before: (lab) => people(lab).then(() => ask(lab, 'vlan/create 20', 'vlan/create 4093')) },
  // The original prints a port that is one too high.
  'mgmt-hash': {
    before: talking,
    deviations: [
      [/(hash\/find 02:00:00:00:00:01\n.*\nHash.*port: 00)2/, '$11'],
      [/(0060 Addr: \S+ VLAN 0000 to port: 00)3/, '$12'],
    ],
  },
  'mgmt-help': {},
  'mgmt-load': {
    before: (lab) => people(lab).then(() => ask(lab, 'vlan/create 4093', 'port/create 3')),
  },
  'mgmt-logout': {},
  // The original cuts a line after 128 bytes and takes the rest for the next command.
  'mgmt-longline': {
    deviations: [
      [
        /1038 Function not implemented/,
        "0000 DATA END WITH '.'\nVDE switch V.2.3.2\n(C) Virtual Square Team (coord. R. Davoli) 2005,2006,2007 - GPLv2\n" +
          '\npid 1 MAC 00:ff:11:22:33:44 uptime 0\nmgmt /tmp/vde.mgmt perm 0600\n.\n1000 Success',
      ],
    ],
  },
  // The original takes what one read gives for one command.
  'mgmt-multi-in-one-write': {
    before: (lab) => ask(lab, 'port/setnumports 64'),
    instead: [
      { command: null, events: '', answer: '' },
      {
        command: 'port/showinfo\nport/showinfo',
        events: '',
        answer: "0000 DATA END WITH '.'\nNumports=64\nHUB=false\ncounters=true\n.\n1000 Success\n",
      },
    ],
  },
  'mgmt-plugin': {},
  'mgmt-plugin-iplog': {
    before: async (lab) => {
      await ask(lab, 'plugin/add iplog', 'iplog/ipadd 10.0.0.0/8');
      const alice = await BareClient.join(lab, -1, 'demo: user=alice PID=1201');
      alice.send(frame(ALL, station(1), '0800', '4500002000000000401100000a000007c0000201'));
      const console = new BareConsole(lab);
      await console.answer();
      while (!(await console.ask('iplog/iplist')).includes('10.0.0.7'));
    },
  },
  'mgmt-port-admin': { before: people },
  'mgmt-port-allprint': { before: talking },
  'mgmt-showinfo': {},
  'mgmt-shutdown': {},
  'mgmt-vlan': {
    before: (lab) => people(lab).then(() => ask(lab, 'port/create 3', 'port/create 4', 'port/create 5')),
  },
};

/** Splits a transcript at its prompts. */
function parse(text: string): Step[] {
  const [banner, ...rest] = text.split(PROMPT);
  const steps = rest.map((part) => {
    const events = /^(?:3\d{3} .*\n)*/.exec(part)![0];
    const typed = part.slice(events.length);
    const end = typed.indexOf('\n');
    return { command: typed.slice(0, end), events, answer: typed.slice(end + 1).replace(/<<.*$/s, '') };
  });
  // A transcript that was cut off ends with the newline in front of the next prompt.
  const last = steps.at(-1)!;
  if (last.command === '' && last.answer === '' && last.events === '') steps.pop();
  return [{ command: null, events: '', answer: `${banner}` }, ...steps];
}

/** What may differ from run to run, made equal. */
function normal(text: string, lab: SwitchLab | null): string {
  const me = nameOfUser(process.getuid!());
  const own = lab === null ? text : text.replaceAll(lab.mgmt, '/tmp/vde.mgmt').replaceAll(lab.ctl, '/tmp/vde.ctl');
  return own
    .replace(/^pid \d+ /gm, 'pid N ')
    .replace(/ uptime \d+$/gm, ' uptime N')
    .replace(/ age \d+ /g, ' age N ')
    .replace(/ FD \d+/g, ' FD N')
    .replace(/endpoint ID \d+/g, 'endpoint ID N')
    .replace(new RegExp(`(Current User: |user=)${lab === null ? 'root' : me}\\b`, 'g'), '$1ME')
    .replaceAll(lab?.dir ?? '\0', '/tmp')
    .replace(ADDED, '');
}

test('no transcript is left out', (t) => {
  const files = readdirSync(FIXTURES).filter((name) => name.startsWith('mgmt-'));
  t.deepEqual(files.map((name) => name.replace('.txt', '')).sort(), Object.keys(TRANSCRIPTS).sort());
});

for (const [name, { before, act, deviations = [], instead }] of Object.entries(TRANSCRIPTS)) {
  test(`transcript ${name}`, async (t) => {
    const lab = await switchLab(t);
    writeFileSync(join(lab.dir, 'rc.test'), '# sample rc\nvlan/create 20\nport/create 3\nport/setvlan 3 20\n');
    await before?.(lab);
    let text = readFileSync(new URL(`${name}.txt`, FIXTURES), 'utf8');
    for (const [from, to] of deviations) {
      t.regex(text, from, 'the deviation is still one');
      text = text.replace(from, to);
    }
    const console = new BareConsole(lab);
    for (const { command, events, answer } of instead ?? parse(text)) {
      if (events !== '') {
        await act!(lab);
        t.is(normal(await console.lines(events.trim().split('\n').length), lab), normal(events, null));
      }
      if (command === null) {
        const banner = await console.answer();
        if (instead === undefined) t.is(banner, answer);
        continue;
      }
      const id = /ID (\d+) module unix prog {3}: demo: user=carol PID=1204/.exec(await carols(lab))?.[1] ?? '12';
      const typed = command.replace(/ 9 12$/, ` 9 ${Number(id)}`).replace('/tmp/', `${lab.dir}/`);
      t.is(normal(await console.ask(typed), lab), normal(answer, null), command);
    }
    if (name === 'mgmt-shutdown') t.is(await lab.ended, null);
    if (/9999/.test(text)) t.true(console.closed);
  });
}

/** The ports as they are, for the numbers of endpoints. */
async function carols(lab: SwitchLab): Promise<string> {
  if (lab.clients.length < 4) return '';
  const console = new BareConsole(lab);
  await console.answer();
  const text = await console.ask('port/print 9');
  console.write('logout\n');
  return text;
}
