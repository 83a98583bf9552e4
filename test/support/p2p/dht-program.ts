/** Nodes of a DHT in a process of their own: `dht-program.ts ADDRESS COUNT` prints those to begin with, as a JSON array. */
import { localDht } from "./local-dht.ts";

const [address = "127.0.0.1", count = "8"] = process.argv.slice(2);
const { bootstrap } = await localDht(Number(count), address);
console.log(JSON.stringify(bootstrap));
