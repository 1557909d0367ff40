/** Docker's POST /auth: checks whether a registry accepts credentials. */
import { type AuthConfig, domainOfServerAddress } from "../../spec/registry-auth.ts";
import { endpointsOf, type RegistryConfig } from "./config.ts";
import { type ClientOptions, Endpoint } from "./endpoint.ts";
import { RegistryError } from "./registry-error.ts";

export interface AuthAnswer {
  Status: "Login Succeeded";
  /** The token to keep instead of the password; "" if the registry gives none. */
  IdentityToken: string;
}

/**
 * Asks the registry at `credentials.serveraddress` (docker.io if there is none).
 * @throws RegistryError ("unauthorized") in Docker's words; ConnectionError.
 */
export async function checkAuth(
  config: RegistryConfig,
  credentials: AuthConfig,
  options: Pick<ClientOptions, "clientAgent" | "signal" | "timing"> = {},
): Promise<AuthAnswer> {
  const domain = domainOfServerAddress(credentials.serveraddress ?? "");
  const endpointConfig = (await endpointsOf(config, domain)).at(-1)!;
  const endpoint = new Endpoint(endpointConfig, { ...options, credentials, wantsIdentityToken: true });
  try {
    await endpoint.request({ method: "GET", path: "/v2/", scopes: [], accept: [200] });
  } catch (error) {
    if (!(error instanceof RegistryError) || error.status !== 401 || endpoint.usesTokens) throw error;
    const message = `login attempt to ${endpoint.baseUrl}/v2/ failed with status: 401 Unauthorized`;
    throw new RegistryError("unauthorized", message, error.status, error.registryCode);
  }
  return { Status: "Login Succeeded", IdentityToken: endpoint.identityToken() ?? "" };
}
