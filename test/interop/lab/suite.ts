// Interop tests in groups: all tests of a group share one lab, which is opened by the first of them and closed by the
// last, where it must leave nothing behind. A test that fails prints what the programs of the lab said, and where the
// pcaps are.
import test, { type ExecutionContext } from 'ava';
import { Lab, type LabOptions, type SwitchKind } from './lab.ts';
import { missing } from './needs.ts';

const NAMES: Readonly<Record<SwitchKind, string>> = {
  debian: "Debian's switch",
  own: 'our vde_switch',
  embedded: 'embedded switch',
};

/** The switches that every test of the router runs on. */
export const SWITCHES: readonly SwitchKind[] = ['debian', 'embedded'];

const LAB_NEEDS: readonly string[] = [
  ...['namespaces', 'tap'],
  ...['ip', 'nsenter', 'setpriv', 'unshare', 'mount', 'vde_plug2tap', 'udhcpc', 'tcpdump', 'ping'],
];

/** Declares a serial test, or says in its title why it is left out; with CI set, that is a failure. */
export function interopTest(
  title: string,
  needs: readonly string[],
  body: (t: ExecutionContext) => Promise<void> | void,
): void {
  const reason = missing(needs);
  if (reason === null) test.serial(title, body);
  else if (process.env['CI']) test.serial(title, (t) => t.fail(reason));
  else test.serial.skip(`${title} (left out: ${reason})`, body); // the reason is in the title
}

export class Suite {
  private readonly title: string;
  private readonly kind: SwitchKind;
  private readonly options: LabOptions;
  private readonly needs: readonly string[];
  private opened: Promise<Lab> | null = null;

  constructor(title: string, kind: SwitchKind, options: LabOptions = {}) {
    this.title = `${title} [${NAMES[kind]}]`;
    this.kind = kind;
    this.options = options;
    this.needs = kind === 'debian' ? [...LAB_NEEDS, 'vde_switch'] : LAB_NEEDS;
    test.after.always(async () => {
      await this.close();
    });
  }

  /** A test of this group; `needs` are programs beyond those of the lab itself. */
  test(title: string, needs: readonly string[], body: (t: ExecutionContext, lab: Lab) => Promise<void>): void {
    interopTest(`${this.title} ${title}`, [...this.needs, ...needs], async (t) => {
      const lab = await this.lab();
      try {
        await body(t, lab);
      } catch (error) {
        this.explain(t, lab);
        throw error;
      }
      if (!t.passed) this.explain(t, lab);
    });
  }

  /** The last test of the group: closes the lab. */
  end(): void {
    interopTest(`${this.title} leaves nothing behind`, this.needs, async (t) => {
      t.deepEqual(await this.close(), []);
    });
  }

  /** The lab; only the first test of a group tells why it could not be opened. */
  private async lab(): Promise<Lab> {
    if (this.opened === null) {
      this.opened = Lab.open(this.kind, this.options);
      return this.opened;
    }
    return this.opened.catch(() => {
      throw new Error('the lab of this group could not be opened: see its first test');
    });
  }

  private explain(t: ExecutionContext, lab: Lab): void {
    lab.keep = true;
    t.log(lab.report());
  }

  private async close(): Promise<string[]> {
    const opening = this.opened;
    this.opened = null;
    const lab = await opening?.catch(() => null);
    return (await lab?.close()) ?? [];
  }
}
