// Entry of bin/vde_plug.

import { main } from './vde_plug.ts';

await main(process.argv.slice(2));
