/** Checks what a caller asks for, and fills in what it left open. What comes out can be queued. */
import { isAbsolute, normalize } from "node:path";
import { redactUrl } from "../../shared/redact.ts";
import { failure } from "../core/errors.ts";
import type { Resolver } from "../core/ports/resolve.ts";
import type { Checksum, DownloadOptions, DownloadRequest } from "../core/session.ts";
import { readFormat } from "../resolve/choose.ts";
import { readTemplate } from "../resolve/template.ts";
import { isDigest } from "./digest.ts";
import type { DownloadSettings } from "./settings.ts";

/** A URL longer than this is no URL that any server would take. */
const LONGEST_URL = 64 * 1024;

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * @param urls - the URL, then its mirrors
 * @throws DownloadError INVALID_URL, UNSUPPORTED_SCHEME, INVALID_ARGUMENT, FORMAT_INVALID, TEMPLATE_INVALID
 */
export function checkRequest(
  urls: readonly string[],
  options: DownloadOptions,
  settings: DownloadSettings,
  claims: (url: string) => boolean,
): DownloadRequest {
  const [url, ...mirrors] = urls.map((text) => checkUrl(text, claims));
  if (url === undefined) throw failure("INVALID_URL", "no URL was given");
  const checked = checkOptions(options, (text) => checkUrl(URL.parse(text, url)?.href ?? text, claims));
  // What cannot be read is said now, and not when it is too late to correct it.
  if (options.format !== undefined || options.quality !== undefined) readFormat(options, settings.formats);
  if (options.template !== undefined) readTemplate(options.template);
  const directory = checked.directory ?? settings.downloadDir;
  return { url, mirrors, options: checked.output === undefined ? { ...checked, directory } : checked };
}

/**
 * The request without what is itself a secret in its URL: that is kept elsewhere.
 *
 * @throws DownloadError INVALID_ARGUMENT where such a URL has mirrors, or is one; what the resolver throws
 */
export function concealed(request: DownloadRequest, resolvers: readonly Resolver[]): DownloadRequest {
  const { url, mirrors, options } = request;
  const keeper = (text: string): Resolver | undefined => {
    const resolver = resolvers.find((each) => each.claims(text));
    return resolver?.conceal ? resolver : undefined;
  };
  const own = keeper(url);
  if ((own && mirrors.length > 0) || mirrors.some(keeper))
    throw invalid(
      "mirrors",
      "what is shared by a code has no mirrors, and is no mirror: its peers are found by themselves",
    );
  const { checksumFile } = options;
  if (checksumFile !== undefined && checksumFile !== "auto" && keeper(checksumFile))
    throw invalid("checksum_file", "a code is no checksum file; what comes by it is compared with its own manifest");
  return own?.conceal ? { ...request, url: own.conceal(url) } : request;
}

function checkUrl(text: string, claims: (url: string) => boolean): string {
  // Cut behind it: half a login does not look like one.
  const whole = redactUrl(text);
  const shown = whole.length > 200 ? `${whole.slice(0, 200)}…` : whole;
  if (text.length > LONGEST_URL) throw failure("INVALID_URL", `the URL has ${text.length} characters: ${shown}`);
  const value = text.trim();
  if (!URL.canParse(value)) {
    const advice = /^[\w-]+(\.[\w-]+)+([/:?#]|$)/.test(value) ? `; did you mean ${redactUrl(`https://${value}`)}?` : "";
    throw failure("INVALID_URL", `"${shown}" is not a URL${advice}`);
  }
  const url = new URL(value);
  // A fragment is for the reader of the document, never for the origin (RFC 9110 §4.2.5).
  url.hash = "";
  if (!claims(url.href)) throw failure("UNSUPPORTED_SCHEME", `nothing here can fetch ${url.protocol} URLs: ${shown}`);
  return url.href;
}

function checkOptions(options: DownloadOptions, checkFileUrl: (text: string) => string): DownloadOptions {
  for (const [name, path] of [
    ["output", options.output],
    ["directory", options.directory],
  ] as const) {
    if (path === undefined) continue;
    if (!isAbsolute(path)) throw invalid(name, `"${path}" is not an absolute path`);
    if (path.includes("\0")) throw invalid(name, "a path cannot hold a NUL byte");
  }
  inRange("connections", options.connections, 1, 32, true);
  inRange("size", options.size, 0, Number.MAX_SAFE_INTEGER, true);
  inRange("limit", options.limit, 0, Number.MAX_SAFE_INTEGER, true);
  inRange("max_retries", options.maxRetries, 0, 1_000_000, true);
  inRange("retry_delay", options.retryDelay, 0, 86_400, false);
  inRange("timeout", options.timeout, 0.001, 86_400, false);
  for (const [name, value] of options.headers ?? []) {
    if (!TOKEN.test(name)) throw invalid("headers", `"${name}" is not a header field's name`);
    if (/[\0\r\n]/.test(value)) throw invalid("headers", `the value of "${name}" holds a line break or a NUL`);
  }
  return {
    ...options,
    ...(options.output !== undefined && { output: normalize(options.output) }),
    ...(options.directory !== undefined && { directory: normalize(options.directory) }),
    ...(options.checksum && { checksum: checkChecksum(options.checksum) }),
    // Relative to the URL itself, as a name in the same folder is.
    ...(options.checksumFile !== undefined &&
      options.checksumFile !== "auto" && { checksumFile: checkFileUrl(options.checksumFile) }),
  };
}

function checkChecksum({ algorithm, value }: Checksum): Checksum {
  const checksum = { algorithm, value: value.toLowerCase() };
  if (!isDigest(checksum))
    throw invalid(
      "checksum",
      `"${value}" is not a ${algorithm} digest in hexadecimal (sha-256, sha-512, sha-1 or md5)`,
    );
  return checksum;
}

function inRange(name: string, value: number | undefined, least: number, most: number, whole: boolean): void {
  if (value === undefined) return;
  if (!(value >= least && value <= most) || (whole && !Number.isInteger(value)))
    throw invalid(name, `${value} is not ${whole ? "a whole number" : "a number"} from ${least} to ${most}`);
}

const invalid = (field: string, why: string) =>
  failure("INVALID_ARGUMENT", `${field}: ${why}`, { metadata: { field } });
