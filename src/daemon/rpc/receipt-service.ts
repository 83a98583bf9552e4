/** ReceiptService: receipts, and whether the files still are what they say. */
import type {
  ExportReceiptRequest,
  ForgetReceiptRequest,
  GetReceiptRequest,
  ReceiptName,
  ReceiptServiceServer,
  VerifyFilesRequest,
} from "../../gen/snatch/v1/receipt_service.ts";
import { failure } from "../core/errors.ts";
import type { VerifyTarget } from "../core/ports/receipts.ts";
import { type Receipt, redactReceipt } from "../core/receipt.ts";
import type { Calls } from "./calls.ts";
import { badField, toPath, toSessionId } from "./convert.ts";
import type { RpcPorts } from "./deps.ts";
import { presentReceipt, presentVerifyEvent } from "./present-receipt.ts";
import { assertLocal, type Reach } from "./targets.ts";

/** The handlers for callers with this reach. */
export function receiptService(ports: RpcPorts, calls: Calls, reach: Reach): ReceiptServiceServer {
  const { receipts, verifier, clock } = ports;
  return {
    getReceipt: calls.unary(async ({ name }: GetReceiptRequest) => ({
      receipt: presentReceipt(await find(ports, name)),
    })),
    exportReceipt: calls.serverStream(async ({ name, secrets }: ExportReceiptRequest, send, signal) => {
      if (secrets) assertLocal(reach, "showing the secrets of a receipt");
      const receipt = await find(ports, name);
      for await (const piece of receipts.write(secrets ? receipt : redactReceipt(receipt))) {
        signal.throwIfAborted();
        await send({ data: Buffer.from(piece) });
      }
    }),
    verifyFiles: calls.serverStream(async (request: VerifyFilesRequest, send, signal) => {
      const target = toVerifyTarget(request);
      if ("receiptFile" in target) assertLocal(reach, "verifying by a receipt in a file");
      const options = {
        repair: request.repair,
        // Whoever is not on this machine learns nothing of files that Snatch did not fetch.
        findMoved: reach.local,
        mayWrite: (path: string) => reach.assertTarget(path),
        signal,
      };
      for await (const event of verifier.verify(target, options)) await send(presentVerifyEvent(event, clock.now()));
    }),
    forgetReceipt: calls.unary(async ({ name }: ForgetReceiptRequest) => {
      const receipt = await find(ports, name);
      await receipts.forget(receipt.sessionId);
      return { receipt: presentReceipt(receipt) };
    }),
  };
}

async function find({ receipts }: RpcPorts, wire: ReceiptName | undefined): Promise<Receipt> {
  const name = wire?.name;
  if (name?.$case === "sessionId") return receipts.bySession(toSessionId(name.value, "name.session_id"));
  if (name?.$case !== "path") throw badField("name", "give a path or a session_id");
  const path = toPath(name.value, "name.path");
  const receipt = await receipts.byPath(path);
  if (receipt) return receipt;
  throw failure("RECEIPT_NOT_FOUND", `there is no receipt for ${path}`, { metadata: { path } });
}

function toVerifyTarget({ target }: VerifyFilesRequest): VerifyTarget {
  switch (target?.$case) {
    case "path":
      return { path: toPath(target.value, "path") };
    case "sessionId":
      return { sessionId: toSessionId(target.value, "session_id") };
    case "receiptFile": {
      const { receiptPath, path } = target.value;
      return {
        receiptFile: toPath(receiptPath, "receipt_file.receipt_path"),
        ...(path !== "" && { path: toPath(path, "receipt_file.path") }),
      };
    }
    case "all":
      if (!target.value) throw badField("all", "is only meaningful when true");
      return { all: true };
    default:
      throw badField("target", "give one of path, session_id, receipt_file and all");
  }
}
