import type { Flag, Parsed } from "./flags.ts";
import type { Log } from "./log.ts";

/** What the global flags say. */
export interface OciContext {
  /** Absolute path of the directory of all containers' state. */
  root: string;
  systemdCgroup: boolean;
  debug: boolean;
  /** Go on without cgroups that we are not allowed to make. */
  rootless: "auto" | boolean;
  /** The CRIU program: a path, or a name to look for in PATH. */
  criu: string;
  log: Log;
  /** The global flags, and what follows the command's name, as they were given. */
  globalArgs: readonly string[];
  args: readonly string[];
}

export interface OciCommand {
  name: string;
  /** What follows the command's name in its help: "[command options] <container-id>". */
  usage: string;
  /** One line, for the list of commands. */
  summary: string;
  flags: readonly Flag[];
  /** How many positional arguments there may be; no `max` is any number. */
  positionals: { min: number; max?: number };
  /** From this positional argument on (0 is the first) nothing is a flag of ours: the command of `exec`. */
  rawFrom?: number;
  /** How its failures are told: "NAME failed: …", and its exit code where that is not 1. As with runc. */
  failure?: { prefix: string; code: number };
  /** The exit code. A failure is thrown. */
  run(context: OciContext, parsed: Parsed): Promise<number>;
}
