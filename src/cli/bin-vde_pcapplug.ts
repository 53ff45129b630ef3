// Entry of bin/vde_pcapplug.

import { main } from './vde_pcapplug.ts';

void main(process.argv.slice(2));
