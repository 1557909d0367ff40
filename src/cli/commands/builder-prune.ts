import { parseRamBytes } from "../../base/value-syntax.ts";
import { type Context, defineCommand } from "../command.ts";
import { mayPrune, printReclaimed, prune, pruneFlags } from "../containers/prune.ts";
import { boolFlag, type ParsedFlags, valueFlag } from "../flags.ts";

const flags = {
  all: boolFlag("Remove all unused build cache, not only what no image has", { short: "a" }),
  ...pruneFlags("Remove only what matches (until=24h, type=...)"),
  "keep-storage": valueFlag("Amount of disk space to keep for cache", "bytes", 0, parseRamBytes),
};

export const command = defineCommand({
  name: "builder prune",
  usage: "",
  summary: "Remove what builds have left",
  flags,
  args: { min: 0, max: 0 },
  run,
});

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  const what = values.all ? "all build cache" : "all dangling build cache";
  if (!(await mayPrune(values.force, what))) return 0;
  const query = { all: values.all ? "1" : undefined, "keep-storage": String(values["keep-storage"]) };
  await printReclaimed(await prune(client, "buildCache", values.filter, query));
  return 0;
}
