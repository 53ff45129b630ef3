// What waits for the peers of a switch's ports, for consoles.

import { dropSnapshot } from '../core/drop.ts';
import type { Port } from './port.ts';

/** The transmit queue of one endpoint. */
export interface QueueView {
  readonly port: number;
  /** vde_switch's number of the endpoint; -1 for a link within the process. */
  readonly endpointId: number;
  readonly description: string;
  /** Frames that wait for the peer to make room; 0 where the link has no queue. */
  readonly backlogged: number;
  /** Frames sent since the link was made. */
  readonly txFrames: number;
  /** Frames the link dropped, by the label of the reason. */
  readonly drops: Readonly<Record<string, number>>;
}

/** The queues of some ports, in their order. */
export const queueViews = (ports: readonly Port[]): QueueView[] =>
  ports.flatMap((port) =>
    port.endpoints.map(({ link, description }) => ({
      port: port.number,
      endpointId: link.endpointId ?? -1,
      description,
      backlogged: link.backlogged ?? 0,
      txFrames: link.stats.txFrames,
      drops: dropSnapshot(link.drops),
    })),
  );
