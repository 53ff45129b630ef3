// Entry of bin/vde_switch.

import { main } from './vde_switch.ts';

void main(process.argv.slice(2));
