// A TAP interface made in another network namespace: what slirp4netns and pasta do for containers. The descriptor stays
// ours; the interface goes with it, or with its namespace.
//
// A process is told by its number: both its namespaces are entered. A path is that of a network namespace, as
// `ip netns` makes them in /run/netns; its user namespace is taken to be ours, or that of `userns`.

import { closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { VdeError } from '../core/errors.ts';
import { errnoName } from '../native/errno.ts';
import { native, TapStep } from '../native/native.ts';
import { tapError } from './tap.ts';

export interface NamespaceTapOptions {
  /** Process number, or path of a network namespace. */
  readonly netns: string;
  /** Path of the user namespace that owns it; default that of the process, or ours. */
  readonly userns?: string;
  readonly name: string;
  readonly mtu: number;
  /** IPv4 address, prefix length and default gateway to set; null: the interface is only brought up. */
  readonly ipv4: { readonly address: number; readonly prefixLen: number; readonly gateway: number } | null;
}

const PID = /^[1-9]\d*$/;

/** Makes the interface; its descriptor, with offloads. Throws ERR_VDE_NAMESPACE, ERR_VDE_TAP or ERR_VDE_NO_NATIVE. */
export function openTapIn(options: NamespaceTapOptions): number {
  const { netns, name, ipv4 } = options;
  const api = native();
  const process = PID.test(netns);
  const net = openNamespace(process ? `/proc/${netns}/ns/net` : netns, netns);
  let user = -1;
  try {
    const userPath = options.userns ?? (process ? `/proc/${netns}/ns/user` : null);
    if (userPath !== null) user = openNamespace(userPath, netns);
    if (user >= 0 && fstatSync(user).ino === statSync('/proc/self/ns/user').ino) {
      closeSync(user);
      user = -1;
    }
    const { address = 0, prefixLen = 0, gateway = 0 } = ipv4 ?? {};
    const fd = api.tapIn(user, net, name, true, options.mtu, address >>> 0, prefixLen, gateway >>> 0);
    if (fd >= 0) return fd;
    throw stepError(options, -fd >> 16, errnoName(-(-fd & 0xffff)));
  } finally {
    closeSync(net);
    if (user >= 0) closeSync(user);
  }
}

function openNamespace(path: string, netns: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const help =
      code === 'ENOENT'
        ? PID.test(netns)
          ? `there is no process ${netns}`
          : 'there is no such file; expected a process number, or a path such as /run/netns/NAME'
        : 'this user may not look at it';
    throw new VdeError('ERR_VDE_NAMESPACE', `cannot open the namespace ${path}: ${code}; ${help}`);
  }
}

function stepError({ netns, name, mtu }: NamespaceTapOptions, step: number, code: string): VdeError {
  if (step === TapStep.Tap) return tapError(name, code);
  const what: Readonly<Record<number, string>> = {
    [TapStep.Fork]: 'cannot start a process that enters the namespace',
    [TapStep.User]: `cannot enter the user namespace of ${netns}`,
    [TapStep.Net]: `cannot enter the network namespace ${netns}`,
    [TapStep.Link]: `cannot bring ${name} up with an MTU of ${mtu}`,
    [TapStep.Address]: `cannot set the address of ${name}`,
    [TapStep.Route]: `cannot set the default route by ${name}`,
  };
  const help =
    code === 'EPERM'
      ? '; it has to be a namespace of this user, or this to be root'
      : code === 'EINVAL'
        ? '; is it one?'
        : '';
  return new VdeError('ERR_VDE_NAMESPACE', `${what[step] ?? 'cannot make the interface'}: ${code}${help}`);
}
