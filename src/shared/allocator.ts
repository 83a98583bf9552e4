/**
 * The C library's allocator, which LevelDB and V8 take their memory from. Left to itself, glibc (mallopt(3)) makes up to eight
 * arenas for each processor, and after the first large block that is given back it keeps twice that size at the end of each:
 * many megabytes once a million URLs were taken. It reads its settings when a program begins and at no other time, so
 * whoever starts the daemon gives them to it: snatchctl here, systemd by the units.
 */

/** mallopt(3): few arenas; large blocks are always mapped by themselves, and what is free at an arena's end is given back. */
const FRUGAL = {
  MALLOC_ARENA_MAX: "2",
  MALLOC_MMAP_THRESHOLD_: "1048576",
  MALLOC_TRIM_THRESHOLD_: "524288",
} as const;

type Environment = Record<string, string | undefined>;

/** An environment for a daemon. What somebody has set for the allocator stays. */
export function withFrugalAllocator(env: Environment): Environment {
  return Object.keys(FRUGAL).some((name) => env[name] !== undefined) ? env : { ...env, ...FRUGAL };
}

/** Takes the settings out again: they are the daemon's, and not those of programs that it starts. */
export function forgetFrugalAllocator(env: Environment): void {
  for (const [name, value] of Object.entries(FRUGAL)) if (env[name] === value) delete env[name];
}
