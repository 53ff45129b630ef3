// Plug addresses, as the plug library takes them: `scheme://argument`, and a path for the control directory of a switch.
//
//   (nothing)                 the default: ~/.vdeplug/default, ~/.vde2/default.switch, the usual directories
//   PATH, vde://PATH          a switch; PATH[7], PATH[port=7/group=G/mode=0770]; a regular file holds the address
//   tap://NAME                a TAP interface
//   udp://[A:]PORT->B:PORT    a wire between two UDP sockets
//   vxlan://, vxvde://        VXLAN, and the plug library's variant of it
//   ptp://PATH                a cable between two processes; PATH[packets] for the newer form
//   cmd://COMMAND             a program that speaks the plug stream
//   seqpacket://FD            an inherited socket
//   null://                   nothing
//
// Schemes that need other rooms (switch:// and its kin, lab/node-plugs.ts) are added by whoever calls.

import { VdeError } from '../core/errors.ts';
import type { FrameMemory, Link } from '../core/frame.ts';
import { CommandPlug, splitWords } from './command-plug.ts';
import { InheritedLink } from './inherited-link.ts';
import { FRAME_OVERHEAD, MAX_RX_FRAME } from './limits.ts';
import { namedAddress } from './locate.ts';
import { NullLink } from './null-link.ts';
import { PtpLink } from './ptp-link.ts';
import { TapLink } from './tap.ts';
import { openUdp, parseUdpWire } from './udp-link.ts';
import { VdeClient } from './vde-client.ts';
import { openVxlan, parseVxlanUrl, type VxlanScheme } from './vxlan.ts';

/** Largest packet that a plug carries unless told otherwise, bytes: frames as long as any VDE program sends. */
export const PLUG_MTU = MAX_RX_FRAME - FRAME_OVERHEAD;

export interface PlugOptions {
  readonly memory: FrameMemory;
  /** What a switch shows of the plug; login and pid are added. */
  readonly description: string;
  /** Largest packet sent, bytes; default PLUG_MTU. */
  readonly mtu?: number;
  /** For vde: port, group and mode when the address does not say. */
  readonly port?: number;
  readonly group?: string;
  readonly mode?: number;
  /** For vde: joins again when the switch has gone; default false, then the plug is over. */
  readonly rejoin?: boolean;
  /** For cmd: where the program's standard error goes; default to ours. */
  readonly stderr?: 'inherit' | 'ignore';
  /** Hears when a plug that comes back goes down or up. */
  readonly onState?: (up: boolean) => void;
  /** Further schemes by name. */
  readonly schemes?: Readonly<Record<string, (argument: string, options: PlugOptions) => Promise<Plug>>>;
}

/** A link that an address stood for. Its `onState` belongs to the plug. */
export interface Plug {
  readonly link: Link;
  /** Fulfilled when the plug is over for good: what went wrong in one line, or ''. Never for those that come back. */
  readonly ended: Promise<string>;
}

type Opener = (argument: string, options: PlugOptions) => Promise<Plug>;

const SCHEMES: Readonly<Record<string, Opener>> = {
  vde: openVde,
  tap: async (name, { memory, mtu = PLUG_MTU }) => ending(new TapLink({ name, memory, mtu }), `tap://${name} is gone`),
  udp: async (argument, options) =>
    comingBack(await openUdp(parseUdpWire(argument), options.memory, options.mtu ?? PLUG_MTU), options),
  vxlan: (argument, options) => openVxlanPlug('vxlan', argument, options),
  vxvde: (argument, options) => openVxlanPlug('vxvde', argument, options),
  ptp: openPtp,
  cmd: async (argument, { memory, mtu = PLUG_MTU, stderr = 'inherit' }) => {
    const argv = splitWords(argument);
    if (argv === null || argv.length === 0)
      throw new VdeError('ERR_VDE_BAD_ADDRESS', `vde: cmd://${argument}: expected a command, quotes in pairs`);
    return commandPlug(await CommandPlug.start({ argv, memory, mtu, stderr }));
  },
  seqpacket: async (argument, { memory, mtu = PLUG_MTU }) => {
    if (!/^\d{1,9}$/.test(argument))
      throw new VdeError('ERR_VDE_BAD_ADDRESS', `vde: seqpacket://${argument}: expected the number of a descriptor`);
    return ending(new InheritedLink({ fd: Number(argument), memory, mtu }), '');
  },
  null: async (_, { mtu = PLUG_MTU }) => ending(new NullLink(mtu), ''),
};

/** Names of the schemes that every caller has. */
export const PLUG_SCHEMES: readonly string[] = Object.keys(SCHEMES);

/**
 * Opens what an address stands for. Rejects with a VdeError: ERR_VDE_BAD_ADDRESS for an unknown scheme or a bad argument,
 * else those of the link.
 *
 * @param address  '' for the default switch
 */
export async function openPlug(address: string, options: PlugOptions): Promise<Plug> {
  const text = namedAddress(address, process.env['HOME'] ?? '');
  const at = text.indexOf('://');
  if (at < 0) return openVde(text, options);
  const scheme = text.slice(0, at);
  const all = { ...SCHEMES, ...options.schemes };
  if (!Object.hasOwn(all, scheme))
    throw new VdeError(
      'ERR_VDE_BAD_ADDRESS',
      `vde: ${text}: unknown scheme "${scheme}"; known are ${Object.keys(all).join(', ')}`,
    );
  return all[scheme]!(text.slice(at + 3), options);
}

/** The plug of a program that was started. */
export const commandPlug = (link: CommandPlug): Plug => ({ link, ended: link.ended });

async function openVde(path: string, options: PlugOptions): Promise<Plug> {
  const { memory, description, mtu = PLUG_MTU, port, group, mode, rejoin = false } = options;
  const link = await VdeClient.connect({
    path,
    memory,
    description,
    mtu,
    rejoin,
    ...(port === undefined ? {} : { port }),
    ...(group === undefined ? {} : { group }),
    ...(mode === undefined ? {} : { mode }),
  });
  return rejoin ? comingBack(link, options) : ending(link, '');
}

async function openVxlanPlug(scheme: VxlanScheme, argument: string, options: PlugOptions): Promise<Plug> {
  const settings = parseVxlanUrl(scheme, argument);
  return comingBack(await openVxlan({ ...settings, memory: options.memory }), options);
}

async function openPtp(argument: string, options: PlugOptions): Promise<Plug> {
  const { memory, mtu = PLUG_MTU, mode } = options;
  const [, path = '', form] = /^(.*?)(?:\[(\w*)\])?$/s.exec(argument)!;
  if (path === '' || (form !== undefined && form !== 'packets' && form !== 'datagrams'))
    throw new VdeError('ERR_VDE_BAD_ADDRESS', `vde: ptp://${argument}: expected ptp://PATH or ptp://PATH[packets]`);
  const packets = form === 'packets';
  return comingBack(
    await PtpLink.open({ path, memory, mtu, packets, ...(mode === undefined ? {} : { mode }) }),
    options,
  );
}

/** A link whose first `onState(false)` is its end. */
function ending(link: Link, problem: string): Plug {
  const ended = new Promise<string>((done) => {
    link.onState = (up) => {
      if (!up) done(problem);
    };
  });
  return { link, ended };
}

function comingBack(link: Link, options: PlugOptions): Plug {
  link.onState = (up) => options.onState?.(up);
  return { link, ended: new Promise(() => {}) };
}
