/** DNS in a container's networks: the names, the server at 127.0.0.11, and the resolv.conf that points to it. */
export { type NamedEndpoint, NameTable } from "./name-table.ts";
export { RESOLVER_ADDRESS, RESOLVER_PORT } from "./place.ts";
export { planResolvConf, type ResolvConf, type ResolvConfRequest, resolvConfPath } from "./resolv-conf.ts";
export { type Resolver, type ResolverOptions, startResolver } from "./resolver.ts";
export type { NameAddresses, NameSource, Upstream, UpstreamServer } from "./types.ts";
