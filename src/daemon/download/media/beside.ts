/** Files that lie beside another, such as its subtitles: they have its name, and an ending that tells them apart. */
import { createHash } from "node:crypto";
import { dirname, join, parse } from "node:path";
import { asDownloadError } from "../../core/errors.ts";
import type { Run } from "../run.ts";

/** What is put beside a file. */
export interface Beside {
  /** Where it was made. */
  readonly path: string;
  /** In place of the file's ending, without the first dot: "en.vtt". */
  readonly ending: string;
}

/**
 * Puts files beside `target`. Done again, after a death in between, it leaves what is there already.
 *
 * @throws FileSystemError, SystemResourceError
 */
export async function placeBeside(run: Run, target: string, besides: readonly Beside[]): Promise<void> {
  const { files } = run.engine;
  const policy = run.session.options.ifExists ?? run.settings.ifExists;
  for (const { path, ending } of besides) {
    // In place already, or left out: it is the file itself that is placed once more.
    if (!(await files.exists(path))) continue;
    const name = `${parse(target).name}.${ending}`;
    if (!(await sameBytes(run, path, join(dirname(target), name)))) {
      const part = await files.openPart(path);
      await part.sync();
      await part.close();
      try {
        using claim = await files.claim(dirname(target), name, policy);
        await files.place(path, claim.path, { replace: policy === "overwrite" });
        run.logger.info({ path: claim.path }, "put beside it");
      } catch (error) {
        const failed = asDownloadError(error);
        if (failed.code !== "TARGET_EXISTS") throw error;
        run.logger.warn({ name }, `left out: ${failed.message}`);
      }
    }
    await files.remove(path);
  }
}

async function sameBytes({ engine: { files } }: Run, a: string, b: string): Promise<boolean> {
  const [one, other] = [await files.stat(a), await files.stat(b)];
  if (!one || !other || one.size !== other.size) return false;
  const digest = async (path: string): Promise<string> => {
    const hash = createHash("sha256");
    for await (const bytes of files.readStream(path)) hash.update(bytes);
    return hash.digest("hex");
  };
  return (await digest(a)) === (await digest(b));
}
