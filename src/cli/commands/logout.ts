import { messageOf } from "../../base/errors.ts";
import { type Context, defineCommand } from "../command.ts";
import type { ParsedFlags } from "../flags.ts";
import { CredentialStore, DEFAULT_SERVER, hostOf } from "../login/credentials.ts";
import { printError, printLine } from "../output.ts";

const flags = {};

export const command = defineCommand({
  name: "logout",
  usage: "[SERVER]",
  summary: "Log out from a registry",
  flags,
  args: { min: 0, max: 1 },
  run,
});

async function run(_context: Context, { args }: ParsedFlags<typeof flags>): Promise<number> {
  const [server = ""] = args;
  const host = server === "" ? DEFAULT_SERVER : hostOf(server);
  // Older clients may have used any of these keys.
  const keys = new Set(server === "" ? [DEFAULT_SERVER] : [server, host, `http://${host}`, `https://${host}`]);
  await printLine(`Removing login credentials for ${host}`);
  const store = await CredentialStore.open();
  const failures: string[] = [];
  for (const key of keys) {
    try {
      await store.erase(key);
    } catch (error) {
      failures.push(`${key}: ${messageOf(error)}`);
    }
  }
  if (failures.length === keys.size)
    await printError(["WARNING: could not erase credentials:", ...failures].join("\n"));
  return 0;
}
