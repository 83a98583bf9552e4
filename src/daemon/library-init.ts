/** What the classes of the library are made from. */
import { locate, type Paths } from "../shared/paths.ts";
import { configOf } from "./config/load.ts";
import type { Config, ConfigInput } from "./config/schema.ts";
import type { Clock, Logger } from "./core/ports/runtime.ts";
import { SystemClock } from "./os/clock.ts";

/** What the parts of a class are put together from. */
export interface LibraryInit {
  readonly config: () => Config;
  readonly paths: Paths;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What every class of the library takes. */
export interface HomeOptions {
  /** As SNATCH_HOME: state and downloads go under this folder. */
  readonly home?: string;
  /** Default: nothing is logged. */
  readonly logger?: Logger;
}

const nothing = (): void => undefined;
const silent: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => silent };

/** Reads the configuration of a library class. @throws DownloadError CONFIG_INVALID */
export function libraryInit(input: ConfigInput, { home, logger = silent }: HomeOptions): LibraryInit {
  const paths = locate(home);
  const config = configOf(input, paths);
  return { config: () => config, paths, clock: new SystemClock(), logger };
}
