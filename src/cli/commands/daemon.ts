import { defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";

/** `daemon` as help and completion show it. It never runs: the program is the daemon if its first argument says so. */
export const command = defineCommand({
  name: "daemon",
  usage: "[OPTIONS]",
  summary: "Serve the API, and keep containers and images",
  details: "'lighter daemon --help' lists its options.",
  flags: {},
  args: { min: 0 },
  run: async () => {
    throw new CliError("daemon: no global options before it: lighter daemon [OPTIONS]");
  },
});
