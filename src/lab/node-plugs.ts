// Plugs that are nodes of a network themselves: switch://, hub://, multi:// and bonding:// of the plug library. Each makes
// a control directory that other plugs join, in this process; the program that opened it is one more station.
//
//   switch://PATH    the switch of this project, tagged frames pass as they are: a trunk of all VLANs
//   hub://PATH       and so on: peer-group.ts
//   PATH[mode=0600/dirmode=2700/grp=GROUP]; for switch also hashsize=N and expiretime=SECONDS
//
// Without a path the directory is /tmp/vdenode_USER. A directory whose server is gone is taken over, one whose server
// lives is refused; the directory goes with the plug. Port numbers that clients ask for mean nothing here.

import { SystemClock } from '../core/clock.ts';
import { VdeError } from '../core/errors.ts';
import type { FrameMemory, Link } from '../core/frame.ts';
import { TimerWheel } from '../core/timer-wheel.ts';
import {
  groupId,
  memoryPair,
  PLUG_MTU,
  type Plug,
  type PlugOptions,
  splitOptions,
  userName,
  type VdeEndpoint,
  VdeServer,
} from '../link/index.ts';
import { MAX_PORTS, Switch } from '../switch/index.ts';
import { PeerGroup, type Spread } from './peer-group.ts';

/** The original's values. */
const HASH_SIZE = 256;
const EXPIRE_SEC = 120;
/** Port of the program that opened the plug. */
const OWN_PORT = 1;

interface NodeSettings {
  readonly path: string;
  readonly mode?: number;
  readonly dirMode?: number;
  readonly gid?: number;
  readonly hashSize: number;
  readonly ageSec: number;
}

type Scheme = Spread | 'switch';

/**
 * Reads what stands behind `scheme://`.
 *
 * @throws VdeError  ERR_VDE_BAD_ADDRESS
 */
export function parseNode(scheme: Scheme, argument: string): NodeSettings {
  const [, path = '', text = ''] = /^([^[]*)(?:\[(.*)\])?$/s.exec(argument) ?? [];
  const bad = (option: string): never => {
    const more = scheme === 'switch' ? ', hashsize=N, expiretime=SECONDS' : '';
    throw new VdeError(
      'ERR_VDE_BAD_ADDRESS',
      `vde: "${option}" in ${scheme}://${argument}: expected mode=OCTAL, dirmode=OCTAL, grp=GROUP${more}`,
    );
  };
  if (path === '' && argument !== '' && !argument.startsWith('[')) bad(argument);
  const settings: { -readonly [K in keyof NodeSettings]: NodeSettings[K] } = {
    path: path === '' ? `/tmp/vdenode_${userName()}` : path,
    hashSize: HASH_SIZE,
    ageSec: EXPIRE_SEC,
  };
  for (const option of splitOptions(text)) {
    if (option === '') continue;
    const [key = '', value = ''] = option.split(/=(.*)/s);
    const octal = /^[0-7]{1,4}$/.test(value) ? Number.parseInt(value, 8) : -1;
    const whole = /^[1-9]\d{0,6}$/.test(value) ? Number(value) : -1;
    if (key === 'mode' && octal >= 0) settings.mode = octal & 0o666;
    else if (key === 'dirmode' && octal >= 0) settings.dirMode = octal;
    else if (key === 'grp' && value !== '') settings.gid = groupId(value);
    else if (scheme === 'switch' && key === 'hashsize' && whole > 0) settings.hashSize = whole;
    else if (scheme === 'switch' && key === 'expiretime' && whole > 0) settings.ageSec = whole;
    else if (scheme !== 'switch' || key !== 'hashseed') bad(option); // ours is drawn anew each time
  }
  return settings;
}

/** A link into the node, and how peers of its server are taken in: null, or why not. */
interface Node {
  readonly link: Link;
  readonly join: (peer: VdeEndpoint) => number | string;
}

/**
 * Opens `scheme://argument`. Rejects with ERR_VDE_BAD_ADDRESS or as VdeServer.listen does.
 */
export async function openNode(scheme: Scheme, argument: string, options: PlugOptions): Promise<Plug> {
  const settings = parseNode(scheme, argument);
  const { path, mode, dirMode, gid } = settings;
  const { memory, mtu = PLUG_MTU } = options;
  const node = scheme === 'switch' ? switchNode(settings, memory, mtu) : groupNode(scheme, path, mtu);
  const server = await VdeServer.listen({
    path,
    memory,
    mtu,
    allocate: node.join,
    ...(mode === undefined ? {} : { mode }),
    ...(dirMode === undefined ? {} : { dirMode }),
    ...(gid === undefined ? {} : { gid }),
  });
  const { link } = node;
  const close = link.close.bind(link);
  link.close = async () => {
    await server.close();
    await close();
  };
  return { link, ended: new Promise(() => {}) };
}

function switchNode({ path, hashSize, ageSec }: NodeSettings, memory: FrameMemory, mtu: number): Node {
  const wheel = new TimerWheel(new SystemClock());
  const sw = new Switch({ wheel, memory, numPorts: MAX_PORTS, fdb: { hashSize, ageSec } });
  sw.admin.setTransparent(-1, true);
  const [link, far] = memoryPair(`switch:${path}`, { delivery: 'direct', mtu });
  sw.plug(far, { port: OWN_PORT });
  return {
    link,
    join: (peer) => {
      const endpoint = sw.plug(peer, { description: peer.description });
      if (typeof endpoint === 'string') return endpoint;
      peer.onState = (up) => {
        if (!up) sw.unplug(endpoint);
      };
      return endpoint.port.number;
    },
  };
}

function groupNode(spread: Spread, path: string, mtu: number): Node {
  const link = new PeerGroup(`${spread}:${path}`, spread, mtu);
  let count = 0;
  return {
    link,
    join: (peer) => {
      link.add(peer);
      return (count = (count % 999) + 1); // only names the peer's socket
    },
  };
}
