/** Registries: OCI distribution-spec 1.1 and Docker's registry v2, for pulls, pushes and logins. */
export type { Login, TokenRequest } from "./authorization.ts";
export { type BlobEndpoint, type BlobSource, type OpenBlobOptions, openBlob } from "./blob-source.ts";
export { type AuthAnswer, checkAuth } from "./check-auth.ts";
export { type FetchedManifest, RegistryClient } from "./client.ts";
export { parseMirror, type RegistryConfig } from "./config.ts";
export type { ClientOptions } from "./endpoint.ts";
export { isUnauthorized, RegistryError } from "./registry-error.ts";
export type { RetryTiming } from "./retry.ts";
export { ConnectionError, connectionError } from "./transport.ts";
