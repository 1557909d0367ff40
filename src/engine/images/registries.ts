/** Asks registries without pulling anything: `GET /distribution/…` and `POST /auth`. */

import {
  type ClientOptions,
  checkAuth,
  type FetchedManifest,
  RegistryClient,
  type RegistryConfig,
} from "../../image/mod.ts";
import { formatReference, type Reference } from "../../spec/image-reference.ts";
import {
  type Descriptor,
  MEDIA_TYPE,
  type Platform,
  parseImageDocument,
  parseIndex,
  parseManifest,
} from "../../spec/oci-image.ts";
import { parseAuthConfig, parseRegistryAuth } from "../../spec/registry-auth.ts";

export interface Described {
  descriptor: Descriptor;
  /** The manifest or index itself. */
  bytes: Buffer;
  platforms: Platform[];
}

export interface Registries {
  /** Opens a client for a pull or push of one repository. Connects to nothing yet. */
  open(repository: Reference, options: ClientOptions): Promise<RegistryClient>;
  /**
   * Describes a name with a tag or digest: its manifest or index, and the platforms it has images for.
   * `auth`: the request's X-Registry-Auth, "" if there is none; `clientAgent`: its User-Agent.
   * @throws LighterError "not-found", "unauthorized", "unavailable", …, in Docker's words
   */
  describe(reference: Reference, auth: string, clientAgent?: string): Promise<Described>;
  /**
   * Asks whether a registry takes these credentials: the JSON of `POST /auth`, not checked yet.
   * `IdentityToken`: to be kept in place of the password; "" if the registry gives none.
   */
  checkAuth(credentials: unknown, clientAgent?: string): Promise<{ Status: string; IdentityToken: string }>;
}

/** Opens the registries. Connects to nothing yet. */
export function openRegistries(config: RegistryConfig = {}): Registries {
  return {
    open: (repository, options) => RegistryClient.open(config, repository, options),
    async describe(reference, auth, clientAgent) {
      const credentials = parseRegistryAuth(auth);
      const client = await RegistryClient.open(config, reference, { credentials, clientAgent });
      const manifest = await client.getManifest(reference.digest ?? reference.tag ?? "latest");
      const platforms = await readPlatforms(client, manifest, formatReference(reference));
      return { ...manifest, platforms };
    },
    async checkAuth(credentials, clientAgent) {
      return await checkAuth(config, parseAuthConfig(credentials, "credentials"), { clientAgent });
    },
  };
}

/** Reads the platforms: those that an index lists, or the one in a single image's config. */
async function readPlatforms(client: RegistryClient, manifest: FetchedManifest, name: string): Promise<Platform[]> {
  const text = manifest.bytes.toString("utf8");
  const { mediaType } = manifest.descriptor;
  if (mediaType === MEDIA_TYPE.ociIndex || mediaType === MEDIA_TYPE.dockerIndex)
    return parseIndex(text, name).manifests.flatMap(({ platform }) => platform ?? []);
  const { config } = parseManifest(text, name);
  if (config.mediaType !== MEDIA_TYPE.ociConfig && config.mediaType !== MEDIA_TYPE.dockerConfig) return [];
  const { os, architecture, variant } = parseImageDocument((await client.getBlob(config)).toString("utf8"), name);
  return [{ architecture, os, ...(variant === undefined ? {} : { variant }) }];
}
