// A TAP interface of the host as a link: what the kernel sends on the interface comes in, what is sent here the kernel
// receives there. Needs the native addon, and a right that few users have.
//
// The interface is made when it is not there, and then is gone when the link is closed; one that was made before
// (`ip tuntap add`) stays. Addresses and the state of the interface (`ip link set NAME up`) are its administrator's.
// While it is down the kernel refuses each frame (TxError), and none comes.
//
// Streams of TCP cross the interface many segments at a time, and are single frames on the other side (segments.c): the
// kernel's part of the work, most of what a frame costs, is done once for dozens of them.
//
// An interface that is removed under us does not come back: `onState(false)`, once.

import { VdeError } from '../core/errors.ts';
import type { FrameMemory } from '../core/frame.ts';
import { errnoName } from '../native/errno.ts';
import { native, SCRATCH_BYTES } from '../native/native.ts';
import { DescriptorLink } from './descriptor-link.ts';
import type { FrameCalls } from './vde-socket.ts';

export interface TapOptions {
  /** Name of the interface, 1 to 15 bytes. */
  readonly name: string;
  readonly memory: FrameMemory;
  /** Largest packet given to the kernel, bytes; default 1500. The kernel does not check it against the interface's. */
  readonly mtu?: number;
}

export class TapLink extends DescriptorLink {
  /** Opens the interface. Throws ERR_VDE_TAP or ERR_VDE_NO_NATIVE. */
  constructor(options: TapOptions) {
    super(`tap:${options.name}`, options.mtu ?? 1500, options.memory);
    this.use(openTap(options.name, true), { io: segmentCalls() });
  }
}

/** For one interface that is opened with a vnet header. */
function segmentCalls(): FrameCalls {
  const { newBatch, readSegments, writeSegments } = native();
  const scratch = newBatch(new Uint8Array(SCRATCH_BYTES), 1);
  return {
    recv: (fd, batch, base, stride, max) => readSegments(fd, batch, base, stride, max, scratch),
    send: writeSegments,
    pending: () => scratch.lens[0] !== 0,
  };
}

const HELP: Readonly<Record<string, string>> = {
  ENOENT: 'this system has no /dev/net/tun: load the module "tun", or give it to the container (--device /dev/net/tun)',
  ENODEV: 'the module "tun" is not loaded',
  EACCES: 'this user may not open /dev/net/tun, which most systems allow everybody: chmod 666 /dev/net/tun, as root',
  EPERM:
    'that needs CAP_NET_ADMIN: run as root, or in a user namespace (unshare -rn), or have root make it for this user: ' +
    'ip tuntap add NAME mode tap user USER',
  EBUSY: 'another program uses it',
  EINVAL: 'an interface of another kind has that name, or it is no name for an interface',
  ENAMETOOLONG: 'names of interfaces have at most 15 bytes',
};

/** Opens a TAP interface of this network namespace. Throws ERR_VDE_TAP or ERR_VDE_NO_NATIVE. */
export function openTap(name: string, offload = false): number {
  // The kernel would put a number in place of %d, and nobody would learn the name.
  const fd = name.includes('%') ? 'EINVAL' : native().tap(name, offload);
  if (typeof fd === 'number' && fd >= 0) return fd;
  const code = typeof fd === 'string' ? fd : errnoName(fd);
  throw tapError(name, code);
}

export function tapError(name: string, code: string): VdeError {
  const help = HELP[code]?.replace('NAME', name);
  return new VdeError(
    'ERR_VDE_TAP',
    `tap: cannot open the TAP interface "${name}": ${code}${help === undefined ? '' : `; ${help}`}`,
  );
}
