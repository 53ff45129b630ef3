// What would abort a process is tried in a process of its own: its exit code and signal are what counts.

import test from 'ava';
import { child } from './support.ts';

const cases = [
  { scenario: 'exit-with-watches', code: 7, stdout: '' },
  { scenario: 'end-with-paused-watch', code: 0, stdout: '' },
  { scenario: 'end-with-unreferenced-watch', code: 0, stdout: '' },
  { scenario: 'watch-keeps-alive', code: 0, stdout: 'woken\n' },
  { scenario: 'worker-ends', code: 0, stdout: 'worker 5\n' },
  { scenario: 'worker-exits-in-callback', code: 0, stdout: 'worker 5\n' },
  { scenario: 'worker-closes-and-exits', code: 0, stdout: 'worker 5\n' },
  { scenario: 'worker-terminated', code: 0, stdout: 'worker 1\n' },
  { scenario: 'worker-terminated-in-callback', code: 0, stdout: 'worker 1\n' },
  { scenario: 'worker-throws', code: 0, stdout: 'error thrown in a worker\nworker 1\n' },
  { scenario: 'worker-ends-with-tcp', code: 0, stdout: 'left 0\n' },
  { scenario: 'exit-with-worker', code: 7, stdout: '' },
  { scenario: 'workers-come-and-go', code: 0, stdout: 'done\n' },
  { scenario: 'memory-lives-with-batch', code: 0, stdout: 'false true\n' },
  { scenario: 'memory-goes-with-batch', code: 0, stdout: 'true\n2\n' },
];

for (const { scenario, code, stdout } of cases) {
  test.serial(`a process of its own: ${scenario}`, async (t) => {
    const end = await child(scenario, ['--expose-gc']);
    t.deepEqual(end, { code, signal: null, stdout, stderr: '' });
  });
}
