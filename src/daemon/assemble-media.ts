/** Puts together what reads pages, playlists and feeds, and what makes files of media. Nothing here starts or asks anything. */
import type { Config } from "./config/schema.ts";
import type { Clock, Logger, Resolver, SourceFactory } from "./core/ports.ts";
import { FfmpegTool } from "./ffmpeg/tool.ts";
import { DirectResolver } from "./resolve/direct.ts";
import { FeedResolver } from "./resolve/feed.ts";
import { HlsResolver } from "./resolve/hls.ts";
import { MediaFileResolver } from "./resolve/media-file-resolver.ts";
import { MetalinkResolver } from "./resolve/metalink-resolver.ts";

/** What resolvers work with. */
export interface ResolverInit {
  readonly sources: SourceFactory;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** In the order in which they are asked whether a URL, or an answer, is theirs. */
export function assembleResolvers({ sources, clock, logger: parent }: ResolverInit): readonly Resolver[] {
  const logger = parent.child({ room: "resolve" });
  const direct = new DirectResolver(sources);
  const hls = new HlsResolver({ sources, clock, logger, direct });
  const feed = new FeedResolver(sources);
  return [new MetalinkResolver(sources, direct), hls, feed, new MediaFileResolver(sources), direct];
}

/** What runs FFmpeg. */
export function assembleMediaTool({ ffmpeg }: Config, clock: Clock): FfmpegTool {
  const { path, processes, timeout } = ffmpeg;
  return new FfmpegTool({ path, processes, timeoutMs: timeout * 1000 }, { clock });
}
