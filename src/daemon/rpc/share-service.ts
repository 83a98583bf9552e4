/**
 * ShareService: what is shared from here, and how the network looks. Sharing reads any file of the owner's, and a code is as
 * good as the files: both are for callers over the Unix socket only.
 */
import type {
  CreateShareRequest,
  CreateShareResponse,
  DeleteShareRequest,
  GetNetworkRequest,
  GetShareCodeRequest,
  ListSharesRequest,
  ShareServiceServer,
} from "../../gen/snatch/v1/share_service.ts";
import type { ShareProgress } from "../core/peers.ts";
import type { Calls } from "./calls.ts";
import { presentNetwork, presentShare, toShareName, toShareOptions, toSharePaths } from "./convert-share.ts";
import type { RpcPorts } from "./deps.ts";
import { ProgressTeller } from "./progress-teller.ts";
import { assertLocal, type Reach } from "./targets.ts";

/** The handlers for callers with this reach. */
export function shareService(
  { sharing, clock }: Pick<RpcPorts, "sharing" | "clock">,
  calls: Calls,
  reach: Reach,
): ShareServiceServer {
  return {
    createShare: calls.serverStream(async (request: CreateShareRequest, send, signal) => {
      assertLocal(reach, "sharing files");
      const paths = toSharePaths(request.paths);
      const options = toShareOptions(request);
      const teller = new ProgressTeller<CreateShareResponse>(clock, send);
      const onProgress = (progress: ShareProgress) => teller.tell("hash", () => presentProgress(progress));
      const { state, code, leftOut } = await sharing.share(paths, options, { signal, onProgress });
      await teller.last;
      const left = leftOut.map(({ path, why }) => ({ path, reason: why }));
      await send({ event: { $case: "created", value: { share: presentShare(state), code, leftOut: left } } });
    }),
    listShares: calls.unary(async (_request: ListSharesRequest) => ({
      shares: (await sharing.shares()).toSorted((a, b) => a.createdAt - b.createdAt).map(presentShare),
    })),
    getShareCode: calls.unary(async ({ share }: GetShareCodeRequest) => {
      assertLocal(reach, "reading a share's code");
      return { code: await sharing.codeOf(toShareName(share)) };
    }),
    deleteShare: calls.unary(async ({ share }: DeleteShareRequest) => {
      assertLocal(reach, "ending a share");
      return { share: presentShare(await sharing.unshare(toShareName(share))) };
    }),
    getNetwork: calls.unary(async ({ probe }: GetNetworkRequest, signal) => {
      // It asks servers on the internet, and may open a port for that.
      if (probe) assertLocal(reach, "probing the network");
      return presentNetwork(await sharing.network(probe, signal));
    }),
  };
}

function presentProgress({ files, bytes, totalFiles, totalBytes }: ShareProgress): CreateShareResponse {
  const value = { fileCount: files, byteCount: bytes, totalFileCount: totalFiles, totalByteCount: totalBytes };
  return { event: { $case: "progress", value } };
}
