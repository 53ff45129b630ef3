import { createNodeHostNet } from '../../src/host/node-host-net.ts';
import { hostNetCompliance } from '../compliance/host-net.ts';

const module = new URL('../../src/host/node-host-net.ts', import.meta.url).href;

// The addon's TCP and datagram sockets: what slirpvde uses on Linux.
hostNetCompliance({
  name: 'native',
  create: () => createNodeHostNet({ native: true }),
  imports: `import { createNodeHostNet } from '${module}';`,
  expression: 'createNodeHostNet({ native: true })',
});
