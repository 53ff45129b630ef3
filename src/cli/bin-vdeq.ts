// Entry of bin/vdeq.

import { main } from './vdeq.ts';
import { VDEQ } from './vdeq-options.ts';

void main(VDEQ, process.argv.slice(2));
