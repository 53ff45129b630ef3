// Entry of bin/vdeq.

import { main } from './vdeq.ts';
import { VDEQ } from './vdeq-options.ts';

await main(VDEQ, process.argv.slice(2));
