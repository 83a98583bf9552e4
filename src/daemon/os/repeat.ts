/** Again and again, by a clock that a test can hold. */
import type { Clock } from "../core/ports/runtime.ts";

/** Calls back every `ms` milliseconds until it is disposed of. */
export function repeat(clock: Clock, ms: number, callback: () => void): Disposable {
  let cancel: () => void;
  const arm = (): void => {
    cancel = clock.timer(ms, () => {
      callback();
      arm();
    });
  };
  arm();
  return { [Symbol.dispose]: () => cancel() };
}
