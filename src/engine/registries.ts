import { LighterError } from "../base/errors.ts";
import type { Reference } from "../image/mod.ts";
import type { Descriptor, Platform } from "../spec/oci-image.ts";

/** What registries say without anything being pulled. */
export interface Registries {
  /**
   * The manifest or index behind a name with a tag or digest, and the platforms it has images for.
   * `auth`: the request's X-Registry-Auth, "" if there is none.
   * @throws LighterError "not-found", "unauthorized", "unavailable", …, in Docker's words
   */
  describe(reference: Reference, auth: string): Promise<{ descriptor: Descriptor; platforms: Platform[] }>;
  /**
   * Whether a registry takes these credentials: the JSON of `POST /auth`, not checked yet.
   * `IdentityToken`: what is to be kept in place of the password; "" if the registry gives none.
   */
  checkAuth(credentials: unknown): Promise<{ Status: string; IdentityToken: string }>;
}

function unreachable(what: string): LighterError {
  return new LighterError("unavailable", `${what}: this daemon has no access to registries`);
}

/** For a daemon without any. */
export const noRegistries: Registries = {
  async describe({ domain, path }) {
    throw unreachable(`describe ${domain}/${path}`);
  },
  async checkAuth() {
    throw unreachable("log in");
  },
};
