// Entry of bin/dpipe.

import { main } from './dpipe.ts';

void main(process.argv.slice(2));
