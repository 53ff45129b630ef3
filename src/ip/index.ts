// The door of the ip room: one host's IP layer.
export { Reason } from './icmp-errors.ts';
export { DEFAULT_TTL, IpLayer, type IpLayerOptions } from './ip-layer.ts';
export {
  type Ipv6Address,
  type Ipv6Link,
  isLinkLocal,
  isMapped,
  isMulticast,
  LinkAddresses,
  maskWord,
} from './link-addresses.ts';
export { type Neighbor, NeighborState, type Station } from './neighbor.ts';
export { IpPath } from './path.ts';
