// Every test file runs in a process of its own, straight from TypeScript. Interop tests need programs and
// namespaces; they are run by `npm run test:interop` with VDENET_TESTS=interop, never with the unit tests.
const interop = process.env['VDENET_TESTS'] === 'interop';

export default {
  files: interop ? ['test/interop/**/*.test.ts'] : ['test/**/*.test.ts', '!test/interop/**'],
  extensions: { ts: 'module' },
  nodeArguments: ['--import=tsx'],
  workerThreads: false,
  timeout: interop ? '5m' : '1m',
  concurrency: interop ? 1 : 2,
};
