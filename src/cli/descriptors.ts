// Who may use how many of the descriptors that the process may open.
//
// A guest can make the router open sockets, so flows must leave enough for everything else at any limit: DNS queries (64
// sockets, see services/dns-sockets.ts), the process itself and what it holds open, the guests' control connections and
// data sockets (2 each), and forwards. With plenty of descriptors flows take up to 70 %; with few, what is left.

/** Flows at most, whatever the limit on open files. */
const MAX_FLOWS = 16_384;
const FLOW_SHARE = 0.7;
/** Listening sockets of forwards: an eighth of all descriptors, at most this many. */
const MAX_LISTENERS = 1024;
const LISTENER_SHARE = 1 / 8;
/** For DNS, the process itself, and a dozen guests. */
const RESERVE = 96;
/** With fewer flows than this a router is of no use: then flows fail with EMFILE instead. */
const MIN_FLOWS = 16;

/** @param limit  descriptors that the process may open */
export function descriptorShares(limit: number): { maxFlows: number; maxListeners: number } {
  const maxListeners = Math.min(MAX_LISTENERS, Math.floor(limit * LISTENER_SHARE));
  const left = Math.max(MIN_FLOWS, limit - RESERVE - maxListeners);
  return { maxFlows: Math.min(MAX_FLOWS, Math.floor(limit * FLOW_SHARE), left), maxListeners };
}
