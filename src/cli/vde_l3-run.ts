// Puts vde_l3 together: a link to each switch, the forwarder between them, and the console.

import { randomInt } from 'node:crypto';
import { SystemClock } from '../core/clock.ts';
import { FrameArena, FrameMemory } from '../core/frame.ts';
import { TimerWheel } from '../core/timer-wheel.ts';
import { Forwarder, L3Interface } from '../l3/index.ts';
import { VdeClient } from '../link/index.ts';
import { L3_EVENTS, l3Commands } from '../mgmt/l3-commands.ts';
import { ServedConsole } from '../mgmt/served-console.ts';
import type { Log } from './log.ts';
import type { Closable } from './run-service.ts';
import type { L3Config } from './vde_l3.ts';
import { packageVersion } from './version.ts';

const ARENA_BYTES = 512 << 10;

/** Rejects with a VdeError, and leaves nothing behind then. */
export async function startL3(config: L3Config, log: Log): Promise<Closable> {
  const memory = new FrameMemory();
  const wheel = new TimerWheel(new SystemClock());
  const arena = new FrameArena(memory, ARENA_BYTES);
  const router = new Forwarder(arena, wheel);
  const banner = [
    `VDE Layer 3 Switch (vdenet) V.${packageVersion()}`,
    'IPv4 router between VDE networks - MIT licence',
  ];
  let served: ServedConsole | null = null;
  let shutdown = (): void => {};
  const ended = new Promise<null>((done) => {
    shutdown = () => done(null);
  });
  const close = async (): Promise<void> => {
    await served?.close();
    for (const face of router.interfaces) {
      face.out.close();
      await face.link.close();
    }
  };
  try {
    for (const [i, { socket, address, mask }] of config.interfaces.entries()) {
      const link = await VdeClient.connect({ path: socket, description: 'vde_l3:', memory });
      const face = new L3Interface({ name: `vd${i}`, link, wheel, arena, seed: randomInt(2 ** 32), address, mask });
      router.add(face);
      link.onState = (up) => {
        log.info(`${face} ${up ? 'has joined its switch again' : 'has lost its switch'}`);
        served?.event(L3_EVENTS[up ? 'if/+' : 'if/-'], String(face));
        if (up) face.announce();
      };
    }
    for (const route of config.routes) router.routes.set(route);
    if (config.console !== null) {
      served = await ServedConsole.open(config.console.path, config.console.mode, {
        banner,
        prompt: 'VDE-L3',
        entries: l3Commands(router, banner),
        events: Object.values(L3_EVENTS),
        shutdown,
        report: (text) => log.limited('error', 'console', text),
      });
    }
  } catch (error) {
    await close();
    throw error;
  }
  for (const face of router.interfaces) face.announce();
  return { ended, close };
}
