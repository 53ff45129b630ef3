// Entry of bin/vde_autolink.

import { main } from './vde_autolink.ts';

await main(process.argv.slice(2));
