import type { CommandGroup } from "../command.ts";

const load = {
  ls: () => import("./volume-ls.ts"),
  rm: () => import("./volume-rm.ts"),
};

export const group: CommandGroup = {
  name: "volume",
  summary: "Manage volumes",
  commands: {
    create: { summary: "Create a volume", load: () => import("./volume-create.ts") },
    inspect: { summary: "Display detailed information on volumes", load: () => import("./volume-inspect.ts") },
    ls: { summary: "List volumes", load: load.ls },
    list: { summary: "", load: load.ls, hidden: true },
    prune: { summary: "Remove unused local volumes", load: () => import("./volume-prune.ts") },
    rm: { summary: "Remove one or more volumes", load: load.rm },
    remove: { summary: "", load: load.rm, hidden: true },
  },
};
