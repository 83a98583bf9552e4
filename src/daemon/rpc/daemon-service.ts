/** DaemonService: how the daemon is, what it is set to, its end. */
import type {
  DaemonServiceServer,
  GetConfigRequest,
  GetStatusRequest,
  GetStatusResponse,
  ReloadConfigRequest,
  RunChecksRequest,
  SetConfigRequest,
  ShutdownRequest,
} from "../../gen/snatch/v1/daemon_service.ts";
import type { Calls } from "./calls.ts";
import { badField, toConfigValues } from "./convert.ts";
import type { RpcPorts } from "./deps.ts";
import { presentCheck, presentConfigChange, presentConfigValue } from "./present.ts";
import { assertLocal, type Reach } from "./targets.ts";

/** Of the reason of a shutdown, for the log. */
const LONGEST_REASON = 200;

/** The handlers for callers with this reach. */
export function daemonService(ports: RpcPorts, calls: Calls, reach: Reach): DaemonServiceServer {
  const { control } = ports;
  return {
    getStatus: calls.unary((_request: GetStatusRequest) => status(ports)),
    getConfig: calls.unary(({ keys }: GetConfigRequest) => {
      const all = control.config();
      const inside = (key: string, wanted: string) => key === wanted || key.startsWith(`${wanted}.`);
      for (const [index, wanted] of keys.entries())
        if (!all.some(({ key }) => inside(key, wanted)))
          throw badField(`keys[${index}]`, `there is no "${wanted.slice(0, LONGEST_REASON)}" in the configuration`);
      const values = keys.length === 0 ? all : all.filter(({ key }) => keys.some((wanted) => inside(key, wanted)));
      return { values: values.map(presentConfigValue), configFile: control.paths.configFile };
    }),
    setConfig: calls.unary(async (request: SetConfigRequest) => {
      // It sets the folders that callers over TCP may write to.
      assertLocal(reach, "changing the configuration");
      return { changes: (await control.setConfig(toConfigValues(request.valuesJson))).map(presentConfigChange) };
    }),
    reloadConfig: calls.unary(async (_request: ReloadConfigRequest) => ({
      changes: (await control.reload()).map(presentConfigChange),
    })),
    runChecks: calls.unary(async ({ checkIds }: RunChecksRequest, signal) => ({
      results: (await control.check(checkIds, signal)).map(presentCheck),
    })),
    shutdown: calls.unary(({ reason }: ShutdownRequest) => {
      control.shutdown(reason.slice(0, LONGEST_REASON) || "asked for over RPC");
      return {};
    }),
  };
}

function status({ control, downloads, sessions, memory }: RpcPorts): GetStatusResponse {
  const { level, processBytes, limitedBy, limitBytes, usedBytes } = memory.report();
  return {
    pid: process.pid,
    version: control.version,
    addresses: [...control.addresses],
    startTime: new Date(control.startedAt),
    statusCounts: { ...sessions.counts() },
    bytesPerSecond: downloads.rate(),
    limitBytesPerSecond: Math.trunc(downloads.limit()),
    memoryBytes: processBytes,
    memoryPressure: level,
    memoryLimitedBy: limitedBy,
    memoryLimitBytes: limitBytes,
    memoryUsedBytes: usedBytes,
    configFile: control.paths.configFile,
    stateDirectory: control.paths.stateDir,
    logFile: control.paths.logFile,
    downloadDirectory: control.paths.downloadDir,
  };
}
