// Which VLAN a frame belongs to, and what becomes of its tag on the way out.

import { Drop } from '../core/drop.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as vlanTag from '../wire/vlan.ts';
import type { Port } from './port.ts';
import type { Member, VlanTable } from './vlan-table.ts';

/** Tags beside TCIs (0 to 65,535): none; one that is none of the switch's business; one that is refused. */
export const UNTAGGED = -1;
export const OPAQUE = -2;
export const REFUSED = -3;

/** What becomes of a frame's tag on the way out. `Hidden`: it may not leave by this port. */
export const Form = { AsIs: 0, Insert: 1, Replace: 2, Strip: 3, Hidden: 4 } as const;
export type Form = (typeof Form)[keyof typeof Form];

/** The tag that says which VLAN an incoming frame belongs to: its TCI, UNTAGGED, OPAQUE, or REFUSED, counted. */
export function tagOf(vlans: VlanTable, port: Port, b: Uint8Array, off: number, len: number): number {
  if (!vlanTag.isTagged(b, off)) return UNTAGGED;
  if (vlanTag.check(b, off, off + len) !== Drop.None) {
    port.drops[Drop.VlanTagTruncated]!++;
    return REFUSED;
  }
  const tci = vlanTag.tci(b, off);
  const id = tci & vlanTag.ID_MASK;
  const vlan = vlans.get(id);
  const isMember = vlan !== null && vlan.member(port) !== null;
  if (!isMember && id !== 0) {
    if (port.transparent) return OPAQUE;
    port.drops[Drop.VlanNotMember]!++;
    return REFUSED;
  }
  if (vlanTag.innerType(b, off) === ethernet.TYPE_VLAN && !port.transparent) {
    port.drops[Drop.VlanDoubleTag]!++;
    return REFUSED;
  }
  return tci;
}

/** The membership that a frame with this tag comes in by; null, counted, when there is none. */
export function memberOf(vlans: VlanTable, port: Port, tag: number): Member | null {
  // A tag with VLAN id 0 is a priority and no VLAN, unless the port is a member of VLAN 0.
  const tagged = tag >= 0 ? (vlans.get(tag & vlanTag.ID_MASK)?.member(port) ?? null) : null;
  const member = tagged ?? port.native;
  if (member === null) port.drops[Drop.VlanNoNative]!++;
  return member;
}

/** The form in which a frame that came with `tag` leaves by a member. */
export function formFor(to: Member, tag: number): Form {
  if (to.tagged) {
    if (tag < 0) return Form.Insert;
    return (tag & vlanTag.ID_MASK) === to.vlan.id ? Form.AsIs : Form.Replace;
  }
  if (tag >= 0) return Form.Strip;
  return tag === OPAQUE && to.port.trunked > 0 ? Form.Hidden : Form.AsIs;
}
