import { type Context, defineCommand } from "../command.ts";
import { boolFlag, type ParsedFlags } from "../flags.ts";
import { encodeName } from "../http/client.ts";

const flags = { force: boolFlag("Disconnect a container that the daemon does not know any more", { short: "f" }) };

export const command = defineCommand({
  name: "network disconnect",
  usage: "[OPTIONS] NETWORK CONTAINER",
  summary: "Disconnect a container from a network",
  flags,
  args: { min: 2, max: 2 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const [network = "", container = ""] = args;
  const body = { Container: container, Force: values.force };
  await client.postEmpty(`/networks/${encodeName(network)}/disconnect`, {}, body);
  return 0;
}
