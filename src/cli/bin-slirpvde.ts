// Entry of bin/slirpvde: the command with the real service, which is loaded when it is about to start.

import { main } from './slirpvde.ts';

void main(process.argv.slice(2), async (config, log, source) => {
  const { startSlirpvde } = await import('./slirpvde-run.ts');
  return await startSlirpvde(config, log, source);
});
