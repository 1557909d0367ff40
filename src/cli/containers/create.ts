/** Creates a container from the flags of `run` and `create`. */

import { messageOf } from "../../base/errors.ts";
import { goQuote } from "../../base/go-escapes.ts";
import { familiarReference, parseReference, parseUnlessId } from "../../spec/image-reference.ts";
import { ApiError, CliError, EXIT_NOT_RUN, runErrorText } from "../exit.ts";
import type { FlagTable, ParsedFlags } from "../flags.ts";
import type { Client } from "../http/client.ts";
import { printError } from "../output.ts";
import type { ContainerBody } from "./container-config.ts";
import { buildContainerBody } from "./container-config.ts";
import type { CreateFlagValues } from "./container-flags.ts";

/**
 * Builds the body of a creation.
 * @throws CliError (125) with what is wrong in the flags
 */
export function bodyFromFlags(command: string, flags: CreateFlagValues, parsed: ParsedFlags<FlagTable>): ContainerBody {
  try {
    if (!["always", "missing", "never", ""].includes(flags.pull))
      throw new Error(`invalid pull option: '${flags.pull}': must be one of "always", "missing" or "never"`);
    const [image = "", ...args] = parsed.args;
    return buildContainerBody(flags, parsed.given, image, args);
  } catch (error) {
    throw new CliError(runErrorText(command, error, true), EXIT_NOT_RUN);
  }
}

/**
 * Creates the container, pulling its image first if it is missing (or making it by `fetch`), and prints the daemon's warnings.
 * Returns its ID. @throws ApiError, or Error for a bad image name or cidfile
 */
export async function createContainer(
  client: Client,
  body: ContainerBody,
  flags: CreateFlagValues,
  fetch?: () => Promise<void>,
): Promise<string> {
  if (body.HostConfig.OomKillDisable && body.HostConfig.Memory === 0)
    await printError(
      "WARNING: Disabling the OOM killer on containers without setting a '-m/--memory' limit may be dangerous.",
    );
  const localDns = body.HostConfig.Dns.find((ip) => /^127\.|^::1$/.test(ip));
  if (localDns !== undefined)
    await printError(`WARNING: Localhost DNS setting (--dns=${localDns}) may fail in containers.`);
  const cidFile = flags.cidfile === "" ? undefined : (await import("./cid-file.ts")).claimCidFile(flags.cidfile);
  try {
    const id = await createOrPull(client, body, flags, fetch);
    cidFile?.write(id);
    return id;
  } catch (error) {
    cidFile?.remove();
    throw error;
  }
}

/**
 * Checks the text of --platform.
 * @throws Error in the stock client's words
 */
async function checkPlatform(text: string): Promise<void> {
  const { parsePlatform } = await import("../../spec/platform.ts");
  try {
    parsePlatform(text);
  } catch (error) {
    throw new Error(`error parsing specified platform: ${messageOf(error)}`);
  }
}

async function createOrPull(
  client: Client,
  body: ContainerBody,
  flags: CreateFlagValues,
  fetch?: () => Promise<void>,
): Promise<string> {
  const reference = parseUnlessId(body.Image);
  if (Object.values(body.NetworkingConfig.EndpointsConfig).some((endpoint) => "GwPriority" in endpoint))
    client.needVersion("1.48", "gw-priority");
  const query = { name: flags.name || undefined, platform: flags.platform || undefined };
  const create = () => client.postJson<{ Id: string; Warnings?: string[] | null }>("/containers/create", query, body);
  const pull = async () => {
    if (fetch !== undefined) return fetch();
    // A full ID names no repository, so the daemon is the one to report the missing image.
    const wanted = reference ?? parseReference(body.Image);
    await (await import("../images/pull.ts")).pullForContainer(client, wanted, flags.platform, flags.quiet);
  };
  if (flags.platform !== "") await checkPlatform(flags.platform);
  if (flags.pull === "always") await pull();
  const created = await create().catch(async (error: unknown) => {
    const missing = error instanceof ApiError && error.status === 404 && reference !== undefined;
    if (!missing || flags.pull !== "missing") throw error;
    if (!flags.quiet) await printError(`Unable to find image '${familiarReference(reference)}' locally`);
    await pull();
    return create();
  });
  for (const warning of created.Warnings ?? []) await printError(`WARNING: ${warning}`);
  if (!created.Id) throw new Error(`the daemon answered without a container ID: ${goQuote(JSON.stringify(created))}`);
  return created.Id;
}
