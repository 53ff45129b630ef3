// The door of the ip room: one host's IP layer.
export { DEFAULT_TTL, HEADROOM, IpLayer, type IpLayerOptions } from './ip-layer.ts';
export { type Neighbor, NeighborState } from './neighbor.ts';
export { IpPath } from './path.ts';
