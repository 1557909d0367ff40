/** `manifest inspect`: shows a manifest in a registry, or an index with what it lists. */
import {
  familiarName,
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
} from "../../spec/image-reference.ts";
import { type Context, defineCommand } from "../command.ts";
import { ApiError, CliError } from "../exit.ts";
import { boolFlag, type ParsedFlags } from "../flags.ts";
import { indentJson } from "../format/json-indent.ts";
import { type Client, encodeName, parseJson } from "../http/client.ts";
import { serverOf } from "../login/credentials.ts";
import { requestWithCredentials } from "../login/registry-request.ts";
import { stdout } from "../output.ts";

const flags = {
  insecure: boolFlag("Accepted for compatibility: the daemon knows which registries are insecure"),
  verbose: boolFlag("Output additional info including layers and platform", { short: "v" }),
};

export const command = defineCommand({
  name: "manifest inspect",
  usage: "[OPTIONS] IMAGE",
  summary: "Display an image manifest, or an index",
  flags,
  args: { min: 1, max: 1 },
  run,
});

/** The daemon's answer about a name in a registry. */
interface Found {
  readonly Descriptor: object & { readonly mediaType: string };
  readonly Platforms: readonly object[];
  /** The document's bytes in base64. */
  readonly Raw: string;
}

/** The fields of an index that we use. */
interface Index {
  readonly manifests: readonly (object & { readonly digest: string })[];
}

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const reference = withDefaultTag(parseReference(args[0] ?? ""));
  const found = await find(client, reference);
  const text = values.verbose ? JSON.stringify(await describe(client, reference, found)) : textOf(found);
  await stdout.text(`${indentJson(text, "\t")}\n`);
  return 0;
}

/** Describes what was found; for an index, also everything it lists. */
async function describe(client: Client, reference: Reference, found: Found): Promise<object | object[]> {
  if (!isIndex(found)) {
    const [platform] = found.Platforms;
    return entry(formatReference(reference), { ...found.Descriptor, ...(platform && { platform }) }, found);
  }
  const { manifests } = parseJson<Index>(textOf(found));
  const entries: object[] = [];
  for (const descriptor of manifests) {
    const one = { ...reference, digest: descriptor.digest };
    entries.push(entry(formatReference(one), descriptor, await find(client, one)));
  }
  return entries;
}

function entry(Ref: string, Descriptor: object, found: Found): object {
  const kind = found.Descriptor.mediaType.startsWith("application/vnd.oci.") ? "OCIManifest" : "SchemaV2Manifest";
  return { Ref, Descriptor, Raw: found.Raw, [kind]: parseJson(textOf(found)) };
}

const isIndex = ({ Descriptor }: Found) => /manifest\.list|image\.index/.test(Descriptor.mediaType);
const textOf = ({ Raw }: Found) => Buffer.from(Raw, "base64").toString();

/**
 * Finds a manifest or index.
 * @throws CliError if the registry has none
 */
async function find(client: Client, reference: Reference): Promise<Found> {
  const { tag, digest } = reference;
  const path = `/lighter/manifests/${encodeName(familiarName(reference))}${digest === undefined ? `:${tag}` : `@${digest}`}`;
  try {
    const response = await requestWithCredentials(client, { method: "GET", path }, serverOf(reference));
    return parseJson<Found>(await response.text());
  } catch (error) {
    if (error instanceof ApiError && error.message.includes("page not found"))
      throw new CliError("manifest inspect: this daemon is another one than Lighter's, and cannot be asked");
    if (error instanceof ApiError && error.status === 404)
      throw new CliError(`no such manifest: ${formatReference(reference)}`);
    throw error;
  }
}
