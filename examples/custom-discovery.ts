/**
 * A plugin that finds peers in a file of your own, one `ADDRESS:PORT` a line, such as the machines of an office that neither
 * multicast nor the DHT reaches. The file is read anew at each question. Whoever is found has to prove that he knows the code.
 *
 * ```toml
 * [plugins.custom-discovery.config]
 * file = "/etc/snatch-peers.txt"
 * ```
 */
import { readFile } from "node:fs/promises";
import { definePlugin } from "snatch";

export default definePlugin({
  name: "custom-discovery",

  config({ file }) {
    if (typeof file !== "string" || !file.startsWith("/"))
      throw new Error("file wants the absolute path of a list of peers");
    return { file };
  },

  setup({ config, registerDiscoveryMethod }) {
    registerDiscoveryMethod({
      name: "office list",

      async discoverPeers(_fileHash, signal) {
        const text = await readFile(config.file, { encoding: "utf8", signal });
        return text.split("\n").flatMap((line) => {
          const [, externalIp, port] = /^\s*\[?([0-9a-fA-F.:]+?)\]?:([0-9]+)\s*(?:#.*)?$/.exec(line) ?? [];
          if (externalIp === undefined) return [];
          return [
            {
              peerId: "",
              publicKey: new Uint8Array(),
              externalIp,
              externalPort: Number(port),
              natType: "unknown" as const,
              capabilities: [],
            },
          ];
        });
      },
    });
  },
});
