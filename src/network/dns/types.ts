/** The addresses of a name, in any order. */
export interface NameAddresses {
  ipv4: readonly string[];
  ipv6: readonly string[];
}

/** The names that one container sees. Asked at every query: the answer may differ each time. */
export interface NameSource {
  /** `name` is in small letters, without a final dot. Undefined: unknown; no address at all: known, and nothing to say. */
  lookup(name: string): NameAddresses | undefined;
  /** The name of an address in its shortest form: "web.backend". */
  reverse(address: string): string | undefined;
}

/** A server that is asked for what we do not know. */
export interface UpstreamServer {
  /** IPv4, or IPv6 with or without a zone. */
  address: string;
  /** Asked from the host's network namespace; else from the container's, along its routes. */
  fromHost: boolean;
}

/** What becomes of queries for names that are not ours. */
export interface Upstream {
  /** In the order in which they are asked; those after the third are not. (resolv.conf(5): MAXNS) */
  servers: readonly UpstreamServer[];
  /** False: the container has no way out, and no server is asked from the host's namespace. */
  forwards: boolean;
  /** A name without a dot is not passed on: the container's own resolver is to try it in its search domains. */
  keepsSingleLabels: boolean;
}
