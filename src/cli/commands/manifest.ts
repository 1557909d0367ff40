import type { CommandGroup } from "../command.ts";

export const group: CommandGroup = {
  name: "manifest",
  summary: "Look at manifests and indexes in registries",
  commands: {
    inspect: { summary: "Display an image manifest, or an index", load: () => import("./manifest-inspect.ts") },
  },
};
