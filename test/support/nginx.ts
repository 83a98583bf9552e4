/**
 * A real nginx on loopback, for tests, the acceptance run and benches.
 *
 * It runs in the foreground from a temporary prefix, serves one folder in several ways (see {@link NginxOptions}), keeps
 * an access log that can be read as objects, and is stopped by its pid. Where nginx is missing, {@link needsNginx} makes
 * a test say so by name instead of passing.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { freePorts } from "./free-ports.ts";

const run = promisify(execFile);

/** Where the program is, or undefined. Debian puts it in a folder that is not on every PATH. */
export const NGINX_BINARY = findProgram("nginx");

/** Ends its program when the one that started it dies, however it dies (prctl(2), PR_SET_PDEATHSIG). */
const SETPRIV = process.platform === "linux" ? findProgram("setpriv") : undefined;

/** Options for a test that needs nginx: `test("…", needsNginx, …)`. */
export const needsNginx: { readonly skip: string | false } = {
  skip: NGINX_BINARY === undefined && "nginx is not installed: this test did NOT run (apt-get install nginx-light)",
};

/** The user and password of `/auth/`. */
export const NGINX_CREDENTIALS = { user: "jane", password: "s3cret" } as const;

/** What to serve, and how. */
export interface NginxOptions {
  /** The folder whose files every location serves. */
  readonly root: string;
  /** Bytes a second and connection in `/limited/`; default 1 MiB. */
  readonly limitRate?: number;
  /** Bytes a second and connection in `/slow/`; default 16 KiB. */
  readonly slowRate?: number;
  /**
   * More locations: a prefix with slashes at both ends, such as "/one/", to directives, such as `"limit_conn perip 1;"`.
   * Always there: `/` (plain), `/no-ranges/`, `/limited/`, `/auth/` (basic auth) and `/slow/`.
   */
  readonly locations?: Readonly<Record<string, string>>;
  /** Directives of the http section, such as `"limit_conn_zone $binary_remote_addr zone=perip:1m;"`. */
  readonly http?: string;
  /** Worker processes; default 1. */
  readonly workers?: number;
}

/** One finished request. */
export interface NginxRequest {
  readonly method: string;
  readonly uri: string;
  readonly status: number;
  /** `$body_bytes_sent`. */
  readonly bytes: number;
  /** The Range field, "" if there was none. */
  readonly range: string;
  readonly ifRange: string;
  readonly userAgent: string;
  /** The number of the connection: equal numbers mean that it was used again. */
  readonly connection: number;
  /** When it ended, in milliseconds since the epoch. */
  readonly time: number;
  /** Seconds from its first byte to its last. */
  readonly seconds: number;
}

/** A running server. `await using` stops it and removes its folder. */
export interface Nginx extends AsyncDisposable {
  /** Such as "http://127.0.0.1:40123", without a slash at the end. */
  readonly http: string;
  /** The same over TLS; the name in the certificate is "localhost" and 127.0.0.1. */
  readonly https: string;
  /** PEM file of the self-made certificate, for NODE_EXTRA_CA_CERTS and `curl --cacert`. */
  readonly certificate: string;
  readonly pid: number;
  /** The requests that have ended, oldest first. A request is written when its last byte is sent, or it is broken off. */
  requests(): Promise<NginxRequest[]>;
  /** Waits until `enough` is true of {@link requests}. @throws Error after `timeoutMs` (default 5 s) */
  waitForRequests(enough: (requests: NginxRequest[]) => boolean, timeoutMs?: number): Promise<NginxRequest[]>;
  /** Empties the log. */
  clearRequests(): Promise<void>;
  /** Ends it; called again it does nothing. */
  stop(): Promise<void>;
}

/** Starts nginx. @throws Error with its own words if it does not come up */
export async function startNginx(options: NginxOptions): Promise<Nginx> {
  if (NGINX_BINARY === undefined) throw new Error(String(needsNginx.skip));
  const prefix = await mkdtemp(join(tmpdir(), "snatch-nginx-"));
  try {
    await Promise.all(["logs", "tmp"].map((folder) => mkdir(join(prefix, folder))));
    await writeFile(join(prefix, "htpasswd"), `${NGINX_CREDENTIALS.user}:{PLAIN}${NGINX_CREDENTIALS.password}\n`);
    await makeCertificate(prefix);
    // The ports are free when they are chosen, and nobody else's a moment later only with luck: so try more than once.
    for (let attempt = 1; ; attempt++) {
      const [http, https] = await freePorts(2);
      if (http === undefined || https === undefined) throw new Error("no free port on loopback");
      await writeFile(join(prefix, "nginx.conf"), configuration(options, http, https));
      const guard = SETPRIV === undefined ? [] : [SETPRIV, "--pdeathsig", "TERM"];
      const [program = NGINX_BINARY, ...rest] = [...guard, NGINX_BINARY];
      const child = spawn(program, [...rest, "-p", prefix, "-c", "nginx.conf", "-e", "logs/error.log"], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      const complaint = await settled(child, http);
      if (complaint === undefined) return handle(child, prefix, http, https);
      if (attempt === 3 || !complaint.includes("Address already in use"))
        throw new Error(`nginx did not start: ${complaint}`);
    }
  } catch (error) {
    await rm(prefix, { recursive: true, force: true });
    throw error;
  }
}

function handle(child: ChildProcess, prefix: string, http: number, https: number): Nginx {
  const log = join(prefix, "logs/access.log");
  const exited = child.exitCode === null ? once(child, "exit") : Promise.resolve([]);
  const requests = async () => {
    const text = await readFile(log, "utf8");
    // The last piece is empty, or a line that is being written.
    const lines = text.split("\n").slice(0, -1);
    // $msec is in seconds.
    return lines
      .map((line) => JSON.parse(line) as NginxRequest)
      .map((request) => ({ ...request, time: Math.round(request.time * 1000) }));
  };
  const stop = async () => {
    child.kill("SIGTERM");
    await exited;
    await rm(prefix, { recursive: true, force: true });
  };
  return {
    http: `http://127.0.0.1:${http}`,
    https: `https://127.0.0.1:${https}`,
    certificate: join(prefix, "cert.pem"),
    pid: child.pid ?? -1,
    requests,
    clearRequests: () => truncate(log, 0),
    async waitForRequests(enough, timeoutMs = 5000) {
      const deadline = performance.now() + timeoutMs;
      for (;;) {
        const found = await requests();
        if (enough(found)) return found;
        if (performance.now() > deadline) throw new Error(`nginx's log never showed it: ${JSON.stringify(found)}`);
        await sleep(10);
      }
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function configuration(options: NginxOptions, http: number, https: number): string {
  const locations: Record<string, string> = {
    "/no-ranges/": "max_ranges 0;",
    "/limited/": `limit_rate ${options.limitRate ?? 1024 * 1024};`,
    "/slow/": `limit_rate ${options.slowRate ?? 16 * 1024};`,
    "/auth/": 'auth_basic "snatch"; auth_basic_user_file htpasswd;',
    ...options.locations,
  };
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path tmp/${kind};`,
  );
  const fields =
    '"method":"$request_method","uri":"$request_uri","status":$status,"bytes":$body_bytes_sent,"range":"$http_range",' +
    '"ifRange":"$http_if_range","userAgent":"$http_user_agent","connection":$connection,"seconds":$request_time';
  return `
daemon off;
${process.getuid?.() === 0 ? "user root;" : ""}
pid nginx.pid;
worker_processes ${options.workers ?? 1};
events { worker_connections 4096; }
http {
  ${temporary.join(" ")}
  default_type application/octet-stream;
  types { text/html html; text/plain txt; audio/mpeg mp3; }
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  log_format json escape=json '{${fields},"time":$msec}';
  access_log logs/access.log json;
  ${options.http ?? ""}
  server {
    listen 127.0.0.1:${http} backlog=1024;
    listen 127.0.0.1:${https} ssl backlog=1024;
    ssl_certificate cert.pem;
    ssl_certificate_key key.pem;
    location / { root "${options.root}"; }
${Object.entries(locations)
  .map(([location, directives]) => `    location ${location} { alias "${options.root}/"; ${directives} }`)
  .join("\n")}
  }
}
`;
}

/** Waits until the port answers. @returns what nginx said if it ended instead */
async function settled(child: ChildProcess, port: number): Promise<string | undefined> {
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  child.on("error", (error) => {
    said += error.message;
  });
  while (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    if (await answers(port)) return undefined;
    await sleep(5);
  }
  return said || `exit code ${child.exitCode}`;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1")
      .on("connect", () => resolve(Boolean(socket.destroy())))
      .on("error", () => resolve(false));
  });
}

/** A key and a certificate for localhost and 127.0.0.1, good for two days. */
async function makeCertificate(folder: string): Promise<void> {
  const names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
  const files = ["-keyout", join(folder, "key.pem"), "-out", join(folder, "cert.pem")];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await run("openssl", ["req", "-x509", ...key, "-days", "2", "-subj", "/CN=localhost", "-addext", names, ...files]);
}

function findProgram(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/bin", "/usr/sbin", "/usr/local/sbin"];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
