/** What tells one wish from another: the same URL in another format, or under another name, is another thing. */
import type { ArchiveKey } from "./ports/sessions.ts";
import type { DownloadOptions } from "./session.ts";

/** Under which a request is found again: its URL, the place that it was asked for, and what was to be made of it. */
export function archiveKeyOf({
  url,
  options,
}: {
  readonly url: string;
  readonly options: DownloadOptions;
}): ArchiveKey {
  const { format, quality, template, audio } = options;
  const plain = format === undefined && quality === undefined && template === undefined && audio === undefined;
  return {
    url,
    target: options.output ?? options.directory ?? "",
    ...(!plain && { variant: JSON.stringify([format ?? "", quality ?? "", template ?? "", ...(audio ?? [])]) }),
  };
}

/** The key as one text. No URL and no path holds a NUL. */
export function archiveText({ url, target, variant }: ArchiveKey): string {
  return variant === undefined ? `${url}\0${target}` : `${url}\0${target}\0${variant}`;
}
