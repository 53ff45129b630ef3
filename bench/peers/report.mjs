// node report.mjs FILE.jsonl [--base peer,peer]   tables from result lines
import fs from 'node:fs';

process.env.BENCH_WORK ||= '.';
const { table } = await import('./lib.mjs');
const files = [],
  o = { base: '' };
for (let i = 2; i < process.argv.length; i++)
  process.argv[i] === '--base' ? (o.base = process.argv[++i]) : files.push(process.argv[i]);
const rows = files.flatMap((f) =>
  fs
    .readFileSync(f, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((l) => JSON.parse(l)),
);
console.log(table(rows, { base: o.base.split(',').filter(Boolean) }));
