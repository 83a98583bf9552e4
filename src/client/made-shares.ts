/** The shares that `get --share` makes of finished files: their codes, each asked for and told once. */
import type { Session } from "../gen/snatch/v1/session.ts";
import { ShareServiceService } from "../gen/snatch/v1/share_service.ts";
import type { Connection } from "./connect.ts";
import { ClientError } from "./failure.ts";

/** A share that was made of a file. */
export interface MadeShare {
  /** Null if this caller may not have it: over TCP nobody may. */
  readonly code: string | null;
  /** The first file of this share. */
  readonly isNew: boolean;
  /** For people. */
  readonly line: string;
}

/** Remembers the codes: all files of a folder are shared on by one. */
export class MadeShares {
  readonly #connection: Connection;
  readonly #codes = new Map<string, string | null>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** @returns undefined if the session was not shared */
  async of({ shareId }: Session): Promise<MadeShare | undefined> {
    if (shareId === "") return undefined;
    const known = this.#codes.get(shareId);
    const code = known === undefined ? await this.#codeOf(shareId) : known;
    this.#codes.set(shareId, code);
    const id = shareId.slice(0, 8);
    const line = code === null ? `shared as ${id}` : `shared by the code ${code}; snatchctl unshare ${id} ends it`;
    return { code, isNew: known === undefined, line };
  }

  async #codeOf(share: string): Promise<string | null> {
    try {
      return (await this.#connection.ask(ShareServiceService.getShareCode, { share })).code;
    } catch (error) {
      // Ended in this moment, or not for this caller: the file is whole all the same.
      if (error instanceof ClientError) return null;
      throw error;
    }
  }
}
