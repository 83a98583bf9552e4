/**
 * What V8 may be told about its heap while it runs. Left to itself it lets garbage lie until the heap is a few times what
 * is alive: quick, and far more memory than a daemon should hold that has nothing to do, or whose machine is short of it.
 *
 * Only flags that V8 reads anew for each decision are set here.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** By how many percent the heap may outgrow what was alive at the last collection; 0 leaves it to V8. */
const FRUGAL_GROWTH_PERCENT = 30;

/** The young generation doubles while a program loads, and does not shrink until there is work. */
const YOUNG_GROWTH = { loading: 1, working: 2 } as const;

/** What the memory watch does to the heap. */
export interface HeapControl {
  /** Collects garbage often (fewer bytes, more time), or as V8 sees fit. */
  frugal(on: boolean): void;
  /** Collects all garbage and gives its pages back. Takes some 20 ms for each 50 MB that are alive. */
  collect(): void;
}

/** V8's heap, of the whole process. */
export const heap: HeapControl = {
  frugal: (on) => setFlagsFromString(`--heap-growing-percent=${on ? FRUGAL_GROWTH_PERCENT : 0}`),
  collect: () => void collector()({ type: "major", execution: "sync", flavor: "last-resort" }),
};

/** Keeps the young generation small while the program loads. @returns lets it grow again */
export function loadFrugally(): () => void {
  setFlagsFromString(`--semi-space-growth-factor=${YOUNG_GROWTH.loading}`);
  return () => setFlagsFromString(`--semi-space-growth-factor=${YOUNG_GROWTH.working}`);
}

/** The collector of `--expose-gc`; without that flag it is taken from a context that was made under it. */
function collector(): NonNullable<typeof globalThis.gc> {
  if (globalThis.gc) return globalThis.gc;
  setFlagsFromString("--expose-gc");
  try {
    return runInNewContext("gc") as NonNullable<typeof globalThis.gc>;
  } finally {
    setFlagsFromString("--no-expose-gc");
  }
}
