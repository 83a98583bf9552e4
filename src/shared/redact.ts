/** Keeps secrets out of logs, lists and errors. */

/** Header fields whose value is a secret by their name. */
const SECRET_HEADER =
  /^(authorization|proxy-authorization|cookie|set-cookie)$|token|secret|api[-_]?key|auth|signature/i;

/**
 * Words that make the value of a field a secret: `access_key` and `AWSAccessKeyId` are three words and four, `monkey` is
 * one. Signatures and sessions are as good as a password while they last.
 */
const SECRET_WORDS: ReadonlySet<string> = new Set(
  (
    "auth authentication authn authorization authz bearer cookie cred creds credential credentials csrf gda hdnea hdntl " +
    "hdnts hmac jwe jws jwt key keys oauth otp pass passcode passkey passphrase passwd password passwort pat pin psk pw " +
    "pwd saml sas secret secrets sess session sid sig sign signature ticket token tokens totp xsrf"
  ).split(" "),
);

/** The same for words that are written together. */
const SECRET_ENDING =
  /(token|secret|passwo?r?d|passphrase|signature|credentials?|sessionid|sessid|(api|app|access|auth|license|private|secret)key(id)?)$/;

/** Whole names that are secrets, although their words are found in many others: what OAuth and signed links use. */
const SECRET_NAMES = /^(code|verify|policy)$/i;

/** Everything that signs a request to S3 and its like. */
const SIGNING = /^x-(amz|goog)-/i;

/** URLs inside of URLs that are looked into; what lies deeper is not shown. */
const DEEPEST = 3;

/** A name as long as this, in place of a user's, is a token. */
const LONGEST_USER = 20;

/**
 * The scheme of codes, as the URL parser reads it: it overlooks white space before it, and tabs and line breaks within. Behind
 * it is a code, or the name under which a share is known.
 */
const BLANK = "[\\t\\n\\r]*";
const CODE_SCHEME = new RegExp(`^([\\0-\\x20]*${[..."snatch"].join(BLANK)}${BLANK}:)`, "i");
const SHARE_NAME = /^share\/[0-9a-f]{32}(\/\d{1,6})?$/;

/** A code by itself, or behind a scheme that was mistyped: 25 characters, with white space, hyphens or dashes in between. */
const CODE =
  /^(?!https?:)([\0-\x20]*(?:[a-z]{1,12}[:;,/\\]+)?\s*)(?:[0-9A-Z][\s\u00AD\u200B-\u200D\u2060\uFEFF\p{Pd}]*){25}$/iu;

/** Longer texts are no codes. */
const LONGEST_CODE = 200;

/** True for a header field that must not be shown, logged or sent to another origin. */
export function isSecretHeader(name: string): boolean {
  return SECRET_HEADER.test(name);
}

/**
 * A URL that can be shown: a password, a user that stands alone (it is a token as often as not) and the values of fields
 * that look secret by their name become `***`, also in the fragment, in path parameters and in URLs inside of fields. So does
 * the code of a share. Text that is no URL is treated as one that was mistyped.
 */
export function redactUrl(text: string): string {
  // Most have nothing to hide, and long lists of them are shown.
  return redactNested(text, DEEPEST);
}

/** @param depth - URLs inside of one another that are still looked into */
function redactNested(text: string, depth: number): string {
  const [scheme] = CODE_SCHEME.exec(text) ?? [];
  if (scheme !== undefined) return SHARE_NAME.test(text.slice(scheme.length)) ? text : "snatch:***";
  if (text.length <= LONGEST_CODE && CODE.test(text)) return text.replace(CODE, "$1***");
  return /[@?#;]/.test(text) ? redactFields(redactUser(text), depth) : text;
}

function redactUser(text: string): string {
  if (!text.includes("@")) return text;
  const url = URL.parse(text);
  // Where the user ends cannot be told: behind the last @, to be sure. Text without a scheme is a path or a name.
  if (url === null) return text.replace(/^(\s*[a-z][a-z0-9+.-]*:[/\\]*).*@/is, "$1***@");
  if (url.host === "") return text.replace(/^(\s*[a-z][a-z0-9+.-]*:)[^/?#]*@/i, "$1***@");
  const { username, password } = url;
  if (password !== "") url.password = "***";
  if (username !== "" && (password === "" || username.length > LONGEST_USER)) url.username = "***";
  // Not written anew without need: it is to look as it was given.
  return url.username === username && url.password === password ? text : url.href;
}

function redactFields(text: string, depth: number): string {
  const field = (_all: string, separator: string, name: string, value: string): string =>
    redactField(separator, name, value, depth);
  const end = text.search(/[?#]/);
  const path = end < 0 ? text : text.slice(0, end);
  const rest = end < 0 ? "" : text.slice(end);
  return path.replace(/(;)([^;=/]+)=([^;/]*)/g, field) + rest.replace(/([?&#])([^?&#=]*)=([^&#]*)/g, field);
}

function redactField(separator: string, name: string, value: string, depth: number): string {
  if (value !== "" && isSecretField(decoded(name))) return `${separator}${name}=***`;
  // `;` between fields is out of use, not out of sight.
  const [first = "", ...more] = value.split(";");
  const others = more.map((field) => {
    const at = field.indexOf("=");
    return at < 0 ? `;${field}` : redactField(";", field.slice(0, at), field.slice(at + 1), depth);
  });
  return `${separator}${name}=${redactInner(first, depth)}${others.join("")}`;
}

/** A value that is itself a URL, as it stands or percent-encoded. */
function redactInner(value: string, depth: number): string {
  const inner = decoded(value);
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(inner) && !CODE_SCHEME.test(inner)) return value;
  if (depth === 0) return "***";
  const shown = redactNested(inner, depth - 1);
  if (shown === inner) return value;
  return inner === value ? shown : encodeURIComponent(shown.toWellFormed());
}

function isSecretField(name: string): boolean {
  if (SIGNING.test(name) || SECRET_NAMES.test(name)) return true;
  const words = name
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .replace(/([A-Z])([A-Z][a-z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z]+/);
  return words.some((word) => SECRET_WORDS.has(word) || SECRET_ENDING.test(word));
}

function decoded(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
