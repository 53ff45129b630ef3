// The menus of a switch, whoever it belongs to: a vde_switch, or the switch inside of slirpvde.

import type { Switch } from '../switch/index.ts';
import type { ConsoleEntry } from './console.ts';
import { fstpCommands } from './fstp-commands.ts';
import { hashCommands } from './hash-commands.ts';
import { portCommands } from './port-commands.ts';
import { vlanCommands } from './vlan-commands.ts';

/** In the order of the original. */
export const switchCommands = (sw: Switch): ConsoleEntry[] => [
  ...hashCommands(sw),
  ...fstpCommands(sw),
  ...portCommands(sw),
  ...vlanCommands(sw),
];
