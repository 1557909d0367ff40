import type { CommandGroup } from "../command-table.ts";

const load = {
  ls: () => import("./images.ts"),
  rm: () => import("./rmi.ts"),
};

export const group: CommandGroup = {
  name: "image",
  summary: "Manage images",
  commands: {
    bootstrap: {
      summary: "Make an image of Debian or Ubuntu with this host's tools",
      load: () => import("./image-bootstrap.ts"),
    },
    history: { summary: "Show the history of an image", load: () => import("./history.ts") },
    import: { summary: "Create an image from a tar archive of files", load: () => import("./import.ts") },
    inspect: { summary: "Display detailed information on images", load: () => import("./image-inspect.ts") },
    load: { summary: "Load an image from a tar archive or stdin", load: () => import("./load.ts") },
    ls: { summary: "List images", load: load.ls },
    list: { summary: "", load: load.ls, hidden: true },
    prune: { summary: "Remove unused images", load: () => import("./image-prune.ts") },
    pull: { summary: "Download an image from a registry", load: () => import("./pull.ts") },
    push: { summary: "Upload an image to a registry", load: () => import("./push.ts") },
    rm: { summary: "Remove one or more images", load: load.rm },
    remove: { summary: "", load: load.rm, hidden: true },
    save: { summary: "Save one or more images to a tar archive", load: () => import("./save.ts") },
    tag: { summary: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", load: () => import("./tag.ts") },
  },
};
