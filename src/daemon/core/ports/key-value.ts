/** The database, as rooms see it: ordered strings in named spaces. */

/** One change of a batch. `space` names a sublevel. */
export type Write =
  | { readonly type: "put"; readonly space: string; readonly key: string; readonly value: string }
  | { readonly type: "del"; readonly space: string; readonly key: string };

/** Bounds of a scan, by UTF-8 order of the keys. */
export interface KeyRange {
  readonly gt?: string;
  readonly gte?: string;
  readonly lt?: string;
  readonly lte?: string;
  readonly reverse?: boolean;
  readonly limit?: number;
}

/** An ordered store of strings in named spaces. */
export interface KeyValue {
  get(space: string, key: string): Promise<string | undefined>;
  getMany(space: string, keys: readonly string[]): Promise<(string | undefined)[]>;
  entries(space: string, range?: KeyRange): AsyncIterable<readonly [key: string, value: string]>;
  /**
   * All or nothing, across spaces. Calls are applied in the order in which they were made; those that wait at the same
   * time share one write to the disk.
   * @param options.sync - resolve only when it survives a power cut; otherwise it survives the death of the process
   */
  write(writes: readonly Write[], options?: { readonly sync?: boolean }): Promise<void>;
  /** Grows by one with every repair of a damaged database: whoever keeps derived entries then makes them anew. */
  readonly repairs?: number;
  /**
   * Gives back the room on the disk that deleted entries of a space take; other calls go on meanwhile. Absent where deleted
   * entries take none.
   * @returns bytes that the database is smaller now; 0 if it is not
   */
  compact?(space: string): Promise<number>;
}
