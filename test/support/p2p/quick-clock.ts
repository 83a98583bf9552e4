/** A clock that goes faster than the system's, for what waits for real sockets and takes minutes otherwise. */
import { SystemClock } from "../../../src/daemon/os/clock.ts";

/** Makes one. @param factor - how many times as fast */
export function quickClock(factor: number): SystemClock {
  const clock = new SystemClock();
  return Object.assign(new SystemClock(), {
    monotonic: () => clock.monotonic() * factor,
    sleep: (ms: number, signal?: AbortSignal) => clock.sleep(ms / factor, signal),
    timer: (ms: number, callback: () => void) => clock.timer(ms / factor, callback),
  });
}
