// Entry of bin/vde_plug.

import { main } from './vde_plug.ts';

void main(process.argv.slice(2));
