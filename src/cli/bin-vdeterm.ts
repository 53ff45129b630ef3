// Entry of bin/vdeterm.

import { main } from './vdeterm.ts';

void main(process.argv.slice(2));
