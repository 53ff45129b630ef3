// Entry of bin/unixcmd.

import { main } from './unixcmd.ts';

await main(process.argv.slice(2));
