// Entry of bin/vdeterm.

import { main } from './vdeterm.ts';

await main(process.argv.slice(2));
