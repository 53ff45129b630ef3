// Entry of bin/vde_pcapplug.

import { main } from './vde_pcapplug.ts';

await main(process.argv.slice(2));
