/**
 * The C library's allocator, which LevelDB and V8 take their memory from. Left to itself, glibc (mallopt(3)) makes up to eight
 * arenas for each processor, and after the first large block that is given back it keeps twice that size at the end of each:
 * a few hundred megabytes once a million URLs were taken. It reads its settings when a program begins and at no other time,
 * so snatchd begins a second time, as the same process.
 */

/** mallopt(3): few arenas; large blocks are always mapped by themselves, and what is free at an arena's end is given back. */
const SETTINGS = {
  MALLOC_ARENA_MAX: "2",
  MALLOC_MMAP_THRESHOLD_: String(1024 * 1024),
  MALLOC_TRIM_THRESHOLD_: String(512 * 1024),
} as const;

/** The program's own name for itself says that it has begun again. */
const AGAIN = "snatchd";

/**
 * Begins again with a frugal allocator, once; the process and its standard streams stay the same. Nothing is done where
 * somebody has settings of their own, where there is no glibc, or where more is inherited than the standard streams: sockets
 * of the service manager and the channel of a parent would be closed.
 */
export function allocateFrugally({ env, argv, execArgv } = process): void {
  if (process.argv0 === AGAIN) {
    // For this process only, and for none that it starts.
    for (const name of Object.keys(SETTINGS)) delete env[name];
    return;
  }
  const inherits = env["LISTEN_FDS"] !== undefined || process.channel != null;
  if (process.platform !== "linux" || inherits || Object.keys(SETTINGS).some((name) => env[name] !== undefined)) return;
  try {
    process.execve?.(process.execPath, [AGAIN, ...execArgv, ...argv.slice(1)], { ...env, ...SETTINGS });
  } catch {
    // It is an economy, and no more.
  }
}
