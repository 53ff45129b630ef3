// Modules of Node that the bundles load when a function of them is called first, for esbuild: a start that needs none of
// their functions does not pay for them. `import { spawn } from 'node:child_process'` gives a function that loads the
// module and calls its `spawn`; what a module exports beside functions cannot be imported by bundled code.

import { createRequire } from 'node:module';

/** Modules that many starts do without, and that take more than half a millisecond to load. */
const LATE = ['child_process', 'crypto', 'dgram', 'dns/promises', 'fs/promises', 'readline'];

const require = createRequire(import.meta.url);
const NAMESPACE = 'late';

export const lateBuiltins = {
  name: 'late-builtins',
  setup(build) {
    build.onResolve({ filter: new RegExp(`^node:(${LATE.join('|')})$`) }, ({ path, namespace }) =>
      namespace === NAMESPACE ? { path, external: true } : { path, namespace: NAMESPACE, sideEffects: false },
    );
    build.onLoad({ filter: /./, namespace: NAMESPACE }, ({ path }) => ({ contents: standIn(path) }));
  },
};

/** The module that stands in for one of Node's. */
function standIn(path) {
  const functions = Object.entries(require(path)).filter(([, value]) => typeof value === 'function');
  return functions
    .map(([name]) => `export const ${name} = (...words) => require('${path}').${name}(...words);`)
    .join('\n');
}
