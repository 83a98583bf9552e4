/**
 * The service manager's end of sd_notify(3): a real Unix datagram socket. Node has none, so a few lines of Python hold it
 * and pass on what arrives. Needs python3.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { requireTool } from "./tools.ts";

/** Plain recv() drops the descriptor of a barrier message, which is how the sender learns that it was read. */
const RECEIVER = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print(json.dumps("bound"), flush=True)
while True:
    print(json.dumps(s.recv(65536).decode()), flush=True)
`;

/** A socket for NOTIFY_SOCKET that remembers what it was told. */
export class NotifySocket implements AsyncDisposable {
  /** The value for NOTIFY_SOCKET. */
  readonly path: string;
  readonly #folder: string;
  readonly #child: ChildProcess;
  readonly #messages: (readonly string[])[] = [];
  readonly #waiters = new Set<() => void>();

  private constructor(folder: string, path: string, child: ChildProcess) {
    this.#folder = folder;
    this.path = path;
    this.#child = child;
  }

  /** Binds a socket in a folder of its own. */
  static async create(): Promise<NotifySocket> {
    const folder = await mkdtemp(join(tmpdir(), "snatch-notify-"));
    const path = join(folder, "notify.sock");
    const child = spawn(requireTool("python3"), ["-c", RECEIVER, path], { stdio: ["ignore", "pipe", "inherit"] });
    const socket = new NotifySocket(folder, path, child);
    const lines = createInterface({ input: child.stdout });
    await Promise.race([once(lines, "line"), failed(child)]);
    lines.on("line", (line) => socket.#receive(JSON.parse(line) as string));
    return socket;
  }

  /** Every message so far, as its assignments ("READY=1", "STATUS=…"). Barriers are left out. */
  get messages(): readonly (readonly string[])[] {
    return this.#messages;
  }

  /** Waits until `count` messages hold an assignment that begins with `start`. @throws Error after `timeoutMs` */
  async waitFor(start: string, count = 1, timeoutMs = 10_000): Promise<void> {
    const enough = () =>
      this.#messages.filter((message) => message.some((one) => one.startsWith(start))).length >= count;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const check = () => void (enough() && resolve());
    const timer = setTimeout(
      () => reject(new Error(`no ${count} × ${start} came, only ${JSON.stringify(this.#messages)}`)),
      timeoutMs,
    );
    this.#waiters.add(check);
    check();
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(check);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGKILL");
      await once(this.#child, "exit");
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  #receive(text: string): void {
    const assignments = text.split("\n").filter((line) => line !== "" && line !== "BARRIER=1");
    if (assignments.length === 0) return;
    this.#messages.push(assignments);
    for (const waiter of this.#waiters) waiter();
  }
}

async function failed(child: ChildProcess): Promise<never> {
  const [code] = await once(child, "exit");
  throw new Error(`the receiver ended with ${code}`);
}
