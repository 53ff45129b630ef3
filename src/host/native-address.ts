// Endpoints in the forms of the addon: cells, and bytes.

import type { Endpoint } from '../core/address.ts';
import * as n from '../native/native.ts';

/** Index of an interface by name or number, 0 for no name; negative when there is none. */
export function scopeOf(api: n.NativeApi, zone: string): number {
  if (zone === '') return 0;
  return /^\d{1,9}$/.test(zone) ? Number(zone) : api.ifIndex(zone);
}

/** Fills ADDRESS_CELLS words; false when the zone names no interface. */
export function putEndpoint(api: n.NativeApi, cells: Int32Array, e: Endpoint): boolean {
  const scope = scopeOf(api, e.zone);
  cells[n.Cell.W0] = e.w0;
  cells[n.Cell.W1] = e.w1;
  cells[n.Cell.W2] = e.w2;
  cells[n.Cell.W3] = e.w3;
  cells[n.Cell.Port] = e.port;
  cells[n.Cell.Scope] = scope;
  return scope >= 0;
}

/** Bytes of an address in network order, 4 or 16. */
export function addressBytes(e: Endpoint): Uint8Array {
  const words = e.isIpv4 ? [e.w3] : [e.w0, e.w1, e.w2, e.w3];
  return Uint8Array.from(words.flatMap((w) => [w >>> 24, (w >>> 16) & 255, (w >>> 8) & 255, w & 255]));
}
