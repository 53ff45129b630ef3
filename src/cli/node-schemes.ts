// The schemes of plugs that are nodes themselves, for openPlug; the switch is loaded when one is asked for.

import type { Plug, PlugOptions } from '../link/index.ts';

const SCHEMES = ['switch', 'hub', 'multi', 'bonding'] as const;

async function open(scheme: (typeof SCHEMES)[number], argument: string, options: PlugOptions): Promise<Plug> {
  const { openNode } = await import('../lab/node-plugs.ts');
  return openNode(scheme, argument, options);
}

export const NODE_SCHEMES: NonNullable<PlugOptions['schemes']> = Object.fromEntries(
  SCHEMES.map((scheme) => [scheme, (argument: string, options: PlugOptions) => open(scheme, argument, options)]),
);
