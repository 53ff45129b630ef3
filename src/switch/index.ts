// The door of the room: the switch, its ports and what plugs into them.

export { type PortRequest, portAllocator } from './attach.ts';
export type { FdbEntry, FdbOptions } from './fdb.ts';
export type { Endpoint, Port, PortCounters } from './port.ts';
export { type PlugOptions, type PlugRefusal, Switch, type SwitchOptions } from './switch.ts';
