/**
 * The table of everything that can go wrong: one row a stable code.
 *
 * From it come the error classes' codes, the gRPC status and google.rpc.ErrorInfo, the exit codes of snatchctl and
 * docs/ERRORS.md. A code is never renamed or used again for something else.
 */

/** Which class of the hierarchy carries the code. */
export type ErrorKind = "download" | "network" | "resource" | "file-system" | "system-resource";

/** gRPC status names (https://grpc.io/docs/guides/status-codes/). */
type GrpcStatusName =
  | "CANCELLED"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

/** Exit codes of snatchctl, by what a script would do about them. */
export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  network: 3,
  resource: 4,
  fileSystem: 5,
  systemResource: 6,
  integrity: 7,
  daemon: 8,
  refused: 9,
  paused: 10,
  alreadyRunning: 11,
  config: 12,
  interrupted: 130,
} as const;

/** One row of the table. */
export interface ErrorEntry {
  readonly kind: ErrorKind;
  readonly grpc: GrpcStatusName;
  /** True if the same attempt may succeed later without anyone doing anything. */
  readonly retryable: boolean;
  readonly exit: number;
  /** What it means, for docs/ERRORS.md. */
  readonly meaning: string;
  /** What to do, in one sentence for the person who sees it. */
  readonly hint: string;
}

const row = (
  kind: ErrorKind,
  grpc: GrpcStatusName,
  retryable: boolean,
  exit: number,
  meaning: string,
  hint: string,
): ErrorEntry => ({ kind, grpc, retryable, exit, meaning, hint });

/** Every code. The order is that of docs/ERRORS.md. */
// biome-ignore format: one row, one line
export const ERRORS = {
  // What was asked for.
  INVALID_ARGUMENT: row("download", "INVALID_ARGUMENT", false, EXIT.usage, "A value in the request makes no sense.", "Correct the value named in the message."),
  INVALID_URL: row("download", "INVALID_ARGUMENT", false, EXIT.usage, "The text is not a URL.", "Give a whole URL, such as https://example.org/file.iso."),
  UNSUPPORTED_SCHEME: row("download", "INVALID_ARGUMENT", false, EXIT.usage, "The URL's scheme is not one that Snatch fetches.", "Use a URL that begins with http:// or https://."),
  LIST_LINE_INVALID: row("download", "INVALID_ARGUMENT", false, EXIT.usage, "A line of a list is neither a URL, a comment nor an option line.", "Correct the line; the refused lines are in the rejected/ folder."),
  LIST_NOT_TEXT: row("download", "INVALID_ARGUMENT", false, EXIT.usage, "A list holds bytes that are not UTF-8 text.", "Save the list as plain UTF-8 text, or gzip of it."),
  LIST_TOO_LARGE: row("download", "INVALID_ARGUMENT", false, EXIT.usage, "A compressed list unpacks to far more than is plausible.", "Unpack it and drop the text instead."),
  SESSION_NOT_FOUND: row("download", "NOT_FOUND", false, EXIT.usage, "There is no session with this id.", "See `snatchctl list` for the ids."),
  SESSION_AMBIGUOUS: row("download", "INVALID_ARGUMENT", false, EXIT.usage, "The beginning of an id fits more than one session.", "Give more characters of the id."),
  RECEIPT_NOT_FOUND: row("download", "NOT_FOUND", false, EXIT.usage, "There is no receipt for this file or session.", "Receipts are of finished downloads: see `snatchctl list --status completed`."),
  REPAIR_IMPOSSIBLE: row("download", "DATA_LOSS", false, EXIT.integrity, "No source gives the bytes that the receipt describes. The file stays as it is.", "Fetch what the origin has now with `snatchctl get --force URL`."),
  RECEIPT_INVALID: row("download", "INVALID_ARGUMENT", false, EXIT.usage, "The file is no receipt that Snatch wrote.", "Make one with `snatchctl receipt PATH --json`."),
  WRONG_STATUS: row("download", "FAILED_PRECONDITION", false, EXIT.refused, "The session's status does not allow what was asked.", "See `snatchctl show ID` for where it stands."),
  CANCELLED: row("download", "CANCELLED", false, EXIT.refused, "The download was called off.", "Use `snatchctl retry ID` to begin again."),
  PAUSED: row("download", "ABORTED", false, EXIT.paused, "The download was paused before it ended.", "Use `snatchctl resume ID` to go on."),
  VETOED: row("download", "FAILED_PRECONDITION", false, EXIT.refused, "A hook refused the download.", "The message says which hook, and why."),
  INTERNAL: row("download", "INTERNAL", false, EXIT.unexpected, "Something in Snatch itself went wrong.", "Please report it, with the log."),
  // Bytes that are not right.
  CHECKSUM_MISMATCH: row("download", "DATA_LOSS", false, EXIT.integrity, "The whole file does not have the digest that it must have.", "The message names both digests and where the bytes are kept; `snatchctl retry ID` fetches them anew."),
  SIZE_MISMATCH: row("resource", "DATA_LOSS", false, EXIT.integrity, "The file does not have the size that its description gives.", "The origin serves another file; look for another source."),
  CHECKSUM_NOT_FOUND: row("resource", "FAILED_PRECONDITION", false, EXIT.resource, "No checksum file was found that names the file.", "Name one with --checksum-file URL, or give the digest with --checksum."),
  METALINK_INVALID: row("resource", "FAILED_PRECONDITION", false, EXIT.resource, "A Metalink cannot be used.", "The message says why; --no-metalink fetches the Metalink itself."),
  PLAYLIST_INVALID: row("resource", "FAILED_PRECONDITION", false, EXIT.resource, "A playlist or manifest cannot be used.", "The message says why, and where in it; --no-media fetches the playlist itself."),
  CHUNK_MISMATCH: row("download", "DATA_LOSS", true, EXIT.integrity, "A chunk is not what was recorded, or not what the manifest of a share says.", "It is fetched again; if it recurs, the disk is failing, or whoever shares it sends other bytes."),
  RESOURCE_CHANGED: row("resource", "ABORTED", true, EXIT.integrity, "The resource changed while it was fetched.", "It begins again with the new version."),
  // The way to the origin.
  DNS_FAILED: row("network", "UNAVAILABLE", true, EXIT.network, "The host's name could not be resolved.", "Check the spelling of the host and the network."),
  CONNECT_REFUSED: row("network", "UNAVAILABLE", true, EXIT.network, "The host refused the connection.", "Check the port, and that the server runs."),
  CONNECT_FAILED: row("network", "UNAVAILABLE", true, EXIT.network, "No connection to the host could be made.", "Check the network."),
  CONNECTION_LOST: row("network", "UNAVAILABLE", true, EXIT.network, "The connection broke before the answer was whole.", "It goes on from the last byte."),
  TLS_FAILED: row("network", "UNAVAILABLE", false, EXIT.network, "The server's certificate or TLS handshake was not acceptable.", "Check the clock and the certificate; NODE_EXTRA_CA_CERTS adds an authority."),
  TIMED_OUT: row("network", "DEADLINE_EXCEEDED", true, EXIT.network, "No byte came for the whole timeout.", "Raise --timeout if the server is slow to answer."),
  TRUNCATED: row("network", "UNAVAILABLE", true, EXIT.network, "The answer ended before its announced length.", "It goes on from the last byte."),
  HEADERS_TOO_LARGE: row("network", "UNAVAILABLE", false, EXIT.network, "The answer's header section is larger than is accepted.", "The origin misbehaves; there is nothing to set."),
  PROTOCOL_ERROR: row("network", "UNAVAILABLE", true, EXIT.network, "The answer breaks HTTP in a way that cannot be trusted.", "The origin misbehaves; there is nothing to set."),
  TOO_MANY_REDIRECTS: row("network", "FAILED_PRECONDITION", false, EXIT.network, "The redirects did not end.", "Open the URL in a browser to see where it leads; it may need a login."),
  BAD_REDIRECT: row("network", "FAILED_PRECONDITION", false, EXIT.network, "A redirect has no usable target.", "The origin misbehaves; there is nothing to set."),
  PROXY_FAILED: row("network", "UNAVAILABLE", true, EXIT.network, "The proxy did not bring about a connection.", "Check http.proxy and the environment (HTTPS_PROXY, ALL_PROXY …); `snatchctl doctor` shows which proxy is used."),
  PROXY_UNAUTHORIZED: row("network", "UNAUTHENTICATED", false, EXIT.network, "The proxy wants credentials, or other ones (407).", "Put them into the proxy's URL: http://user:password@proxy:3128."),
  ADDRESS_NOT_ALLOWED: row("network", "PERMISSION_DENIED", false, EXIT.network, "A redirect leads from a public host into the private network, or to a port that is not for HTTP; or a caller over TCP names such a place.", "Give that URL yourself if you want it, or set http.allow_private_redirects; for callers over TCP, http.allow_remote_hosts."),
  // What the origin says.
  HTTP_UNAUTHORIZED: row("resource", "UNAUTHENTICATED", false, EXIT.resource, "The origin wants credentials (401).", "Put them in the URL (user:password@) or give --header 'Authorization: …'."),
  HTTP_FORBIDDEN: row("resource", "PERMISSION_DENIED", false, EXIT.resource, "The origin refuses (403).", "The URL may have expired, or want a cookie or a referrer: --header 'Cookie: …'."),
  HTTP_NOT_FOUND: row("resource", "NOT_FOUND", false, EXIT.resource, "The origin has no such file (404).", "Check the URL."),
  HTTP_GONE: row("resource", "NOT_FOUND", false, EXIT.resource, "The file was removed from the origin (410).", "Look for another source."),
  HTTP_TOO_MANY_REQUESTS: row("resource", "UNAVAILABLE", true, EXIT.resource, "The origin asks for patience (429).", "It is asked again at the time that it named."),
  HTTP_CLIENT_ERROR: row("resource", "FAILED_PRECONDITION", false, EXIT.resource, "The origin refuses the request (4xx).", "The message names the status."),
  HTTP_SERVER_ERROR: row("resource", "UNAVAILABLE", true, EXIT.resource, "The origin fails (5xx).", "It is asked again later."),
  CONTENT_TYPE_CHANGED: row("resource", "FAILED_PRECONDITION", false, EXIT.resource, "The origin sent a page in place of the rest of the file, such as a login. What was fetched is kept.", "Give what it wants (--header 'Cookie: …', or a new URL), then `snatchctl retry ID` goes on."),
  CONTENT_CODING_UNKNOWN: row("resource", "FAILED_PRECONDITION", false, EXIT.resource, "The origin sent the file in a content coding that Snatch cannot decode.", "The file was asked for uncoded already; look for another source."),
  RANGE_INVALID: row("resource", "UNAVAILABLE", true, EXIT.resource, "The origin answered a range with other bytes than were asked for.", "It is asked again; bytes that do not fit are never used."),
  NOT_AN_IMAGE: row("resource", "FAILED_PRECONDITION", false, EXIT.resource, "What was to be a thumbnail is no image of a kind that is kept.", "JPEG, PNG, GIF, WebP, AVIF, HEIC and BMP are; SVG can hold scripts, and is not."),
  IMAGE_TOO_LARGE: row("resource", "FAILED_PRECONDITION", false, EXIT.resource, "An image unpacks to more pixels than is safe, or its header lies about them.", "Use a smaller image."),
  // Files and folders.
  TARGET_EXISTS: row("file-system", "ALREADY_EXISTS", false, EXIT.fileSystem, "The target is there already and is not this session's.", "Use --if-exists rename or overwrite, or another -o."),
  TARGET_NOT_ALLOWED: row("file-system", "PERMISSION_DENIED", false, EXIT.fileSystem, "The target lies in a watched folder, or outside the folders that this caller may write to.", "Choose another folder, or add it to allowed_dirs in the configuration."),
  TARGET_BUSY: row("file-system", "ALREADY_EXISTS", true, EXIT.fileSystem, "Another download is on its way to the same target.", "It goes on when that one has ended; or give another -o."),
  DIRECTORY_MISSING: row("file-system", "FAILED_PRECONDITION", false, EXIT.fileSystem, "The folder does not exist.", "Make it, or name another with -d."),
  NOT_WRITABLE: row("file-system", "PERMISSION_DENIED", false, EXIT.fileSystem, "The folder or file cannot be written.", "Change its rights, or name another with -d."),
  NAME_INVALID: row("file-system", "INVALID_ARGUMENT", false, EXIT.fileSystem, "The file system does not take this name.", "Give another with -o."),
  READ_ONLY: row("file-system", "UNAVAILABLE", true, EXIT.fileSystem, "The file system is read-only.", "It goes on by itself when it can be written again."),
  IO_ERROR: row("file-system", "UNAVAILABLE", true, EXIT.fileSystem, "Reading or writing failed.", "Check the disk; the message names the file."),
  // What the machine lacks.
  DISK_FULL: row("system-resource", "RESOURCE_EXHAUSTED", true, EXIT.systemResource, "There is no room for the file.", "Make room; it goes on by itself."),
  MEMORY_SHORT: row("system-resource", "RESOURCE_EXHAUSTED", true, EXIT.systemResource, "Memory is short.", "It goes on by itself."),
  TOO_MANY_OPEN_FILES: row("system-resource", "RESOURCE_EXHAUSTED", true, EXIT.systemResource, "The process may not open more files.", "Raise LimitNOFILE, or lower max_concurrent_downloads."),
  // Media.
  FFMPEG_MISSING: row("system-resource", "FAILED_PRECONDITION", false, EXIT.systemResource, "FFmpeg is not there, or does not run.", "The message says how to install it here; or name it in ffmpeg.path."),
  FFMPEG_TOO_OLD: row("system-resource", "FAILED_PRECONDITION", false, EXIT.systemResource, "FFmpeg is older than is needed.", "Install FFmpeg 5.1 or newer, or name another in ffmpeg.path."),
  FFMPEG_FAILED: row("download", "FAILED_PRECONDITION", false, EXIT.resource, "FFmpeg could not do what was asked.", "The message has its last lines. Nothing was left behind, and what it read is as it was."),
  FFMPEG_TIMED_OUT: row("download", "DEADLINE_EXCEEDED", false, EXIT.resource, "FFmpeg took longer than it may.", "Raise ffmpeg.timeout if the file is very long."),
  MEDIA_INVALID: row("resource", "FAILED_PRECONDITION", false, EXIT.resource, "The file is no media, or is damaged.", "Open it in a player; if that fails as well, fetch it anew with --force."),
  FORMAT_INVALID: row("download", "INVALID_ARGUMENT", false, EXIT.usage, "A format or a quality cannot be read.", "The message names the place in the text; docs/FORMATS.md has the grammar."),
  FORMAT_UNAVAILABLE: row("resource", "FAILED_PRECONDITION", false, EXIT.resource, "There is no format as it was asked for.", "See `snatchctl formats URL` for what there is."),
  TEMPLATE_INVALID: row("download", "INVALID_ARGUMENT", false, EXIT.usage, "A template of file names cannot be read, or leads out of the folder.", "The message names the place in the text; docs/FORMATS.md has the fields."),
  MEDIA_LOCKED: row("resource", "FAILED_PRECONDITION", false, EXIT.resource, "The media is locked by its publisher (DRM).", "Snatch does not unlock it; see whether another format is listed by `snatchctl formats URL`."),
  MEDIA_UNFIT: row("resource", "FAILED_PRECONDITION", false, EXIT.resource, "The container cannot hold what is to be in it.", "Choose another container; mkv holds nearly everything."),
  // Peers.
  CODE_INVALID: row("download", "INVALID_ARGUMENT", false, EXIT.usage, "The text is not a code that Snatch makes.", "Check it against what `snatchctl share` showed; letters of either case do, and hyphens do not matter."),
  SHARE_NOT_FOUND: row("download", "NOT_FOUND", false, EXIT.usage, "There is no such share here.", "See `snatchctl shares`."),
  SHARE_INVALID: row("download", "INVALID_ARGUMENT", false, EXIT.usage, "This cannot be shared.", "Name files and folders that can be read, with at least one file in them."),
  SHARE_CHANGED: row("resource", "FAILED_PRECONDITION", false, EXIT.resource, "A shared file is not what it was when it was shared.", "Share it again, and give the new code."),
  SHARE_ENDED: row("resource", "NOT_FOUND", false, EXIT.resource, "Whoever shared it has ended the share, or its time is over.", "Ask who shares it for a new code."),
  SHARE_REFUSED: row("resource", "FAILED_PRECONDITION", false, EXIT.resource, "What a peer offers cannot be taken: names that lead elsewhere, or sizes that cannot be.", "Do not trust who gave you the code."),
  PEERS_NOT_FOUND: row("network", "UNAVAILABLE", true, EXIT.network, "Nobody was found who shares by this code.", "Check the code, and that the other end is running; on the same network, --peer HOST:PORT names it."),
  PEERS_UNREACHABLE: row("network", "UNAVAILABLE", true, EXIT.network, "Peers were found, and none could be reached.", "See `snatchctl network` at both ends; a TURN server (p2p.turn) gets through where nothing else does."),
  PEER_REFUSED: row("network", "UNAVAILABLE", true, EXIT.network, "The peer does not let us in: the share has ended, or the code is another one.", "It is asked again later; ask who shares it."),
  PEER_BUSY: row("network", "UNAVAILABLE", true, EXIT.network, "The peer lets nobody in for now: enough others fetch the share.", "It goes on when there is room; no attempt is used up meanwhile."),
  PEER_MISBEHAVED: row("network", "UNAVAILABLE", true, EXIT.network, "The peer broke the protocol, or sent wrong bytes. It is not asked again.", "It goes on with other peers; if there is no other, ask who shares it."),
  IDENTITY_INVALID: row("file-system", "FAILED_PRECONDITION", false, EXIT.fileSystem, "The key by which peers know this machine cannot be used: it is damaged, or others may read it.", "The message names the file and says what to do; nothing is replaced by itself."),
  NETWORK_OFF: row("download", "FAILED_PRECONDITION", false, EXIT.refused, "Sharing is switched off, or not for callers over TCP.", "Set p2p.enabled, or p2p.allow_remote for callers over TCP."),
  // The caches.
  CACHE_TOO_LARGE: row("system-resource", "RESOURCE_EXHAUSTED", false, EXIT.systemResource, "It is larger than the cache may keep. It is read no further.", "Raise the limit that the message names, in the configuration."),
  CACHE_FULL: row("system-resource", "RESOURCE_EXHAUSTED", true, EXIT.systemResource, "The cache is full of what running downloads use.", "It goes on without being kept; raise cache.max_size if it recurs."),
  CACHE_UNAVAILABLE: row("system-resource", "UNAVAILABLE", true, EXIT.systemResource, "The cache cannot be used. Everything is fetched anew.", "Ask `snatchctl doctor` why: another daemon may use the folder."),
  MEDIA_NOT_FOUND: row("resource", "NOT_FOUND", false, EXIT.resource, "A page, feed or list names nothing that can be fetched.", "Open it in a browser to see what it is; --no-media saves the document itself."),
  PAGE_INVALID: row("resource", "FAILED_PRECONDITION", false, EXIT.resource, "A page cannot be read.", "The message says why; --no-media saves the page itself."),
  FEED_INVALID: row("resource", "FAILED_PRECONDITION", false, EXIT.resource, "A feed cannot be read.", "The message says why, and where in it; --no-media saves the feed itself."),
  FEED_NOT_FOUND: row("download", "NOT_FOUND", false, EXIT.usage, "No such feed is followed.", "See `snatchctl feed list`."),
  // The daemon.
  DAEMON_UNREACHABLE: row("network", "UNAVAILABLE", true, EXIT.daemon, "No daemon answers at the address.", "Start it with `snatchctl daemon start`, or give --address."),
  ALREADY_RUNNING: row("download", "FAILED_PRECONDITION", false, EXIT.alreadyRunning, "Another daemon uses this state folder.", "Use that one, or another SNATCH_HOME."),
  SHUTTING_DOWN: row("download", "UNAVAILABLE", true, EXIT.daemon, "The daemon is ending.", "Try again when it is back."),
  UNAUTHENTICATED: row("download", "UNAUTHENTICATED", false, EXIT.daemon, "The token is missing or wrong.", "Give --token-file with the daemon's token."),
  PERMISSION_DENIED: row("download", "PERMISSION_DENIED", false, EXIT.refused, "The caller may not do this.", "Do it over the Unix socket, or change the configuration."),
  CONFIG_INVALID: row("download", "INVALID_ARGUMENT", false, EXIT.config, "The configuration has an error.", "The message names the key; `snatchctl doctor` shows all of them."),
  STORE_CORRUPT: row("system-resource", "DATA_LOSS", false, EXIT.systemResource, "The database is damaged beyond what was repaired.", "The message names the copy that was kept."),
  STORE_NEWER: row("system-resource", "FAILED_PRECONDITION", false, EXIT.systemResource, "The database was written by a newer Snatch.", "Update Snatch, or give another SNATCH_HOME."),
  WATCH_FOLDER_INVALID: row("file-system", "INVALID_ARGUMENT", false, EXIT.fileSystem, "The folder cannot be watched.", "The message says why."),
  PLUGIN_FAILED: row("download", "FAILED_PRECONDITION", false, EXIT.config, "A plugin could not be loaded.", "The message names it; everything else goes on."),
} as const satisfies Record<string, ErrorEntry>;

/** A stable error code. */
export type ErrorCode = keyof typeof ERRORS;

/** The row of a code that came from somewhere else, such as a newer daemon; undefined if it is not known here. */
export function errorEntry(code: string): ErrorEntry | undefined {
  return Object.hasOwn(ERRORS, code) ? ERRORS[code as ErrorCode] : undefined;
}
