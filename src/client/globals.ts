/** The options that every command takes. */

/** As commander hands them over; absent means not given. */
export interface Globals {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly address?: string;
  readonly tokenFile?: string;
  readonly tlsCa?: string;
  readonly home?: string;
}
