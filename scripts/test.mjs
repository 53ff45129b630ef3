// The whole check of a checkout, behind `npm test`: peers, build, static checks, unit tests, interop tests.
//
//   node scripts/test.mjs
//
// Goes on after a failed step, so that one run shows everything that is wrong. The last line is the sum, of the form
// `N passed, N failed` or `N passed, N failed, N skipped`, over both test runs; a failed step that is no test run counts
// as one failure. Exit status 1 when anything failed, or nothing ran. Ends within 80 minutes whatever hangs
// (scripts/supervise.mjs).
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Supervisor } from './supervise.mjs';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));
const { scripts } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8'));
process.env.PATH = [join(PROJECT, 'node_modules/.bin'), process.env.PATH ?? ''].join(delimiter);
const MINUTE_MS = 60_000;
const supervisor = new Supervisor({ project: PROJECT, silenceMs: 6 * MINUTE_MS, limitMs: 80 * MINUTE_MS });
const { remarks } = supervisor;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    supervisor.interrupt(signal);
    process.exit(1);
  });
}

const total = { passed: 0, failed: 0, skipped: 0 };
const summary = [];

/** One step. `tests` tells that it is a run of AVA: under which folder, with which environment. */
async function step(name, argv, tests) {
  if (supervisor.late) {
    summary.push(`FAILED ${name}: no time was left`);
    total.failed++;
    return;
  }
  console.log(`\n== ${name}`);
  const start = performance.now();
  let counted;
  if (tests) {
    counted = await supervisor.tests(argv, tests);
    if (counted.passed + counted.failed === 0) counted.failed = 1; // nothing ran
  } else {
    const { ok } = await supervisor.run(argv);
    counted = { passed: 0, failed: ok ? 0 : 1, skipped: 0, titles: [], stuck: [] };
  }
  if (supervisor.late) remarks.push(`the time was over during: ${name}`);
  for (const title of counted.titles) remarks.push(`FAILED ${title}`);
  for (const file of counted.stuck) remarks.push(`FAILED, did not end: ${file}`);
  for (const key of Object.keys(total)) total[key] += counted[key];
  const what = tests ? `${counted.passed} passed, ${counted.failed} failed, ${counted.skipped} skipped` : '';
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  summary.push(`${counted.failed === 0 ? 'ok    ' : 'FAILED'} ${name}, ${seconds} s${what && `: ${what}`}`);
}

await step('peers', ['node', 'scripts/install-peers.mjs']);
await step('build', ['npm', 'run', '--silent', 'build']);
await step('lint and format', ['biome', 'check']);
await step('types', ['tsc', '--noEmit']);
if (scripts['docs:check']) await step('docs', ['npm', 'run', '--silent', 'docs:check']);
const dir = mkdtempSync(join(tmpdir(), 'vdenet-tests-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
await step('compile tests', ['node', 'scripts/compile-tests.mjs', '--into', dir]);
await step('unit tests', ['ava'], { root: 'test', env: { VDENET_TESTS: 'unit', VDENET_COMPILED_TESTS: dir } });
await step('interop tests', ['ava'], { root: 'test/interop', env: { VDENET_TESTS: 'interop' } });

const { passed, failed, skipped } = total;
console.log(`\n${[...summary, ...remarks].join('\n')}\n`);
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
