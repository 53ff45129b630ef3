// Entry of bin/vdenet: the command with the real router, which is loaded when it is about to start.

import { main } from './vdenet.ts';

void main(process.argv.slice(2), async (config, log, source) => {
  const { startSlirpvde } = await import('./slirpvde-run.ts');
  return await startSlirpvde(config, log, source);
});
