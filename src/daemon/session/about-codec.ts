/** What a list says of a file that it names, as a session's record keeps it. */
import * as z from "zod";
import type { MediaAbout } from "../core/resolved.ts";

const word = z.string().max(16_384);
const article = z.string().max(1_000_000);
const number = z.number();

/** In the schema of a session. */
export const aboutSchema = z.strictObject({
  id: word.optional(),
  title: word.optional(),
  description: article.optional(),
  uploader: word.optional(),
  channel: word.optional(),
  artist: word.optional(),
  album: word.optional(),
  series: word.optional(),
  season: number.optional(),
  episode: number.optional(),
  genre: word.optional(),
  published_at: number.optional(),
  duration_seconds: number.optional(),
  thumbnail: word.optional(),
  chapters: z
    .array(z.strictObject({ title: word, start: number, end: number.optional() }))
    .max(10_000)
    .optional(),
  playlist: z.strictObject({ title: word.optional(), index: number, count: number }).optional(),
  type: word.optional(),
  file_size_approx: number.optional(),
});

/** As it is written. */
export function plainAbout({
  publishedAt,
  durationSeconds,
  fileSizeApprox,
  ...rest
}: MediaAbout): Record<string, unknown> {
  return {
    ...rest,
    published_at: publishedAt,
    duration_seconds: durationSeconds,
    file_size_approx: fileSizeApprox,
  };
}

/** As it was. */
export function aboutOf({
  published_at,
  duration_seconds,
  file_size_approx,
  ...rest
}: z.infer<typeof aboutSchema>): MediaAbout {
  return {
    ...(rest as MediaAbout),
    ...(published_at !== undefined && { publishedAt: published_at }),
    ...(duration_seconds !== undefined && { durationSeconds: duration_seconds }),
    ...(file_size_approx !== undefined && { fileSizeApprox: file_size_approx }),
  };
}
