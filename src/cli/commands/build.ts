import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Descriptor } from "../../spec/oci-image.ts";
import { SOLVE_STATUS_TYPE } from "../../spec/solve-status.ts";
import {
  blobReader,
  blobWriter,
  type CacheOption,
  cacheLayouts,
  namedImports,
  nameNewest,
} from "../build/build-cache.ts";
import { contextProvider, openContext, readDockerfile, readIgnoreFile } from "../build/build-context.ts";
import {
  type BuildFlags,
  buildFlags,
  outputsOf,
  type ProgressKind,
  parseBuildArg,
  queryOf,
} from "../build/build-flags.ts";
import { agentProvider, secretProvider } from "../build/build-inputs.ts";
import { checkOutputs, isLayout, outputProvider } from "../build/build-outputs.ts";
import { BuildSession } from "../build/build-session.ts";
import { ContextUpload } from "../build/context-upload.ts";
import { DebugShell, requireFreeStdin } from "../build/debug-shell.ts";
import { showBuild } from "../build/show-build.ts";
import { type Context, defineCommand } from "../command.ts";
import { ApiError, CliError } from "../exit.ts";
import type { ParsedFlags } from "../flags.ts";
import { type Client, encodeQuery } from "../http/client.ts";
import { CredentialStore, encodeAuthHeader } from "../login/credentials.ts";
import { printLine, stdout } from "../output.ts";
import { errnoText } from "../values/env-file.ts";

export const command = defineCommand({
  name: "build",
  usage: "[OPTIONS] PATH | URL | -",
  summary: "Build an image from a Dockerfile",
  flags: buildFlags,
  args: { min: 1, max: 1 },
  offers: "nothing",
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof buildFlags>): Promise<number> {
  const call = values.check ? "check" : values.call;
  const argument = args[0] ?? ".";
  if (call !== "build" && call !== "explain") return await look(client, call, argument, values);
  const isExplained = call === "explain";
  const progress: ProgressKind = values.quiet || isExplained ? "quiet" : values.progress;
  if (values.debug) requireFreeStdin(argument, values.file);
  const { dockerfile, directory, archive, remote } = await openContext(argument, values.file);
  const imports = await namedImports(values["cache-from"].flat());
  const shell = new DebugShell();
  const isHere = "unix" in client.host.address;
  const upload = directory !== undefined && isHere ? new ContextUpload(directory) : undefined;
  const session = await openSession(client, values, { imports, shell, upload });
  if (session !== undefined) upload?.begin(client, session.id);
  const isUploaded = upload !== undefined && session !== undefined;
  const body = isUploaded ? undefined : (archive ?? directory?.pack(() => false));
  const query = encodeQuery({
    ...queryOf(values),
    cacheimports: imports.length === 0 ? undefined : JSON.stringify(imports),
    dockerfile,
    remote,
    session: session?.id,
    contextsent: isUploaded ? "1" : undefined,
    call: isExplained ? call : undefined,
  });
  const response = await client.request({
    method: "POST",
    path: `/build${query}`,
    headers: { Accept: SOLVE_STATUS_TYPE, ...(await registryHeader()) },
    ...(body === undefined ? {} : { stream: { contentType: "application/x-tar", chunks: body } }),
  });
  const { id, result } = await showBuild(response, progress, (failed) => shell.use(failed)).catch((error: unknown) => {
    throw upload?.failure ?? error;
  });
  session?.close();
  nameLayouts(values, result);
  if (isExplained) {
    await stdout.text(String(result.text));
    return 0;
  }
  if (values.quiet && id !== "") await printLine(id);
  if (values.iidfile !== "") write(values.iidfile, id);
  if (values["metadata-file"] !== "")
    write(values["metadata-file"], `${JSON.stringify(readable(result), undefined, 2)}\n`);
  return 0;
}

/** Opens a session if the build needs something of this machine, is to leave something on it, or has a context that can be uploaded. */
async function openSession(
  client: Client,
  values: BuildFlags,
  { imports, shell, upload }: { imports: readonly CacheOption[]; shell: DebugShell; upload: ContextUpload | undefined },
): Promise<BuildSession | undefined> {
  const { secret, ssh, "build-context": contexts } = values;
  const exports = values["cache-to"].flat();
  const outputs = outputsOf(values);
  checkOutputs(outputs);
  const isNeeded =
    values.debug ||
    [secret, ssh, contexts].some(({ length }) => length > 0) ||
    outputs.some(({ dest }) => dest !== undefined) ||
    [...imports, ...exports].some(({ Type }) => Type === "local");
  if (!isNeeded && upload === undefined) return undefined;
  const session = BuildSession.open(client, {
    secret: secretProvider(secret),
    ssh: agentProvider(ssh),
    context: contextProvider(contexts),
    output: outputProvider(outputs),
    "read-blob": blobReader(imports),
    "write-blob": blobWriter(exports, outputs),
    ...(values.debug ? shell.providers() : {}),
    ...(upload === undefined ? {} : { "context-file": upload.provider }),
  });
  return await session.catch((error: unknown) => {
    if (isNeeded || !(error instanceof ApiError)) throw error;
    return undefined; // another daemon takes the context with the build
  });
}

/** Checks a Dockerfile, outlines a target, or lists them. */
async function look(client: Client, call: string, context: string, values: BuildFlags): Promise<number> {
  const path = values.file === "" ? join(context, "Dockerfile") : values.file;
  const Dockerfile = readDockerfile(path);
  const Dockerignore = readIgnoreFile(context, path);
  const BuildArgs = Object.fromEntries(values["build-arg"].flatMap(parseBuildArg));
  const query = { call, platform: values.platform.join(",") || undefined, target: values.target || undefined };
  const body = { Dockerfile, Dockerignore, BuildArgs, Filename: path };
  const response = await client.post("/lighter/dockerfile", query, body);
  const { Text, Failed } = JSON.parse(await response.text()) as { Text: string; Failed: boolean };
  await stdout.text(Text);
  return Failed ? 1 : 0;
}

/** The credentials of all registries: only the daemon knows which of them the Dockerfile names. */
async function registryHeader(): Promise<Record<string, string>> {
  const all = await (await CredentialStore.open()).all();
  return Object.keys(all).length === 0 ? {} : { "X-Registry-Config": encodeAuthHeader(all) };
}

/** Writes the indexes of the directories that have received caches or images. */
function nameLayouts(values: BuildFlags, result: Readonly<Record<string, unknown>>): void {
  const cache = result["cache.manifest"];
  if (typeof cache === "string") nameNewest(cacheLayouts(values["cache-to"].flat()), JSON.parse(cache));
  const image = readable(result) as Record<string, Descriptor | undefined>;
  const descriptor = image["containerimage.descriptor"];
  const images = outputsOf(values).filter(isLayout);
  if (descriptor !== undefined)
    nameNewest(
      images.map(({ dest }) => ({ dest, tag: "latest" })),
      descriptor,
    );
}

/** The result with its objects, which come in base64, as they are. */
function readable(result: Readonly<Record<string, unknown>>): object {
  const decoded = (value: unknown): unknown => {
    try {
      const object: unknown = JSON.parse(Buffer.from(String(value), "base64").toString());
      return typeof object === "object" && object !== null ? object : value;
    } catch {
      return value; // it is none of them
    }
  };
  return Object.fromEntries(Object.entries(result).map(([name, value]) => [name, decoded(value)]));
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (cause) {
    throw new CliError(`write ${path}: ${errnoText(cause)}`);
  }
}
