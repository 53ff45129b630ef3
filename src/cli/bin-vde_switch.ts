// Entry of bin/vde_switch.

import { main } from './vde_switch.ts';

await main(process.argv.slice(2));
