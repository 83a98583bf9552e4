/** How Snatch is set up for lists: as many files at once as the others get by their flags, and otherwise as installed. */
import { PARALLEL } from "./contestants.ts";

/** config.toml for the rows of lists. */
export const AT_ONCE = `max_concurrent_downloads = ${PARALLEL}\nconnections_per_host = ${PARALLEL}\n`;
