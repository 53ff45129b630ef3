// What the parts of the router share.

import type { DropCounters } from '../core/drop.ts';
import type { TimerWheel } from '../core/timer-wheel.ts';
import type { HostNet } from '../host/host-net.ts';
import type { IpLayer } from '../ip/index.ts';
import type { TcpEngine } from '../tcp/index.ts';
import type { FlowBudget } from './flow-budget.ts';
import type { EgressPolicy } from './policy.ts';
import type { Translation } from './translation.ts';

export interface RouterContext {
  readonly ip: IpLayer;
  readonly tcp: TcpEngine;
  readonly host: HostNet;
  readonly policy: EgressPolicy;
  /** Which IPv6 addresses of guests stand for IPv4 ones. */
  readonly translation: Translation;
  /** Host descriptors of all flows. */
  readonly budget: FlowBudget;
  readonly wheel: TimerWheel;
  readonly drops: DropCounters;
  /** A uniform unpredictable number, 0 to 2^32 - 1. */
  readonly random: () => number;
  /** A line for the log; rate-limited by `key`. */
  readonly log: (key: string, line: string) => void;
}
