import type { CommandGroup } from "../command.ts";
import { SINGLE_COMMANDS } from "../single-commands.ts";

export const group: CommandGroup = {
  name: "builder",
  summary: "Manage the cache of builds",
  commands: {
    build: SINGLE_COMMANDS.build,
    du: { summary: "Show what builds have left", load: () => import("./builder-du.ts") },
    history: { summary: "Show the last builds", load: () => import("./builder-history.ts") },
    prune: { summary: "Remove what builds have left", load: () => import("./builder-prune.ts") },
  },
};
