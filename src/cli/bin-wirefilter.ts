// Entry of bin/wirefilter.

import { main } from './wirefilter.ts';

await main(process.argv.slice(2));
