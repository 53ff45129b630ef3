import test, { type ExecutionContext } from 'ava';

/** A test made of the harness's own expectations: it passes when none of them throws. */
export function segmentTest(name: string, run: (t: ExecutionContext) => void): void {
  test(name, (t) => {
    run(t);
    t.pass();
  });
}
