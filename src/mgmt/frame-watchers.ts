// Everybody who wants to see the frames of a switch: the switch itself shows them to one only, and only while there is one.

import type { FrameHook, Switch } from '../switch/index.ts';

export class FrameWatchers {
  private readonly sw: Switch;
  private readonly hooks: FrameHook[] = [];

  constructor(sw: Switch) {
    this.sw = sw;
  }

  /** Shows all frames to `hook` from now on; safe to call twice. */
  add(hook: FrameHook): void {
    if (this.hooks.includes(hook)) return;
    this.hooks.push(hook);
    this.set();
  }

  /** Ends that; safe to call twice. */
  remove(hook: FrameHook): void {
    const at = this.hooks.indexOf(hook);
    if (at < 0) return;
    this.hooks.splice(at, 1);
    this.set();
  }

  private set(): void {
    const { hooks } = this;
    const seen: FrameHook = (incoming, port, b, off, len) => {
      for (let i = 0; i < hooks.length; i++) hooks[i]!(incoming, port, b, off, len);
    };
    this.sw.mirror.setHook(hooks.length === 0 ? null : hooks.length === 1 ? hooks[0]! : seen);
  }
}
