// Every test file runs in a process of its own, straight from TypeScript or, all unit tests together, compiled beforehand. Interop tests need programs and
// namespaces; they are run by `npm run test:interop` with VDENET_TESTS=interop, never with the unit tests.
const compiled = process.env['VDENET_COMPILED_TESTS'] !== undefined;
const interop = process.env['VDENET_TESTS'] === 'interop';

export default {
  files: interop ? ['test/interop/**/*.test.ts'] : ['test/**/*.test.ts', '!test/interop/**'],
  extensions: { ts: 'module' },
  nodeArguments: [compiled ? '--import=./test/support/compiled.mjs' : '--import=tsx'],
  workerThreads: false,
  // Without any sign of life for so long, the run ends and says what was under way. AVA looks once only: a test that asks
  // for more by t.timeout() leaves a run without an end.
  timeout: '5m',
  concurrency: interop ? 1 : 2,
};
