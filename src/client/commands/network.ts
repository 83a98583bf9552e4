/** `snatchctl network`: how others reach this machine, and who is connected. */
import { ShareServiceService } from "../../gen/snatch/v1/share_service.ts";
import { EXIT } from "../../shared/errors.ts";
import { connect } from "../connect.ts";
import type { Globals } from "../globals.ts";
import { networkJson, networkLines, peerLine } from "../network-view.ts";
import { jsonLine, print } from "../output.ts";

/** The options of `network`. */
export interface NetworkFlags extends Globals {
  readonly probe?: boolean;
}

/** Prints what the daemon knows, or finds out now. */
export async function network(flags: NetworkFlags): Promise<number> {
  using connection = connect(flags);
  const found = await connection.ask(ShareServiceService.getNetwork, { probe: flags.probe ?? false });
  if (flags.json) {
    await print(jsonLine(networkJson(found)));
    return EXIT.ok;
  }
  for (const line of networkLines(found)) await print(line);
  if (found.peers.length > 0) await print("\nconnected:");
  for (const peer of found.peers) await print(`  ${peerLine(peer, Date.now())}`);
  return EXIT.ok;
}
