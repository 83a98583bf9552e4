/** Waits for what has no event to wait for: a file's content, a listing. */

/**
 * Asks again and again until the answer is neither false nor undefined.
 *
 * @param what - for the error
 * @param patienceMs - only ever waited out by a test that fails
 * @throws Error if it takes longer
 */
export async function eventually<T>(
  what: string,
  probe: () => T | false | undefined | Promise<T | false | undefined>,
  patienceMs = 20_000,
): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const answer = await probe();
    if (answer !== false && answer !== undefined) return answer;
    if (performance.now() > deadline) throw new Error(`waited ${patienceMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
