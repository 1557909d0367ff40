/** Decides which command lines the small engine leaves to Bun's program. */
import { type ParsedFlags, parseFlags } from "./cli/flags.ts";
import { globalFlags } from "./cli/global-flags.ts";
import { resolveContext } from "./cli/http/contexts.ts";
import { chosenContext, parseHost } from "./cli/http/host.ts";
import { isNumeric } from "./shims/numeric-host.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Words of the command line that are other programs, or that compress, or read YAML. */
const ON_BUN = new Set(["daemon", "layer-worker", "file-worker", "build", "buildx", "builder", "import", "dashboard"]);
const ON_BUN_IN_GROUP = new Set([
  "image build",
  "image import",
  "image bootstrap",
  "machine import",
  "machine bootstrap",
  "system dial-stdio",
]);

/** By arguments and environment; of files it reads those of the context that they name, and nothing from a descriptor. */
export function needsBun(argv: readonly string[], env: Environment): boolean {
  try {
    const global = parseFlags("", globalFlags, argv, false);
    const [name, word] = global.args;
    if (name === undefined) return false;
    if (name === "explain" && global.args.includes("--build")) return true;
    return ON_BUN.has(name) || ON_BUN_IN_GROUP.has(`${name} ${word}`) || !isReachable(global, env);
  } catch {
    return false; // and the command says what is wrong
  }
}

/** Whether the small engine can speak to the daemon: it has no TLS. */
function isReachable({ values, given }: ParsedFlags<typeof globalFlags>, env: Environment): boolean {
  const [host] = values.host;
  const context = chosenContext(values.context, host !== undefined, env);
  const isTls = [...given].some((name) => name.startsWith("tls")) || Boolean(env.DOCKER_TLS || env.DOCKER_TLS_VERIFY);
  const { address } =
    context === undefined
      ? parseHost(host ?? (env.LIGHTER_HOST || env.DOCKER_HOST || ""), false, env, () =>
          isTls ? { verify: true } : undefined,
        )
      : resolveContext(context, values.config === "" ? env : { ...env, DOCKER_CONFIG: values.config });
  return !("hostname" in address) || (address.tls === undefined && isNumeric(address.hostname));
}
