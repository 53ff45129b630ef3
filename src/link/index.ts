// The door of the room: links, and what makes them.

export { groupId, nameOfUser } from './accounts.ts';
export { CapturedLink, CaptureFile, type CaptureOptions } from './capture.ts';
export type { FrameStream, StreamEnd } from './frame-stream.ts';
export { lockFile, unlockFile } from './listen-file.ts';
export { LocalSocket, type LocalSocketOptions } from './local-socket.ts';
export { defaultControlDirectory } from './locate.ts';
export { type MemoryLink, type MemoryPairOptions, memoryPair } from './memory.ts';
export { plugStream } from './plug-stream.ts';
export { QemuDgramLink } from './qemu-dgram.ts';
export { MAX_STREAM_MTU, QemuStreamDialer, QemuStreamServer } from './qemu-stream.ts';
export { VdeClient, type VdeClientOptions } from './vde-client.ts';
export { VdeEndpoint, VdeServer, type VdeServerOptions } from './vde-server.ts';
