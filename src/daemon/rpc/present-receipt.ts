/** Receipts and what a verification tells, domain → wire. Secrets in URLs end here. */
import {
  ChunkProblem,
  VerifyStatus,
  type DamagedChunk as WireChunk,
  type VerifyFilesResponse as WireEvent,
  type ReceiptManifest as WireManifest,
  type VerifyOutcome as WireOutcome,
  type Receipt as WireReceipt,
} from "../../gen/snatch/v1/receipt_service.ts";
import { chunkCount } from "../core/manifest.ts";
import type { DamagedChunk, VerifyEvent, VerifyOutcome } from "../core/ports/receipts.ts";
import { type ManifestHead, type Receipt, receiptChunkCount, redactReceipt } from "../core/receipt.ts";
import { presentError } from "./present.ts";

const PROBLEMS = {
  changed: ChunkProblem.CHANGED,
  missing: ChunkProblem.MISSING,
  unreadable: ChunkProblem.UNREADABLE,
} as const;

const STATUSES = {
  whole: VerifyStatus.WHOLE,
  damaged: VerifyStatus.DAMAGED,
  repaired: VerifyStatus.REPAIRED,
  missing: VerifyStatus.MISSING,
  failed: VerifyStatus.FAILED,
} as const;

/** A receipt as callers see it. */
export function presentReceipt(receipt: Receipt): WireReceipt {
  const { resource, manifests, ...shown } = redactReceipt(receipt);
  const { answer, digests = [] } = resource;
  return {
    sessionId: shown.sessionId,
    url: shown.url,
    redirects: [...(answer?.redirects ?? [])],
    finalUrl: resource.finalUrl,
    sources: [...shown.sources],
    requestTime: new Date(shown.requestedAt),
    firstByteTime: answer && new Date(answer.at),
    completeTime: new Date(shown.completedAt),
    etag: resource.etag ?? "",
    lastModified: resource.lastModified ?? "",
    strongValidator: resource.strongValidator ?? "",
    contentType: resource.contentType ?? "",
    certificateSha256: answer?.certificate ?? "",
    lengthUnverified: resource.lengthUnverified ?? false,
    digests: shown.digests.map((digest) => ({ ...digest })),
    originDigests: digests.map((digest) => ({ ...digest })),
    path: shown.file.path,
    source: presentManifest(manifests.source),
    file: presentManifest(manifests.file),
  };
}

function presentManifest({ size, chunkSize, root }: ManifestHead): WireManifest {
  return { size, chunkSize, chunkCount: chunkCount(size, chunkSize), root };
}

/** @param now - milliseconds since the epoch, for errors */
export function presentVerifyEvent(event: VerifyEvent, now: number): WireEvent {
  switch (event.type) {
    case "begun": {
      const { receipt, path } = event;
      const { sessionId, file, manifests } = receipt;
      const chunks = receiptChunkCount(receipt);
      const value = { sessionId, receiptPath: file.path, size: manifests.file.size, chunkCount: chunks };
      return { path, event: { $case: "begun", value } };
    }
    case "progress":
      return {
        path: event.path,
        event: { $case: "progress", value: { bytes: event.bytes, totalBytes: event.total } },
      };
    case "damaged":
      return { path: event.path, event: { $case: "damaged", value: presentChunk(event.chunk) } };
    case "repaired": {
      const value = { chunk: presentChunk(event.chunk), source: event.source };
      return { path: event.path, event: { $case: "repaired", value } };
    }
    case "done":
      return { path: event.outcome.path, event: { $case: "done", value: presentOutcome(event.outcome, now) } };
  }
}

function presentChunk({ index, start, end, problem }: DamagedChunk): WireChunk {
  return { index, start, end, problem: PROBLEMS[problem] };
}

function presentOutcome(outcome: VerifyOutcome, now: number): WireOutcome {
  const { receipt, path, error } = outcome;
  return {
    status: STATUSES[outcome.status],
    sessionId: receipt.sessionId,
    expectedSize: receipt.manifests.file.size,
    foundSize: outcome.size,
    damagedCount: outcome.damaged,
    repairedCount: outcome.repaired,
    touched: outcome.touched,
    movedFrom: path === receipt.file.path ? "" : receipt.file.path,
    error: error && presentError(error, now),
  };
}
