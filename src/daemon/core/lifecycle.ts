/** What starts, and ends. Constructors do nothing; `start` does, and disposal undoes it. */
export interface Startable extends AsyncDisposable {
  start(): Promise<void>;
}
