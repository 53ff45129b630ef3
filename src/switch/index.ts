// The door of the room: the switch, its ports and what plugs into them.

export { type Membership, type PortRequest, portAllocator } from './attach.ts';
export type { SwitchEvent, SwitchObserver } from './events.ts';
export type { FdbEntry } from './fdb.ts';
export type { FstpPortView, FstpRole, FstpView } from './fstp.ts';
export type { Binding, BindingSource } from './guard/bindings.ts';
export { GUARD_KINDS, type GuardKind, type GuardMode } from './guard/guard.ts';
export type { Direction, FrameHook, MirrorSession } from './mirror.ts';
export type { Endpoint, Port, PortCounters } from './port.ts';
export { MAX_PORTS, type PlugRefusal } from './port-admin.ts';
export { type QueueView, queueViews } from './queues.ts';
export type { RstpPortView, RstpView } from './rstp.ts';
export type { RstpRole } from './rstp-port.ts';
export type { BridgeId, TreeMode } from './spanning-tree.ts';
export type { StationInfo, StationOptions } from './stations.ts';
export { STORM_BURST, STORM_KINDS, STORM_RATE, type StormKind, type StormLimit } from './storm.ts';
export { type PlugOptions, Switch, type SwitchOptions } from './switch.ts';
export { MAX_VLAN, NO_VLAN, type Refusal, type VlanPortView, type VlanView } from './vlan-table.ts';
