/** RUN as an operation. Source: moby/buildkit dockerfile2llb, convert.go, "dispatchRun". */
import { posix } from "node:path";
import type { DockerContainerConfig } from "../../spec/docker-api.ts";
import { parseHeredoc } from "../dockerfile/heredoc.ts";
import type { CommandLine, Run } from "../dockerfile/types.ts";
import { pairsOf } from "./environment.ts";
import type { ExecMount, ExecOp, Network, RunSettings } from "./exec-op.ts";
import { SHELL_OF_IMAGES } from "./history-text.ts";
import type { Vertex } from "./llb.ts";
import { planMounts } from "./plan-mounts.ts";
import { invalid, needsBuildKit } from "./refuse.ts";

/** Usable without ARG, and nothing that a cache knows. Source: Dockerfile reference, "Predefined ARGs". */
const PROXIES = new Set(["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"]);

export function isProxyArg(name: string): boolean {
  return PROXIES.has(name.toLowerCase());
}

export type Entitlement = "security.insecure";

/** @throws LighterError "invalid" for a command that wants what the client has not allowed */
export function requireEntitlement(
  { security }: Pick<ExecOp, "security">,
  entitlements: ReadonlySet<Entitlement>,
): void {
  if (security === "insecure" && !entitlements.has("security.insecure"))
    throw invalid("security.insecure is not allowed");
}

interface RunContext {
  config: DockerContainerConfig;
  /** The stage's arguments, with their values. */
  stageArgs: ReadonlyMap<string, string>;
  buildArgs: ReadonlyMap<string, string>;
  defaultNetwork: Network;
  settings: RunSettings;
  entitlements: ReadonlySet<Entitlement>;
  sourceOf: (from: string | undefined) => Promise<Vertex>;
}

/** Returns the operation, and its inputs after the root file system. */
export async function planRun(
  { command, mounts, network, security, devices }: Run,
  { config, stageArgs, buildArgs, defaultNetwork, settings, entitlements, sourceOf }: RunContext,
): Promise<{ op: ExecOp; sources: Vertex[]; createdBy: string }> {
  if (devices.length > 0) throw needsBuildKit("RUN --device");
  requireEntitlement({ security }, entitlements);
  const cwd = config.WorkingDir || "/";
  const { script, words } = scriptOf(command);
  const args = command.form === "exec" ? words : [...(config.Shell ?? SHELL_OF_IMAGES), ...words];
  const own = pairsOf(config);
  const pairs = (list: Iterable<[string, string]>) => [...list].map(([name, value]) => `${name}=${value}`);
  const proxyEnv = pairs([...buildArgs].filter(([name]) => isProxyArg(name) && !stageArgs.has(name)));
  const seen = pairs([...stageArgs].filter(([name]) => !own.has(name))).sort();
  const planned = await planMounts(mounts, cwd, sourceOf);
  if (script !== undefined) planned.sources.push(script);
  const op: ExecOp = {
    ...{ kind: "exec", args, env: [...seen, ...(config.Env ?? [])], proxyEnv, cwd, user: config.User ?? "" },
    ...{ network: network === "default" ? defaultNetwork : network, security, settings },
    mounts: script === undefined ? planned.mounts : [...planned.mounts, scriptMount(planned.sources.length)],
    secretEnv: planned.secretEnv,
  };
  const createdBy = `${seen.length === 0 ? "" : `|${seen.length} ${seen.join(" ")} `}${args.join(" ")}`;
  return { op, sources: planned.sources, createdBy };
}

const SCRIPTS = "/dev/pipes";

function scriptMount(input: number): ExecMount {
  return { type: "bind", target: SCRIPTS, input, source: "/", readOnly: true };
}

/**
 * The words of a command with its heredocs. One that is all of the command is the shell's script, or a program if it begins with
 * "#!"; others are the shell's own business.
 */
function scriptOf({ words, heredocs }: CommandLine): { words: readonly string[]; script: Vertex | undefined } {
  const [heredoc] = heredocs;
  if (heredoc === undefined) return { words, script: undefined };
  const [text = ""] = words;
  if (parseHeredoc(text) === undefined) {
    const whole = heredocs.reduce((sum, { content, name }) => `${sum}\n${content}${name}`, text);
    return { words: [whole], script: undefined };
  }
  const { name, content } = heredoc;
  if (!content.startsWith("#!")) return { words: [content], script: undefined };
  const op = { kind: "files", files: [{ name, content }], mode: 0o755 } as const;
  return { words: [posix.join(SCRIPTS, name)], script: { op, inputs: [], name: "preparing inline document" } };
}
