// Entry of bin/unixcmd.

import { main } from './unixcmd.ts';

void main(process.argv.slice(2));
