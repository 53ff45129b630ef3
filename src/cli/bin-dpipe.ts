// Entry of bin/dpipe.

import { main } from './dpipe.ts';

await main(process.argv.slice(2));
