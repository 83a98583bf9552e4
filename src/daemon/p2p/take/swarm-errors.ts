/** Why a swarm does not give what is wanted, in words for people; and whether what was offered is what there is. */
import type { ErrorCode } from "../../../shared/errors.ts";
import { formatDuration } from "../../../shared/format.ts";
import { type DownloadError, failure, NetworkError } from "../../core/errors.ts";
import type { DecodedEntry } from "../share/catalogue.ts";
import type { Offer } from "../types.ts";
import { refused } from "./taker-messages.ts";

/** What only somebody who is there can say. */
const ANSWERS: ReadonlySet<ErrorCode> = new Set(["PEER_REFUSED", "PEER_BUSY", "PEER_MISBEHAVED"]);

/** How a search went that found nobody who gives. Times in milliseconds since the epoch. */
export interface VainSearch {
  /** Peers that are here. */
  readonly here: number;
  readonly since: number;
  readonly now: number;
  /** What the network says. */
  readonly problem: DownloadError | undefined;
  /** Why the last peer left. */
  readonly lastEnd: DownloadError | undefined;
}

/** The error of a search that found nobody who gives. */
export function nobodyGives({ here, since, now, problem, lastEnd }: VainSearch): DownloadError {
  if (here > 0)
    return failure(
      "PEERS_NOT_FOUND",
      `${here} of those who share by this code ${here === 1 ? "is" : "are"} here, but what is missing nobody gives now`,
    );
  const looked = formatDuration(now - since);
  if (problem?.code === "PEERS_UNREACHABLE")
    return failure("PEERS_UNREACHABLE", `${problem.message} (tried for ${looked})`, { cause: problem });
  // Then the code was right, and what the last one said tells more than that there is nobody else.
  if (lastEnd)
    return failure("PEERS_NOT_FOUND", `${lastEnd.message}; nobody else was found who shares by this code`, {
      cause: lastEnd,
    });
  return failure(
    "PEERS_NOT_FOUND",
    `${problem?.message ?? "nobody was found who shares by this code"} (looked for ${looked}). ` +
      "With a wrong code it looks just the same.",
    problem && { cause: problem },
  );
}

/** Somebody said no, and there was time for another to come: it is of no use to ask again at once. */
export function lastWord(answer: DownloadError): DownloadError {
  const { code, message, retryable, metadata } = oneWord(answer);
  return failure(code, message, { cause: answer, retryable, metadata: { ...metadata, last_word: "true" } });
}

/** What one peer says of the share's end is no more than that it gives nothing any more. */
export function oneWord(word: DownloadError): DownloadError {
  return word.code === "SHARE_ENDED" ? failure("PEER_REFUSED", word.message, { cause: word }) : word;
}

/** All who gave have said that the share has ended. @param word - of the last one */
export function shareEnded(word: DownloadError): DownloadError {
  return failure("SHARE_ENDED", `${word.message}; nobody else was found who gives it`, { cause: word });
}

/** Whoever gives may do so later: to wait for that is no failed attempt. @param afterMs - until it is waited again */
export function comesBack({ code, message, cause, metadata }: DownloadError, afterMs: number): DownloadError {
  return failure(code, message, { cause, retryAfterMs: afterMs, metadata: { ...metadata, away: "true" } });
}

/** Somebody was there, and this was the answer. */
export function isAnswer(error: DownloadError): boolean {
  return !(error instanceof NetworkError) || ANSWERS.has(error.code);
}

/** @throws ResourceError SHARE_REFUSED if the catalogue is not what was offered */
export function checkOffer({ kind, fileCount, size }: Offer, entries: readonly DecodedEntry[]): void {
  const bytes = entries.reduce((sum, entry) => sum + entry.size, 0);
  if (entries.length !== fileCount || bytes !== size)
    throw refused(`it offers ${fileCount} files of ${size} bytes, and lists ${entries.length} of ${bytes} bytes`);
  if (kind === "file" && entries[0]?.name.includes("/")) throw refused("the name of its one file leads into a folder");
}
