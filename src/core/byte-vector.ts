// Memory in several pieces, as one call reads into it or writes from it.

/** Most pieces of one vector. */
export const MAX_PIECES = 32;

/** `len` bytes from offset `off` of the first of `count` pieces on, then from the start of each. Used again and again. */
export class ByteVector {
  readonly pieces: Uint8Array[] = [];
  count = 0;
  off = 0;
  len = 0;

  /** Becomes `len` bytes at `off` of one piece. */
  set(piece: Uint8Array, off: number, len: number): void {
    this.pieces[0] = piece;
    this.count = 1;
    this.off = off;
    this.len = len;
  }
}
