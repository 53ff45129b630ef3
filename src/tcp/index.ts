// The one door of the TCP room.

export { TcpConnection } from './connection.ts';
export { TcpEngine, type TcpEngineOptions } from './engine.ts';
export {
  DEFAULT_LIMITS,
  type IcmpVerdict,
  type SegmentPath,
  stateName,
  type TcpEnd,
  type TcpLimits,
  type TcpSnapshot,
  TcpState,
  type TcpUser,
} from './types.ts';
