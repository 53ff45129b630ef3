// Menu `vlan` of a switch, as vde_switch has it.

import { MAX_VLAN, type Switch, type VlanView } from '../switch/index.ts';
import { atoi, scanInts } from './c-numbers.ts';
import { four, MAX_LINES } from './columns.ts';
import type { ConsoleEntry } from './console.ts';
import { emptyData, replyTo } from './port-commands.ts';
import { data, failure, type Reply } from './replies.ts';

export function vlanCommands(sw: Switch): ConsoleEntry[] {
  const { vlans } = sw;
  const member =
    (change: (vlan: number, port: number) => ReturnType<typeof vlans.addPort>) =>
    (_words: readonly string[], text: string): Reply => {
      const [vlan = -1, port = -1] = scanInts(text, 2);
      return port < 0 ? failure('EINVAL') : replyTo(change(vlan, port));
    };
  return [
    { path: 'vlan', help: 'VLAN MANAGEMENT MENU' },
    {
      path: 'vlan/create',
      syntax: 'N',
      help: 'create the VLAN with tag N',
      details: '1 to 4093.',
      run: (_words, text) => replyTo(vlans.create(atoi(text))),
    },
    {
      path: 'vlan/remove',
      syntax: 'N',
      help: 'remove the VLAN with tag N',
      run: (_words, text) => replyTo(vlans.remove(atoi(text))),
    },
    {
      path: 'vlan/addport',
      syntax: 'N PORT',
      help: 'add port to the vlan N (tagged)',
      run: member((vlan, port) => vlans.addPort(vlan, port)),
    },
    {
      path: 'vlan/delport',
      syntax: 'N PORT',
      help: 'add port to the vlan N (tagged)',
      details: 'Takes the port away from the VLAN: the text of help is that of the original.',
      run: member((vlan, port) => vlans.delPort(vlan, port)),
    },
    {
      path: 'vlan/print',
      syntax: '[N]',
      help: 'print the list of defined vlan',
      run: (_words, text) => printVlans(sw, text, true),
    },
    {
      path: 'vlan/allprint',
      syntax: '[N]',
      help: 'print the list of defined vlan (including inactive port)',
      run: (_words, text) => printVlans(sw, text, false),
    },
  ];
}

function printVlans(sw: Switch, text: string, onlyActive: boolean): Reply {
  const views = sw.vlans.views((port) => !sw.hub && (port.active || !onlyActive));
  if (text === '') return data(views.flatMap(vlanLines).slice(0, MAX_LINES));
  const vlan = atoi(text);
  // The original takes no 0 here.
  if (vlan < (onlyActive ? 0 : 1) || vlan > MAX_VLAN) return emptyData('EINVAL');
  const view = views.find((each) => each.vlan === vlan);
  return view === undefined ? emptyData('ENXIO') : data(vlanLines(view));
}

const vlanLines = ({ vlan, ports }: VlanView): string[] => [
  `VLAN ${four(vlan)}`,
  ...ports.map(
    ({ port, tagged, active, state }) =>
      ` -- Port ${four(port)} tagged=${Number(tagged)} active=${Number(active)} status=${state}`,
  ),
];
