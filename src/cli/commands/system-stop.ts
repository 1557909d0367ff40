import { type Context, defineCommand } from "../command.ts";
import { intFlag, type ParsedFlags } from "../flags.ts";

const flags = { timeout: intFlag("Seconds after which what still runs is killed", { short: "t", initial: 80 }) };

export const command = defineCommand({
  name: "system stop",
  usage: "[OPTIONS]",
  summary: "Stop all containers as for a shutdown of the host",
  details: "In the opposite order of their start. Restart policies start them again with the next start of the daemon.",
  flags,
  args: { min: 0, max: 0 },
  run,
});

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  await client.postEmpty("/lighter/shutdown", { t: String(values.timeout) });
  return 0;
}
