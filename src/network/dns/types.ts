/** The addresses of a name, in any order. */
export interface NameAddresses {
  ipv4: readonly string[];
  ipv6: readonly string[];
}

/** The names that one container sees. It is asked at every query: the answer may change. */
export interface NameSource {
  /**
   * The addresses of a name in small letters, without a final dot. Undefined if the name is unknown; without any address if it is
   * known and has none.
   */
  lookup(name: string): NameAddresses | undefined;
  /** The name for an address in its shortest form: "web.backend". */
  reverse(address: string): string | undefined;
}

/** A server that is asked for names we do not know. */
export interface UpstreamServer {
  /** An IPv4 address, or an IPv6 address with or without a zone. */
  address: string;
  /** True if it is asked from the host's network namespace; otherwise it is asked from the container's, along its routes. */
  fromHost: boolean;
}

/** How queries for other names are handled. */
export interface Upstream {
  /** The servers in the order in which they are asked; only the first three are. (resolv.conf(5): MAXNS) */
  servers: readonly UpstreamServer[];
  /** False if the container has no way out and no server is asked from the host's namespace. */
  forwards: boolean;
  /** True if a name without a dot is not forwarded: the container's own resolver then tries its search domains. */
  keepsSingleLabels: boolean;
}
