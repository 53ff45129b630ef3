// All commands: what help, man pages, the reference and the tests go through.

import type { CommandSpec } from './options.ts';
import { SLIRPVDE } from './slirpvde-options.ts';
import { SLIRPVDE6 } from './slirpvde6-options.ts';

export const COMMANDS: readonly CommandSpec[] = [SLIRPVDE, SLIRPVDE6];
