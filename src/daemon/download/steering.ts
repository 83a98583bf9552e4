/** Pause, resume, cancel, retry, remove: the same walk over a selection, each with its own deed. */

import { asDownloadError, failure } from "../core/errors.ts";
import type { Selection, SteerOutcome } from "../core/ports/downloads.ts";
import type { SessionPatch } from "../core/ports/sessions.ts";
import type { Session, SessionStatus } from "../core/session.ts";
import { removeAll } from "./media/remains.ts";
import type { Queue } from "./queue.ts";
import type { Engine } from "./run.ts";
import type { Runner } from "./runner.ts";
import { asidePath } from "./target.ts";

/** Sessions taken at once when all or a batch are meant. */
const PAGE = 500;

/** One kind of steering. */
interface Deed {
  /** Statuses that it applies to. */
  readonly from: readonly SessionStatus[];
  /** What it does to a session that does not run, where that is all: many are then changed at once. */
  readonly patch?: SessionPatch;
  /** Does it to one session. */
  readonly act: (session: Session) => Promise<Session>;
  /** Statuses in which nothing is left to do; any other is an error if the session was named. */
  readonly done: readonly SessionStatus[];
  /** For the message, such as "paused". */
  readonly name: string;
}

/** Steers sessions. */
export class Steering {
  readonly #engine: Engine;
  readonly #runner: Runner;
  readonly #queue: Queue;

  constructor(engine: Engine, runner: Runner, queue: Queue) {
    this.#engine = engine;
    this.#runner = runner;
    this.#queue = queue;
  }

  pause(selection: Selection): Promise<SteerOutcome> {
    return this.#apply(selection, {
      from: ["queued", "waiting", "active"],
      done: ["paused"],
      name: "paused",
      patch: halted("paused"),
      act: (session) => this.#halt(session, "paused"),
    });
  }

  resume(selection: Selection): Promise<SteerOutcome> {
    return this.#requeue(selection, { from: ["paused", "waiting"], done: ["queued", "active"], name: "resumed" });
  }

  retry(selection: Selection): Promise<SteerOutcome> {
    const done = ["queued", "active", "waiting"] as const;
    return this.#requeue(selection, { from: ["failed", "cancelled"], done, name: "retried" });
  }

  cancel(selection: Selection): Promise<SteerOutcome> {
    return this.#apply(selection, {
      from: ["queued", "waiting", "active", "paused", "failed"],
      done: ["cancelled"],
      name: "called off",
      act: async (session) => {
        const halted = await this.#halt(session, "cancelled");
        if (halted.status === "cancelled") await this.#discard(halted);
        return halted;
      },
    });
  }

  remove(selection: Selection): Promise<SteerOutcome> {
    return this.#apply(selection, {
      from: ["queued", "waiting", "active", "paused", "completed", "failed", "cancelled"],
      done: [],
      name: "removed",
      act: async (session) => {
        this.#runner.stop(session.id, "removed");
        await this.#queue.settled(session.id);
        const last = (await this.#engine.store.get(session.id)) ?? session;
        if (last.status !== "completed") await this.#discard(last);
        await this.#engine.store.remove([session.id]);
        return session;
      },
    });
  }

  async #requeue(selection: Selection, deed: Omit<Deed, "act">): Promise<SteerOutcome> {
    const patch = {
      status: "queued",
      attempt: 0,
      nextAttemptAt: undefined,
      error: undefined,
      detour: undefined,
    } as const;
    const act = ({ id }: Session): Promise<Session> => this.#engine.store.update(id, patch, { sync: true });
    const outcome = await this.#apply(selection, { ...deed, act, patch });
    this.#queue.wake();
    return outcome;
  }

  /** Stops a session wherever it is. */
  async #halt(session: Session, to: "paused" | "cancelled"): Promise<Session> {
    const { store } = this.#engine;
    if (this.#runner.stop(session.id, to)) {
      await this.#queue.settled(session.id);
      const now = await store.find(session.id);
      // It may have ended before it noticed.
      if (now.status === to || now.status === "completed") return now;
    }
    return store.update(session.id, halted(to), { sync: true });
  }

  /** Takes away what an unfinished session has on disk. */
  async #discard(session: Session): Promise<void> {
    const { part } = session;
    if (part) for (const path of [part.path, asidePath(part.path)]) await this.#engine.files.remove(path);
    await removeAll(this.#engine.files, session);
    await this.#engine.store.dropChunks(session.id);
  }

  async #apply(selection: Selection, deed: Deed): Promise<SteerOutcome> {
    if ("ids" in selection) return this.#applyToIds(selection.ids, deed);
    let changed = 0;
    for (const status of deed.from) {
      const filter = { status, ...("batchId" in selection && { batchId: selection.batchId }) };
      if (deed.patch && status !== "active")
        changed += await this.#engine.store.updateAll(
          filter,
          deed.patch,
          ({ id, status: now }) => now === status && !this.#runner.runs(id),
        );
      // Those that run, and those that something else was done to at the same moment.
      let token: string | undefined;
      do {
        const page = await this.#engine.store.list(filter, { size: PAGE, ...(token !== undefined && { token }) });
        const acted = await Promise.all(page.sessions.map((session) => this.#ifStill(deed, session)));
        changed += acted.filter((session) => session !== undefined).length;
        token = page.nextPageToken;
      } while (token !== undefined);
    }
    return { changed, sessions: [] };
  }

  /** Does the deed unless the session went elsewhere since it was looked at: it may have ended, or been forgotten. */
  async #ifStill(deed: Deed, session: Session): Promise<Session | undefined> {
    try {
      return await deed.act(session);
    } catch (error) {
      const { code } = asDownloadError(error);
      if (code !== "WRONG_STATUS" && code !== "SESSION_NOT_FOUND") throw error;
      return undefined;
    }
  }

  /** Ids are checked first: if one is wrong, nothing is done. */
  async #applyToIds(ids: readonly string[], deed: Deed): Promise<SteerOutcome> {
    const found = await Promise.all(ids.map((id) => this.#engine.store.find(id)));
    const unique = [...new Map(found.map((session) => [session.id, session])).values()];
    const due = unique.filter((session) => !deed.done.includes(session.status));
    const wrong = due.find((session) => !deed.from.includes(session.status));
    if (wrong)
      throw failure("WRONG_STATUS", `session ${wrong.id} is ${wrong.status}; it cannot be ${deed.name}`, {
        metadata: { session_id: wrong.id, status: wrong.status },
      });
    const acted = new Map(
      await Promise.all(due.map(async (session) => [session.id, await this.#actOn(deed, session)] as const)),
    );
    return { changed: acted.size, sessions: unique.map((session) => acted.get(session.id) ?? session) };
  }

  /** One that has reached by itself what the deed is to bring about is no error. */
  async #actOn(deed: Deed, session: Session): Promise<Session> {
    try {
      return await deed.act(session);
    } catch (error) {
      const now = await this.#engine.store.get(session.id);
      if (asDownloadError(error).code === "WRONG_STATUS" && now && deed.done.includes(now.status)) return now;
      throw error;
    }
  }
}

/** What is true of a session that was stopped. */
function halted(to: "paused" | "cancelled"): SessionPatch {
  return { status: to, stage: undefined, nextAttemptAt: undefined };
}
