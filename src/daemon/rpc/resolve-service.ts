/** ResolveService: what a URL means, before anything of it is fetched. */
import type {
  GetFormatsRequest,
  GetFormatsResponse,
  ResolveServiceServer,
  FormatChoice as WireChoice,
  MediaFormat as WireFormat,
} from "../../gen/snatch/v1/resolve_service.ts";
import { redactUrl } from "../../shared/redact.ts";
import type { FormatList } from "../core/ports/resolve.ts";
import type { Expansion, MediaChoice, MediaFormat } from "../core/resolved.ts";
import { ratesOf, resolutionOf } from "../resolve/format-fields.ts";
import type { Calls } from "./calls.ts";
import { badField, toOptions } from "./convert.ts";
import type { RpcPorts } from "./deps.ts";
import { presentError } from "./present.ts";
import type { Reach } from "./targets.ts";

/** Entries of a kind in an answer. */
const MOST_FORMATS = 2000;
const MOST_ENTRIES = 1000;

/** Characters of a text that comes from elsewhere. */
const LONGEST_TEXT = 500;

/** The handlers for callers with this reach. */
export function resolveService(
  ports: Pick<RpcPorts, "downloads" | "formats" | "clock">,
  calls: Calls,
  { local }: Reach,
): ResolveServiceServer {
  return {
    getFormats: calls.unary(async ({ url, options: wire }: GetFormatsRequest, signal) => {
      if (url === "") throw badField("url", "names nothing to look at");
      const { format, quality, subtitles, headers, timeout } = toOptions(wire);
      const request = ports.downloads.check([url], {
        ...(format !== undefined && { format }),
        ...(quality !== undefined && { quality }),
        ...(subtitles && { subtitles }),
        ...(headers && { headers }),
        ...(timeout !== undefined && { timeout }),
        // As of downloads: see http/network-policy.ts.
        ...(!local && { remote: true }),
      });
      const found = await ports.formats.list(request, signal);
      return "media" in found ? presentList(found, ports.clock.now()) : presentEntries(found);
    }),
  };
}

const EMPTY: GetFormatsResponse = {
  media: undefined,
  formats: [],
  subtitles: [],
  choices: [],
  refusal: undefined,
  entries: [],
  entryCount: 0,
};

/** @param now - milliseconds since the epoch */
function presentList({ media, formats, choices, refusal }: FormatList, now: number): GetFormatsResponse {
  const { details, live, subtitles } = media;
  return {
    ...EMPTY,
    media: {
      id: text(details.id),
      title: text(details.title),
      extractor: details.extractor,
      webpageUrl: text(redactUrl(details.webpageUrl)),
      duration: live ? undefined : span(details.durationSeconds),
      live,
      uploader: text(details.uploader),
      publishTime: timestamp(details.publishedAt),
    },
    formats: formats.slice(0, MOST_FORMATS).map(presentFormat),
    subtitles: subtitles.slice(0, MOST_FORMATS).map(({ language, name, ext, automatic = false }) => ({
      language: text(language),
      name: text(name),
      ext,
      automatic,
    })),
    choices: choices.map(presentChoice),
    refusal: refusal && presentError(refusal, now),
  };
}

function presentEntries({ items }: Expansion): GetFormatsResponse {
  const entries = items.slice(0, MOST_ENTRIES).map(({ url, title, options }) => ({
    url: redactUrl(url),
    title: text(title ?? options?.about?.title),
  }));
  return { ...EMPTY, entries, entryCount: items.length };
}

function presentFormat(format: MediaFormat): WireFormat {
  const { tbr, vbr, abr } = ratesOf(format);
  return {
    id: text(format.id),
    ext: text(format.ext),
    protocol: format.protocol,
    container: format.container ?? "",
    vcodec: text(format.vcodec),
    acodec: text(format.acodec),
    resolution: text(resolutionOf(format)),
    width: whole(format.width),
    height: whole(format.height),
    fps: format.fps,
    dynamicRange: text(format.dynamicRange),
    tbr,
    vbr: vbr || undefined,
    abr: abr || undefined,
    asr: whole(format.asr),
    audioChannels: whole(format.audioChannels),
    fileSize: count(format.fileSize),
    fileSizeApprox: count(format.fileSizeApprox),
    language: text(format.language),
    note: text(format.note),
    locked: text(format.locked),
  };
}

function presentChoice({ formats, ext, had, transcode, subtitles, notes }: MediaChoice): WireChoice {
  return {
    formatIds: formats.map(({ id }) => text(id)),
    ext: text(ext),
    format: text(had.format),
    quality: text(had.quality),
    transcodeCodec: transcode?.codec ?? "",
    transcodeKbps: transcode?.kbps,
    subtitleLanguages: subtitles.map(({ language }) => text(language)),
    notes: (notes ?? []).map(text),
  };
}

const text = (value: string | undefined): string => (value ?? "").slice(0, LONGEST_TEXT).toWellFormed();

/** What google.protobuf.Duration can say: up to some 10,000 years. */
function span(length: number | undefined): { readonly seconds: number; readonly nanos: number } | undefined {
  if (length === undefined || !(length >= 0 && length <= 315_576_000_000)) return undefined;
  const seconds = Math.floor(length);
  return { seconds, nanos: Math.min(999_999_999, Math.round((length - seconds) * 1e9)) };
}

/** What google.protobuf.Timestamp can say: the years 1 to 9999. */
const timestamp = (ms: number | undefined): Date | undefined =>
  ms !== undefined && ms >= -62_135_596_800_000 && ms < 253_402_300_800_000 ? new Date(ms) : undefined;

/** What fits a field of 32 bits. */
const whole = (value: number | undefined): number | undefined =>
  value === undefined || !(Math.abs(value) < 2 ** 31) ? undefined : Math.round(value);

const count = (value: number | undefined): number | undefined =>
  value === undefined || !Number.isSafeInteger(Math.round(value)) ? undefined : Math.round(value);
