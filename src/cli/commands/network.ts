import type { CommandGroup } from "../command.ts";

const load = {
  ls: () => import("./network-ls.ts"),
  rm: () => import("./network-rm.ts"),
};

export const group: CommandGroup = {
  name: "network",
  summary: "Manage networks",
  commands: {
    connect: { summary: "Connect a container to a network", load: () => import("./network-connect.ts") },
    create: { summary: "Create a network", load: () => import("./network-create.ts") },
    disconnect: {
      summary: "Disconnect a container from a network",
      load: () => import("./network-disconnect.ts"),
    },
    inspect: { summary: "Display detailed information on networks", load: () => import("./network-inspect.ts") },
    ls: { summary: "List networks", load: load.ls },
    list: { summary: "", load: load.ls, hidden: true },
    prune: { summary: "Remove all unused networks", load: () => import("./network-prune.ts") },
    rm: { summary: "Remove one or more networks", load: load.rm },
    remove: { summary: "", load: load.rm, hidden: true },
  },
};
