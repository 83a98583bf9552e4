/** The checks of every room, for doctor, `snatchd --check` and the library's `initializeConfig`. */
import { join } from "node:path";
import type { Paths } from "../shared/paths.ts";
import { type Engine, identityFrom, pluginsConfigOf, proxiesFrom } from "./assemble.ts";
import { assembleAudio, audioSettings } from "./assemble-audio.ts";
import type { Caches } from "./assemble-cache.ts";
import { assembleMediaTool } from "./assemble-media.ts";
import { audioCheck } from "./audio/check.ts";
import { cacheCheck } from "./cache/check.ts";
import { configChecks } from "./config/checks.ts";
import type { Config } from "./config/schema.ts";
import type { Check } from "./core/ports/house.ts";
import type { Logger } from "./core/ports/runtime.ts";
import { downloadFolderCheck } from "./disk/check.ts";
import { DiskFileStore } from "./disk/file-store.ts";
import { ffmpegCheck } from "./ffmpeg/check.ts";
import { httpChecks } from "./http/check.ts";
import { LazyClient } from "./http/lazy-client.ts";
import { osChecks } from "./os/checks.ts";
import { SystemClock } from "./os/clock.ts";
import { MemoryProbe } from "./os/memory.ts";
import { peersCheck } from "./p2p/check.ts";
import { pluginsCheck } from "./plugins/check.ts";
import { examinePlugins, type PluginState } from "./plugins/plugins.ts";
import { storeCheck } from "./store/check.ts";

const nothing = (): void => undefined;
const silent: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => silent };

/** What of a running daemon is examined in place of what the checks make themselves. */
export interface RunningParts {
  readonly engine?: Engine | undefined;
  /** Without them plugins are loaded for the check, and not set up. */
  readonly plugins?: { readonly states: readonly PluginState[] } | undefined;
  readonly caches?: Pick<Caches, "control"> | undefined;
}

/** The checks of every room. */
export function roomChecks(config: Config, paths: Paths, running: RunningParts = {}): readonly Check[] {
  const { engine, plugins, caches } = running;
  const clock = new SystemClock();
  const proxies = proxiesFrom(config);
  const identity = identityFrom(config, { clock, logger: silent });
  const { user_agent: userAgent } = config.http;
  const client = engine?.client ?? new LazyClient({ userAgent, proxies }, { clock, logger: silent, identity });
  const folder = { folder: config.download_dir, minFreeSpace: config.min_free_space };
  const files = engine?.parts.files ?? new DiskFileStore();
  const { enabled, directory, max_size: maxBytes } = config.cache;
  const media = engine?.parts.media ?? assembleMediaTool(config, clock);
  return [
    ...configChecks(config, paths),
    ffmpegCheck(media, config.ffmpeg.path !== ""),
    audioCheck(media, audioSettings(config), {
      names: config.audio.on_download,
      assert: (names) => (engine?.audio ?? assembleAudio(() => config, media, silent)).steps(names),
    }),
    downloadFolderCheck(folder, files),
    storeCheck(join(paths.stateDir, "db")),
    cacheCheck({ enabled, directory, maxBytes }, caches?.control),
    ...osChecks({
      memory: engine?.memory ?? new MemoryProbe(),
      memoryLimitPercent: () => config.memory_limit_percent,
      profileDir: () => config.download_dir,
    }),
    peersCheck({
      enabled: config.p2p.enabled,
      directory: join(paths.stateDir, "p2p"),
      relays: config.p2p.turn.length,
    }),
    pluginsCheck(config.plugins_dir, () => plugins?.states ?? examinePlugins(pluginsConfigOf(config), clock)),
    ...httpChecks({ client, proxies, identity, url: config.checks.url || undefined }),
  ];
}
