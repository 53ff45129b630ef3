// All commands: what help, man pages, the reference and the tests go through.

import type { CommandSpec } from './options.ts';
import { SLIRPVDE } from './slirpvde-options.ts';
import { UNIXCMD } from './unixcmd-options.ts';
import { VDE_AUTOLINK } from './vde_autolink-options.ts';
import { VDE_L3 } from './vde_l3-options.ts';
import { VDEKVM, VDEQ, VDEQEMU } from './vdeq-options.ts';
import { UNIXTERM, VDETERM } from './vdeterm-options.ts';

export const COMMANDS: readonly CommandSpec[] = [
  SLIRPVDE,
  UNIXCMD,
  UNIXTERM,
  VDE_AUTOLINK,
  VDE_L3,
  VDEKVM,
  VDEQ,
  VDEQEMU,
  VDETERM,
];
