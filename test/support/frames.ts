import { readdirSync, readFileSync } from 'node:fs';
import { hex } from './hex.ts';

const directory = new URL('../../fixtures/frames/', import.meta.url);

/** A captured frame of fixtures/frames, by its name without `.hex`. */
export const frame = (name: string): Uint8Array => hex(readFileSync(new URL(`${name}.hex`, directory), 'utf8'));

/** The names of all captured frames. */
export const frameNames = (): string[] =>
  readdirSync(directory)
    .filter((file) => file.endsWith('.hex'))
    .map((file) => file.slice(0, -'.hex'.length));
