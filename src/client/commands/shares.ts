/** `snatchctl shares` and `unshare`: what is shared from here, and the end of it. */
import { type Share, ShareServiceService } from "../../gen/snatch/v1/share_service.ts";
import { EXIT } from "../../shared/errors.ts";
import { formatBytes, formatDuration } from "../../shared/format.ts";
import { connect } from "../connect.ts";
import type { Globals } from "../globals.ts";
import { escapeControls, jsonLine, note, paint, print } from "../output.ts";
import { hideArguments, readShareCode, shareLink } from "../share-link.ts";
import { shareJson } from "../share-view.ts";
import { type Column, header, row, terminalWidth } from "../table.ts";

/** The options of `shares`. */
export interface SharesFlags extends Globals {
  readonly codes?: boolean;
}

const COLUMNS: readonly Column[] = [
  { title: "ID", width: 8 },
  { title: "FILES", width: 6, right: true },
  { title: "SIZE", width: 9, right: true },
  { title: "FETCHED", width: 7, right: true },
  { title: "PEERS", width: 7, right: true },
  { title: "ENDS", width: 11 },
  { title: "NAME", width: 20 },
];
const WITH_CODES: readonly Column[] = [...COLUMNS.slice(0, -1), { title: "CODE", width: 29 }, ...COLUMNS.slice(-1)];

/** Prints every share; their codes only if they were asked for. */
export async function shares(flags: SharesFlags): Promise<number> {
  using connection = connect(flags);
  const { shares: all } = await connection.ask(ShareServiceService.listShares, {});
  const codes = new Map<string, string>();
  for (const { shareId } of flags.codes ? all : [])
    codes.set(shareId, (await connection.ask(ShareServiceService.getShareCode, { share: shareId })).code);
  if (flags.json) {
    for (const share of all) {
      const code = codes.get(share.shareId);
      await print(jsonLine({ ...(code !== undefined && { code, link: shareLink(code) }), ...shareJson(share) }));
    }
    return EXIT.ok;
  }
  if (all.length === 0) {
    if (!flags.quiet) note("nothing is shared");
    return EXIT.ok;
  }
  const columns = flags.codes ? WITH_CODES : COLUMNS;
  // Cut short, a code is of no use.
  const width = flags.codes ? undefined : terminalWidth();
  if (!flags.quiet) await print(paint("bold", header(columns)));
  for (const share of all) await print(row(columns, cellsOf(share, codes.get(share.shareId)), width));
  return EXIT.ok;
}

function cellsOf(share: Share, code: string | undefined): string[] {
  const { fetchCount, maxFetches, peerCount, maxPeers, expireTime, problem } = share;
  return [
    share.shareId.slice(0, 8),
    String(share.fileCount),
    formatBytes(share.size),
    maxFetches === 0 ? String(fetchCount) : `${fetchCount}/${maxFetches}`,
    `${peerCount}/${maxPeers}`,
    expireTime === undefined ? "never" : `in ${formatDuration(expireTime.getTime() - Date.now())}`,
    ...(code === undefined ? [] : [code]),
    escapeControls(problem === "" ? share.name : `${share.name}: ${problem}`),
  ];
}

/** Ends shares, by id or code. Exits with 2 if there is none of that name. */
export async function unshare(globals: Globals, words: readonly string[]): Promise<number> {
  hideArguments("unshare");
  const names = words.map((word) => (isId(word) ? word.toLowerCase() : readShareCode(word)));
  using connection = connect(globals);
  for (const name of names) {
    const { share } = await connection.ask(ShareServiceService.deleteShare, { share: name });
    if (share === undefined) continue;
    if (globals.json) await print(jsonLine({ ...shareJson(share), ended: true }));
    else if (!globals.quiet) await print(`${escapeControls(share.name)} is not shared any more; the files stay`);
  }
  return EXIT.ok;
}

/** An id, or a beginning of one. What is as long as a code is one if its check character fits. */
function isId(word: string): boolean {
  if (!/^[0-9a-f]{4,32}$/i.test(word)) return false;
  try {
    readShareCode(word);
    return false;
  } catch {
    return true;
  }
}
