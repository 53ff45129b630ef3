// Router advertisements on the router's link: what solicitations there are, and how advertisements leave.

import type { AddressWords } from '../core/ipv6-network.ts';
import { makeAdvert, type RaOffer, type RaSettings, RouterAdvertiser } from '../services/index.ts';
import type { Nat64Prefix } from '../wire/nat64.ts';
import type { RouterContext } from './context.ts';

/** ff02::1 */
const ALL_NODES: AddressWords = [0xff020000 | 0, 0, 0, 1];

export interface RaOptions {
  readonly settings: RaSettings;
  readonly dns: readonly AddressWords[];
  /** Search list, as it is at the time. */
  readonly search: () => readonly string[];
  /** Prefix of a translator that guests are told of, or null. */
  readonly pref64: Nat64Prefix | null;
  /** Whether this host has a way out for IPv6; null: that does not matter. */
  readonly available: (() => boolean) | null;
}

/** Makes the advertiser of a router with IPv6. */
export function makeAdvertiser(context: RouterContext, options: RaOptions): RouterAdvertiser {
  const { ip, wheel, drops, random } = context;
  const nd = ip.nd!;
  const advertiser = new RouterAdvertiser({
    wheel,
    drops,
    random,
    ...offer(context, options),
    send: (to, message) => {
      const [d0, d1, d2, d3] = to ?? ALL_NODES;
      nd.send(d0, d1, d2, d3, message);
      ip.flushSoon();
    },
  });
  nd.onSolicitation = (p) => advertiser.solicited([p.src0, p.src1, p.src2, p.src3]);
  return advertiser;
}

/** Has the advertiser of a router say something else from now on. */
export function changeAdvertiser(advertiser: RouterAdvertiser, context: RouterContext, options: RaOptions): void {
  advertiser.change(offer(context, options));
}

function offer({ ip }: RouterContext, { settings, dns, search, pref64, available }: RaOptions): RaOffer {
  const translator = pref64 === null ? null : { prefix: pref64.words, prefixLen: pref64.prefixLen };
  const mac = { hi: ip.macHi, lo: ip.macLo >>> 0 };
  const advert = () => makeAdvert(settings, { mac, mtu: ip.mtu, dns, search: search(), pref64: translator });
  return { settings, advert, available };
}
