/** A file or a session, by one word on the command line. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";

/** What a session's id, or its beginning, looks like. */
const ID = /^[0-9a-f]{4,8}(-[0-9a-f]{0,4}){0,3}(-[0-9a-f]{0,12})?$/i;

/** An id, unless there is a file of that name; anything else is a path. */
export function receiptTarget(
  word: string,
): { readonly $case: "path"; readonly value: string } | { readonly $case: "sessionId"; readonly value: string } {
  if (ID.test(word) && !existsSync(word)) return { $case: "sessionId", value: word };
  return { $case: "path", value: resolve(word) };
}
