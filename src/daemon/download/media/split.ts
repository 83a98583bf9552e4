/**
 * A track that is one file: it is fetched in ranges, like any file, so that several connections share it and a death costs
 * one range. Only where the origin can tell its versions apart; its version is part of what the track is known by.
 */

import type { Segment, Track } from "../../core/resolved.ts";
import type { ResourceInfo } from "../../core/session.ts";
import type { Run } from "../run.ts";
import { canResume } from "../sources.ts";
import { wayTo } from "./way.ts";

/** Bytes of a range. */
const RANGE = 8 * 1024 * 1024;

/** A track with the version that its ranges belong to. */
export interface SplitTrack {
  readonly track: Track;
  readonly version?: ResourceInfo;
}

/** @throws what asking for the file throws */
export async function split(run: Run, track: Track): Promise<SplitTrack> {
  const [only, ...others] = track.segments;
  if (!only || others.length > 0 || only.range || only.key || track.more) return { track };
  const source = run.engine.sources.http(only.url, wayTo(run, only.url, track));
  const opening = await source.open({ start: 0, end: 1, signal: run.signal });
  opening.cancel();
  const { resource } = opening;
  const size = resource.size ?? 0;
  if (!canResume(resource) || size <= RANGE) return { track };
  const segments: Segment[] = [];
  for (let start = 0; start < size; start += RANGE)
    segments.push({ url: only.url, range: { start, end: Math.min(start + RANGE, size) } });
  return { track: { ...track, segments }, version: resource };
}
