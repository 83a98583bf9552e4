/** The part of cacache 21 that is used, its store of contents; it comes without types. */
declare module "cacache/lib/content/read.js" {
  /** Reads and proves. @throws Error with `code` EINTEGRITY, EBADSIZE, or that of the file system */
  export default function read(cache: string, integrity: string, options: { readonly size: number }): Promise<Buffer>;
}
declare module "cacache/lib/content/write.js" {
  /** Writes to a file of its own and moves it to its place, unless there is one. */
  export default function write(
    cache: string,
    data: Uint8Array,
    options: { readonly algorithms: readonly string[]; readonly integrity: string },
  ): Promise<unknown>;
}
declare module "cacache/lib/content/path.js" {
  /** Where a body lies. */
  export default function contentPath(cache: string, integrity: string): string;
}
