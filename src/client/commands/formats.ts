/** `snatchctl formats`: in which formats the media behind a URL can be had, and which of them `get` would fetch. */
import {
  type FormatChoice,
  type GetFormatsResponse,
  type MediaFormat,
  type MediaInfo,
  type MediaSubtitle,
  ResolveServiceService,
} from "../../gen/snatch/v1/resolve_service.ts";
import { formatBytes, formatDuration } from "../../shared/format.ts";
import { Connection } from "../connect.ts";
import { fromDetail } from "../failure.ts";
import type { Globals } from "../globals.ts";
import { ensureDaemon } from "../launch.ts";
import { type OrderFlags, readOrder } from "../order.ts";
import { errorJson, escapeControls, jsonLine, note, paint, print, reportFailure } from "../output.ts";
import { type Column, header, row, terminalWidth } from "../table.ts";
import { resolveTarget } from "../target.ts";

/** The options of `formats`: those of `get` that say what is chosen, and how it is asked. */
export type FormatsFlags = Globals & Pick<OrderFlags, "format" | "quality" | "subs" | "header" | "timeout">;

/** Stands before what would be fetched. */
const CHOSEN = "*";

/** Prints the formats. @returns 0; the exit code of what stands in the way of fetching any as it was asked for */
export async function formats(flags: FormatsFlags, url: string): Promise<number> {
  const target = resolveTarget(flags);
  const order = readOrder([url], flags, target);
  const [asked] = order.urls;
  if (asked?.refusal) throw asked.refusal;
  await ensureDaemon(flags, target);
  using connection = new Connection(target);
  const answer = await connection.ask(ResolveServiceService.getFormats, { url, options: order.options });
  const refusal = answer.refusal && fromDetail(answer.refusal);
  if (flags.json) {
    await print(jsonLine({ ...answerJson(answer), ...(refusal && { refusal: errorJson(refusal) }) }));
    return refusal?.exit ?? 0;
  }
  if (answer.media) await printFormats(answer, answer.media, flags);
  else await printEntries(answer, flags);
  return refusal ? reportFailure(refusal, flags) : 0;
}

async function printFormats(answer: GetFormatsResponse, media: MediaInfo, { quiet }: Globals): Promise<void> {
  const chosen = new Set(answer.choices.flatMap(({ formatIds }) => formatIds));
  const rows = answer.formats.map((format) => cellsOf(format, chosen.has(format.id)));
  const columns = TITLES.map((title, at): Column => {
    const width = Math.max(title.length, ...rows.map((cells) => (cells[at] ?? "").length));
    return { title, width, right: RIGHT.has(title) };
  });
  const width = terminalWidth();
  if (!quiet) await print(`${titleOf(media)}\n`);
  await print(paint("bold", header(columns)));
  for (const cells of rows) await print(row(columns, cells, width));
  if (quiet) return;
  for (const choice of answer.choices) await print(`\n${CHOSEN} ${choiceText(choice)}`);
  if (answer.subtitles.length > 0) await print(`\nsubtitles: ${subtitlesText(answer.subtitles)}`);
}

const TITLES = ["", "ID", "EXT", "RESOLUTION", "FPS", "SIZE", "RATE", "VIDEO", "AUDIO", "LANG", "NOTE"];
const RIGHT = new Set(["FPS", "SIZE", "RATE"]);

function cellsOf(format: MediaFormat, chosen: boolean): readonly string[] {
  const { fps, tbr, abr, fileSize, fileSizeApprox, vcodec, acodec, audioChannels, locked } = format;
  const approx = fileSizeApprox === undefined ? "" : `~${formatBytes(fileSizeApprox)}`;
  const sound = [acodec, abr === undefined || abr === tbr ? "" : `${Math.round(abr)}k`];
  const notes = [
    locked && `locked: ${locked}`,
    format.protocol,
    format.dynamicRange === "SDR" ? "" : format.dynamicRange,
    audioChannels !== undefined && audioChannels > 2 ? `${audioChannels} channels` : "",
    format.note,
  ];
  return [
    chosen ? CHOSEN : "",
    format.id,
    format.ext,
    format.resolution,
    fps === undefined ? "" : String(Math.round(fps * 100) / 100),
    fileSize === undefined ? approx : formatBytes(fileSize),
    tbr === undefined ? "" : `${Math.round(tbr)}k`,
    vcodec === "none" ? "-" : vcodec,
    acodec === "none" ? "-" : sound.filter(Boolean).join(" "),
    format.language,
    notes.filter(Boolean).join(", "),
  ].map(escapeControls);
}

function titleOf({ title, extractor, duration, live }: MediaInfo): string {
  const length = duration && formatDuration(duration.seconds * 1000 + duration.nanos / 1e6);
  const about = [extractor, live ? "live" : length].filter(Boolean).join(", ");
  return `${escapeControls(title)} (${escapeControls(about)})`;
}

function choiceText({ format, ext, quality, subtitleLanguages, notes }: FormatChoice): string {
  const words = subtitleLanguages.length > 0 ? `, subtitles ${subtitleLanguages.join(" ")}` : "";
  const what = `${format} as .${ext}${quality === "" ? "" : `, ${quality}`}${words}`;
  return [what, ...notes.map((each) => `  ${each}`)].map(escapeControls).join("\n");
}

function subtitlesText(subtitles: readonly MediaSubtitle[]): string {
  const texts = subtitles.map(({ language, automatic }) => `${language}${automatic ? " (by machine)" : ""}`);
  return escapeControls([...new Set(texts)].join(", "));
}

async function printEntries({ entries, entryCount }: GetFormatsResponse, { quiet }: Globals): Promise<void> {
  for (const { url, title } of entries) await print(escapeControls(title === "" ? url : `${url}  ${title}`));
  if (quiet) return;
  const more = entryCount > entries.length ? `, of which these are the first ${entries.length}` : "";
  note(`it leads to ${entryCount} things${more}: ask for the formats of one of them`);
}

function answerJson({ media, formats: all, subtitles, choices, entries, entryCount }: GetFormatsResponse): object {
  return {
    ...(media && { media: mediaJson(media), formats: all.map(formatJson), choices: choices.map(choiceJson) }),
    ...(media && {
      subtitles: subtitles.map(({ language, name, ext, automatic }) => ({ language, name, ext, automatic })),
    }),
    ...(!media && { entries: entries.map(({ url, title }) => ({ url, title })), entry_count: entryCount }),
  };
}

function mediaJson({ id, title, extractor, webpageUrl, duration, live, uploader, publishTime }: MediaInfo): object {
  return {
    id,
    title,
    extractor,
    webpage_url: webpageUrl,
    ...(duration && { duration_seconds: duration.seconds + duration.nanos / 1e9 }),
    live,
    ...(uploader !== "" && { uploader }),
    ...(publishTime && { publish_time: publishTime.toISOString() }),
  };
}

/** What nobody says is left out. */
function formatJson(format: MediaFormat): object {
  const { dynamicRange, audioChannels, fileSize, fileSizeApprox, ...rest } = format;
  const fields = {
    ...rest,
    dynamic_range: dynamicRange,
    audio_channels: audioChannels,
    file_size: fileSize,
    file_size_approx: fileSizeApprox,
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== ""));
}

function choiceJson(choice: FormatChoice): object {
  const { formatIds, ext, format, quality, transcodeCodec, transcodeKbps, subtitleLanguages, notes } = choice;
  return {
    format_ids: formatIds,
    ext,
    format,
    ...(quality !== "" && { quality }),
    ...(transcodeCodec !== "" && { transcode_codec: transcodeCodec }),
    ...(transcodeKbps !== undefined && { transcode_kbps: transcodeKbps }),
    subtitle_languages: subtitleLanguages,
    notes,
  };
}
