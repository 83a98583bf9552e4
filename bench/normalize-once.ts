/** Normalises one file, as the daemon would: `node normalize-once.ts INPUT OUTPUT TARGET_LUFS`. */
import { normalizeAudio } from "../src/daemon/audio/normalize.ts";
import { FfmpegTool } from "../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../src/daemon/os/clock.ts";

const [input = "", output = "", target = ""] = process.argv.slice(2);
await using tool = new FfmpegTool({ path: "", processes: 0, timeoutMs: 600_000 }, { clock: new SystemClock() });
const { after } = await normalizeAudio(tool, input, { output, targetLufs: Number(target) });
const off = (after?.integrated ?? Number.NaN) - Number(target);
if (!(Math.abs(off) <= 0.2)) throw new Error(`${off} LU off`);
