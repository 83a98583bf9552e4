/**
 * Ends the bench in an orderly way: what runs is let go of, and folders, daemons and mounts are put away. Ctrl-C reaches the
 * programs that are measured by itself.
 */

/** Aborted when the bench is to end. */
export const stop = new AbortController();
