// Reproducible bytes that do not compress and do not repeat: the key stream of AES-128-CTR under a zero key. Both ends
// of a transfer can make them, so that a digest can be compared without keeping the data.
import { createCipheriv, createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const CHUNK = 64 * 1024;

function* chunks(total: number): Generator<Buffer> {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16));
  const zeros = Buffer.alloc(CHUNK);
  for (let left = total; left > 0; left -= CHUNK) yield cipher.update(left < CHUNK ? zeros.subarray(0, left) : zeros);
}

/** The first `total` bytes of the pattern. */
export const patternStream = (total: number): Readable => Readable.from(chunks(total));

/** SHA-256 of the first `total` bytes of the pattern, hexadecimal. */
export function patternDigest(total: number): string {
  const hash = createHash('sha256');
  for (const chunk of chunks(total)) hash.update(chunk);
  return hash.digest('hex');
}

/** The first `total` bytes of the pattern. */
export const pattern = (total: number): Buffer => Buffer.concat([...chunks(total)]);

/** Writes the first `total` bytes of the pattern to a file in `dir`; its path. */
export async function patternFile(dir: string, total: number): Promise<string> {
  const file = join(dir, `pattern.${total}`);
  await pipeline(patternStream(total), createWriteStream(file));
  return file;
}
