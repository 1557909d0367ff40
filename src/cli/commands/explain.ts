import { type Context, defineCommand, runCommand } from "../command.ts";
import { bodyFromFlags } from "../containers/create.ts";
import { boolFlag, type ParsedFlags } from "../flags.ts";
import { encodeQuery } from "../http/client.ts";
import { copyPlain } from "../streams/stream.ts";
import { flags as runFlags } from "./run.ts";

const flags = {
  ...runFlags,
  build: boolFlag("Say which steps of a build are cached, and why the others are not: --build PATH [OPTIONS of build]"),
};

export const command = defineCommand({
  name: "explain",
  usage: "[OPTIONS] IMAGE [COMMAND] [ARG...] | --build PATH",
  summary: "Print the system calls that would start a container, without starting it",
  flags,
  args: { min: 1 },
  interspersed: false,
  run,
});

async function run(context: Context, parsed: ParsedFlags<typeof flags>): Promise<number> {
  if (parsed.values.build) {
    const { command: build } = await import("./build.ts");
    return await runCommand(build, context, ["--call=explain", ...parsed.args]);
  }
  const { client } = context;
  const body = bodyFromFlags("explain", parsed.values, parsed);
  const query = encodeQuery({ name: parsed.values.name || undefined, platform: parsed.values.platform || undefined });
  await copyPlain(
    await client.request({ method: "POST", path: `/lighter/explain${query}`, json: JSON.stringify(body) }),
  );
  return 0;
}
