// The door of the router room.

export { type Ipv6Address, type Ipv6Link, maskWord } from '../ip/index.ts';
export type { FlowFilter, FlowKind, FlowPage, FlowView } from './flow-view.ts';
export { type ForwardRule, type ForwardView, MAX_FORWARDS, MAX_RANGE } from './forwards.ts';
export { ALL_PROTOCOLS, MAX_RULES, PolicyProtocol, type PolicyRule, type PolicyRuleView } from './policy-rules.ts';
export { ConfiguredRules, type RouterChange } from './reconfigure.ts';
export { Router, type RouterOptions } from './router.ts';
export type { NeighborView, RouterStatus, Usage } from './status.ts';
export type { UdpFilter } from './udp-peers.ts';
export type { UdpTimeoutProfile } from './udp-timeouts.ts';
export type { UnixForward, UnixService } from './unix-forwards.ts';
