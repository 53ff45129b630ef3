// The host's resolv.conf, followed while we run.
//
// No watcher and no timer: the file is looked at when somebody asks for the servers, at most once a second, and sooner
// after a server failed. A look is one stat, which follows symbolic links, so a link that is replaced by rename is
// noticed as well as a file that is rewritten; the text is read only when stat's answer changed.

import { readFileSync, statSync } from 'node:fs';
import type { Endpoint } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import { parseResolvConf, type ResolvConf, type UpstreamList } from '../services/resolv-conf.ts';

const CHECK_MS = 1000;
/** However many servers fail, looks are at least this far apart. */
const SUSPECT_MS = 100;
/** A resolv.conf longer than this is not one. */
const MAX_BYTES = 65_536;
/** Two writes this close together may leave the same time stamp: such a file is read again. */
const TIMESTAMP_GRAIN_MS = 50;

export interface ResolverConfigOptions {
  readonly clock: Clock;
  /** Default: /etc/resolv.conf. */
  readonly path?: string;
}

export class ResolverConfig implements UpstreamList {
  readonly path: string;
  private readonly clock: Clock;
  private current: ResolvConf = parseResolvConf('');
  private text = '';
  /** What stat said of the text in use; null when the file must be read whatever stat says. */
  private seen: string | null = null;
  private checkedAt = Number.NEGATIVE_INFINITY;
  private checkAt = Number.NEGATIVE_INFINITY;

  constructor(options: ResolverConfigOptions) {
    this.clock = options.clock;
    this.path = options.path ?? '/etc/resolv.conf';
  }

  servers(): readonly Endpoint[] {
    return this.config().servers;
  }

  /** Servers and search list; the same object until the file changes. */
  config(): ResolvConf {
    const now = this.clock.now();
    if (now >= this.checkAt) {
      this.checkedAt = now;
      this.checkAt = now + CHECK_MS;
      this.check();
    }
    return this.current;
  }

  suspect(): void {
    this.checkAt = Math.min(this.checkAt, this.checkedAt + SUSPECT_MS);
  }

  /** Has the file read at the next use, whatever its time stamp says. */
  reread(): void {
    this.seen = null;
    this.checkAt = Number.NEGATIVE_INFINITY;
  }

  private check(): void {
    let text = '';
    let stamp = 'none';
    try {
      const s = statSync(this.path);
      stamp = `${s.dev} ${s.ino} ${s.size} ${s.mtimeMs} ${s.ctimeMs}`;
      if (stamp === this.seen) return;
      if (!s.isFile() || s.size > MAX_BYTES) stamp = 'none';
      else text = readFileSync(this.path, 'utf8');
      this.seen = Date.now() - Math.max(s.mtimeMs, s.ctimeMs) < TIMESTAMP_GRAIN_MS ? null : stamp;
    } catch {
      // No file, or not ours to read: the same to a resolver as an empty one.
      text = '';
      this.seen = stamp;
    }
    if (text === this.text) return;
    this.text = text;
    this.current = parseResolvConf(text);
  }
}
