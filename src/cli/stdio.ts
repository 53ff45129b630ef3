// Standard output and error.

/** A reader of our output that has gone away must not end the process (`slirpvde --help | head -1`). */
export function guardStdio(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
}

/** Control characters (from words of the user, or names that guests or files chose) as \xNN: terminals stay sane. */
export const printable = (text: string): string =>
  text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
