// What router advertisements say and when they are sent: the variables of RFC 4861 section 6.2.1 under their own names,
// with the defaults that every stack is content with. The file of -R (ra-file.ts) and the command line both end here.

import type { PrefixInformation, RouterAdvert, Words } from '../wire/router-advert.ts';

export interface RaSettings {
  /** Advertisements are sent at all (AdvSendAdvertisements). */
  readonly advSendAdvert: boolean;
  /** Only answers to solicitations, each to its sender. */
  readonly unicastOnly: boolean;
  /** Time between two advertisements to all, seconds. */
  readonly maxRtrAdvIntervalSec: number;
  readonly minRtrAdvIntervalSec: number;
  /** Least time between two of them, whoever asks, seconds. */
  readonly minDelayBetweenRasSec: number;
  readonly advManagedFlag: boolean;
  readonly advOtherConfigFlag: boolean;
  /** 0: that of the link. */
  readonly advLinkMtu: number;
  readonly advReachableTimeMs: number;
  readonly advRetransTimerMs: number;
  readonly advCurHopLimit: number;
  readonly advDefaultLifetimeSec: number;
  readonly advSourceLlAddress: boolean;
  readonly prefixes: readonly PrefixInformation[];
  /** Name servers; null: the one of the network, for three times the interval. */
  readonly rdnss: RouterAdvert['rdnss'] | null;
  /** Search list; null: that of the network. */
  readonly dnssl: RouterAdvert['dnssl'] | null;
  /** Prefix of a translator; null: that of the network, if it has one. */
  readonly pref64: RouterAdvert['pref64'] | null;
}

export const DEFAULT_MAX_INTERVAL_SEC = 600;
export const DEFAULT_VALID_SEC = 86_400;
export const DEFAULT_PREFERRED_SEC = 14_400;
const HOP_LIMIT = 64;

export const RA_DEFAULTS: RaSettings = {
  advSendAdvert: true,
  unicastOnly: false,
  maxRtrAdvIntervalSec: DEFAULT_MAX_INTERVAL_SEC,
  minRtrAdvIntervalSec: DEFAULT_MAX_INTERVAL_SEC / 3,
  minDelayBetweenRasSec: 3,
  advManagedFlag: false,
  advOtherConfigFlag: true,
  advLinkMtu: 0,
  advReachableTimeMs: 0,
  advRetransTimerMs: 0,
  advCurHopLimit: HOP_LIMIT,
  advDefaultLifetimeSec: 3 * DEFAULT_MAX_INTERVAL_SEC,
  advSourceLlAddress: true,
  prefixes: [],
  rdnss: null,
  dnssl: null,
  pref64: null,
};

/** A prefix on the link; only those of 64 bits are for stateless addresses (RFC 4862 section 5.5.3, RFC 4291 2.5.4). */
export const prefixInformation = (prefix: Words, prefixLen: number): PrefixInformation => ({
  prefix,
  prefixLen,
  onLink: true,
  autonomous: prefixLen === 64,
  validSec: DEFAULT_VALID_SEC,
  preferredSec: DEFAULT_PREFERRED_SEC,
});

/** What the network has that the settings leave to it. */
export interface RaNetwork {
  readonly mac: { readonly hi: number; readonly lo: number };
  readonly mtu: number;
  readonly dns: readonly Words[];
  readonly search: readonly string[];
  readonly pref64: { readonly prefix: Words; readonly prefixLen: number } | null;
}

/** The advertisement that settings and network make together. */
export function makeAdvert(settings: RaSettings, network: RaNetwork): RouterAdvert {
  const lifetimeSec = 3 * settings.maxRtrAdvIntervalSec; // RFC 8106 section 5.1
  return {
    hopLimit: settings.advCurHopLimit,
    managed: settings.advManagedFlag,
    other: settings.advOtherConfigFlag,
    routerLifetimeSec: settings.advDefaultLifetimeSec,
    reachableMs: settings.advReachableTimeMs,
    retransMs: settings.advRetransTimerMs,
    sourceMac: settings.advSourceLlAddress ? network.mac : null,
    mtu: settings.advLinkMtu === 0 ? network.mtu : settings.advLinkMtu,
    prefixes: settings.prefixes,
    rdnss: settings.rdnss ?? (network.dns.length > 0 ? [{ servers: network.dns, lifetimeSec }] : []),
    dnssl: settings.dnssl ?? (network.search.length > 0 ? [{ names: network.search, lifetimeSec }] : []),
    pref64: settings.pref64 ?? (network.pref64 === null ? [] : [{ ...network.pref64, lifetimeSec }]),
  };
}

/** The same from a router that is going: nothing that leads by it is to be used any more (RFC 4861 6.2.5, RFC 8106). */
export const withdrawn = (ra: RouterAdvert): RouterAdvert => ({
  ...ra,
  routerLifetimeSec: 0,
  rdnss: ra.rdnss.map((each) => ({ ...each, lifetimeSec: 0 })),
  dnssl: ra.dnssl.map((each) => ({ ...each, lifetimeSec: 0 })),
  pref64: ra.pref64.map((each) => ({ ...each, lifetimeSec: 0 })),
});
