/**
 * Runs the docker-credential-NAME programs: the action is the argument, the input goes to stdin, the answer comes on
 * stdout. The user sees what they print on stderr.
 */
import { spawn } from "node:child_process";
import { errnoOf, messageOf } from "../../base/errors.ts";
import { CREDENTIAL_HELPER_MAX_BYTES, CREDENTIAL_HELPER_TIMEOUT_MS } from "../../base/limits.ts";

interface HelperCredentials {
  readonly username: string;
  readonly secret: string;
}

/** The user name that marks a secret as an identity token. */
export const TOKEN_USERNAME = "<token>";

const NOT_FOUND = "credentials not found in native keychain";

/**
 * Returns undefined if the helper has no credentials for `server`.
 * @throws Error "error getting credentials…"
 */
export async function getFromHelper(helper: string, server: string): Promise<HelperCredentials | undefined> {
  const { output, failure } = await runHelper(helper, "get", server);
  if (failure !== undefined) {
    if (output.trim() === NOT_FOUND) return undefined;
    throw new Error(`error getting credentials - err: ${failure}, out: \`${output.trim()}\``);
  }
  return parseHelperAnswer(output);
}

/** @throws Error "error storing credentials…" */
export async function storeInHelper(helper: string, server: string, credentials: HelperCredentials): Promise<void> {
  const { username, secret } = credentials;
  const input = `${JSON.stringify({ ServerURL: server, Username: username, Secret: secret })}\n`;
  const { output, failure } = await runHelper(helper, "store", input);
  if (failure !== undefined) throw new Error(`error storing credentials - err: ${failure}, out: \`${output.trim()}\``);
}

/** @throws Error "error erasing credentials…" */
export async function eraseFromHelper(helper: string, server: string): Promise<void> {
  const { output, failure } = await runHelper(helper, "erase", server);
  if (failure !== undefined) throw new Error(`error erasing credentials - err: ${failure}, out: \`${output.trim()}\``);
}

/**
 * Parses a helper's answer. It may hold a secret, so no part of it is in the error.
 * @throws Error if it is not what a helper answers
 */
export function parseHelperAnswer(output: string): HelperCredentials {
  let answer: unknown;
  try {
    answer = JSON.parse(output);
  } catch {
    throw new Error("error getting credentials - err: the answer is not JSON");
  }
  const { Username, Secret } = (typeof answer === "object" && answer !== null ? answer : {}) as Record<string, unknown>;
  if (typeof Username !== "string" || typeof Secret !== "string")
    throw new Error("error getting credentials - err: the answer has no Username and Secret");
  return { username: Username, secret: Secret };
}

interface HelperResult {
  readonly output: string;
  /** How the helper failed, in the stock client's words: "exit status 1". */
  readonly failure?: string;
}

/** Runs a helper; `timeoutMs` is for tests. */
export function runHelper(
  helper: string,
  action: "get" | "store" | "erase",
  input: string,
  timeoutMs = CREDENTIAL_HELPER_TIMEOUT_MS,
): Promise<HelperResult> {
  const program = `docker-credential-${helper}`;
  // A name with a slash would not be looked up in PATH, but run from the current directory.
  if (helper.includes("/") || helper.includes("\0"))
    return Promise.resolve({ output: "", failure: `${JSON.stringify(program)} is not a program's name` });
  return new Promise((resolve) => {
    const child = spawn(program, [action], { stdio: ["pipe", "pipe", "inherit"] });
    const chunks: Buffer[] = [];
    let size = 0;
    let stopped: string | undefined;
    const finish = (failure?: string) => {
      clearTimeout(timer);
      resolve({ output: Buffer.concat(chunks).toString(), ...(failure === undefined ? {} : { failure }) });
    };
    const stop = (why: string) => {
      stopped = why;
      child.kill("SIGKILL");
      child.stdout.destroy(); // a child of the helper may hold stdout open
      finish(why);
    };
    const timer = setTimeout(() => stop(`no answer within ${timeoutMs / 1000} s`), timeoutMs);
    child.once("error", (error) => {
      const missing = errnoOf(error) === "ENOENT";
      finish(`exec: ${JSON.stringify(program)}: ${missing ? "executable file not found in $PATH" : messageOf(error)}`);
    });
    child.stdout.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size <= CREDENTIAL_HELPER_MAX_BYTES) chunks.push(chunk);
      else if (stopped === undefined) stop(`answered more than ${CREDENTIAL_HELPER_MAX_BYTES} bytes`);
    });
    child.once("close", (code, signal) => {
      if (code === 0) finish();
      else finish(code === null ? `signal: ${signal}` : `exit status ${code}`);
    });
    child.stdin.on("error", () => {}); // the helper may end without reading its input
    child.stdin.end(input);
  });
}
