/** The check of this room: which plugins there are, and what is wrong with those that are not loaded. */
import type { Check, CheckOutcome } from "../core/ports/house.ts";
import type { PluginState } from "./plugins.ts";

/** @param states - how the plugins are: of a running daemon, or examined for this check alone */
export function pluginsCheck(
  folder: string,
  states: () => readonly PluginState[] | Promise<readonly PluginState[]>,
): Check {
  return {
    id: "plugins",
    title: "Plugins",
    async run(): Promise<CheckOutcome> {
      const all = await states();
      const named = (status: PluginState["status"]) => all.filter((state) => state.status === status);
      const listed = (status: PluginState["status"]) =>
        named(status)
          .map(({ name }) => name)
          .sort()
          .join(", ");
      const details = { folder, loaded: listed("loaded"), disabled: listed("disabled") };
      const [broken, missing] = [named("failed"), named("missing")];
      if (broken.length + missing.length > 0)
        return {
          status: broken.length > 0 ? "failed" : "warning",
          message: [...broken, ...missing].map(({ problem }) => problem).join("; "),
          fix:
            broken.length > 0
              ? "Correct the plugin, or switch it off: plugins.NAME.enabled = false. Then start the daemon again."
              : "Put the plugin's file into the folder, or take its section out of the configuration.",
          details,
        };
      return { status: "ok", message: details.loaded === "" ? "none found" : `found ${details.loaded}`, details };
    },
  };
}
