/**
 * Health and reflection, loaded by the first call that asks for them: with the parser of .proto files that both bring
 * along they cost more start-up time than the rest of the room.
 *
 * Their services are registered at once under their public paths, with messages left as bytes; the first call loads the
 * package, lets it add its service to a stand-in for the server, and from then on its own codecs and handlers answer.
 */
import { createRequire } from "node:module";
import type { MethodDefinition, Server, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import type * as Reflection from "@grpc/reflection";
import type * as Health from "grpc-health-check";
import { FILE_DESCRIPTORS } from "../../gen/descriptors.ts";
import { once } from "./once.ts";

const requirePackage = createRequire(import.meta.url);

type Description = ConstructorParameters<typeof Reflection.ReflectionService>[0];
/** What a package hands to `addService`. */
type Registered = readonly [ServiceDefinition, UntypedServiceImplementation];
type Kind = "unary" | "server-stream" | "bidirectional";

const HEALTH = "grpc.health.v1.Health";
const REFLECTION = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"] as const;

/** The health of the whole (named "") and of each service (https://grpc.io/docs/guides/health-checking/). */
export class LazyHealth {
  readonly #names: readonly string[];
  #implementation: Health.HealthImplementation | undefined;
  #serving = true;
  readonly #watches = new Set<Stream>();

  constructor(services: readonly string[]) {
    this.#names = ["", ...services];
  }

  addTo(server: Server): void {
    const load = once(() => {
      const { HealthImplementation } = requirePackage("grpc-health-check") as typeof Health;
      this.#implementation ??= new HealthImplementation(
        Object.fromEntries(this.#names.map((name) => [name, this.#serving ? "SERVING" : "NOT_SERVING"])),
      );
      return capture((stand) => this.#implementation?.addToServer(stand));
    });
    register(server, HEALTH, { Check: "unary", List: "unary", Watch: "server-stream" }, load, this.#watches);
  }

  /** From now on nothing is served; watchers are told, and their streams end. */
  stop(): void {
    this.#serving = false;
    for (const name of this.#names) this.#implementation?.setStatus(name, "NOT_SERVING");
    for (const watch of this.#watches) watch.end();
  }
}

/** Server reflection, both versions (https://grpc.io/docs/guides/reflection/). @returns ends the open streams */
export function addReflection(server: Server): () => void {
  const streams = new Set<Stream>();
  const load = once(() => {
    const { ReflectionService } = requirePackage("@grpc/reflection") as typeof Reflection;
    // Only the descriptors are read of a package definition. grpc-health-check's own are no use: their types have relative
    // names, which other clients do not resolve.
    const all = { all: { fileDescriptorProtos: FILE_DESCRIPTORS.map((text) => Buffer.from(text, "base64")) } };
    const service = new ReflectionService(all as unknown as Description);
    return capture((stand) => service.addToServer(stand));
  });
  for (const name of REFLECTION) register(server, name, { ServerReflectionInfo: "bidirectional" }, load, streams);
  return () => {
    for (const stream of streams) stream.end();
  };
}

/** The services that `add` adds, by the paths of their methods. */
function capture(add: (stand: { addService(...service: Registered): void }) => void): ReadonlyMap<string, Handler> {
  const handlers = new Map<string, Handler>();
  add({
    addService(definition, implementation) {
      for (const [name, method] of Object.entries(definition)) {
        const handle = implementation[name] ?? implementation[method.originalName ?? name];
        if (handle !== undefined) handlers.set(method.path, { method, handle: handle as unknown as Handler["handle"] });
      }
    },
  });
  return handlers;
}

/** What is used here of a streaming call. */
interface Stream {
  end(): void;
  once(event: "cancelled", listener: () => void): unknown;
}

interface Handler {
  readonly method: MethodDefinition<unknown, unknown>;
  readonly handle: (call: Stream, callback: unknown) => void;
}

function register(
  server: Server,
  service: string,
  methods: Readonly<Record<string, Kind>>,
  load: () => ReadonlyMap<string, Handler>,
  streams: Set<Stream>,
): void {
  const definition: Record<string, MethodDefinition<unknown, unknown>> = {};
  const implementation: UntypedServiceImplementation = {};
  for (const [name, kind] of Object.entries(methods)) {
    const path = `/${service}/${name}`;
    const loaded = (): Handler => {
      const handler = load().get(path);
      if (handler === undefined) throw new Error(`no handler for ${path}`);
      return handler;
    };
    definition[name] = {
      path,
      requestStream: kind === "bidirectional",
      responseStream: kind !== "unary",
      requestSerialize: (value) => loaded().method.requestSerialize(value),
      requestDeserialize: (bytes) => loaded().method.requestDeserialize(bytes),
      responseSerialize: (value) => loaded().method.responseSerialize(value),
      responseDeserialize: (bytes) => loaded().method.responseDeserialize(bytes),
    };
    const handle: Handler["handle"] = (call, callback) => {
      if (kind !== "unary") {
        streams.add(call);
        // Told at every end of a call, the ordinary one too.
        call.once("cancelled", () => streams.delete(call));
      }
      loaded().handle(call, callback);
    };
    implementation[name] = handle as unknown as UntypedServiceImplementation[string] & Handler["handle"];
  }
  server.addService(definition, implementation);
}
