import { type Context, defineCommand } from "../command.ts";
import { forEachName } from "../containers/each.ts";
import { ApiError, CliError } from "../exit.ts";
import { boolFlag, type ParsedFlags } from "../flags.ts";
import { encodeName, encodeQuery } from "../http/client.ts";
import { printError } from "../output.ts";

const flags = {
  force: boolFlag("Kill the container first if it runs", { short: "f" }),
  link: boolFlag("Remove only this link", { short: "l" }),
  volumes: boolFlag("Remove its anonymous volumes too", { short: "v" }),
};

export const command = defineCommand({
  name: "rm",
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Remove one or more containers",
  flags,
  args: { min: 1 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const query = encodeQuery({
    force: values.force ? "1" : undefined,
    link: values.link ? "1" : undefined,
    v: values.volumes ? "1" : undefined,
  });
  const missing: string[] = [];
  const remove = async (name: string) => {
    const bare = name.replace(/^\/+|\/+$/g, "");
    if (bare === "") throw new CliError("Container name cannot be empty");
    try {
      await client.delete(`/containers/${encodeName(bare)}${query}`);
    } catch (error) {
      // With --force, a missing container is a success.
      if (!values.force || !(error instanceof ApiError) || error.status !== 404) throw error;
      missing.push(name);
      await printError(error.message);
    }
  };
  await forEachName(args, remove, (name) => !missing.includes(name));
  return 0;
}
