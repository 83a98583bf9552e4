/**
 * What V8 may be told about its heap while it runs. Left to itself it lets garbage lie until the heap is a few times what
 * is alive: quick, and far more memory than a daemon should hold that has nothing to do, or whose machine is short of it.
 *
 * Only flags that V8 reads anew for each decision are set here.
 */
import { PerformanceObserver } from "node:perf_hooks";
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** By how many percent the heap may outgrow what was alive at the last collection; 0 leaves it to V8. */
const FRUGAL_GROWTH_PERCENT = 30;

/** By what the young generation grows when much of it survives: not at all, or as V8 does by default. */
const YOUNG_GROWTH = { none: 1, usual: 2 } as const;

/**
 * Bytes of the young generation from which on it grows no more. Without a bound it takes 100 MB within a second of work,
 * for a few percent of speed; a tenth of that costs none that could be measured.
 */
const YOUNG_ENOUGH = 12 * 1024 * 1024;

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
  collect: () => {
    collector()({ type: "major", execution: "sync", flavor: "last-resort" });
    // It is small again.
    if (bounded) boundYoung();
  },
};

let bounded = false;
let observer: PerformanceObserver | undefined;

/** Keeps the young generation as small as it is, while the program loads. @returns lets it grow up to a bound */
export function loadFrugally(): () => void {
  setFlagsFromString(`--semi-space-growth-factor=${YOUNG_GROWTH.none}`);
  return () => {
    bounded = true;
    boundYoung();
  };
}

/** After each collection it is looked at; V8 itself takes its bound on the command line only. */
function boundYoung(): void {
  setFlagsFromString(`--semi-space-growth-factor=${YOUNG_GROWTH.usual}`);
  observer ??= new PerformanceObserver(() => {
    const young = getHeapSpaceStatistics().find((space) => space.space_name === "new_space");
    if (young === undefined || young.space_size < YOUNG_ENOUGH) return;
    setFlagsFromString(`--semi-space-growth-factor=${YOUNG_GROWTH.none}`);
    observer?.disconnect();
  });
  observer.observe({ entryTypes: ["gc"] });
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
