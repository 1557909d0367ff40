import { boolFlag, listFlag, stringFlag } from "./flags.ts";

/** Flags of the program itself, before the command. */
export const globalFlags = {
  debug: boolFlag("Show causes of errors", { short: "D" }),
  host: listFlag("Daemon socket to connect to", { short: "H" }),
  "log-level": stringFlag("Accepted for compatibility", { short: "l", hidden: true }),
  version: boolFlag("Print the version and quit", { short: "v" }),
};
