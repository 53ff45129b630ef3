import { createNodeHostNet } from '../../src/host/node-host-net.ts';
import { hostNetCompliance } from '../compliance/host-net.ts';

const module = new URL('../../src/host/node-host-net.ts', import.meta.url).href;

// Node's TCP sockets with the addon's datagram sockets: what slirpvde uses on Linux.
hostNetCompliance({
  name: 'native',
  create: () => createNodeHostNet(),
  imports: `import { createNodeHostNet } from '${module}';`,
  expression: 'createNodeHostNet()',
});
