/** Decides which commands run on Bun, by arguments and environment alone, and becomes that program. */
import { vector } from "./child-process.ts";
import { cString, host, systemError, tryCall } from "./door.ts";
import { dirname } from "./path.ts";
import { restoreSignals } from "./signals.ts";
import { isNumeric } from "./socket.ts";

/** First words of the command line that are other programs, or that compress, or read YAML. */
const ON_BUN = new Set(["daemon", "layer-worker", "file-worker", "build", "buildx", "builder", "import", "dashboard"]);
/** Words of a group of commands. */
const ON_BUN_IN_GROUP = new Set([
  "image build",
  "image import",
  "image bootstrap",
  "machine import",
  "machine bootstrap",
  "system dial-stdio",
]);

/** Whether a host's address is one that this engine can connect to. */
function isReachable(address: string | undefined): boolean {
  if (address === undefined || address === "" || /^(unix|ssh):/.test(address) || /^[./]/.test(address)) return true;
  const hostname = /^(?:tcp:\/\/)?([^:/]*)/.exec(address)?.[1] ?? "";
  return isNumeric(hostname === "" ? "localhost" : hostname);
}

/** `named`: the program is the OCI runtime by its name. */
export function needsBun(named: boolean, args: readonly string[]): boolean {
  if (named || args[0] === "runtime") return false;
  const { DOCKER_HOST, DOCKER_TLS, DOCKER_TLS_VERIFY, LIGHTER_HOST } = process.env;
  if (DOCKER_TLS || DOCKER_TLS_VERIFY || ![DOCKER_HOST, LIGHTER_HOST].every(isReachable)) return true;
  const words: string[] = [];
  for (let i = 0; i < args.length && words.length < 2; i++) {
    const word = args[i]!;
    if (words.length === 0 && /^--tls/.test(word)) return true;
    if (words.length === 0 && /^(-H|--host)$/.test(word) && !isReachable(args[i + 1])) return true;
    if (
      words.length === 0 &&
      /^(-H|--host=)/.test(word) &&
      !isReachable(word.replace(/^(-H=?|--host=)/, "") || undefined)
    )
      return true;
    if (words.length === 0 && /^(-H|--host|-c|--context|--config|-l|--log-level)$/.test(word)) i++;
    else if (!word.startsWith("-")) words.push(word);
  }
  const isBuild = words[0] === "explain" && args.includes("--build");
  return isBuild || ON_BUN.has(words[0] ?? "") || ON_BUN_IN_GROUP.has(words.join(" "));
}

/** The file's name beside this program's. */
const BUN_PROGRAM = "lighterd";

/** Becomes the program beside this one, with the same arguments and environment. */
export function becomeBun(): never {
  const path = `${dirname(process.execPath)}/${BUN_PROGRAM}`;
  restoreSignals();
  const [args, variables] = [vector(host.argv!), vector(host.environ!)];
  const rc = tryCall("execve", cString(path), args.pointers, variables.pointers);
  throw systemError(rc, "execve", path);
}
