/**
 * A plugin that refuses downloads from hosts that you did not name, wherever redirects lead; `*.` takes in all below.
 *
 * ```toml
 * [plugins.only-hosts.config]
 * hosts = ["downloads.example.org", "*.example.net"]
 * ```
 */
import { definePlugin } from "snatch";

export default definePlugin({
  name: "only-hosts",

  config({ hosts }) {
    if (!Array.isArray(hosts) || hosts.length === 0 || !hosts.every((host) => typeof host === "string"))
      throw new Error('hosts wants a list of names, such as ["example.org", "*.example.net"]');
    return { hosts: hosts.map((host: string) => host.toLowerCase()) };
  },

  setup({ config, registerHooks }) {
    const isNamed = (host: string) =>
      config.hosts.some((named) => (named.startsWith("*.") ? host.endsWith(named.slice(1)) : host === named));

    registerHooks({
      // Where it was asked for, and where it really comes from.
      preDownload(url, { finalUrl }) {
        for (const { hostname } of [new URL(url), new URL(finalUrl)])
          if (!isNamed(hostname)) throw new Error(`${hostname} is none of the hosts in plugins.only-hosts.config`);
      },
    });
  },
});
