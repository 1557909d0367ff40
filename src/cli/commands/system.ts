import type { CommandGroup } from "../command-table.ts";

export const group: CommandGroup = {
  name: "system",
  summary: "Manage the daemon",
  commands: {
    df: { summary: "Show what uses the disk", load: () => import("./system-df.ts") },
    events: { summary: "Show what happens in the daemon, as it happens", load: () => import("./events.ts") },
    info: { summary: "Display system-wide information", load: () => import("./info.ts") },
    prune: { summary: "Remove unused data", load: () => import("./system-prune.ts") },
  },
};
