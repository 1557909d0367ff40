/** Runs a plugin: a program that gets a network's configuration, and makes or removes one end. Source: SPEC.md 1.1.0, "Section 2". */
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { CNI_OUTPUT_MAX_BYTES, CNI_PLUGIN_TIMEOUT_MS, CNI_QUESTION_TIMEOUT_MS } from "../../base/limits.ts";
import { runProgram } from "../../linux/process/run-program.ts";
import type { NetworkConfig, PluginConfig } from "./config.ts";

export type Command = "ADD" | "DEL" | "CHECK" | "GC" | "STATUS";

/** Whom it is about; undefined for GC and STATUS. */
export interface Attachment {
  containerId: string;
  /** Undefined: the namespace is gone. */
  namespacePath: string | undefined;
  interfaceName: string;
  args: Readonly<Record<string, string>>;
  /** What a plugin may ask for by its capabilities. */
  capabilities: Readonly<Record<string, unknown>>;
}

interface PluginOptions {
  binDirectories: readonly string[];
  attachment?: Attachment;
  /** What the configuration has besides. */
  further?: Readonly<Record<string, unknown>>;
  /** Ends it. */
  signal?: AbortSignal;
  /** Called with its pid before it does anything. */
  onStart?: (pid: number) => void;
}

/** Runs a plugin. Resolves with what it has written, parsed; undefined if it has written nothing. @throws LighterError */
export async function runPlugin(
  command: Command,
  network: Pick<NetworkConfig, "name" | "cniVersion">,
  plugin: PluginConfig,
  { binDirectories, attachment, further = {}, ...running }: PluginOptions,
): Promise<unknown> {
  const path = findPlugin(plugin.type, binDirectories);
  const asked = Object.entries(plugin.capabilities ?? {}).filter(([, wanted]) => wanted === true);
  const given = asked.flatMap(([name]) => {
    const value = attachment?.capabilities[name];
    return value === undefined ? [] : [[name, value]];
  });
  const { capabilities: _, ...rest } = plugin;
  const config = {
    ...rest,
    ...{ name: network.name, cniVersion: network.cniVersion },
    ...(given.length === 0 ? {} : { runtimeConfig: Object.fromEntries(given) }),
    ...further,
  };
  const { exitCode, stdout, stderr } = await runProgram(path, [], {
    input: JSON.stringify(config),
    env: { CNI_COMMAND: command, CNI_PATH: binDirectories.join(":"), ...environmentOf(attachment) },
    timeoutMs: attachment === undefined ? CNI_QUESTION_TIMEOUT_MS : CNI_PLUGIN_TIMEOUT_MS,
    outputMaxBytes: CNI_OUTPUT_MAX_BYTES,
    ...running,
  });
  if (exitCode !== 0) throw failed(command, plugin.type, stdout, stderr);
  return stdout.trim() === "" ? undefined : parseOutput(command, plugin.type, stdout);
}

function environmentOf(attachment: Attachment | undefined): Record<string, string> {
  if (attachment === undefined) return {};
  const { containerId, namespacePath = "", interfaceName, args } = attachment;
  return {
    CNI_CONTAINERID: containerId,
    CNI_NETNS: namespacePath,
    CNI_IFNAME: interfaceName,
    CNI_ARGS: Object.entries(args)
      .map(([key, value]) => `${key}=${value}`)
      .join(";"),
  };
}

/** The path of a plugin's program. @throws LighterError "unavailable" */
export function findPlugin(type: string, directories: readonly string[]): string {
  for (const directory of directories) {
    const path = join(directory, type);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // it may be in the next one
    }
  }
  throw new LighterError(
    "unavailable",
    `failed to find plugin ${JSON.stringify(type)} in path [${directories.join(" ")}]`,
  );
}

/** A plugin tells of its failure on standard output: {"code", "msg", "details"}. */
function failed(command: Command, type: string, stdout: string, stderr: string): LighterError {
  let what = stderr.trim() || stdout.trim() || "it says nothing";
  let code = 0;
  try {
    const told = JSON.parse(stdout) as { code?: unknown; msg?: unknown; details?: unknown };
    if (typeof told.msg === "string")
      what = typeof told.details === "string" && told.details !== "" ? `${told.msg}: ${told.details}` : told.msg;
    if (typeof told.code === "number") code = told.code;
  } catch {
    // text is a reason, too
  }
  return new PluginError(
    code,
    `plugin type=${JSON.stringify(type)} failed (${command.toLowerCase()}): ${what.slice(0, 2000)}`,
  );
}

/** A plugin's own refusal. */
export class PluginError extends LighterError {
  constructor(
    /** The number that the specification has for it, or 0. */
    readonly number: number,
    message: string,
  ) {
    super("internal", message);
  }
}

function parseOutput(command: Command, type: string, stdout: string): unknown {
  try {
    return JSON.parse(stdout);
  } catch (error) {
    throw new LighterError(
      "unavailable",
      `plugin type=${JSON.stringify(type)} (${command.toLowerCase()}) answers no JSON`,
      {
        cause: error,
      },
    );
  }
}
