// The door of the room: links, and what makes them.

export { groupId, groupIdOf, isMember, nameOfGroup, nameOfUser, userIdOf, userName } from './accounts.ts';
export { joinLinks, type Paced } from './cable.ts';
export { CapturedLink, CaptureFile, type CaptureOptions } from './capture.ts';
export { CommandPlug } from './command-plug.ts';
export { FrameRing, plainSlots } from './frame-ring.ts';
export type { FrameStream, StreamEnd } from './frame-stream.ts';
export { lockFile, unlockFile } from './listen-file.ts';
export { LocalSocket, type LocalSocketOptions } from './local-socket.ts';
export { defaultControlDirectory, splitOptions } from './locate.ts';
export { type MemoryLink, type MemoryPairOptions, memoryPair } from './memory.ts';
export { type NamespaceTapOptions, openTapIn } from './namespace-tap.ts';
export { OffloadTap } from './offload-tap.ts';
export { type PlugStream, plugStream } from './plug-stream.ts';
export { QemuDgramLink } from './qemu-dgram.ts';
export { MAX_STREAM_MTU, QemuStreamDialer, QemuStreamServer } from './qemu-stream.ts';
export { MIN_SEGMENT_MTU, SegmentLink } from './segment-link.ts';
export { openTap, TapLink, type TapOptions } from './tap.ts';
export { SYSTEM_TIMERS, type Timers } from './timers.ts';
export { openPlug, PLUG_MTU, PLUG_SCHEMES, type Plug, type PlugOptions } from './url.ts';
export { VdeClient, type VdeClientOptions } from './vde-client.ts';
export { VdeEndpoint, VdeServer, type VdeServerOptions } from './vde-server.ts';
