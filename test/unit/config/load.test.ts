import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { configOf, loadConfig, loadConfigWithOrigins } from "../../../src/daemon/config/load.ts";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { locate } from "../../../src/shared/paths.ts";
import { sandbox } from "./places.ts";

describe("the spec's examples", () => {
  test("without a file every option has the spec's default", async (context) => {
    const { env } = await sandbox(context);
    const config = await loadConfig(undefined, { env });
    const { max_concurrent_downloads, chunk_size, max_retries, retry_delay } = config;
    assert.deepEqual(
      { max_concurrent_downloads, chunk_size, max_retries, retry_delay },
      { max_concurrent_downloads: 3, chunk_size: 8_388_608, max_retries: 5, retry_delay: 2.0 },
    );
    assert.deepEqual(
      [config.memory_limit_percent, config.enable_resume, config.verify_chunks, config.plugins, config.formats],
      [80, true, true, {}, {}],
    );
  });

  test("the options and the plugins as JSON", async (context) => {
    const { env, file } = await sandbox(context);
    const path = await file(
      "snatch.json",
      JSON.stringify({
        max_concurrent_downloads: 4,
        chunk_size: 4_194_304,
        max_retries: 6,
        retry_delay: 1.5,
        memory_limit_percent: 70,
        enable_resume: false,
        verify_chunks: false,
        plugins: {
          plugin_name: { enabled: true, priority: 10, config: { plugin_specific_options: "values" } },
        },
      }),
    );
    const config = await loadConfig(path, { env });
    assert.deepEqual(
      [config.max_concurrent_downloads, config.chunk_size, config.retry_delay, config.enable_resume],
      [4, 4_194_304, 1.5, false],
    );
    assert.deepEqual(config.plugins, {
      plugin_name: { enabled: true, priority: 10, config: { plugin_specific_options: "values" } },
    });
  });
});

describe("precedence and origins", () => {
  const file = '# mine\nmax_retries = 1\n\n[log]\nlevel = "warn" # quiet\n';
  for (const [name, setting, value, origin, detail] of [
    ["default", {}, 5, "default", ""],
    ["file over default", { file }, 1, "file", "FILE:2"],
    ["environment over file", { file, env: { SNATCH_MAX_RETRIES: "2" } }, 2, "environment", "SNATCH_MAX_RETRIES"],
    ["an empty variable is none", { file, env: { SNATCH_MAX_RETRIES: "" } }, 1, "file", "FILE:2"],
    [
      "flag over environment",
      { file, env: { SNATCH_MAX_RETRIES: "2" }, argv: ["--max-retries=3"] },
      3,
      "flag",
      "--max-retries",
    ],
    ["flag and value apart", { argv: ["--max-retries", "3"] }, 3, "flag", "--max-retries"],
    ["flag with underscores", { argv: ["--max_retries", "3"] }, 3, "flag", "--max_retries"],
  ] as const) {
    test(name, async (context) => {
      const place = await sandbox(context);
      const settings: { file?: string; env?: Record<string, string>; argv?: readonly string[] } = setting;
      const path = settings.file === undefined ? undefined : await place.file("config.toml", settings.file);
      const options = { env: { ...place.env, ...settings.env }, argv: settings.argv };
      const { config, values } = await loadConfigWithOrigins(path, options);
      assert.equal(config.max_retries, value);
      const found = values.find((candidate) => candidate.key === "max_retries");
      assert.deepEqual(found, {
        key: "max_retries",
        json: String(value),
        origin,
        originDetail: detail.replace("FILE", path ?? ""),
        needsRestart: false,
      });
    });
  }

  test("sections mix key by key", async (context) => {
    const { env, file } = await sandbox(context);
    const path = await file("config.toml", '[log]\nlevel = "warn"\nkeep = 2\n[plugins.a-b]\n');
    const { config, values } = await loadConfigWithOrigins(path, {
      env: { ...env, SNATCH_LOG__LEVEL: "error", SNATCH_PLUGINS__TELEMETRY__PRIORITY: "3" },
      argv: ["--log.max-size", "1M", "--plugins.a-b.enabled=false"],
    });
    assert.deepEqual(config.log, { level: "error", format: "auto", file: "", max_size: 1_048_576, keep: 2 });
    assert.deepEqual(config.plugins, {
      "a-b": { enabled: false, priority: 10, config: {} },
      telemetry: { enabled: true, priority: 3, config: {} },
    });
    const origins = Object.fromEntries(values.map(({ key, origin }) => [key, origin]));
    assert.deepEqual(
      [origins["log.level"], origins["log.keep"], origins["log.max_size"], origins["plugins.a-b.enabled"]],
      ["environment", "file", "flag", "flag"],
    );
    assert.equal(origins["plugins.a-b.priority"], "default");
  });

  test("a configuration file of the default place is found, as TOML or JSON", async (context) => {
    const { root, env, file } = await sandbox(context);
    const json = await file("config.json", '{"max_retries": 8}');
    assert.equal((await loadConfig(undefined, { env, home: root })).max_retries, 8);
    const loaded = await loadConfigWithOrigins(undefined, { env, home: root });
    assert.deepEqual([loaded.file, loaded.paths.configFile], [json, json]);
    await file("config.toml", "max_retries = 9");
    assert.equal((await loadConfig(undefined, { env: { ...env, SNATCH_HOME: root } })).max_retries, 9);
  });
});

test("the default file need not exist, even if it is named", async (context) => {
  const { root, env } = await sandbox(context);
  const { file } = await loadConfigWithOrigins(join(root, "config.toml"), { env, home: root });
  assert.equal(file, join(root, "config.toml"));
});

describe("an object instead of a file", () => {
  const paths = locate("/h", {});

  test("has the same keys, defaults and kinds of value", () => {
    const config = configOf(
      { chunk_size: "1M", download_dir: "files", log: { level: "warn" }, plugins: { x: {} } },
      paths,
    );
    assert.deepEqual([config.chunk_size, config.max_retries, config.log.level], [1_048_576, 5, "warn"]);
    assert.equal(config.download_dir, join(process.cwd(), "files"));
    assert.deepEqual(config.plugins["x"], { enabled: true, priority: 10, config: {} });
    assert.deepEqual(configOf(config, paths), config, "a configuration is an input as well");
    assert.equal(configOf({}, paths).download_dir, "/h/downloads");
  });

  test("is refused with the same words", () => {
    const wrong: object = { max_retrys: 1, log: { keep: -1 } };
    assert.throws(() => configOf(wrong, paths), {
      code: "CONFIG_INVALID",
      message:
        "2 errors in the configuration\nmax_retrys: there is no such key; did you mean max_retries?\nlog.keep: -1 is too small: at least 0 files",
    });
  });
});

describe("values", () => {
  for (const [name, argv, pick, expected] of [
    ["bytes with a unit", ["--chunk-size=8M"], "chunk_size", 8_388_608],
    ["bytes in powers of ten", ["--chunk-size=8MB"], "chunk_size", 8_000_000],
    ["no limit", ["--limit", "unlimited"], "limit", 0],
    ["seconds with a unit", ["--timeout=2m"], "timeout", 120],
    ["a switch", ["--enable-resume"], "enable_resume", true],
    ["a switch off", ["--no-enable-resume"], "enable_resume", false],
    ["a switch with a value", ["--enable-resume=false"], "enable_resume", false],
    ["a switch with a value apart", ["--enable-resume", "off"], "enable_resume", false],
    ["a list", ["--allowed-dirs=/a,/b"], "allowed_dirs", ["/a", "/b"]],
    ["a list as JSON", ["--allowed-dirs", '["/a,b"]'], "allowed_dirs", ["/a,b"]],
    ["a list's flag twice", ["--allowed-dirs", "/a", "--allowed-dirs=/b"], "allowed_dirs", ["/a", "/b"]],
    ["a switch before another flag", ["--verify-chunks", "--max-retries=1"], "verify_chunks", true],
  ] as const) {
    test(name, async (context) => {
      const { env } = await sandbox(context);
      const config = await loadConfig(undefined, { env, argv });
      assert.deepEqual(config[pick], expected);
    });
  }

  test("paths start at the file's folder, ~ at the home folder, flags at the current one", async (context) => {
    const { root, env, file } = await sandbox(context);
    const path = await file(
      "etc/config.toml",
      'download_dir = "../files"\nallowed_dirs = ["~/a", "/b"]\nwatch.folders = ["in", { path = "~/w", directory = "out" }]\nffmpeg.path = "ffmpeg7"\n',
    );
    const config = await loadConfig(path, { env, argv: ["--log.file=test/x.log"] });
    assert.equal(config.download_dir, join(root, "files"));
    assert.deepEqual(config.allowed_dirs, [join(root, "home/a"), "/b"]);
    assert.deepEqual(config.watch.folders, [
      { path: join(root, "etc/in") },
      { path: join(root, "home/w"), directory: join(root, "etc/out") },
    ]);
    assert.equal(config.ffmpeg.path, "ffmpeg7");
    assert.equal(config.log.file, join(process.cwd(), "test/x.log"));
  });

  test("secrets in a plugin's options are not shown", async (context) => {
    const { env, file } = await sandbox(context);
    const path = await file("config.toml", '[plugins.x.config]\napi_key = "abc"\nurl = "https://u:pw@h/?token=abc"\n');
    const { config, values } = await loadConfigWithOrigins(path, { env });
    assert.deepEqual(config.plugins["x"]?.config, { api_key: "abc", url: "https://u:pw@h/?token=abc" });
    const shown = values.find(({ key }) => key === "plugins.x.config")?.json ?? "";
    assert.deepEqual(JSON.parse(shown), { api_key: "***", url: "https://u:***@h/?token=***" });
  });

  test("a webhook's secret is not shown, nor what its URL holds", async (context) => {
    const { env, file } = await sandbox(context);
    const hook =
      '[[hooks.webhooks]]\nurl = "https://u:p@h:8443/services/T0/abc?x=1"\nsecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="\n';
    const { config, values } = await loadConfigWithOrigins(await file("config.toml", hook), { env });
    assert.equal(config.hooks.webhooks[0]?.url, "https://u:p@h:8443/services/T0/abc?x=1");
    assert.deepEqual(JSON.parse(values.find(({ key }) => key === "hooks.webhooks")?.json ?? ""), [
      { url: "https://h:8443/***", secret: "***", events: ["completed", "failed"] },
    ]);
  });

  test("a TURN server's credential is not shown", async (context) => {
    const { env, file } = await sandbox(context);
    const turn = '[[p2p.turn]]\nurl = "turn:h:3478?transport=tcp"\nusername = "ann"\ncredential = "hidden"\n';
    const { config, values } = await loadConfigWithOrigins(await file("config.toml", turn), { env });
    const server = { url: "turn:h:3478?transport=tcp", username: "ann", credential: "hidden" };
    assert.deepEqual(config.p2p.turn, [server]);
    const shown = values.find(({ key }) => key === "p2p.turn")?.json ?? "";
    assert.deepEqual(JSON.parse(shown), [{ ...server, credential: "***" }]);
  });
});

/** The lines of the error that loading ends with. */
async function complaint(...args: Parameters<typeof loadConfig>): Promise<string[]> {
  const error = await loadConfig(...args).then(
    () => assert.fail("it loaded"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof DownloadError, String(error));
  assert.equal(error.code, "CONFIG_INVALID");
  return error.message.split("\n");
}

describe("what is wrong is refused, with key, reason, place and the nearest name", () => {
  for (const [text, expected] of [
    ["max_retrys = 1", "max_retrys: there is no such key; did you mean max_retries? (FILE:1)"],
    ["\nmaxRetries = 1", "maxRetries: there is no such key; did you mean max_retries? (FILE:2)"],
    ['level = "info"', "level: there is no such key; did you mean log.level? (FILE:1)"],
    ['[logs]\nlevel = "info"', "logs: there is no such key; did you mean log? (FILE:1)"],
    ["qqqqqqqqqq = 1", "qqqqqqqqqq: there is no such key (FILE:1)"],
    ["log = 3", "log: expected a table, not 3 (FILE:1)"],
    ['max_retries = "many"', 'max_retries: expected a number, not "many" (FILE:1)'],
    ["max_retries = 1.5", "max_retries: expected a whole number, not 1.5 (FILE:1)"],
    ['enable_resume = "true"', 'enable_resume: expected true or false, not "true" (FILE:1)'],
    ["max_concurrent_downloads = 0", "max_concurrent_downloads: 0 is too small: at least 1 downloads (FILE:1)"],
    ["chunk_size = 12", "chunk_size: 12 is too small: at least 65536 (64.0 KiB) (FILE:1)"],
    ['chunk_size = "1G"', 'chunk_size: "1G" is too large: at most 268435456 (256 MiB) (FILE:1)'],
    ['limit = "fast"', 'limit: "fast" is not a number of bytes: write 500K, 8M or 1.5GiB (FILE:1)'],
    ["timeout = nan", "timeout: expected a number, not NaN (FILE:1)"],
    ['[log]\nlevel = "inof"', 'log.level: "inof" is not one of debug, info, warn, error; did you mean info? (FILE:2)'],
    ['if_exists = "ask"', 'if_exists: "ask" is not one of rename, skip, overwrite (FILE:1)'],
    ['download_dir = ""', "download_dir: must not be empty (FILE:1)"],
    ['download_dir = "a\\u0000b"', "download_dir: a path cannot hold a NUL character (FILE:1)"],
    [
      '[sessions]\ncleanup = "daily"',
      "sessions.cleanup: expected five cron fields such as 17 4 * * *, or nothing (FILE:2)",
    ],
    ['checks.url = "ftp://h"', "checks.url: expected an http or https URL (FILE:1)"],
    ['http.user_agent = "a\\nb"', "http.user_agent: expected printable ASCII (FILE:1)"],
    ["[[watch.folders]]\ndirectory = '/a'", "watch.folders[0].path: is missing (FILE:1)"],
    ["watch.folders = [{ path = '/a', dir = '/b' }]", "watch.folders[0]: there is no such key: dir (FILE:1)"],
    ["[formats.music]\nquality = '320k'", "formats.music.format: is missing (FILE:1)"],
    ["[formats.music]\nformat = ' '", "formats.music.format: must not be empty (FILE:2)"],
    ["[plugins.x]\nenabled = 1", "plugins.x.enabled: expected true or false, not 1 (FILE:2)"],
    ["[plugins.x]\nactive = true", "plugins.x.active: there is no such key (FILE:2)"],
    ["[plugins.'a b']", "plugins.a b: a name has letters, digits, - and _, and begins with a letter or digit (FILE:1)"],
    [
      "[plugins.x.config]\nsince = 2020-01-01",
      "plugins.x.config.since: expected text, numbers, booleans, lists or tables (FILE:1)",
    ],
    [
      "[daemon]\nlisten = ['/s', ':::']",
      'daemon.listen[1]: ":::" is not an address: use unix:/path or host:port (FILE:2)',
    ],
    [
      "[daemon]\nlisten = ['0.0.0.0:7633']",
      "daemon.listen: 0.0.0.0:7633 can be reached from other machines: set daemon.tls_cert and daemon.tls_key (FILE:2)",
    ],
    ['hooks.on_complete = "echo \'x"', "hooks.on_complete: the quote ' is not closed (FILE:1)"],
    [
      "[[hooks.webhooks]]\nurl = 'https://h/'\nsecret = 'short'",
      "hooks.webhooks[0].secret: expected 16 characters or more, or whsec_ and 16 bytes or more in base64 (FILE:1)",
    ],
    ["[[hooks.webhooks]]\nurl = 'https://h/'", "hooks.webhooks[0].secret: is missing (FILE:1)"],
    ["p2p.mode = 'lan'", 'p2p.mode: "lan" is not one of auto, lan-only, relay-only, no-relay (FILE:1)'],
    ["p2p.stun = ['h']", 'p2p.stun[0]: "h" is not host:port, or [address]:port for IPv6 (FILE:1)'],
    ["p2p.dht.bootstrap = ['h:0']", 'p2p.dht.bootstrap[0]: "h:0": a port is a number from 1 to 65535 (FILE:1)'],
    [
      "[[p2p.turn]]\nurl = 'stun:h'",
      "p2p.turn[0].url: expected a TURN server such as turn:host:3478, turn:host:3478?transport=tcp or turns:host:5349 (FILE:1)",
    ],
    ["max_retries = 1\nlimit = = 2", "the configuration file is not TOML: invalid value, line 2, column 9 (FILE:2:9)"],
    [
      "a = 1\na = 2",
      "the configuration file is not TOML: trying to redefine an already defined table or value, line 2, column 1 (FILE:2:1)",
    ],
  ] as const) {
    test(text, async (context) => {
      const { env, file } = await sandbox(context);
      const path = await file("config.toml", text);
      assert.deepEqual(await complaint(path, { env }), [expected.replace("FILE", path)]);
    });
  }

  for (const [name, argv, expected] of [
    ["unknown flag", ["--max-retrys=1"], "there is no option --max-retrys; did you mean --max-retries?"],
    ["flag without value", ["--max-retries"], "--max-retries: needs a value"],
    ["value missing before a flag", ["--timeout", "--max-retries=1"], "--timeout: needs a value"],
    ["stray word", ["start"], '"start" is not an option'],
    ["wrong value", ["--log.keep=x"], 'log.keep: expected a number, not "x" (--log.keep)'],
    ["a negated number", ["--no-max-retries"], "there is no option --no-max-retries"],
  ] as const) {
    test(name, async (context) => {
      const { env } = await sandbox(context);
      const [line = ""] = await complaint(undefined, { env, argv });
      assert.ok(line.startsWith(expected), line);
    });
  }

  test("all problems at once, of all sources", async (context) => {
    const { env, file } = await sandbox(context);
    const path = await file("config.toml", "max_retries = -1\nlimt = 2\n[log]\nkeep = true\n");
    const lines = await complaint(path, { env: { ...env, SNATCH_CHUNK_SIZE: "1" }, argv: ["--timeout=no"] });
    assert.equal(lines[0], "5 errors in the configuration");
    assert.deepEqual(
      lines
        .slice(1)
        .map((line) => line.split(":")[0])
        .sort(),
      ["chunk_size", "limt", "log.keep", "max_retries", "timeout"],
    );
  });

  test("a file that is missing, a folder, or not text", async (context) => {
    const { root, env, file } = await sandbox(context);
    const missing = join(root, "none.toml");
    assert.deepEqual(await complaint(missing, { env }), [`the configuration file does not exist (${missing})`]);
    assert.match((await complaint(root, { env })).join(), /cannot be read: EISDIR/);
    assert.match(
      (await complaint(await file("x.toml", Buffer.from([0xff, 0xfe])), { env })).join(),
      /is not UTF-8 text/,
    );
    assert.match((await complaint(await file("x.json", "{,}"), { env })).join(), /is not JSON: .*position 1/);
    assert.match((await complaint(await file("y.json", "[1]"), { env })).join(), /is not a JSON object: \[1\]/);
  });

  test("a folder that cannot be there", async (context) => {
    const { root, env, file } = await sandbox(context);
    await file("in-the-way", "");
    const path = await file("config.toml", 'download_dir = "in-the-way/x"\nwatch.folders = ["in-the-way"]\n');
    assert.deepEqual((await complaint(path, { env })).slice(1).sort(), [
      `download_dir: ${root}/in-the-way is not a folder (${path}:1)`,
      `watch.folders[0].path: ${root}/in-the-way is not a folder (${path}:2)`,
    ]);
  });

  test("a folder without rights", {
    skip: process.getuid?.() === 0 && "the superuser may write anywhere",
  }, async (context) => {
    const { root, env, file } = await sandbox(context);
    await mkdir(join(root, "locked"), { mode: 0o555 });
    const path = await file("config.toml", 'download_dir = "locked/x"');
    assert.match((await complaint(path, { env })).join(), /download_dir: .*locked does not let a folder be made in it/);
  });

  test("TLS needs both files, and they have to be there", async (context) => {
    const { env, file } = await sandbox(context);
    const cert = await file("cert.pem", "x");
    const path = await file(
      "config.toml",
      '[daemon]\nlisten = ["0.0.0.0:1"]\ntls_cert = "cert.pem"\ntls_key = "key.pem"\n',
    );
    assert.match((await complaint(path, { env })).join(), /^daemon.tls_key: there is no file .*key.pem/);
    await file("key.pem", "x");
    assert.equal((await loadConfig(path, { env })).daemon.tls_cert, cert);
    const half = await file("half.toml", '[daemon]\ntls_cert = "cert.pem"\n');
    assert.match((await complaint(half, { env })).join(), /^daemon.tls_cert: needs daemon.tls_key as well/);
  });
});

test("an unknown variable is a warning, a reserved one is not", async (context) => {
  const { root, env } = await sandbox(context);
  const { problems } = await loadConfigWithOrigins(undefined, {
    env: { ...env, SNATCH_HOME: root, SNATCH_ADDRESS: ":1", SNATCH_TOKEN_FILE: "/t", SNATCH_LOG_LEVEL: "info" },
  });
  assert.deepEqual(problems, [
    {
      severity: "warning",
      key: "",
      message: "the variable SNATCH_LOG_LEVEL is not known and was ignored; did you mean SNATCH_LOG__LEVEL?",
      where: "",
    },
  ]);
});
