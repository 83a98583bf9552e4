/**
 * What a plugin is, and what it is given. A plugin is an ESM module with a default export of this shape; {@link definePlugin}
 * gives it its types.
 */
import type { AudioFilterDefinition } from "./audio-work.ts";
import type { DownloadHooks, SessionHooks } from "./hooks.ts";
import type { PeerDiscovery } from "./peers.ts";
import type { Logger } from "./ports/runtime.ts";

/** Validates a plugin's options: what zod, valibot, arktype and others make (standardschema.dev). */
export interface OptionsSchema<Options> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    validate(value: unknown): SchemaResult<Options> | Promise<SchemaResult<Options>>;
  };
}

/** What a schema says of a value. */
export type SchemaResult<Options> =
  | { readonly value: Options; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** Something in the options that is not right. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** `plugins.NAME.config`, as it stands in the configuration. */
export type RawOptions = Readonly<Record<string, unknown>>;

/** What a plugin can do. Nothing of it works any more once the plugin was stopped. */
export interface PluginApi<Options = RawOptions> {
  readonly name: string;
  /** `plugins.NAME.config`, as the plugin's own schema gives it back. */
  readonly config: Options;
  /** Its lines bear the plugin's name. */
  readonly logger: Logger;
  /** Takes part in downloads, by the priority of `plugins.NAME.priority`. @returns takes the hooks out again */
  registerHooks(hooks: DownloadHooks & SessionHooks): () => void;
  /**
   * Adds a filter to those that audio can be sent through, or replaces one that was added; it stays until the daemon ends.
   * @throws DownloadError INVALID_ARGUMENT for a name or a filter that is not allowed, or that FFmpeg does not run
   */
  registerFilter(name: string, definition: AudioFilterDefinition): Promise<void>;
  /**
   * Adds a way to find peers, which is asked along with the others as long as the plugin is there. What it finds is a hint:
   * whoever is found has to prove that he knows the code.
   * @returns takes it out again
   */
  registerDiscoveryMethod(discovery: PeerDiscovery): () => void;
  /** Called when the daemon ends, after the last hook; the last one given is called first. */
  onStop(callback: () => void | Promise<void>): void;
}

/** A plugin. */
export interface Plugin<Options = RawOptions> {
  /** The name of its file or folder, and of its section in the configuration. */
  readonly name: string;
  /** Looks at `plugins.NAME.config`: a schema, or a function that gives back the options and throws if they are not right. */
  readonly config?: OptionsSchema<Options> | ((value: RawOptions) => Options);
  /** Called once when the daemon starts, before any download does. */
  setup(api: PluginApi<Options>): void | Promise<void>;
}

/** Gives a plugin its types, and changes nothing. */
export function definePlugin<Options = RawOptions>(plugin: Plugin<Options>): Plugin<Options> {
  return plugin;
}

/** Takes hooks; implemented by the download manager. */
export interface HookRegistry {
  /** Lower priorities run first; the same name again replaces the former. @returns takes them out */
  registerHooks(
    name: string,
    hooks: DownloadHooks & SessionHooks,
    options?: { readonly priority?: number },
  ): () => void;
}
