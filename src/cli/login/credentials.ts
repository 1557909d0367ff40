/** Stores credentials of registries: in config.json, or with the credential helper that it names. */
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { DEFAULT_DOMAIN, type Reference } from "../../spec/image-reference.ts";
import { goJson } from "../format/go.ts";
import { type AuthConfig, type DockerConfig, openDockerConfig, withoutEmpty, writeAuth } from "./docker-config.ts";

/** Key of Docker Hub's credentials. */
export const DEFAULT_SERVER = "https://index.docker.io/v1/";

export class CredentialStore {
  readonly #config: DockerConfig;

  constructor(config: DockerConfig) {
    this.#config = config;
  }

  /** Opens the user's own store. */
  static async open(): Promise<CredentialStore> {
    return new CredentialStore(await openDockerConfig());
  }

  get path(): string {
    return this.#config.path;
  }

  /** Returns the helper that keeps the credentials of `server`, or undefined if they are in the file. */
  helperFor(server: string): string | undefined {
    const { credHelpers, credsStore, auths } = this.#config;
    const empty = credsStore === "" && credHelpers.size === 0 && auths.size === 0;
    return credHelpers.get(server) || credsStore || (empty ? findDefaultHelper() : undefined);
  }

  /**
   * Returns the credentials, an empty object if there are none.
   * @throws Error of the credential helper
   */
  async get(server: string): Promise<AuthConfig> {
    const filed = this.#filed(server);
    const helper = this.helperFor(server);
    if (helper === undefined) return filed;
    const { getFromHelper, TOKEN_USERNAME } = await import("./credential-helper.ts");
    const found = await getFromHelper(helper, server);
    const isToken = found?.username === TOKEN_USERNAME;
    return withoutEmpty({
      username: isToken ? undefined : found?.username,
      password: isToken ? undefined : found?.secret,
      email: filed.email,
      serveraddress: found === undefined ? undefined : server,
      identitytoken: isToken ? found?.secret : undefined,
      registrytoken: filed.registrytoken,
    });
  }

  /**
   * Returns the credentials of every registry that the file knows, by the key of each.
   * @throws Error of a credential helper
   */
  async all(): Promise<Record<string, AuthConfig>> {
    const servers = new Set([...this.#config.auths.keys(), ...this.#config.credHelpers.keys()]);
    const found: Record<string, AuthConfig> = {};
    for (const server of servers) {
      const auth = await this.get(server);
      if (Object.keys(auth).length > 0) found[server] = auth;
    }
    return found;
  }

  /** @throws Error of the helper or of the file */
  async store(server: string, auth: AuthConfig): Promise<void> {
    const helper = this.helperFor(server);
    if (helper === undefined) return writeAuth(this.path, server, auth);
    const { storeInHelper, TOKEN_USERNAME } = await import("./credential-helper.ts");
    const { username = "", password = "", identitytoken } = auth;
    await storeInHelper(
      helper,
      server,
      identitytoken === undefined
        ? { username, secret: password }
        : { username: TOKEN_USERNAME, secret: identitytoken },
    );
    // The entry that remains records that there was a login.
    writeAuth(this.path, server, withoutEmpty({ email: auth.email, registrytoken: auth.registrytoken }));
  }

  /** @throws Error of the helper or of the file */
  async erase(server: string): Promise<void> {
    const helper = this.helperFor(server);
    if (helper !== undefined) await (await import("./credential-helper.ts")).eraseFromHelper(helper, server);
    writeAuth(this.path, server, undefined);
  }

  /** Finds the entry of a server, also under a URL, which old clients used as key. */
  #filed(server: string): AuthConfig {
    const exact = this.#config.auths.get(server);
    if (exact !== undefined) return exact;
    for (const [key, auth] of this.#config.auths) if (hostOf(key) === server) return auth;
    return {};
  }
}

/** Returns the host of a server: "https://registry.example/v1/" → "registry.example". */
export function hostOf(server: string): string {
  return server.replace(/^https?:\/\//, "").split("/", 1)[0] ?? "";
}

/** Returns the key of the credentials of a server that the user named. */
export function keyOf(server: string): string {
  return server === DEFAULT_SERVER ? server : hostOf(server);
}

/** Returns the key of the credentials of an image's registry. */
export function serverOf({ domain }: Pick<Reference, "domain">): string {
  return domain === DEFAULT_DOMAIN ? DEFAULT_SERVER : domain;
}

/** Encodes the header's value, with padding as the stock client sends it. */
export function encodeAuthHeader(auth: AuthConfig): string {
  return Buffer.from(goJson(auth, true)).toString("base64").replaceAll("+", "-").replaceAll("/", "_");
}

/** Finds the desktop's usual helper: with nothing configured, the stock client uses it if it is installed. */
function findDefaultHelper(): string | undefined {
  const helper = isInPath("pass") ? "pass" : "secretservice";
  return isInPath(`docker-credential-${helper}`) ? helper : undefined;
}

function isInPath(program: string): boolean {
  return (process.env.PATH ?? "").split(":").some((folder) => {
    if (folder === "") return false;
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
