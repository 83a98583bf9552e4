/** The plainest meaning of a URL: it names the file itself. */
import type { Plan } from "../core/plan.ts";
import type { Resolver } from "../core/ports.ts";
import type { DownloadRequest } from "../core/session.ts";

/** Takes every http and https URL as the file itself, its mirrors as more places with the same bytes. */
export const direct: Resolver = {
  name: "direct",
  claims: (url) => url.startsWith("http://") || url.startsWith("https://"),
  resolve: (request: DownloadRequest): Promise<Plan> => {
    const headers = request.options.headers ?? [];
    // A mirror is another origin: what the user gave for the first one is not for it to see.
    const mirrors = request.mirrors.map((url) => ({ url, headers: [] }));
    return Promise.resolve({ candidates: [{ url: request.url, headers }, ...mirrors] });
  },
};
