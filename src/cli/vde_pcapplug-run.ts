// Puts vde_pcapplug together: a network interface and a switch, each the sink of the other.

import { FrameMemory } from '../core/frame.ts';
import { PLUG_MTU } from '../link/index.ts';
import { PacketLink } from '../link/packet.ts';
import { openEnd } from './cable-end.ts';
import type { Log } from './log.ts';
import type { Closable } from './run-service.ts';
import type { PcapplugConfig } from './vde_pcapplug.ts';

/** As Debian's vde_pcapplug tells the switch. */
const DESCRIPTION = 'vde_pcapplug:';

/** Starts the cable. Rejects with a VdeError and leaves nothing behind when it cannot. */
export async function startPcapplug(config: PcapplugConfig, log: Log): Promise<Closable> {
  const memory = new FrameMemory();
  const { interface: name, port, group, mode, promiscuous } = config;
  // The interface first: without the right to use it the switch is not bothered.
  const wire = new PacketLink({ interface: name, memory, mtu: PLUG_MTU, promiscuous });
  wire.onState = (up) => log.warn(up ? `${name} is back` : `${name} is down or gone; waiting for it`);
  wire.onOversize = () =>
    log.warn(`${name}: frames longer than the wire carries are dropped; ethtool -K ${name} gro off lro off helps`);
  try {
    const { link, ended } = await openEnd(
      config.sock,
      {
        memory,
        description: DESCRIPTION,
        ...(port === null ? {} : { port }),
        ...(group === null ? {} : { group }),
        ...(mode === null ? {} : { mode }),
      },
      log,
    );
    link.attach(wire.tx);
    wire.attach(link.tx);
    return {
      ended,
      close: async () => {
        wire.onState = null;
        link.onState = null;
        await wire.close();
        await link.close();
      },
    };
  } catch (error) {
    wire.onState = null;
    await wire.close();
    throw error;
  }
}
