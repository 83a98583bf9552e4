/** Puts together what reads pages, playlists and feeds, and what makes files of media. Nothing here starts or asks anything. */
import type { Environment } from "../shared/paths.ts";
import type { Config } from "./config/schema.ts";
import type { Resolver } from "./core/ports/resolve.ts";
import type { Clock, Logger } from "./core/ports/runtime.ts";
import type { SourceFactory } from "./core/ports/sources.ts";
import { safeName } from "./disk/filename.ts";
import { FfmpegTool } from "./ffmpeg/tool.ts";
import { DashResolver } from "./resolve/dash.ts";
import { DirectResolver } from "./resolve/direct.ts";
import { FeedResolver } from "./resolve/feed.ts";
import { HlsResolver } from "./resolve/hls.ts";
import { ListResolver } from "./resolve/m3u.ts";
import { MediaFileResolver } from "./resolve/media-file-resolver.ts";
import { MetalinkResolver } from "./resolve/metalink-resolver.ts";
import { PageResolver } from "./resolve/page.ts";
import { type YtDlpOptions, YtDlpResolver } from "./resolve/yt-dlp.ts";

/** What resolvers work with. */
export interface ResolverInit {
  readonly sources: SourceFactory;
  readonly clock: Clock;
  readonly logger: Logger;
  /** In force. */
  readonly config: () => Config;
  readonly environment: Environment;
}

/** In the order in which they are asked whether a URL, or an answer, is theirs. */
export function assembleResolvers({
  sources,
  clock,
  logger: parent,
  config,
  environment,
}: ResolverInit): readonly Resolver[] {
  const logger = parent.child({ room: "resolve" });
  const direct = new DirectResolver(sources);
  const hls = new HlsResolver({ sources, clock, logger, direct, list: new ListResolver(sources) });
  const dash = new DashResolver({ sources, clock, logger, direct });
  const feed = new FeedResolver(sources);
  const page = new PageResolver({
    sources,
    manifests: { hls, dash },
    feed,
    beyond: new YtDlpResolver({
      manifests: { hls, dash },
      options: () => ytDlpOptions(config()),
      environment,
      clock,
    }),
  });
  return [
    new MetalinkResolver(sources, direct, safeName),
    hls,
    dash,
    feed,
    page,
    new MediaFileResolver(sources),
    direct,
  ];
}

function ytDlpOptions({ ytdlp, http }: Config): YtDlpOptions {
  const { enabled, path, timeout } = ytdlp;
  // To yt-dlp an empty proxy is none.
  const proxy = http.proxy === "direct" ? "" : http.proxy;
  return { enabled, path, timeoutMs: timeout * 1000, ...(http.proxy !== "" && { proxy }) };
}

/** What runs FFmpeg. */
export function assembleMediaTool({ ffmpeg }: Config, clock: Clock): FfmpegTool {
  const { path, processes, timeout } = ffmpeg;
  return new FfmpegTool({ path, processes, timeoutMs: timeout * 1000 }, { clock });
}
