import { expect, test } from "bun:test";
import { refusalError } from "./registry-error.ts";

const errorOf = (status: number, body: string, headers: Record<string, string> = {}) =>
  refusalError({ status, headers: new Headers(headers), body }, 'Get "https://host/v2/"');
const body = (code: unknown, message?: unknown): string => JSON.stringify({ errors: [{ code, message }] });

const cases: [string, number, string, Record<string, string>, object][] = [
  [
    "keys in another case",
    401,
    JSON.stringify({ Errors: [{ Code: "UNAUTHORIZED", Message: "a message" }] }),
    {},
    { code: "unauthorized", message: "unauthorized: a message" },
  ],
  [
    "the registry's own words",
    404,
    body("MANIFEST_UNKNOWN", "manifest unknown"),
    {},
    { code: "not-found", registryCode: "MANIFEST_UNKNOWN", message: "manifest unknown: manifest unknown" },
  ],
  [
    "a code without a message",
    401,
    body("UNAUTHORIZED"),
    {},
    { code: "unauthorized", message: "unauthorized: authentication required" },
  ],
  [
    "an unknown code without a message",
    400,
    body("CONSTRUCTOR"),
    {},
    { code: "invalid", message: "constructor: CONSTRUCTOR" },
  ],
  [
    "a code that every object has",
    400,
    body("constructor"),
    {},
    { code: "invalid", message: "constructor: constructor" },
  ],
  [
    "an OAuth error that every object has",
    401,
    "",
    { "WWW-Authenticate": 'Bearer error="constructor"' },
    { message: "unauthorized: authentication required" },
  ],
  [
    "an OAuth error comes before the body",
    401,
    body("UNAUTHORIZED", "x"),
    { "WWW-Authenticate": 'Bearer error="insufficient_scope"' },
    { code: "not-found", registryCode: "DENIED", message: "denied: requested access to the resource is denied" },
  ],
  [
    "an expired token",
    401,
    "",
    { "WWW-Authenticate": 'Bearer error="invalid_token",error_description="it expired"' },
    { code: "unauthorized", message: "unauthorized: it expired" },
  ],
  [
    "a code that is no code",
    403,
    body("a b", "x"),
    {},
    {
      code: "invalid",
      registryCode: "",
      message:
        'Get "https://host/v2/": error parsing HTTP 403 response body: no error details found in HTTP response body: "{"errors":[{"code":"a b","message":"x"}]}"',
    },
  ],
  [
    "nothing",
    403,
    "",
    {},
    {
      code: "invalid",
      message: 'Get "https://host/v2/": error parsing HTTP 403 response body: unexpected end of JSON input: ""',
    },
  ],
  [
    "what is not JSON",
    403,
    "no way",
    {},
    {
      code: "invalid",
      message: `Get "https://host/v2/": error parsing HTTP 403 response body: invalid character 'o' in literal null (expecting 'u'): "no way"`,
    },
  ],
  [
    "JSON that is cut",
    404,
    '{"errors":',
    {},
    { code: "not-found", message: expect.stringContaining("unexpected end of JSON input: ") },
  ],
  [
    "details without a code, of a token server",
    429,
    '{"details":"slow down"}',
    {},
    { code: "unavailable", registryCode: "TOOMANYREQUESTS", message: "toomanyrequests: slow down" },
  ],
  [
    "a server's failure",
    502,
    "<html>",
    {},
    { code: "unavailable", message: 'Get "https://host/v2/": received unexpected HTTP status: 502' },
  ],
];

for (const [what, status, text, headers, expected] of cases)
  test(`refusalError: ${what}`, () => expect(errorOf(status, text, headers)).toMatchObject({ status, ...expected }));

test("refusalError: a stranger's control characters and web pages are kept short", () => {
  const { message } = errorOf(404, `\x1b[31m${"x".repeat(5000)}\n`, { "Content-Type": "text/html; charset=x" });
  const why = String.raw`invalid character '\x1b' looking for beginning of value`;
  expect(message).toStartWith(`Get "https://host/v2/": error parsing HTTP 404 response body: ${why}: "[31mxxx`);
  expect(message.length).toBeLessThan(350);
});

test("refusalError: Retry-After in seconds, as a date, and neither", () => {
  const waitOf = (value: string) => errorOf(429, "", { "Retry-After": value }).retryAfterMs;
  expect(waitOf("7")).toBe(7000);
  expect(waitOf("Wed, 21 Oct 2015 07:28:00 GMT")).toBe(0);
  expect(waitOf(new Date(Date.now() + 60_000).toUTCString())).toBeWithin(50_000, 60_001);
  for (const value of ["soon", "", "-5x"]) expect(waitOf(value)).toBeUndefined();
});
