// All commands: what help, man pages, the reference and the tests go through.

import { DPIPE } from './dpipe-options.ts';
import type { CommandSpec } from './options.ts';
import { SLIRPVDE } from './slirpvde-options.ts';
import { SLIRPVDE6 } from './slirpvde6-options.ts';
import { UNIXCMD } from './unixcmd-options.ts';
import { VDE_AUTOLINK } from './vde_autolink-options.ts';
import { VDE_L3 } from './vde_l3-options.ts';
import { VDE_PCAPPLUG } from './vde_pcapplug-options.ts';
import { VDE_PLUG } from './vde_plug-options.ts';
import { VDE_PLUG2TAP } from './vde_plug2tap-options.ts';
import { VDE_SWITCH } from './vde_switch-options.ts';
import { VDENET } from './vdenet-options.ts';
import { VDENET_RUN } from './vdenet-run-options.ts';
import { VDEKVM, VDEQ, VDEQEMU } from './vdeq-options.ts';
import { UNIXTERM, VDETERM } from './vdeterm-options.ts';
import { WIREFILTER } from './wirefilter-options.ts';

export const COMMANDS: readonly CommandSpec[] = [
  DPIPE,
  SLIRPVDE,
  SLIRPVDE6,
  UNIXCMD,
  VDE_AUTOLINK,
  VDE_L3,
  VDE_PCAPPLUG,
  VDE_PLUG,
  VDE_PLUG2TAP,
  VDE_SWITCH,
  VDEQ,
  VDEQEMU,
  VDEKVM,
  VDETERM,
  UNIXTERM,
  VDENET,
  VDENET_RUN,
  WIREFILTER,
];
