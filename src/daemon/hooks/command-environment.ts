/**
 * What a command is told: in its environment and nowhere else, so that no name that came from the network is ever part of a
 * command line.
 */
import type { Environment } from "../../shared/paths.ts";
import { redactUrl } from "../../shared/redact.ts";
import type { Session } from "../core/session.ts";

/** Characters of a message. */
const LONGEST_MESSAGE = 4000;

/** What belongs to the service itself: a child that talks to systemd in its name would confuse it. */
const SERVICE =
  /^(NOTIFY_SOCKET|WATCHDOG_(PID|USEC)|LISTEN_(PID|FDS|FDNAMES)|MAINPID|INVOCATION_ID|CREDENTIALS_DIRECTORY)$/;

/** The variables that tell of a session that has ended. Absent: not known, or does not apply. */
function variables(event: "complete" | "error", session: Session): Readonly<Record<string, string | undefined>> {
  const { file, resource, error, options } = session;
  return {
    SNATCH_EVENT: event,
    SNATCH_SESSION_ID: session.id,
    SNATCH_BATCH_ID: session.batchId,
    SNATCH_URL: redactUrl(session.url),
    SNATCH_FILE: file?.path,
    SNATCH_SIZE: file && String(file.size),
    SNATCH_SHA256: file && options.checksum?.algorithm === "sha-256" ? options.checksum.value : undefined,
    SNATCH_MANIFEST_ROOT: session.manifestRoot,
    SNATCH_CONTENT_TYPE: resource?.contentType,
    SNATCH_ERROR_CODE: event === "error" ? error?.code : undefined,
    SNATCH_ERROR_MESSAGE: event === "error" ? error?.message.slice(0, LONGEST_MESSAGE) : undefined,
  };
}

/** The environment of a command: the daemon's, without what is the service's own, and what happened. */
export function commandEnvironment(
  inherited: Environment,
  event: "complete" | "error",
  session: Session,
): Record<string, string> {
  const environment: Record<string, string> = {};
  const told = variables(event, session);
  for (const [name, value] of Object.entries({ ...inherited, ...told })) {
    // No variable can hold a NUL, whatever a server put into a field.
    if (value !== undefined && !SERVICE.test(name)) environment[name] = value.replaceAll("\0", "");
  }
  return environment;
}
