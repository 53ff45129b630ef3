// Entry of bin/vdekvm.

import { main } from './vdeq.ts';
import { VDEKVM } from './vdeq-options.ts';

void main(VDEKVM, process.argv.slice(2));
