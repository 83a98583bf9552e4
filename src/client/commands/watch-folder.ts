/** `snatchctl watch-folder`: the folders in which a dropped list becomes downloads. */
import { resolve } from "node:path";
import { type WatchFolder, WatchFolderServiceService } from "../../gen/snatch/v1/watch_folder_service.ts";
import { connect } from "../connect.ts";
import type { Globals } from "../globals.ts";
import { escapeControls, jsonLine, note, print } from "../output.ts";

/** The options of `watch-folder add`. */
export interface AddFlags extends Globals {
  readonly dir?: string;
}

/** Prints every folder. */
export async function list(globals: Globals): Promise<number> {
  using connection = connect(globals);
  const { watchFolders } = await connection.ask(WatchFolderServiceService.listWatchFolders, {});
  if (watchFolders.length === 0 && !globals.json && !globals.quiet) note("no folder is watched");
  for (const folder of watchFolders) await report(folder, globals);
  return 0;
}

/** Watches one more folder. */
export async function add(flags: AddFlags, path: string): Promise<number> {
  using connection = connect(flags);
  const request = { path: resolve(path), directory: flags.dir === undefined ? "" : resolve(flags.dir) };
  const { watchFolder } = await connection.ask(WatchFolderServiceService.addWatchFolder, request);
  if (watchFolder && !(flags.quiet && !flags.json)) await report(watchFolder, flags);
  return 0;
}

/** Stops watching a folder. It stays, with all that it led to. */
export async function remove(globals: Globals, path: string): Promise<number> {
  using connection = connect(globals);
  await connection.ask(WatchFolderServiceService.removeWatchFolder, { path: resolve(path) });
  if (globals.json) await print(jsonLine({ path: resolve(path), removed: true }));
  else if (!globals.quiet) await print(`${escapeControls(resolve(path))} is not watched any more`);
  return 0;
}

async function report(folder: WatchFolder, globals: Globals): Promise<void> {
  if (globals.json) {
    await print(
      jsonLine({
        path: folder.path,
        directory: folder.directory,
        configured: folder.configured,
        list_count: folder.listCount,
        last_list_at: folder.lastListTime?.toISOString() ?? null,
        problem: folder.problem || null,
      }),
    );
    return;
  }
  const lists = `${folder.listCount} ${folder.listCount === 1 ? "list" : "lists"} taken`;
  const state = folder.problem ? `NOT WATCHED: ${folder.problem}` : lists;
  const origin = folder.configured ? ", from the configuration" : "";
  await print(escapeControls(`${folder.path} → ${folder.directory} (${state}${origin})`));
}
