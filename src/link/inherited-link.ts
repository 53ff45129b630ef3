// seqpacket://FD: a connected message socket that this process was given by the one that started it; every message is one
// frame. With sequenced packets the end of the peer is told, with datagrams the first frame that it refuses tells.

import { fstatSync } from 'node:fs';
import { VdeError } from '../core/errors.ts';
import type { FrameMemory } from '../core/frame.ts';
import { native, SOCK_DGRAM, SOCK_SEQPACKET, SOL_SOCKET } from '../native/native.ts';
import { DescriptorLink } from './descriptor-link.ts';

const SO_TYPE = 3; // Linux

export interface InheritedOptions {
  /** Descriptor of the socket; the link's from now on. */
  readonly fd: number;
  readonly memory: FrameMemory;
  /** Largest packet sent, bytes. */
  readonly mtu: number;
}

export class InheritedLink extends DescriptorLink {
  /** Throws ERR_VDE_BAD_ADDRESS when the descriptor is not such a socket, or ERR_VDE_NO_NATIVE. */
  constructor({ fd, memory, mtu }: InheritedOptions) {
    super(`seqpacket:${fd}`, mtu, memory);
    const type = native().getsockopt(fd, SOL_SOCKET, SO_TYPE);
    if (type !== SOCK_SEQPACKET && type !== SOCK_DGRAM) {
      const what = isOpen(fd) ? 'is not a socket that keeps the borders of messages' : 'is not open in this process';
      throw new VdeError('ERR_VDE_BAD_ADDRESS', `vde: seqpacket://${fd}: descriptor ${fd} ${what}`);
    }
    this.use(fd, { eof: type === SOCK_SEQPACKET });
  }
}

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}
