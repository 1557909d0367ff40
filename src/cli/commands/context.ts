import type { CommandGroup } from "../command.ts";

export const group: CommandGroup = {
  name: "context",
  summary: "Look at Docker's contexts, which --context chooses from",
  commands: {
    inspect: { summary: "Display detailed information on contexts", load: () => import("./context-inspect.ts") },
    ls: { summary: "List contexts", load: () => import("./context-ls.ts") },
    list: { summary: "", load: () => import("./context-ls.ts"), hidden: true },
    show: { summary: "Print the name of the context in use", load: () => import("./context-show.ts") },
  },
};
