// The library: what programs and tests in TypeScript build virtual networks from.
//
//   const memory = new FrameMemory();
//   const wheel = new TimerWheel(new SystemClock());
//   const sw = new Switch({ wheel });
//   const [end, far] = memoryPair('router', { delivery: 'direct' });
//   sw.plug(far);
//   const router = new Router({ link: end, memory, wheel, host: createNodeHostNet(), ... });
//
// Loading it opens nothing and needs no native addon; VdeClient and VdeServer load the addon when they are used.

export { Endpoint, formatMac, parseEndpoint, parseIpv4, parseIpv4Network, parseMac } from './core/address.ts';
export { type Clock, SystemClock } from './core/clock.ts';
export { Drop, type DropName, dropSnapshot } from './core/drop.ts';
export { VdeError, type VdeErrorCode } from './core/errors.ts';
export { FrameMemory, type FrameSink, type Link, type LinkStats } from './core/frame.ts';
export { TimerWheel } from './core/timer-wheel.ts';
export type { HostNet } from './host/host-net.ts';
export { createNodeHostNet, type NodeHostNetOptions } from './host/node-host-net.ts';
export { createRandom } from './host/random.ts';
export { ResolverConfig } from './host/resolver-config.ts';
export { CapturedLink, CaptureFile, type CaptureOptions, memoryPair, VdeClient, VdeServer } from './link/index.ts';
export { type ForwardRule, Router, type RouterOptions } from './router/index.ts';
export { type LeaseStore, MemoryLeaseStore } from './services/index.ts';
export { portAllocator, Switch, type SwitchOptions } from './switch/index.ts';
export { frameSummary } from './wire/summary.ts';
