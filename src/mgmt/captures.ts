// The capture of one link: started and stopped while frames flow, one file at a time.

import { type CapturedLink, CaptureFile } from '../link/index.ts';

/** A capture as management shows it. */
export interface CaptureView {
  readonly path: string;
  readonly running: boolean;
  /** Frames written, and left out because the disk was too slow or the capture had ended. */
  readonly frames: number;
  readonly missed: number;
  /** Why it does not run any more, '' while it does. */
  readonly stopped: string;
}

export class Captures {
  private readonly link: CapturedLink;
  private readonly application: string;
  private file: CaptureFile | null = null;
  /** The file was ended by `stop`. */
  private ended = false;

  /** @param application  written into the files as the program that made them */
  constructor(link: CapturedLink, application: string) {
    this.link = link;
    this.application = application;
  }

  /** The capture that runs, or the last one that did; null when there was none. */
  get view(): CaptureView | null {
    const { file } = this;
    if (file === null) return null;
    const { path, frames, missed, stopped } = file;
    return { path, frames, missed, running: stopped === null, stopped: stopped ?? '' };
  }

  /** Why the latest capture ended before it was told to (disk full, size limit); null when it did not. */
  get problem(): string | null {
    return this.ended ? null : (this.file?.stopped ?? null);
  }

  /**
   * Starts a capture; false when one is running. Rejects with ERR_VDE_SYSTEM when the file cannot be written.
   *
   * @param path  absolute
   */
  async start(path: string): Promise<boolean> {
    if (this.file !== null && this.file.stopped === null) return false;
    const file = await CaptureFile.open({ path, application: this.application });
    if (this.file !== null && this.file.stopped === null) {
      await file.close(); // another one was started meanwhile
      return false;
    }
    await this.stop();
    this.file = file;
    this.ended = false;
    this.link.start(file);
    return true;
  }

  /** Ends the capture and writes what is queued; false when none was running. */
  async stop(): Promise<boolean> {
    const { file } = this;
    const running = file !== null && file.stopped === null;
    this.ended ||= running;
    this.link.stop();
    await file?.close();
    return running;
  }
}
