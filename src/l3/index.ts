// The door of the room: the router between VDE networks.

export { Forwarder } from './forwarder.ts';
export { L3Interface, type L3InterfaceOptions } from './interface.ts';
export { MAX_ROUTES, type Route, RouteTable } from './routes.ts';
export { MAX_QUEUE_BYTES, type Policy, Shaper } from './shaper.ts';
