// Entry of bin/vde_l3.

import { main } from './vde_l3.ts';

void main(process.argv.slice(2));
