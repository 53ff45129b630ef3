// Entry of bin/unixterm.

import { main } from './unixterm.ts';

void main(process.argv.slice(2));
