// Console of vde_autolink: the original's commands and the form of what they print.

import type { ConsoleEntry, EventCategory } from '../mgmt/console.ts';
import { data, failure, type Reply, statusLine } from '../mgmt/replies.ts';
import type { Autolink, Autolinks } from './autolink.ts';

export const AUTOLINK_EVENTS = {
  'link/+': { path: 'link/+', tag: 0o051, help: 'link came up' },
  'link/-': { path: 'link/-', tag: 0o052, help: 'link went down' },
  log: { path: 'log', tag: 0o061, help: 'what is tried, and why it failed' },
} as const satisfies Record<string, EventCategory>;

const SCRIPT_LINES = 10_000;

/** @param readFile  gives the text of a script; throws the system's error */
export function autolinkCommands(links: Autolinks, readFile: (path: string) => string): readonly ConsoleEntry[] {
  const done = async (what: unknown): Promise<Reply> => {
    await what;
    return data([]);
  };
  const entries: ConsoleEntry[] = [
    {
      path: 'runscript',
      syntax: 'PATH',
      help: 'carry out the commands of a file',
      details: 'Lines that fail are printed with their status; the others are carried out all the same.',
      run: async (_, path) => data(await runScript(entries, readFile(path))),
    },
    {
      path: 'showwires',
      help: 'list the types of wires',
      run: () => data([...links.wireTypes()].flatMap(([type, command]) => [`TYPE = ${type}`, `CMD = ${command}`, ''])),
    },
    {
      path: 'addwire',
      syntax: 'TYPE CMD',
      help: 'add a type of wire, with variables',
      details:
        'CMD is run without a shell; `$mysock`, `$myport` and `$remotehost` stand for the control directory of the switch, ' +
        'the port of the link and one of its hosts. Quotes hold words together.',
      run: ([type = ''], text) =>
        type === '' ? failure('EINVAL') : done(links.addWire(type, text.slice(type.length).trim())),
    },
    {
      path: 'delwire',
      syntax: 'TYPE',
      help: 'delete a type of wire',
      run: ([type = '']) => done(links.removeWire(type)),
    },
    {
      path: 'showlinks',
      help: 'list the links',
      run: () => data(links.list().flatMap((link) => linkLines(links, link))),
    },
    {
      path: 'runninglinks',
      help: 'list the links that are up',
      run: () =>
        data(
          links
            .list()
            .filter(({ state }) => state === 'up')
            .flatMap(runningLines),
        ),
    },
    {
      path: 'addlink',
      syntax: 'NAME HOST...',
      help: 'add a link to hosts, and reserve its port',
      run: ([name = '', ...hosts]) => (name === '' ? failure('EINVAL') : done(links.addLink(name, hosts))),
    },
    {
      path: 'dellink',
      syntax: 'NAME',
      help: 'end and delete a link',
      run: ([name = '']) => done(links.removeLink(name)),
    },
    {
      path: 'addtypelink',
      syntax: 'NAME TYPE',
      help: 'add a type of wire to a link',
      run: ([name = '', type = '']) => done(links.addType(name, type)),
    },
    {
      path: 'deltypelink',
      syntax: 'NAME TYPE',
      help: 'take a type of wire from a link',
      run: ([name = '', type = '']) => done(links.removeType(name, type)),
    },
    {
      path: 'linkonoff',
      syntax: 'NAME 1/0',
      help: 'activate or deactivate a link',
      run: ([name = '', on = '']) => (/^[01]$/.test(on) ? done(links.turn(name, on === '1')) : failure('EINVAL')),
    },
    {
      path: 'jobsqueue',
      help: 'list what is due when',
      run: () => {
        const jobs = links.jobs();
        if (jobs.length === 0) return data(['jobs queue is empty']);
        return data(
          jobs.map(({ action, link, inMs }) => `TIME: ${Math.ceil(inMs / 1000)}, ACTION: ${action}, LINK: ${link}`),
        );
      },
    },
  ];
  return entries;
}

/** Carries out the lines of a script; a line for each that failed. */
export async function runScript(entries: readonly ConsoleEntry[], text: string): Promise<string[]> {
  const failed: string[] = [];
  for (const [i, source] of text.split('\n').slice(0, SCRIPT_LINES).entries()) {
    const line = source.trim();
    if (line === '' || line.startsWith('#')) continue;
    const [path = '', ...words] = line.split(/\s+/);
    const run = entries.find((entry) => entry.path === path)?.run;
    let reply: Reply;
    try {
      reply = run === undefined ? failure('ENOSYS') : await run(words, line.slice(path.length).trim());
    } catch (error) {
      reply = failure('EINVAL', (error as Error).message);
    }
    if (reply.status !== 'OK') failed.push(`line ${i + 1}: ${line}: ${statusLine(reply)}`);
  }
  return failed;
}

const STATES: Readonly<Record<Autolink['state'], string>> = {
  off: '',
  trying: ' - ACTIVE, trying',
  up: ' - ACTIVE',
  waiting: ' - ACTIVE, waiting',
};

function linkLines(links: Autolinks, link: Autolink): string[] {
  const hosts = link.hosts.flatMap((host) => [
    `RHOST: ${host}`,
    'WIRES:',
    ...link.types.map((type) => `${type}: ${links.wordsOf(link, host, type).join(' ')}`),
    '',
  ]);
  return [`NAME = ${link.name} (PORT: ${link.port}${STATES[link.state]})`, ...hosts, ''];
}

const runningLines = ({ name, port, way }: Autolink): string[] => [
  `NAME = ${name} (PORT: ${port})`,
  `RHOST: ${way?.host}`,
  `WIRE: ${way?.type}`,
  '',
];
