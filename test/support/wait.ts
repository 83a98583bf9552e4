/** Waiting for a condition that nothing announces. */
import { setTimeout as sleep } from "node:timers/promises";

/** Looks until `condition` gives a truthy value. @throws Error after `timeoutMs`, naming what was waited for */
export async function waitFor<T>(
  what: string,
  condition: () => T | false | undefined | Promise<T | false | undefined>,
  timeoutMs = 20_000,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await sleep(5);
  }
}
