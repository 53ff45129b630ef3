// Entry of bin/slirpvde6: slirpvde with slirpvde6's defaults.

import { main } from './slirpvde.ts';
import { SLIRPVDE6 } from './slirpvde6-options.ts';

void main(
  process.argv.slice(2),
  async (config, log, source) => {
    const { startSlirpvde } = await import('./slirpvde-run.ts');
    return await startSlirpvde(config, log, source);
  },
  { spec: SLIRPVDE6 },
);
