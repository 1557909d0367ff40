import type { CommandGroup } from "../command.ts";
import { SINGLE_COMMANDS } from "../single-commands.ts";

const { history, images, load, pull, push, rmi, save, tag } = SINGLE_COMMANDS;

export const group: CommandGroup = {
  name: "image",
  summary: "Manage images",
  commands: {
    bootstrap: {
      summary: "Make an image of Debian or Ubuntu with this host's tools",
      load: () => import("./image-bootstrap.ts"),
    },
    build: SINGLE_COMMANDS.build,
    history,
    import: SINGLE_COMMANDS.import,
    inspect: { summary: "Display detailed information on images", load: () => import("./image-inspect.ts") },
    load,
    ls: images,
    list: { ...images, hidden: true },
    prune: { summary: "Remove unused images", load: () => import("./image-prune.ts") },
    pull,
    push,
    rm: rmi,
    remove: { ...rmi, hidden: true },
    save,
    tag,
  },
};
