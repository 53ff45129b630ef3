// What a switch tells of itself: ports and endpoints that come and go, stations, spanning tree changes, alarms.

import type { Endpoint, Port } from './port.ts';

export type SwitchEvent =
  /** A port has got its first endpoint, or lost its last one. */
  | { readonly type: 'port+' | 'port-'; readonly port: Port }
  | { readonly type: 'endpoint+' | 'endpoint-'; readonly port: Port; readonly endpoint: Endpoint }
  /** A station was learned, or forgotten for whatever reason. `mac*` as in FdbEntry. */
  | {
      readonly type: 'station+' | 'station-';
      readonly vlan: number;
      readonly macHi: number;
      readonly macLo: number;
      readonly port: number;
    }
  /** A station is heard on another port than before. */
  | {
      readonly type: 'station-moved';
      readonly vlan: number;
      readonly macHi: number;
      readonly macLo: number;
      readonly from: number;
      readonly port: number;
    }
  /** A port begins, or ceases, to take part in the spanning tree of a VLAN. */
  | { readonly type: 'tree+' | 'tree-'; readonly vlan: number; readonly port: number }
  /** The spanning tree of a VLAN has another root or root port (0: this switch is the root). `root` as 8 bytes. */
  | { readonly type: 'tree-root'; readonly vlan: number; readonly port: number; readonly root: Uint8Array }
  /** The spanning tree has changed what a port does. */
  | {
      readonly type: 'tree-state';
      readonly vlan: number;
      readonly port: number;
      readonly state: 'discarding' | 'learning' | 'learning+forwarding';
    }
  /** The BPDU guard has closed a port. */
  | { readonly type: 'port-disabled'; readonly port: Port };

/** Hears of events, inside the call that caused them: it must not change the switch. */
export type SwitchObserver = (event: SwitchEvent) => void;
