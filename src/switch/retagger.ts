// Frames with another tag than they came with, built in an arena of the shared frame memory.
//
//   insert   | dst src | 8100 TCI | type payload          12 bytes, 4 new ones, the rest
//   replace  | dst src | 8100 TCI'| type payload          a copy with another VLAN id, priority kept
//   strip    | dst src | type payload
//
// The bytes of a frame that is on loan belong to somebody else, and other ports may have queued them: so the new form is
// a copy. It stays where it is until the switch has flushed all links. When the arena is used up, or there is no shared
// memory, it is made in a scratch frame instead, which links copy at once, and is overwritten by the next one.

import { FrameArena, type FrameMemory } from '../core/frame.ts';
import { putU16 } from '../wire/bytes.ts';
import * as vlan from '../wire/vlan.ts';
import { Form } from './tags.ts';

const ARENA_BYTES = 512 << 10;
/** The longest frame with one more tag. */
const SCRATCH_BYTES = 65_600;
const MACS = 12;

export class Retagger {
  /** Where the frame made last is. */
  bytes: Uint8Array;
  off = 2;
  private readonly arena: FrameArena | null;
  private readonly scratch = new Uint8Array(SCRATCH_BYTES);

  /** @param memory  shared frame memory, null for none; 512 KiB of it are taken if it has so many left */
  constructor(memory: FrameMemory | null) {
    this.arena = arenaOf(memory);
    this.bytes = this.scratch;
  }

  /** The frame made last stays until `reset`: it lies in the arena. */
  get kept(): boolean {
    return this.bytes !== this.scratch;
  }

  /** Builds a frame with a tag put in, replaced (its priority stays) or taken off; the length of the new frame. */
  make(form: Form, b: Uint8Array, off: number, len: number, vlanId: number): number {
    const shift = form === Form.Insert ? vlan.TAG_LEN : form === Form.Strip ? -vlan.TAG_LEN : 0;
    this.copy(b, off, len, shift);
    if (form === Form.Insert) {
      putU16(this.bytes, this.off + MACS, vlan.TPID);
      putU16(this.bytes, this.off + MACS + 2, vlanId);
    } else if (form === Form.Replace) {
      putU16(this.bytes, this.off + MACS + 2, (vlan.tci(b, off) & ~vlan.ID_MASK) | vlanId);
    }
    return len + shift;
  }

  /** All links have sent what they held: the arena may be used again. */
  reset(): void {
    if (this.arena !== null) this.arena.reset();
  }

  /** Copies both addresses, and the rest of the frame `shift` bytes further on (negative: so many are left out). */
  private copy(b: Uint8Array, off: number, len: number, shift: number): void {
    const at = this.arena === null ? -1 : this.arena.alloc(len + shift);
    this.bytes = at < 0 ? this.scratch : this.arena!.bytes;
    this.off = at < 0 ? 2 : at;
    const to = this.off;
    const from = off + (shift < 0 ? MACS - shift : MACS);
    const rest = to + (shift < 0 ? MACS : MACS + shift);
    if (b === this.bytes) {
      b.copyWithin(to, off, off + MACS);
      b.copyWithin(rest, from, off + len);
    } else {
      this.bytes.set(b.subarray(off, off + MACS), to);
      this.bytes.set(b.subarray(from, off + len), rest);
    }
  }
}

function arenaOf(memory: FrameMemory | null): FrameArena | null {
  if (memory === null) return null;
  try {
    return new FrameArena(memory, ARENA_BYTES);
  } catch {
    return null; // other owners have taken all of it: copies are made twice
  }
}
