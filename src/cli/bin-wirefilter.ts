// Entry of bin/wirefilter.

import { main } from './wirefilter.ts';

void main(process.argv.slice(2));
