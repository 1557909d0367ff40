/**
 * What a registry's refusals become. Clients of Docker match on the texts, so these are Docker's.
 * Sources: distribution-spec spec.md#error-codes; behaviour of dockerd 26 and of distribution 2.8's client.
 */
import { type ErrorCode, LighterError } from "../../base/errors.ts";
import { parseJson } from "../../spec/json.ts";
import { parseChallenges } from "./challenge.ts";

/** The registry has answered, with no. */
export class RegistryError extends LighterError {
  constructor(
    code: ErrorCode,
    message: string,
    /** HTTP's. */
    readonly status: number,
    /** The registry's own: "MANIFEST_UNKNOWN", "UNAUTHORIZED", "DENIED", …; "" if it gave none. */
    readonly registryCode: string,
    /** How long it wants us to wait. */
    readonly retryAfterMs?: number,
  ) {
    super(code, message);
  }
}

/** Who asks for a blob with this error may describe it again: the authorization was refused or has run out. */
export function isUnauthorized(error: unknown): boolean {
  return error instanceof RegistryError && error.status === 401;
}

/** The parts of an answer that say why. */
interface Refusal {
  status: number;
  headers: Headers;
  /** Cut at a limit. */
  body: string;
}

/** Maps, not objects: a registry's word may be "constructor". */
const DEFAULT_MESSAGES: ReadonlyMap<string, string> = new Map([
  ["UNAUTHORIZED", "authentication required"],
  ["DENIED", "requested access to the resource is denied"],
]);
/** RFC 6750 §3.1. */
const OAUTH_CODES: ReadonlyMap<string, string> = new Map([
  ["invalid_token", "UNAUTHORIZED"],
  ["insufficient_scope", "DENIED"],
]);

const SHOWN_MAX_CHARS = 200;

/** "manifest unknown: manifest unknown": the code in words, and the registry's message. */
function wordsOf(code: string, message: string): string {
  return `${code.toLowerCase().replaceAll("_", " ")}: ${message}`;
}

/** No control characters of a stranger's on a terminal, and not all of its web page. */
function shown(text: string): string {
  const clean = text.replace(/[\s\x00-\x1f\x7f-\x9f]+/g, " ").trim();
  return clean.length > SHOWN_MAX_CHARS ? `${clean.slice(0, SHOWN_MAX_CHARS)}…` : clean;
}

/** `prefix` says what failed, as `Get "https://HOST/v2/…"`; the registry's own codes go without it. */
export function refusalError(refusal: Refusal, prefix: string): RegistryError {
  const { status, headers } = refusal;
  const own = firstError(refusal);
  const wait = retryAfterMs(headers.get("retry-after"));
  const error = (code: ErrorCode, message: string): RegistryError =>
    new RegistryError(code, message, status, own?.code ?? "", wait);
  if (own !== undefined) return error(codeOf(status, own.code), wordsOf(own.code, own.message));
  if (status === 401) return error("unauthorized", wordsOf("UNAUTHORIZED", "authentication required"));
  const type = headers.get("content-type")?.split(";")[0] ?? "nothing";
  if (status >= 500) return error("unavailable", `${prefix}: received unexpected HTTP status: ${status}`);
  const text = refusal.body === "" ? "nothing" : `${shown(type)} "${shown(refusal.body)}"`;
  return error(codeOf(status, ""), `${prefix}: registry answered status ${status} with ${text}`);
}

function codeOf(status: number, registryCode: string): ErrorCode {
  if (status === 404 || registryCode === "DENIED") return "not-found";
  if (status === 401 || registryCode === "UNAUTHORIZED") return "unauthorized";
  if (status >= 500 || status === 429) return "unavailable";
  return "invalid";
}

/** From the challenge's OAuth error, or the first of the body's errors. */
function firstError({ status, headers, body }: Refusal): { code: string; message: string } | undefined {
  if (status === 401)
    for (const { scheme, parameters } of parseChallenges(headers.get("www-authenticate") ?? "")) {
      const code = OAUTH_CODES.get(parameters.get("error") ?? "");
      if (scheme !== "bearer" || code === undefined) continue;
      return { code, message: shown(parameters.get("error_description") ?? DEFAULT_MESSAGES.get(code) ?? "") };
    }
  return bodyErrors(body)[0] ?? undefined;
}

/** `{"errors":[{"code","message"}]}`. */
function bodyErrors(body: string): { code: string; message: string }[] {
  let document: unknown;
  try {
    document = parseJson(body, "error");
  } catch (error) {
    if (error instanceof LighterError) return [];
    throw error;
  }
  const list = property(document, "errors");
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry) => {
    const code = property(entry, "code");
    const message = property(entry, "message");
    if (typeof code !== "string" || !/^[A-Z0-9_]{1,64}$/i.test(code)) return [];
    const text = typeof message === "string" && message !== "" ? message : (DEFAULT_MESSAGES.get(code) ?? code);
    return [{ code: code.toUpperCase(), message: shown(text) }];
  });
}

/** A key may be in any case, as Go reads it: servers that are written in Go say "Code", too. */
function property(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value).find(([name]) => name.toLowerCase() === key)?.[1];
}

/** RFC 9110 §10.2.3: seconds or a date. */
function retryAfterMs(header: string | null): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
