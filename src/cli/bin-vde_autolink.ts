// Entry of bin/vde_autolink.

import { main } from './vde_autolink.ts';

void main(process.argv.slice(2));
