// The guard: what ports that are not trusted may say. Modes and bindings.

import type { TimerWheel } from '../../core/timer-wheel.ts';
import type { Port } from '../port.ts';
import type { Member } from '../vlan-table.ts';

/** What is guarded. `bpdu`: bridges; `arp`: ARP; `dhcp`: servers; `ra`: routers; `source`: IP sources. */
export type GuardKind = 'bpdu' | 'arp' | 'dhcp' | 'ra' | 'source';
export const GUARD_KINDS: readonly GuardKind[] = ['bpdu', 'arp', 'dhcp', 'ra', 'source'];
/** `warn` counts and forwards, `enforce` counts and drops. */
export type GuardMode = 'off' | 'warn' | 'enforce';

export class Guard {
  /** A BPDU where none is expected closes the port (`enforce` of bpdu only). */
  closesPorts = false;
  private readonly modes: Record<GuardKind, GuardMode> = {
    bpdu: 'off',
    arp: 'off',
    dhcp: 'off',
    ra: 'off',
    source: 'off',
  };
  /** Called when what is guarded has changed. */
  private readonly changed: () => void;

  constructor(_wheel: TimerWheel, changed: () => void) {
    this.changed = changed;
  }

  mode(kind: GuardKind): GuardMode {
    return this.modes[kind];
  }

  setMode(kind: GuardKind, mode: GuardMode): void {
    this.modes[kind] = mode;
    this.changed();
  }

  screens(port: Port): boolean {
    return !port.trusted && GUARD_KINDS.some((kind) => this.modes[kind] !== 'off');
  }

  admitBpdu(_port: Port): boolean {
    return true;
  }

  admit(_from: Member, _b: Uint8Array, _off: number, _payload: number, _end: number): boolean {
    return true;
  }

  portDown(_port: Port): void {}

  vlanRemoved(_vlan: number): void {}
}
