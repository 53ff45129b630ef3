// slirpvde with a service that makes no network: what it does is told by FAKE_SERVICE, and its traces are files.
//
//   ok (default)   ready at once          fail    rejects with ERR_VDE_LISTEN
//   never          never ready            crash   ends by SIGKILL before it is ready
//   slow-close     close() takes for ever leaky   fails at an uncaught exception 20 ms after the start
//   bug            rejects with a TypeError
//   config         prints the configuration as JSON on standard output and ends
//
// FAKE_SOCKET names a file that stands for the sockets of the service: made at start, removed by close().

import { rmSync, writeFileSync } from 'node:fs';
import { readAgain } from '../../src/cli/config-source.ts';
import { main } from '../../src/cli/slirpvde.ts';
import { VdeError } from '../../src/core/errors.ts';

const mode = process.env['FAKE_SERVICE'] ?? 'ok';
const socket = process.env['FAKE_SOCKET'];
const limits = { readyMs: Number(process.env['FAKE_READY_MS'] ?? 20_000), shutdownMs: 500 };

await main(
  process.argv.slice(2),
  async (config, log, source) => {
    if (socket !== undefined) writeFileSync(socket, process.cwd());
    const forget = (): void => {
      if (socket !== undefined) rmSync(socket, { force: true });
    };
    switch (mode) {
      case 'config':
        process.stdout.write(JSON.stringify(config));
        process.exit();
        break;
      case 'fail':
        forget();
        throw new VdeError('ERR_VDE_LISTEN', 'cannot listen on 127.0.0.1:8022: EADDRINUSE');
      case 'bug':
        forget();
        throw new TypeError('a defect');
      case 'crash':
        process.kill(process.pid, 'SIGKILL');
        break;
      case 'never':
        return await new Promise(() => {});
      case 'leaky':
        setTimeout(() => {
          throw new Error('left alone');
        }, 20);
        break;
    }
    log.debug('the service is up');
    return {
      state: {
        socket: config.socket ?? '/tmp/vde.ctl',
        role: config.embeddedSwitch ? 'embedded' : 'joined',
        displays: [],
        pingProblem: null,
        forwards: config.forwards,
      },
      ended: new Promise(() => {}),
      reload: () =>
        readAgain(source, log, config, async ({ forwards }) =>
          forwards.length === 0 ? [] : [`forwards: ${forwards.length}`],
        ),
      close: async () => {
        if (mode === 'slow-close') await new Promise(() => {});
        forget();
      },
    };
  },
  { limits },
);
