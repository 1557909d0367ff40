import { messageOf } from "../../base/errors.ts";
import { PROMPT_MAX_BYTES } from "../../base/limits.ts";
import { type Context, defineCommand } from "../command.ts";
import { stdinChunks } from "../copy/input-file.ts";
import { ApiError, CliError } from "../exit.ts";
import { boolFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { type Client, parseJson } from "../http/client.ts";
import { CredentialStore, DEFAULT_SERVER, keyOf } from "../login/credentials.ts";
import { type AuthConfig, withoutEmpty } from "../login/docker-config.ts";
import { completeLogin, storedLogin } from "../login/registry-login.ts";
import { printError, printLine } from "../output.ts";

const flags = {
  password: stringFlag("Password; other users of the host can see it, so better --password-stdin", { short: "p" }),
  "password-stdin": boolFlag("Read the password from stdin"),
  username: stringFlag("User name", { short: "u" }),
};

export const command = defineCommand({
  name: "login",
  usage: "[OPTIONS] [SERVER]",
  summary: "Log in to a registry",
  flags,
  args: { min: 0, max: 1 },
  run,
});

interface LoginAnswer {
  readonly Status?: string;
  readonly IdentityToken?: string;
}

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const password = await readPassword(values);
  const { username } = values;
  const server = (args[0] ?? "") === "" || args[0] === "docker.io" ? DEFAULT_SERVER : (args[0] ?? "");
  const store = await CredentialStore.open();
  const isNew = username !== "" || password !== "";
  const known = await knownLogin(store, server, isNew);
  const { auth, answer } =
    (await tryStored(client, known)) ?? (await tryLogin(client, await completeLogin(known, username, password)));
  const kept = answer.IdentityToken
    ? withoutEmpty({ ...auth, password: undefined, identitytoken: answer.IdentityToken })
    : auth;
  await save(store, kept);
  if (answer.Status) await printLine(answer.Status);
  return 0;
}

async function readPassword(values: ParsedFlags<typeof flags>["values"]): Promise<string> {
  if (values.password !== "") {
    await printError("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    if (values["password-stdin"]) throw new CliError("--password and --password-stdin are mutually exclusive");
  }
  if (!values["password-stdin"]) return values.password;
  if (values.username === "") throw new CliError("Must provide --username with --password-stdin");
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stdinChunks()) {
    size += chunk.length;
    if (size > PROMPT_MAX_BYTES) throw new CliError(`the password on stdin is longer than ${PROMPT_MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks)
    .toString()
    .replace(/\r?\n$/, "");
}

/** Returns the login stored for the server. If a new name or password is given, the stored ones are ignored. */
async function knownLogin(store: CredentialStore, server: string, isNew: boolean): Promise<AuthConfig> {
  const none = { serveraddress: keyOf(server) };
  return isNew ? none : storedLogin(store, server).catch(() => none);
}

type Login = { readonly auth: AuthConfig; readonly answer: LoginAnswer };

async function tryLogin(client: Client, auth: AuthConfig): Promise<Login> {
  const answer = await client.post("/auth", {}, withoutEmpty({ ...auth }));
  const text = await answer.text();
  return { auth, answer: text.trim() === "" ? {} : parseJson<LoginAnswer>(text) };
}

/** Tries the stored login; returns undefined if there is none or the registry refuses it. */
async function tryStored(client: Client, auth: AuthConfig): Promise<Login | undefined> {
  if (auth.username === undefined || auth.password === undefined) return undefined;
  await printLine("Authenticating with existing credentials...");
  try {
    return await tryLogin(client, auth);
  } catch (error) {
    const refused = error instanceof ApiError && error.status === 401;
    await printError(
      refused ? "Stored credentials invalid or expired" : `Login did not succeed, error: ${messageOf(error)}`,
    );
    return undefined;
  }
}

async function save(store: CredentialStore, auth: AuthConfig): Promise<void> {
  const server = auth.serveraddress ?? DEFAULT_SERVER;
  if (store.helperFor(server) === undefined && auth.password !== undefined)
    await printError(
      `WARNING! Your password will be stored unencrypted in ${store.path}.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/engine/reference/commandline/login/#credentials-store\n`,
    );
  try {
    await store.store(server, auth);
  } catch (error) {
    throw new CliError(`Error saving credentials: ${messageOf(error)}`);
  }
}
