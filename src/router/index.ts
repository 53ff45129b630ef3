// The door of the router room.
export type { ForwardRule } from './forwards.ts';
export { Router, type RouterOptions } from './router.ts';
export type { UdpFilter } from './udp-peers.ts';
export type { UdpTimeoutProfile } from './udp-timeouts.ts';
export type { UnixForward, UnixService } from './unix-forwards.ts';
