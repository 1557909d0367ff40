/** Asking a person for the credentials of a registry. */

import { CliError } from "../exit.ts";
import { printLine } from "../output.ts";
import { type CredentialStore, DEFAULT_SERVER, keyOf } from "./credentials.ts";
import { type AuthConfig, withoutEmpty } from "./docker-config.ts";

const HUB_HINT =
  "Log in with your Docker ID or email address to push and pull images from Docker Hub. If you don't have a Docker ID, head over to https://hub.docker.com/ to create one.\n" +
  "You can log in with your password or a Personal Access Token (PAT). Using a limited-scope PAT grants better security and is required for organizations using SSO. Learn more at https://docs.docker.com/go/access-tokens/\n";

/** Returns the stored credentials without an identity token, because a login asks for a new one. */
export async function storedLogin(store: CredentialStore, server: string): Promise<AuthConfig> {
  const key = keyOf(server);
  return withoutEmpty({ ...(await store.get(key)), serveraddress: key, identitytoken: undefined });
}

/**
 * Returns `known` with the user name and password given, asking for each that is "".
 * @throws CliError if there is nobody to ask, or no answer
 */
export async function completeLogin(known: AuthConfig, username: string, password: string): Promise<AuthConfig> {
  if (password === "") {
    const { inputIsTerminal } = await import("../streams/tty-check.ts");
    if (!inputIsTerminal()) throw new CliError("Error: Cannot perform an interactive login from a non TTY device");
  }
  const user = username.trim() || (await askUsername(known));
  if (user === "") throw new CliError("Error: Non-null Username Required");
  const { askSecret } = await import("./prompt.ts");
  const secret = password || (await askSecret("Password: ")).trim();
  if (secret === "") throw new CliError("Error: Password Required");
  return { ...known, username: user, password: secret };
}

async function askUsername({ username = "", serveraddress }: AuthConfig): Promise<string> {
  if (serveraddress === DEFAULT_SERVER) await printLine(HUB_HINT);
  const { ask } = await import("./prompt.ts");
  const answer = await ask(username === "" ? "Username: " : `Username (${username}): `);
  return answer.trim() || username;
}
