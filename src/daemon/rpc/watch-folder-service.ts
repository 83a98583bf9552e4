/** WatchFolderService: the folders in which a dropped list becomes downloads. */
import type {
  AddWatchFolderRequest,
  ListWatchFoldersRequest,
  RemoveWatchFolderRequest,
  WatchFolderServiceServer,
} from "../../gen/snatch/v1/watch_folder_service.ts";
import type { Calls } from "./calls.ts";
import { toPath } from "./convert.ts";
import type { RpcPorts } from "./deps.ts";
import { presentWatchFolder } from "./present.ts";
import { assertLocal, type Reach } from "./targets.ts";

/** The handlers for callers with this reach. */
export function watchFolderService({ watchFolders }: RpcPorts, calls: Calls, reach: Reach): WatchFolderServiceServer {
  return {
    listWatchFolders: calls.unary((_request: ListWatchFoldersRequest) => ({
      watchFolders: watchFolders
        .list()
        .map(presentWatchFolder)
        .sort((a, b) => (a.path < b.path ? -1 : 1)),
    })),
    addWatchFolder: calls.unary(async (request: AddWatchFolderRequest) => {
      // Its lists may write anywhere that the daemon may.
      assertLocal(reach, "watching a folder");
      const path = toPath(request.path, "path");
      const directory = request.directory === "" ? undefined : toPath(request.directory, "directory");
      return { watchFolder: presentWatchFolder(await watchFolders.add(path, directory)) };
    }),
    removeWatchFolder: calls.unary(async (request: RemoveWatchFolderRequest) => {
      assertLocal(reach, "taking a watch folder away");
      await watchFolders.remove(toPath(request.path, "path"));
      return {};
    }),
  };
}
