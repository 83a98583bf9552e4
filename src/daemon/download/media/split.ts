/**
 * Which version of a file the ranges of a track belong to: without knowing that, two versions could come to be one file. A
 * track that is one file is fetched in ranges too, like any file, so that several connections share it and a death costs one
 * range. Only where the origin can tell its versions apart; they are part of what the track is known by.
 */

import type { Segment, Track } from "../../core/resolved.ts";
import type { ResourceInfo } from "../../core/session.ts";
import type { Run } from "../run.ts";
import { canResume } from "../sources.ts";
import { wayTo } from "./way.ts";

/** Bytes of a range. */
const RANGE = 8 * 1024 * 1024;

/** Files that are asked for their version beforehand: most tracks are ranges of one, or of one and its head. */
const MOST_ASKED = 4;

/** A track, the id of its format, and the versions that its ranges belong to. */
export interface SplitTrack {
  readonly track: Track;
  /** The same with each look at the media. */
  readonly format: string;
  /** By URL, as far as they are known. */
  readonly versions?: ReadonlyMap<string, ResourceInfo>;
}

/** @throws what asking for the file throws */
export async function split(run: Run, track: Track, format: string): Promise<SplitTrack> {
  if (track.more) return { track, format };
  const ranged = new Set(track.segments.filter(({ range }) => range).map(({ url }) => url));
  if (ranged.size > MOST_ASKED) return { track, format };
  if (ranged.size > 0) return { track, format, versions: await versionsOf(run, track, ranged) };
  const [only, ...others] = track.segments;
  if (!only || others.length > 0 || only.key) return { track, format };
  const resource = await versionOf(run, track, only.url);
  const size = resource.size ?? 0;
  if (!canResume(resource) || size <= RANGE) return { track, format };
  const segments: Segment[] = [];
  for (let start = 0; start < size; start += RANGE)
    segments.push({ url: only.url, range: { start, end: Math.min(start + RANGE, size) } });
  return { track: { ...track, segments }, format, versions: new Map([[only.url, resource]]) };
}

async function versionsOf(
  run: Run,
  track: Track,
  urls: ReadonlySet<string>,
): Promise<ReadonlyMap<string, ResourceInfo>> {
  const versions = new Map<string, ResourceInfo>();
  for (const url of urls) {
    const resource = await versionOf(run, track, url);
    if (canResume(resource)) versions.set(url, resource);
  }
  return versions;
}

async function versionOf(run: Run, track: Track, url: string): Promise<ResourceInfo> {
  const source = run.engine.sources.http(url, wayTo(run, url, track));
  const opening = await source.open({ start: 0, end: 1, signal: run.signal });
  opening.cancel();
  return opening.resource;
}
