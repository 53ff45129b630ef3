// All commands: what help, man pages, the reference and the tests go through.

import type { CommandSpec } from './options.ts';
import { SLIRPVDE } from './slirpvde-options.ts';
import { VDE_SWITCH } from './vde-switch-options.ts';

export const COMMANDS: readonly CommandSpec[] = [SLIRPVDE, VDE_SWITCH];
