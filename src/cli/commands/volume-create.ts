import { type Context, defineCommand } from "../command.ts";
import { ifAny } from "../containers/container-config.ts";
import { CliError } from "../exit.ts";
import { listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { printLine } from "../output.ts";
import { pairsToObject } from "../values/env-file.ts";
import { parseLabel } from "../values/labels.ts";

const flags = {
  driver: stringFlag("Volume driver", { short: "d", initial: "local" }),
  label: listFlag("Label (key=value)", { item: parseLabel }),
  name: stringFlag("Name of the volume", { hidden: true }),
  opt: listFlag("Driver option (key=value)", { short: "o", type: "map" }),
};

export const command = defineCommand({
  name: "volume create",
  usage: "[OPTIONS] [VOLUME]",
  summary: "Create a volume",
  flags,
  args: { min: 0, max: 1 },
  offers: "nothing",
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const [name = values.name] = args;
  if (args.length > 0 && values.name !== "")
    throw new CliError("conflicting options: either specify --name or provide positional arg, not both");
  const body = {
    Driver: values.driver,
    ...ifAny("DriverOpts", pairsToObject(values.opt)),
    ...ifAny("Labels", pairsToObject(values.label)),
    ...(name === "" ? {} : { Name: name }),
  };
  const { Name } = await client.postJson<{ Name: string }>("/volumes/create", {}, body);
  await printLine(Name);
  return 0;
}
