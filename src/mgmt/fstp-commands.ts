// Menu `fstp` of a switch, as vde_switch has it.

import { type FstpView, MAX_VLAN, type Switch } from '../switch/index.ts';
import { atoi, scanInts } from './c-numbers.ts';
import { four, MAX_LINES, macText } from './columns.ts';
import type { ConsoleEntry } from './console.ts';
import { emptyData, replyTo } from './port-commands.ts';
import { data, failure, type Reply } from './replies.ts';

export function fstpCommands(sw: Switch): ConsoleEntry[] {
  const { fstp, bridge } = sw;
  return [
    { path: 'fstp', help: 'FAST SPANNING TREE MENU' },
    {
      path: 'fstp/showinfo',
      help: 'show fstp info',
      run: () => {
        const priority = `${bridge.priority} (0x${bridge.priority.toString(16)})`;
        return data([`MAC ${bridgeMac(sw)} Priority ${priority}`, `FSTP=${sw.spanningTree === 'fstp'}`]);
      },
    },
    {
      path: 'fstp/setfstp',
      syntax: '0/1',
      help: 'Fast spanning tree protocol 1=ON 0=OFF',
      run: (_words, text) => {
        const on = atoi(text) !== 0;
        if (!on && sw.spanningTree !== 'fstp') return data([]);
        return sw.setTree(on ? 'fstp' : 'off') ? data([]) : data(["Can't use fstp in hub mode"]);
      },
    },
    {
      path: 'fstp/setedge',
      syntax: 'VLAN PORT 1/0',
      help: 'Define an edge port for a vlan 1=Y 0=N',
      run: (_words, text) => {
        const [vlan = -1, port = -1, on] = scanInts(text, 3);
        if (on === undefined || vlan < 0 || vlan > MAX_VLAN || port < 0) return failure('EINVAL');
        return replyTo(fstp.setEdge(vlan, port, on !== 0));
      },
    },
    {
      path: 'fstp/bonus',
      syntax: 'VLAN PORT COST',
      help: 'set the port bonus for a vlan',
      run: (_words, text) => {
        const [vlan = -1, port = -1, cost] = scanInts(text, 3);
        if (cost === undefined || vlan < 0 || vlan > MAX_VLAN || port < 0) return failure('EINVAL');
        return replyTo(fstp.setBonus(vlan, port, cost));
      },
    },
    {
      path: 'fstp/print',
      syntax: '[N]',
      help: 'print fst data for the defined vlan',
      run: (_words, text) => printTrees(sw, text),
    },
  ];
}

/** The switch's own address. */
export const bridgeMac = ({ bridge }: Switch): string => macText(bridge.macHi, bridge.macLo);

function printTrees(sw: Switch, text: string): Reply {
  const disabled = sw.spanningTree !== 'fstp';
  if (text === '')
    return data(
      sw.fstp
        .views()
        .flatMap((view) => treeLines(view, disabled))
        .slice(0, MAX_LINES),
    );
  const vlan = atoi(text);
  if (vlan < 0 || vlan > MAX_VLAN) return emptyData('EINVAL');
  const view = sw.fstp.view(vlan);
  return view === null ? emptyData('ENXIO') : data(treeLines(view, disabled));
}

function treeLines(view: FstpView, disabled: boolean): string[] {
  const { vlan, isRoot, root, designated, rootPort, rootCost, ageSec, bonusPort, bonusCost, ports } = view;
  return [
    `FST DATA VLAN ${four(vlan)} ${isRoot ? 'ROOTSWITCH' : ''} ${disabled ? 'FSTP IS DISABLED' : ''}`,
    ` ++ root ${bridgeText(root)}`,
    ` ++ designated ${bridgeText(designated)}`,
    ` ++ rootport ${four(rootPort)} cost ${rootCost} age ${ageSec} bonusport ${four(bonusPort)} bonuscost ${bonusCost}`,
    ...ports.map(
      ({ port, tagged, cost, role }) => ` -- Port ${four(port)} tagged=${Number(tagged)} portcost=${cost} role=${role}`,
    ),
  ];
}

/** Priority and MAC, `80:00:00:ff:11:22:33:44`. */
export const bridgeText = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
