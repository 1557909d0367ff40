import { type Context, defineCommand } from "../command.ts";
import { printLine } from "../output.ts";

export const command = defineCommand({
  name: "context show",
  usage: "",
  summary: "Print the name of the context in use",
  flags: {},
  args: { min: 0, max: 0 },
  run: async ({ client }: Context) => {
    await printLine(client.host.contextName ?? "default");
    return 0;
  },
});
