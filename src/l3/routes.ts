// The routing table of vde_l3: longest prefix first. Connected networks come from the interfaces, so they are always there
// and always right; this table holds the static routes.

import { VdeError } from '../core/errors.ts';

export const MAX_ROUTES = 1024;

export interface Route {
  /** All unsigned. */
  readonly network: number;
  readonly mask: number;
  readonly gateway: number;
}

export class RouteTable {
  /** Longest mask first; arrays of numbers, so that a look-up allocates nothing. */
  private networks = new Int32Array(0);
  private masks = new Int32Array(0);
  private gateways = new Int32Array(0);
  private routes: Route[] = [];

  list(): readonly Route[] {
    return this.routes;
  }

  /** Adds a route, or gives a new gateway to the one for the same network. Throws ERR_VDE_BAD_OPTION when full. */
  set(route: Route): void {
    const others = this.routes.filter(({ network, mask }) => network !== route.network || mask !== route.mask);
    if (others.length >= MAX_ROUTES)
      throw new VdeError('ERR_VDE_BAD_OPTION', `no more than ${MAX_ROUTES} static routes`);
    this.replace([...others, route]);
  }

  /** False when there is no such route. */
  remove(network: number, mask: number): boolean {
    const others = this.routes.filter((route) => route.network !== network || route.mask !== mask);
    if (others.length === this.routes.length) return false;
    this.replace(others);
    return true;
  }

  /** Index of the best route to an address, -1 when there is none. */
  find(address: number): number {
    const { networks, masks } = this;
    for (let i = 0; i < networks.length; i++) if ((address & masks[i]!) === networks[i]!) return i;
    return -1;
  }

  /** Gateway of a route that `find` gave, unsigned. */
  gateway(index: number): number {
    return this.gateways[index]! >>> 0;
  }

  private replace(routes: Route[]): void {
    this.routes = routes.sort((a, b) => b.mask - a.mask || a.network - b.network);
    this.networks = Int32Array.from(routes, ({ network }) => network | 0);
    this.masks = Int32Array.from(routes, ({ mask }) => mask | 0);
    this.gateways = Int32Array.from(routes, ({ gateway }) => gateway | 0);
  }
}
