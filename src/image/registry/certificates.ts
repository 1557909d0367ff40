/**
 * Reads a registry's directory of certificates: *.crt are authorities to trust, NAME.cert and NAME.key the client's own.
 * Source: docs.docker.com, "Verify repository client with certificates".
 */
import { readdirSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { REGISTRY_CERTIFICATE_MAX_BYTES, REGISTRY_MAX_CERTIFICATE_FILES } from "../../base/limits.ts";
import type { TlsOptions } from "./transport.ts";

export const DEFAULT_CERTIFICATES_PATH = "/etc/docker/certs.d";

/**
 * The certificates for a host; none if it has no directory. Of several client certificates the first by name is used.
 * @throws LighterError ("invalid") for a certificate without its key or the other way round, and beyond the limits.
 */
export async function readCertificates(certificatesPath: string, host: string): Promise<TlsOptions> {
  const directory = join(certificatesPath, host);
  let names: string[];
  try {
    names = readdirSync(directory).sort();
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errnoOf(error))) return {};
    throw error;
  }
  if (names.length > REGISTRY_MAX_CERTIFICATE_FILES)
    throw new LighterError("invalid", `"${directory}" has more than ${REGISTRY_MAX_CERTIFICATE_FILES} files`);
  const read = (name: string): Promise<string> => readLimited(join(directory, name));
  const authorities = await Promise.all(names.filter((name) => name.endsWith(".crt")).map(read));
  const client = names.find((name) => name.endsWith(".cert"));
  const keyFor = (name: string): string => name.replace(/\.cert$/, ".key");
  for (const name of names) {
    if (name.endsWith(".cert") && !names.includes(keyFor(name)))
      throw new LighterError("invalid", `missing key ${keyFor(name)} for client certificate ${name}`);
    if (name.endsWith(".key") && !names.includes(name.replace(/\.key$/, ".cert")))
      throw new LighterError(
        "invalid",
        `missing client certificate ${name.replace(/\.key$/, ".cert")} for key ${name}`,
      );
  }
  return {
    ...(authorities.length === 0 ? {} : { ca: authorities.join("\n") }),
    ...(client === undefined ? {} : { cert: await read(client), key: await read(keyFor(client)) }),
  };
}

async function readLimited(path: string): Promise<string> {
  if ((await stat(path)).size > REGISTRY_CERTIFICATE_MAX_BYTES)
    throw new LighterError("invalid", `"${path}" is longer than ${REGISTRY_CERTIFICATE_MAX_BYTES} bytes`);
  return readFile(path, "utf8");
}
