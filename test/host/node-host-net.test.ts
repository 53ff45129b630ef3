import { createNodeHostNet } from '../../src/host/node-host-net.ts';
import { hostNetCompliance } from '../compliance/host-net.ts';

const module = new URL('../../src/host/node-host-net.ts', import.meta.url).href;

hostNetCompliance({
  name: 'node',
  create: () => createNodeHostNet({ native: false }),
  imports: `import { createNodeHostNet } from '${module}';`,
  expression: 'createNodeHostNet({ native: false })',
});
