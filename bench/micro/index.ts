// All micro benchmarks.
//
//   node --import=tsx bench/micro/index.ts [--json] [--rounds N] [--ms N] [PART OF A NAME ...]
//
// Prints a table, or with --json one line per case: {"name", "ns", "ratio"}; see case.ts for what they mean.

import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { type Case, measure } from './case.ts';
import SWITCH from './switch.ts';
import TABLES from './tables.ts';
import TCP from './tcp.ts';
import WIRE from './wire.ts';

export const CASES: readonly Case[] = [...WIRE, ...TABLES, ...SWITCH, ...TCP];

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { values, positionals } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '7' },
      ms: { type: 'string', default: '100' },
    },
    allowPositionals: true,
  });
  const wanted = CASES.filter((c) => positionals.length === 0 || positionals.some((part) => c.name.includes(part)));
  const results = measure(wanted, Number(values.rounds), Number(values.ms));
  if (!values.json) console.log(`${'operation'.padEnd(58)} ${'ns'.padStart(9)} ${'of the reference'.padStart(17)}`);
  for (const r of results) {
    if (values.json) console.log(JSON.stringify(r));
    else console.log(`${r.name.padEnd(58)} ${r.ns.toFixed(1).padStart(9)} ${r.ratio.toFixed(4).padStart(17)}`);
  }
  process.exit(0); // timers of connections in TIME-WAIT are left
}
