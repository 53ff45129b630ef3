// All commands: what help, man pages, the reference and the tests go through.

import type { CommandSpec } from './options.ts';
import { SLIRPVDE } from './slirpvde-options.ts';
import { VDE_PCAPPLUG } from './vde_pcapplug-options.ts';
import { WIREFILTER } from './wirefilter-options.ts';

export const COMMANDS: readonly CommandSpec[] = [SLIRPVDE, VDE_PCAPPLUG, WIREFILTER];
