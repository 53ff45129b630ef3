// Menu `port` of a switch, as vde_switch has it: texts, codes, and how its arguments are read.

import { groupIdOf, nameOfGroup, nameOfUser, TapLink, userIdOf, VdeEndpoint } from '../link/index.ts';
import type { Endpoint, Port, Refusal, Switch } from '../switch/index.ts';
import { atoi, scanInt, scanInts } from './c-numbers.ts';
import { four, MAX_LINES } from './columns.ts';
import type { ConsoleEntry } from './console.ts';
import { data, failure, type Reply, SUCCESS } from './replies.ts';

/** The answer to an operation of the switch. */
export const replyTo = (refusal: Refusal | null): Reply => (refusal === null ? SUCCESS : failure(refusal));

/** The same for commands with a data block: it is there when they fail, too. */
export const emptyData = (status: Refusal | 'ENOENT' | 'ENODEV'): Reply => ({ ...failure(status), data: [] });

/** Whether an argument of a command that the original does not have is a port number. */
export const isPort = (text: string): boolean => /^\d{1,5}$/.test(text);

export function portCommands(sw: Switch): ConsoleEntry[] {
  const { admin } = sw;
  /** Where the original knows no port beyond the last one, instead of refusing its number. */
  const known = (number: number, refusal: () => Refusal | null): Refusal | null =>
    number >= sw.numPorts ? 'ENXIO' : refusal();
  return [
    { path: 'port', help: 'PORT STATUS MENU' },
    {
      path: 'port/showinfo',
      help: 'show port info',
      run: () => data([`Numports=${sw.numPorts}`, `HUB=${sw.hub}`, 'counters=true']),
    },
    {
      path: 'port/setnumports',
      syntax: 'N',
      help: 'set the number of ports',
      details: '1 to 65536; no port of a higher number may exist.',
      run: (_words, text) => replyTo(admin.setNumPorts(atoi(text))),
    },
    {
      path: 'port/sethub',
      syntax: '0/1',
      help: '1=HUB 0=switch',
      run: (_words, text) => {
        sw.setHub(atoi(text) !== 0);
        return SUCCESS;
      },
    },
    {
      path: 'port/setvlan',
      syntax: 'N VLAN',
      help: 'set port VLAN (untagged)',
      details: '4095 for none.',
      run: (_words, text) => {
        const [number = -1, vlan] = scanInts(text, 2);
        if (vlan === undefined) return failure('EINVAL');
        return replyTo(known(number, () => admin.setVlan(number, vlan)));
      },
    },
    {
      path: 'port/createauto',
      help: 'create a port with an automatically allocated id (inactive|notallocatable)',
      run: () => {
        const number = admin.createAuto();
        return typeof number === 'number' ? data([`Port ${four(number)}`]) : { ...failure(number), data: [] };
      },
    },
    {
      path: 'port/create',
      syntax: 'N',
      help: 'create the port N (inactive|notallocatable)',
      details: '0 is the first number that is free.',
      run: (_words, text) => {
        const number = atoi(text);
        if (number !== 0) return replyTo(admin.create(number));
        const made = admin.createAuto();
        return typeof made === 'number' ? SUCCESS : failure(made);
      },
    },
    {
      path: 'port/remove',
      syntax: 'N',
      help: 'remove the port N',
      run: (_words, text) => replyTo(admin.remove(atoi(text))),
    },
    {
      path: 'port/allocatable',
      syntax: 'N 0/1',
      help: 'Is the port allocatable as unnamed? 1=Y 0=N',
      run: (_words, text) => {
        const [number = -1, on] = scanInts(text, 2);
        if (on === undefined) return failure('EINVAL');
        return replyTo(known(number, () => admin.setAllocatable(number, on !== 0)));
      },
    },
    {
      path: 'port/setuser',
      syntax: 'N user',
      help: 'access control: set user',
      details: 'A name or number; NONE or ANY for everybody. Holds for the first endpoint of the port.',
      run: (_words, text) => setOwner(sw, text, userIdOf, (port, uid) => admin.setUser(port, uid)),
    },
    {
      path: 'port/setgroup',
      syntax: 'N user',
      help: 'access control: set group',
      details: 'A group, by name or number; NONE or ANY for everybody.',
      run: (_words, text) => setOwner(sw, text, groupIdOf, (port, gid) => admin.setGroup(port, gid)),
    },
    {
      path: 'port/epclose',
      syntax: 'N ID',
      help: 'remove the endpoint port N/id ID',
      run: (_words, text) => {
        const [number = -1, id] = scanInts(text, 2);
        return id === undefined ? failure('EINVAL') : replyTo(admin.closeEndpoint(number, id));
      },
    },
    {
      path: 'port/resetcounter',
      syntax: '[N]',
      help: 'reset the port (N) counters',
      run: (_words, text) => {
        const number = text === '' ? -1 : atoi(text);
        if (text !== '' && number < 0) return failure('EINVAL');
        const refusal = admin.resetCounters(number);
        // A port that does not exist has no counters: the original finds nothing wrong with that.
        return replyTo(refusal === 'ENXIO' ? null : refusal);
      },
    },
    {
      path: 'port/print',
      syntax: '[N]',
      help: 'print the port/endpoint table',
      run: (_words, text) => printPorts(sw, text, true),
    },
    {
      path: 'port/allprint',
      syntax: '[N]',
      help: 'print the port/endpoint table (including inactive port)',
      run: (_words, text) => printPorts(sw, text, false),
    },
  ];
}

function setOwner(
  sw: Switch,
  text: string,
  idOf: (name: string) => number | null,
  set: (port: number, id: number) => Refusal | null,
): Reply {
  const first = scanInt(text);
  const name = first?.rest.trim().split(/\s/)[0] ?? '';
  if (first === null || name === '') return failure('EINVAL');
  if (sw.port(first.value) === null) return failure(first.value < 0 ? 'EINVAL' : 'ENXIO');
  const id = name === 'NONE' || name === 'ANY' ? -1 : idOf(name);
  return id === null ? failure('EINVAL') : replyTo(set(first.value, id));
}

function printPorts(sw: Switch, text: string, onlyActive: boolean): Reply {
  const shown = (port: Port | null): boolean => port !== null && (port.active || !onlyActive);
  if (text === '') return data(sw.ports().filter(shown).flatMap(portLines).slice(0, MAX_LINES));
  const number = atoi(text);
  if (number < 0 || number >= sw.numPorts) return emptyData('EINVAL');
  const port = sw.port(number);
  return shown(port) ? data(portLines(port!)) : emptyData('ENXIO');
}

function portLines(port: Port): string[] {
  const { counters: c } = port;
  const count = (frames: number, bytes: number): string =>
    `pkts ${String(frames).padStart(10)}          bytes ${String(bytes).padStart(20)}`;
  const vlan = four(port.native?.vlan.id ?? 4095);
  const allocatable = port.allocatable ? '' : 'NOT ';
  const access = `(User: ${nameOfUser(port.accessUid)} - Group: ${nameOfGroup(port.accessGid)})`;
  return [
    `Port ${four(port.number)} untagged_vlan=${vlan} ${port.active ? '' : 'IN'}ACTIVE - ${allocatable}Unnamed Allocatable`,
    ` Current User: ${nameOfUser(port.uid)} Access Control: ${access}`,
    ` IN:  ${count(c.rxFrames, c.rxBytes)}`,
    ` OUT: ${count(c.txFrames, c.txBytes)}`,
    ...port.endpoints.toReversed().map(endpointLine),
  ];
}

function endpointLine({ link, description }: Endpoint): string {
  const module = link instanceof VdeEndpoint ? 'unix prog' : link instanceof TapLink ? 'tuntap' : 'internal';
  return `  -- endpoint ID ${four(link.endpointId ?? 0)} module ${module.padEnd(12)}: ${description || 'no endpoint description'}`;
}
