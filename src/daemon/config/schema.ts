/**
 * Every key of the configuration, once: its type, range, default and meaning. Validation, the Config type, environment
 * names, flags and docs/CONFIGURATION.md all come from here. The spec's options are flat and keep their names and
 * defaults; the rest is in sections.
 */
import { join } from "node:path";
import * as z from "zod";
import type { Paths } from "../../shared/paths.ts";
import { VERSION } from "../../shared/version.ts";
import type { WebhookEvent } from "../core/hooks.ts";
import type { PeerMode, PeerSuite } from "../core/peers.ts";
import type { IfExists } from "../core/session.ts";
import * as kind from "./kinds.ts";

/** Names of plugins and format presets. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const name = () => z.string().regex(NAME, "a name has letters, digits, - and _, and begins with a letter or digit");

const KIB = 1024;
const MIB = 1024 * KIB;
const DAY = 86_400;
/** Ten years: longer than anything that is cached is of use. */
const LONGEST_TTL = 3650 * DAY;
/** The same for shares. */
const LONGEST_SHARE = 3650 * DAY;

/** Particulars of a key, attached by `.meta()`. */
interface About {
  readonly description: string;
  /** What a number counts. */
  readonly unit?: string;
  /** True if a change holds only after a restart. */
  readonly needsRestart?: true;
}
/** Checks the shape of a key's particulars: `.meta()` itself takes anything. */
const about = (particulars: About) => ({ ...particulars });
const restart = { needsRestart: true } as const;

const WEBHOOK_EVENTS = [
  "created",
  "completed",
  "failed",
  "cancelled",
  "forgotten",
] as const satisfies readonly WebhookEvent[];

const IF_EXISTS = ["rename", "skip", "overwrite"] as const satisfies readonly IfExists[];

const PEER_MODES = ["auto", "lan-only", "relay-only", "no-relay"] as const satisfies readonly PeerMode[];
const PEER_SUITES = ["modern", "classic"] as const satisfies readonly PeerSuite[];

/**
 * The schema.
 *
 * @param paths - the defaults of keys that name places
 * @param place - where relative paths start
 */
// biome-ignore format: one key, one line
export function configSchema(paths: Pick<Paths, "downloadDir" | "watchDir" | "cacheDir" | "tokenFile" | "pluginDir">, place: kind.Place) {
  const watchFolder = z.preprocess(
    (value: string | { path: string; directory?: string }) => (typeof value === "string" ? { path: value } : value),
    z.strictObject({ path: kind.path(place), directory: z.exactOptional(kind.path(place)) }),
  );
  return z.strictObject({
    download_dir: kind.path(place).default(paths.downloadDir).meta(about({ description: "Folder for files whose place was not asked for." })),
    allowed_dirs: z.array(kind.path(place)).default([]).meta(about({ description: "Folders besides `download_dir` that callers over TCP may write to." })),
    max_concurrent_downloads: z.int().min(1).max(256).default(3).meta(about({ description: "Downloads at once.", unit: "downloads" })),
    connections_per_download: z.int().min(1).max(32).default(16).meta(about({ description: "Connections that one download may open at once, at most: it starts with one, and adds more only while they help.", unit: "connections" })),
    connections_per_host: z.int().min(1).max(64).default(16).meta(about({ description: "Connections that all downloads together may have open to one host, at most: fewer while the host objects.", unit: "connections", ...restart })),
    limit: kind.bytes(0).default(0).meta(about({ description: "Speed limit of all downloads together; 0 is unlimited.", unit: "bytes/s" })),
    timeout: kind.seconds(0.1, 86_400).default(30).meta(about({ description: "How long a server may stay silent before the connection is given up.", unit: "seconds" })),
    max_retries: z.int().min(0).max(1000).default(5).meta(about({ description: "Attempts after the first, for errors that may pass.", unit: "attempts" })),
    retry_delay: kind.seconds(0, 86_400).default(2.0).meta(about({ description: "Wait before the first retry; it doubles each time, and a random part of it is taken.", unit: "seconds" })),
    chunk_size: kind.bytes(64 * KIB, 256 * MIB).default(8 * MIB).meta(about({ description: "Size of the pieces that are fetched, proved and recorded one by one; fixed for a download when it begins.", unit: "bytes" })),
    enable_resume: z.boolean().default(true).meta(about({ description: "Go on from the chunks on disk; otherwise an interrupted download begins again." })),
    verify_chunks: z.boolean().default(true).meta(about({ description: "Read chunks of an earlier run back and compare them with their recorded SHA-256 before they count." })),
    if_exists: z.enum(IF_EXISTS).default("rename").meta(about({ description: "What to do when the target is there already and belongs to something else." })),
    min_free_space: kind.bytes(0).default(64 * MIB).meta(about({ description: "Room that stays free on the disk; downloads wait rather than fill it.", unit: "bytes" })),
    memory_limit_percent: z.int().min(1).max(100).default(80).meta(about({ description: "Memory in use, of all that there is, above which downloads get fewer buffers and connections.", unit: "percent" })),
    daemon: z.strictObject({
      listen: z.array(kind.address).max(16).default([]).meta(about({ description: "Addresses to listen on: `unix:/path`, `host:port`, `[::1]:port`. Empty: the Unix socket of the default place only. TCP needs the token, and TLS unless it is a loopback address.", ...restart })),
      token_file: kind.path(place).default(paths.tokenFile).meta(about({ description: "File with the bearer token that callers over TCP must present; made with mode 0600 when TCP is used and it is missing.", ...restart })),
      tls_cert: kind.optionalPath(place).default("").meta(about({ description: "Certificate chain for TCP, PEM.", ...restart })),
      tls_key: kind.optionalPath(place).default("").meta(about({ description: "Private key of `tls_cert`, PEM.", ...restart })),
      shutdown_timeout: kind.seconds(0, 3600).default(20).meta(about({ description: "How long running downloads may take to record where they are when the daemon ends.", unit: "seconds" })),
    }).prefault({}),
    log: z.strictObject({
      level: z.enum(["debug", "info", "warn", "error"]).default("info").meta(about({ description: "The least important messages that are logged." })),
      format: z.enum(["auto", "json", "pretty"]).default("auto").meta(about({ description: "`auto` is pretty on a terminal and JSON lines elsewhere.", ...restart })),
      file: kind.optionalPath(place).default("").meta(about({ description: "Log file; empty for standard error or the journal.", ...restart })),
      max_size: kind.bytes(64 * KIB).default(10 * MIB).meta(about({ description: "Size at which the log file is rotated.", unit: "bytes", ...restart })),
      keep: z.int().min(0).max(1000).default(5).meta(about({ description: "Rotated log files that are kept.", unit: "files", ...restart })),
    }).prefault({}),
    watch: z.strictObject({
      folders: z.array(watchFolder).max(100).default([{ path: paths.watchDir }]).meta(about({ description: "Folders whose lists (`.txt`, `.urls`) and Metalinks (`.meta4`, `.metalink`) are taken; each a path, or a table of `path` and `directory` (where the list's files go instead of `download_dir`).", ...restart })),
      settle: kind.seconds(0, 60).default(1.0).meta(about({ description: "How long a list must stay unchanged before it counts as whole.", unit: "seconds", ...restart })),
    }).prefault({}),
    sessions: z.strictObject({
      keep_days: z.int().min(1).max(36_500).default(90).meta(about({ description: "Age at which ended sessions are forgotten; their files stay.", unit: "days" })),
      keep_count: z.int().min(1).max(10_000_000).default(100_000).meta(about({ description: "Ended sessions that are kept at most.", unit: "sessions" })),
      cleanup: kind.schedule.default("17 4 * * *").meta(about({ description: "When sessions are cleaned up: minute, hour, day of month, month, weekday. Empty: never.", ...restart })),
    }).prefault({}),
    events: z.strictObject({
      keep: z.int().min(100).max(1_000_000).default(10_000).meta(about({ description: "Events that are kept in memory for clients that come back.", unit: "events", ...restart })),
    }).prefault({}),
    http: z.strictObject({
      user_agent: z.string().regex(/^[\x20-\x7e]+$/, "expected printable ASCII").default(`snatch/${VERSION}`).meta(about({ description: "Value of the User-Agent field.", ...restart })),
      max_redirects: z.int().min(0).max(100).default(10).meta(about({ description: "Redirects that are followed for one request.", unit: "redirects", ...restart })),
      proxy: z.string().regex(/^(direct|((https?|socks5h?):\/\/)?[^\s/]+\/?)?$/i, "expected a proxy's URL such as http://proxy:3128 or socks5h://proxy:1080, or direct").default("").meta(about({ description: "Proxy for everything: `http://`, `https://`, `socks5://` (names are resolved here) or `socks5h://` (by the proxy), with `user:password@` if it wants that. `direct`: none. Empty: what the environment says.", ...restart })),
      no_proxy: z.array(z.string().trim().min(1)).max(1000).default([]).meta(about({ description: "Hosts that are asked without the proxy: names (with all below them), addresses, ranges such as `10.0.0.0/8`, each with a port if wanted; `*` is every host. Empty: what NO_PROXY says.", ...restart })),
      netrc: kind.optionalPath(place).default(join(place.home, ".netrc")).meta(about({ description: "File with logins by host, for URLs that come without. It is left alone if others can read it. Empty: none is used.", ...restart })),
      cookie_file: kind.optionalPath(place).default("").meta(about({ description: "File with cookies in Netscape's format (cookies.txt); it is only read. Empty: none.", ...restart })),
      allow_private_redirects: z.boolean().default(false).meta(about({ description: "Follow redirects from public hosts to private, loopback and link-local addresses.", ...restart })),
      allow_remote_hosts: z.array(z.string().trim().min(1)).max(1000).default([]).meta(about({ description: "Hosts that callers over TCP may have asked as the owner may, with logins and cookies: written as in `no_proxy`. Of all others they reach public addresses only, and those without logins.", ...restart })),
      max_retry_after: kind.seconds(0, 2_592_000).default(86_400).meta(about({ description: "How long a host is left alone at most, whatever it asks for by Retry-After.", unit: "seconds", ...restart })),
    }).prefault({}),
    cache: z.strictObject({
      enabled: z.boolean().default(true).meta(about({ description: "Keep metadata, thumbnails and fragments. Without it every one is fetched anew.", ...restart })),
      directory: kind.path(place).default(paths.cacheDir).meta(about({ description: "Folder of the bodies. Nothing in it is lost for good: it may be emptied at any time.", ...restart })),
      max_size: kind.bytes(0).default(1024 * MIB).meta(about({ description: "Room for all kinds together; the least recently used goes first.", unit: "bytes" })),
      cleanup: kind.schedule.default("47 4 * * *").meta(about({ description: "When what is stale is removed: minute, hour, day of month, month, weekday. It waits for running downloads. Empty: never.", ...restart })),
      compact: kind.schedule.default("7 5 * * sun").meta(about({ description: "When room that is not used any more is given back, in the folder and in the database. Empty: never.", ...restart })),
      metadata: z.strictObject({
        max_size: kind.bytes(0).default(64 * MIB).meta(about({ description: "Room for documents about files: what resolvers asked for.", unit: "bytes" })),
        max_entry_size: kind.bytes(0).default(8 * MIB).meta(about({ description: "The largest document that is kept.", unit: "bytes" })),
        ttl: kind.seconds(0, LONGEST_TTL).default(3600).meta(about({ description: "How long a document is fresh when neither its server nor who stored it says so.", unit: "seconds" })),
      }).prefault({}),
      thumbnails: z.strictObject({
        max_size: kind.bytes(0).default(128 * MIB).meta(about({ description: "Room for preview images.", unit: "bytes" })),
        max_entry_size: kind.bytes(0).default(8 * MIB).meta(about({ description: "The largest image that is kept.", unit: "bytes" })),
        ttl: kind.seconds(0, LONGEST_TTL).default(30 * DAY).meta(about({ description: "How long an image is kept.", unit: "seconds" })),
      }).prefault({}),
      fragments: z.strictObject({
        max_size: kind.bytes(0).default(768 * MIB).meta(about({ description: "Room for parts of files that lie nowhere else. Chunks of stored files are only noted, and take none.", unit: "bytes" })),
        max_entry_size: kind.bytes(0).default(64 * MIB).meta(about({ description: "The largest fragment that is kept.", unit: "bytes" })),
        ttl: kind.seconds(0, LONGEST_TTL).default(7 * DAY).meta(about({ description: "How long a fragment is kept.", unit: "seconds" })),
        max_noted: z.int().min(0).max(100_000_000).default(200_000).meta(about({ description: "Chunks of stored files that are noted at most, so that the same bytes need not be fetched again.", unit: "chunks" })),
      }).prefault({}),
      sessions: z.strictObject({
        max_entries: z.int().min(0).max(1_000_000).default(2048).meta(about({ description: "Records of sessions that are held in memory at most.", unit: "sessions", ...restart })),
      }).prefault({}),
    }).prefault({}),
    ffmpeg: z.strictObject({
      path: kind.program(place).default("").meta(about({ description: "The FFmpeg program; empty: the `ffmpeg` in PATH." })),
      processes: z.int().min(0).max(256).default(0).meta(about({ description: "FFmpeg processes that run at once; others wait. 0: as many as there are cores.", unit: "processes", ...restart })),
      timeout: kind.seconds(1, 2_592_000).default(86_400).meta(about({ description: "How long one run of FFmpeg may take.", unit: "seconds", ...restart })),
    }).prefault({}),
    ytdlp: z.strictObject({
      enabled: z.boolean().default(true).meta(about({ description: "Ask yt-dlp, where it is installed, about pages that nothing else here can read. It asks the network itself, so only for pages that a caller on this machine named; the bytes are fetched by Snatch." })),
      path: kind.program(place).default("").meta(about({ description: "The yt-dlp program; empty: the `yt-dlp` in PATH." })),
      timeout: kind.seconds(1, 86_400).default(120).meta(about({ description: "How long yt-dlp may read one page.", unit: "seconds" })),
    }).prefault({}),
    audio: z.strictObject({
      on_download: z.array(z.string().regex(NAME, "expected names of steps, such as normalize")).max(32).default([]).meta(about({ description: "What is done to the audio of every download that does not say otherwise by `--audio`, in order: `normalize`, `normalize_podcast`, `denoise`, `denoise_light`, `denoise_heavy`, `upmix`, `enhance`, `validate`, `replaygain`, names of filters. Files without audio are left alone." })),
      target_lufs: z.number().min(-70).max(-5).default(-14).meta(about({ description: "Loudness that is reached where none is asked for.", unit: "LUFS" })),
      true_peak: z.number().min(-9).max(0).default(-1).meta(about({ description: "True peak that is not exceeded where none is asked for.", unit: "dBTP" })),
      denoise: z.enum(["light", "medium", "heavy"]).default("medium").meta(about({ description: "How much noise is taken away where nothing is asked for." })),
      filters: z.record(z.string().regex(/^[a-z][a-z0-9_]{0,63}$/, "a filter's name has small letters, digits and _"), z.strictObject({
        filter: z.string().trim().min(1).meta(about({ description: "Filters of FFmpeg, as in `equalizer=f=1000:t=h:w=200:g=3`.", ...restart })),
        description: z.string().max(1000).default("").meta(about({ description: "What it does, for people.", ...restart })),
      })).default({}),
    }).prefault({}),
    p2p: z.strictObject({
      enabled: z.boolean().default(true).meta(about({ description: "Share files by codes, and fetch what others share. Nothing listens and nobody is asked before the first share or fetch.", ...restart })),
      allow_remote: z.boolean().default(false).meta(about({ description: "Let callers over TCP fetch by codes. Sharing is for callers over the Unix socket in any case." })),
      mode: z.enum(PEER_MODES).default("auto").meta(about({ description: "Ways to other peers: `auto` is all; `lan-only` the local network, and nobody else is asked; `relay-only` a TURN server, so that peers do not learn each other's addresses; `no-relay` all but that.", ...restart })),
      suite: z.enum(PEER_SUITES).default("modern").meta(about({ description: "Encryption: `modern` is TLS 1.3; `classic` is DHE-RSA-AES256-SHA256 in TLS 1.2, slower. Both ends need the same.", ...restart })),
      port: z.int().min(0).max(65_535).default(0).meta(about({ description: "TCP port that peers come to; 0: any that is free.", unit: "port", ...restart })),
      max_peers: z.int().min(1).max(100).default(10).meta(about({ description: "Peers that may fetch a share at once, where it was not made with another number.", unit: "peers" })),
      upload_limit: kind.bytes(0).default(0).meta(about({ description: "Speed limit of all that is given to peers; 0 is unlimited. What is fetched from peers counts as downloads do.", unit: "bytes/s" })),
      share_for: kind.seconds(0, LONGEST_SHARE).default(7 * DAY).meta(about({ description: "How long a share lasts that was not made with another time; 0: until it is ended.", unit: "seconds" })),
      dht: z.strictObject({
        enabled: z.boolean().default(true).meta(about({ description: "Find peers by the BitTorrent network's distributed hash table. It learns a number made of the code, from which the code cannot be told, and the address that asks.", ...restart })),
        bootstrap: z.array(kind.hostPort).max(16).default(["router.bittorrent.com:6881", "dht.transmissionbt.com:6881", "dht.libtorrent.org:25401"]).meta(about({ description: "Nodes that are asked first, each `host:port`.", ...restart })),
        port: z.int().min(0).max(65_535).default(0).meta(about({ description: "UDP port of the hash table; 0: any that is free.", unit: "port", ...restart })),
      }).prefault({}),
      mdns: z.boolean().default(true).meta(about({ description: "Find peers on the local network by multicast DNS.", ...restart })),
      upnp: z.boolean().default(true).meta(about({ description: "Ask the router to let peers in, by UPnP.", ...restart })),
      nat_pmp: z.boolean().default(true).meta(about({ description: "The same by NAT-PMP.", ...restart })),
      stun: z.array(kind.hostPort).max(16).default(["stun.cloudflare.com:3478", "stun.nextcloud.com:3478"]).meta(about({ description: "STUN servers, each `host:port`: they tell which address others see. None is needed on a local network.", ...restart })),
      turn: z.array(z.strictObject({
        url: kind.turnUrl,
        username: z.string().max(512).default(""),
        credential: z.string().max(512).default(""),
      })).max(16).default([]).meta(about({ description: "TURN servers, each a table of `url` (such as `turn:host:3478` and `turn:host:3478?transport=tcp`), `username` and `credential`. They pass on what they cannot read, where there is no direct way.", ...restart })),
    }).prefault({}),
    checks: z.strictObject({
      url: kind.httpUrl.default("").meta(about({ description: "URL that `snatchctl doctor` fetches to see whether the network is there. Empty: nothing is asked." })),
    }).prefault({}),
    hooks: z.strictObject({
      on_complete: kind.command.default("").meta(about({ description: "Command that is run when a download has completed: a program and its arguments. What happened is in its environment (docs/HOOKS.md). Empty: none." })),
      on_error: kind.command.default("").meta(about({ description: "The same for a download that has failed for good." })),
      shell: z.boolean().default(false).meta(about({ description: "Give the commands to `/bin/sh -c`. Without it no shell is involved, and nothing in them is expanded." })),
      command_timeout: kind.seconds(0.1, 86_400).default(300).meta(about({ description: "How long a command may run until it is ended with all that it started.", unit: "seconds" })),
      commands_at_once: z.int().min(1).max(64).default(2).meta(about({ description: "Commands that run at once; others wait.", unit: "commands" })),
      webhooks: z.array(z.strictObject({
        url: kind.httpUrl.min(1, "expected an http or https URL"),
        secret: kind.webhookSecret,
        events: z.array(z.enum(WEBHOOK_EVENTS)).min(1).default(["completed", "failed"]),
      })).max(16).default([]).meta(about({ description: "URLs that are told of events by signed POST requests, each a table of `url`, `secret` and `events` (`created`, `completed`, `failed`, `cancelled`, `forgotten`; the second and third if absent). See docs/HOOKS.md.", ...restart })),
    }).prefault({}),
    plugins_dir: kind.path(place).default(paths.pluginDir).meta(about({ description: "Folder whose plugins are loaded. Only its owner may be able to write there.", ...restart })),
    plugins: z.record(name(), z.strictObject({
      enabled: z.boolean().default(true).meta(about({ description: "Whether the plugin takes part.", ...restart })),
      module: z.exactOptional(kind.path(place)).meta(about({ description: "The plugin's file, or folder with an `index` file, if it is not in `plugins_dir`.", ...restart })),
      priority: z.int().min(-1000).max(1000).default(10).meta(about({ description: "Order among plugins; lower is earlier.", ...restart })),
      config: z.record(z.string(), kind.json).default({}).meta(about({ description: "Options of the plugin itself.", ...restart })),
    })).default({}),
    formats: z.record(name(), z.strictObject({
      format: z.string().trim().min(1).meta(about({ description: "What the preset stands for in `--format`, such as `bestaudio`." })),
      quality: z.exactOptional(z.string().trim().min(1)).meta(about({ description: "Quality that goes with it, such as `320k`." })),
    })).default({}),
  });
}

/** Nothing in it can be changed, however deep. */
type Immutable<T> = T extends (infer Item)[]
  ? readonly Immutable<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Immutable<T[Key]> }
    : T;

/** The configuration in force. Keys are those of the file. Sizes in bytes, times in seconds, paths absolute. */
export type Config = Immutable<z.output<ReturnType<typeof configSchema>>>;

/** What a caller may give: like the file, any key may be absent. */
export type ConfigInput = Immutable<z.input<ReturnType<typeof configSchema>>>;
