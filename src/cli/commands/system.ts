import type { CommandGroup } from "../command.ts";
import { SINGLE_COMMANDS } from "../single-commands.ts";

const { events, info } = SINGLE_COMMANDS;

export const group: CommandGroup = {
  name: "system",
  summary: "Manage the daemon",
  commands: {
    "dial-stdio": { summary: "", load: () => import("./dial-stdio.ts"), hidden: true },
    df: { summary: "Show what uses the disk", load: () => import("./system-df.ts") },
    events,
    info,
    prune: { summary: "Remove unused data", load: () => import("./system-prune.ts") },
    stop: {
      summary: "Stop all containers as for a shutdown of the host",
      load: () => import("./system-stop.ts"),
    },
  },
};
