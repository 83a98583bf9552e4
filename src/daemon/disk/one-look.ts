/** One look for all who want the same one while it is under way: many small files come in waves, and all ask at once. */
export class OneLook<T> {
  readonly #running = new Map<string, Promise<T>>();

  /** The look at `path` that is under way, or a new one. */
  at(path: string, look: () => Promise<T>): Promise<T> {
    const running = this.#running.get(path);
    if (running !== undefined) return running;
    const begun = look().finally(() => this.#running.delete(path));
    this.#running.set(path, begun);
    return begun;
  }
}
