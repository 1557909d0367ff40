import type { CommandGroup } from "../command.ts";

export const group: CommandGroup = {
  name: "machine",
  summary: "Manage machines",
  commands: {
    import: {
      summary: "Create an image for machines from one of Incus or LXC, or from a root file system",
      load: () => import("./machine-import.ts"),
    },
  },
};
