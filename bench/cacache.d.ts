/** What the bench calls of cacache, which comes without types. */
declare module "cacache" {
  const cacache: {
    put(
      cache: string,
      key: string,
      data: Uint8Array,
      options: { readonly algorithms: readonly string[] },
    ): Promise<unknown>;
    get(cache: string, key: string): Promise<{ readonly data: Uint8Array }>;
  };
  export default cacache;
}
