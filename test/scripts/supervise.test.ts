// What scripts/supervise.mjs does with programs that hang, without AVA: shells stand for it.

import { execFileSync } from 'node:child_process';
import test from 'ava';

const SUPERVISE = new URL('../../scripts/supervise.mjs', import.meta.url).href;
const SECOND = 1000;

interface Result {
  readonly ok: boolean;
  readonly output: string;
  readonly remarks: readonly string[];
  readonly late: boolean;
  readonly ms: number;
}

/** Runs a shell line under a supervisor with short times. */
function supervised(line: string, limitMs = 60 * SECOND): Result {
  const script = `
    import { Supervisor } from '${SUPERVISE}';
    const supervisor = new Supervisor({ project: '/', silenceMs: 1500, limitMs: ${limitMs}, graceMs: 600 });
    const start = performance.now();
    const result = await supervisor.run(['sh', '-c', ${JSON.stringify(line)}]);
    const { remarks, late } = supervisor;
    console.log('\\n' + JSON.stringify({ ...result, remarks, late, ms: performance.now() - start }));`;
  const out = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 50_000,
  });
  return JSON.parse(out.trimEnd().split('\n').at(-1)!);
}

const cases = [
  { name: 'ends in order', line: 'echo here', ok: true },
  { name: 'fails', line: 'exit 3', ok: false },
  { name: 'ends, but a child keeps its pipes', line: 'sleep 60 & echo here', ok: true },
  {
    name: 'is silent, a child hangs and ignores SIGTERM',
    line: `sh -c 'trap "" TERM; sleep 60; :' || exit 1`,
    ok: false,
  },
  { name: 'is silent and hangs itself', line: 'trap "" INT TERM; exec sleep 60', ok: false, says: /nothing printed/ },
  {
    name: 'has told its sum and stays',
    line: `printf '  ─\\n\\n  2 tests passed\\n'; trap "" INT TERM; sleep 60; sleep 60`,
    ok: true,
    remark: /^held open by a process that outlived its test/,
  },
  {
    name: 'has told a bad sum and stays',
    line: `printf '  ─\\n\\n  1 test failed\\n'; exec sleep 60`,
    ok: false,
    remark: /^held open/,
  },
];
for (const { name, line, ok, says, remark } of cases)
  test(`a program that ${name}`, (t) => {
    const result = supervised(line);
    t.is(result.ok, ok, result.output);
    t.true(result.ms < 20 * SECOND);
    t.false(result.late);
    if (says !== undefined) t.regex(result.output, says);
    if (remark === undefined) t.deepEqual(result.remarks, []);
    else t.regex(result.remarks[0]!, remark);
  });

test('a program that goes on and on is ended at the deadline', (t) => {
  const { ok, late, output } = supervised('trap "" INT TERM; while :; do echo tick; sleep 0.2; done', 2000);
  t.false(ok);
  t.true(late);
  t.regex(output, /the time for all tests is over/);
});
