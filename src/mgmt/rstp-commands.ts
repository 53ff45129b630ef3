// Menu `rstp` of vde_switch: standard rapid spanning tree. The original has none.

import type { Switch } from '../switch/index.ts';
import { columns } from './columns.ts';
import type { ConsoleEntry } from './console.ts';
import { bridgeMac, bridgeText } from './fstp-commands.ts';
import { isPort, replyTo } from './port-commands.ts';
import { data, failure, type Reply } from './replies.ts';

export function rstpCommands(sw: Switch): ConsoleEntry[] {
  const { rstp } = sw;
  const number =
    (change: (port: number, value: number) => ReturnType<typeof rstp.setCost>) =>
    ([port = '', value = '']: readonly string[]): Reply =>
      isPort(port) && /^\d{1,9}$/.test(value) ? replyTo(change(Number(port), Number(value))) : failure('EINVAL');
  return [
    { path: 'rstp', help: 'RAPID SPANNING TREE MENU (IEEE 802.1w)' },
    {
      path: 'rstp/showinfo',
      help: 'show rstp info',
      run: () => data([`MAC ${bridgeMac(sw)} Priority ${sw.bridge.priority}`, `RSTP=${sw.spanningTree === 'rstp'}`]),
    },
    {
      path: 'rstp/setrstp',
      syntax: '0/1',
      help: 'run this protocol, in place of FSTP, or none',
      run: ([on = '']) => {
        if (!/^[01]$/.test(on)) return failure('EINVAL');
        if (on === '0' && sw.spanningTree !== 'rstp') return replyTo(null);
        return sw.setTree(on === '1' ? 'rstp' : 'off')
          ? replyTo(null)
          : failure('EINVAL', 'a hub has no spanning tree');
      },
    },
    {
      path: 'rstp/setedge',
      syntax: 'PORT 1/0',
      help: 'a port with no bridge behind it: it forwards at once',
      details: 'Until a BPDU comes.',
      run: ([port = '', on = '']) =>
        isPort(port) && /^[01]$/.test(on) ? replyTo(rstp.setEdge(Number(port), on === '1')) : failure('EINVAL'),
    },
    {
      path: 'rstp/setcost',
      syntax: 'PORT COST',
      help: 'cost of the way to the root by a port, 1 to 200000000',
      run: number((port, cost) => rstp.setCost(port, cost)),
    },
    {
      path: 'rstp/setprio',
      syntax: 'PORT N',
      help: 'priority of a port, 0 to 240 in steps of 16',
      run: number((port, priority) => rstp.setPriority(port, priority)),
    },
    { path: 'rstp/print', help: 'print the tree', run: () => data(treeLines(rstp.view())) },
  ];
}

function treeLines({
  isRoot,
  root,
  rootCost,
  rootPort,
  topologyChanges,
  ports,
}: ReturnType<Switch['rstp']['view']>): string[] {
  const rows = ports.map(({ port, role, state, cost, priority, edge }) =>
    [port, role, state, cost, priority, edge ? 'yes' : 'no'].map(String),
  );
  return [
    `root ${bridgeText(root)} ${isRoot ? 'this switch' : `port ${rootPort} cost ${rootCost}`}`,
    `topology changes ${topologyChanges}`,
    ...columns(['PORT', 'ROLE', 'STATE', 'COST', 'PRIORITY', 'EDGE'], rows),
  ];
}
