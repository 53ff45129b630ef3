// The door of the room: links, and what makes them.

export { groupId, nameOfUser } from './accounts.ts';
export { CapturedLink, CaptureFile, type CaptureOptions } from './capture.ts';
export { LocalSocket, type LocalSocketOptions } from './local-socket.ts';
export { defaultControlDirectory } from './locate.ts';
export { type MemoryLink, type MemoryPairOptions, memoryPair } from './memory.ts';
export { VdeClient, type VdeClientOptions } from './vde-client.ts';
export { VdeEndpoint, VdeServer, type VdeServerOptions } from './vde-server.ts';
