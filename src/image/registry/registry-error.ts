/**
 * Errors for a registry's refusals. Docker's clients look for the texts, so these are Docker's.
 * Sources: distribution-spec spec.md#error-codes; behaviour of dockerd 26 and of distribution 2.8's client.
 */
import { type ErrorCode, LighterError } from "../../base/errors.ts";
import { parseGoJson } from "../../spec/go-json.ts";
import { parseExactJson } from "../../spec/json.ts";
import { parseChallenges } from "./challenge.ts";

/** The registry has answered with a refusal. */
export class RegistryError extends LighterError {
  constructor(
    code: ErrorCode,
    message: string,
    /** The HTTP status. */
    readonly status: number,
    /** The registry's own code: "MANIFEST_UNKNOWN", "UNAUTHORIZED", "DENIED", …; "" if it gave none. */
    readonly registryCode: string,
    /** How long the registry wants us to wait. */
    readonly retryAfterMs?: number,
  ) {
    super(code, message);
  }
}

/** Whether a blob may be asked for again with a fresh description: the authorization was refused or has run out. */
export function isUnauthorized(error: unknown): boolean {
  return error instanceof RegistryError && error.status === 401;
}

/** The parts of an answer that give the reason. */
interface Refusal {
  status: number;
  headers: Headers;
  /** The body, cut at a limit. */
  body: string;
}

/** Texts for codes. Maps, not objects: a registry may send "constructor" as a code. */
const DEFAULT_MESSAGES: ReadonlyMap<string, string> = new Map([
  ["UNAUTHORIZED", "authentication required"],
  ["DENIED", "requested access to the resource is denied"],
]);
/** Codes of OAuth. RFC 6750 §3.1. */
const OAUTH_CODES: ReadonlyMap<string, string> = new Map([
  ["invalid_token", "UNAUTHORIZED"],
  ["insufficient_scope", "DENIED"],
]);
/** Token servers may say `{"details":"…"}` and no code. */
const DETAILS_CODES: ReadonlyMap<number, string> = new Map([
  [401, "UNAUTHORIZED"],
  [429, "TOOMANYREQUESTS"],
]);

const SHOWN_MAX_CHARS = 200;

/** The text for an error: the code in words and the registry's message, "manifest unknown: manifest unknown". */
function wordsOf(code: string, message: string): string {
  return `${code.toLowerCase().replaceAll("_", " ")}: ${message}`;
}

/** A stranger's text for a terminal: without control characters, and not all of its web page. */
function shown(text: string): string {
  const clean = text.replace(/[\s\x00-\x1f\x7f-\x9f]+/g, " ").trim();
  return clean.length > SHOWN_MAX_CHARS ? `${clean.slice(0, SHOWN_MAX_CHARS)}…` : clean;
}

/** The error for a refusal. `prefix` says what failed, as `Get "https://HOST/v2/…"`; the registry's own codes go without it. */
export function refusalError(refusal: Refusal, prefix: string): RegistryError {
  const { status, headers } = refusal;
  const own = firstError(refusal);
  const wait = retryAfterMs(headers.get("retry-after"));
  const error = (code: ErrorCode, message: string): RegistryError =>
    new RegistryError(code, message, status, own?.code ?? "", wait);
  if (own !== undefined) return error(codeOf(status, own.code), wordsOf(own.code, own.message));
  if (status === 401) return error("unauthorized", wordsOf("UNAUTHORIZED", "authentication required"));
  if (status >= 500) return error("unavailable", `${prefix}: received unexpected HTTP status: ${status}`);
  const why = `${whyNoErrors(refusal.body)}: "${shown(refusal.body)}"`;
  return error(codeOf(status, ""), `${prefix}: error parsing HTTP ${status} response body: ${why}`);
}

/** What Go's decoder says of a body in which there are no errors of a registry's. */
function whyNoErrors(body: string): string {
  const isCut = "unexpected end of JSON input";
  if (body.trim() === "") return isCut;
  try {
    parseGoJson(Buffer.from(body));
    return "no error details found in HTTP response body";
  } catch (error) {
    if (!(error instanceof LighterError)) throw error;
    const words = error.message.replace("invalid JSON: ", "");
    return words === "unexpected EOF" ? isCut : words;
  }
}

function codeOf(status: number, registryCode: string): ErrorCode {
  if (status === 404 || registryCode === "DENIED") return "not-found";
  if (status === 401 || registryCode === "UNAUTHORIZED") return "unauthorized";
  if (status >= 500 || status === 429) return "unavailable";
  return "invalid";
}

/** The first error in the answer: the challenge's OAuth error, or the first in the body. */
function firstError({ status, headers, body }: Refusal): { code: string; message: string } | undefined {
  if (status === 401)
    for (const { scheme, parameters } of parseChallenges(headers.get("www-authenticate") ?? "")) {
      const code = OAUTH_CODES.get(parameters.get("error") ?? "");
      if (scheme !== "bearer" || code === undefined) continue;
      return { code, message: shown(parameters.get("error_description") ?? DEFAULT_MESSAGES.get(code) ?? "") };
    }
  const document = documentOf(body);
  const details = property(document, "details");
  if (typeof details === "string" && details !== "")
    return { code: DETAILS_CODES.get(status) ?? "UNKNOWN", message: shown(details) };
  return bodyErrors(document)[0];
}

function documentOf(body: string): unknown {
  try {
    return parseExactJson(body, "error");
  } catch (error) {
    if (error instanceof LighterError) return undefined;
    throw error;
  }
}

/** The errors in a body like `{"errors":[{"code","message"}]}`. */
function bodyErrors(document: unknown): { code: string; message: string }[] {
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

/** The value of a key in any case, as Go reads it: servers written in Go also say "Code". */
function property(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value).find(([name]) => name.toLowerCase() === key)?.[1];
}

/** Parses Retry-After (RFC 9110 §10.2.3): seconds or a date. */
function retryAfterMs(header: string | null): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
