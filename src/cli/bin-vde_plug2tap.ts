// Entry of bin/vde_plug2tap.

import { main } from './vde_plug2tap.ts';

void main(process.argv.slice(2));
