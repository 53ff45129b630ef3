// Entry of bin/vdeqemu.

import { main } from './vdeq.ts';
import { VDEQEMU } from './vdeq-options.ts';

void main(VDEQEMU, process.argv.slice(2));
