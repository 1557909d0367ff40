import { messageOf } from "../../base/errors.ts";
import { type Context, defineCommand } from "../command.ts";
import { ApiError, CliError } from "../exit.ts";
import { boolFlag, type ParsedFlags } from "../flags.ts";
import { encodeName, encodeQuery, parseJson } from "../http/client.ts";
import { printError, printLine } from "../output.ts";

const flags = {
  force: boolFlag("Remove even if containers use it", { short: "f" }),
  "no-prune": boolFlag("Keep untagged parents"),
};

export const command = defineCommand({
  name: "rmi",
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  summary: "Remove one or more images",
  flags,
  args: { min: 1 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const query = encodeQuery({
    force: values.force ? "1" : undefined,
    noprune: values["no-prune"] ? "1" : undefined,
  });
  const failures: string[] = [];
  let onlyMissing = true;
  for (const name of args) {
    try {
      const body = await client.delete(`/images/${encodeName(name)}${query}`);
      for (const { Deleted, Untagged } of parseJson<{ Deleted?: string; Untagged?: string }[]>(body))
        await printLine(Deleted === undefined ? `Untagged: ${Untagged}` : `Deleted: ${Deleted}`);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) onlyMissing = false;
      failures.push(messageOf(error));
    }
  }
  if (failures.length === 0) return 0;
  // With --force, a missing image is a success.
  if (!values.force || !onlyMissing) throw new CliError(failures.join("\n"));
  await printError(failures.join("\n"));
  return 0;
}
