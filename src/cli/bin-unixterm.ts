// Entry of bin/unixterm.

import { main } from './unixterm.ts';

await main(process.argv.slice(2));
