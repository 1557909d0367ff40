/** The server in a container's resolv.conf. Any address of 127.0.0.0/8 exists without having been added. */
export const RESOLVER_ADDRESS = "127.0.0.11";
/**
 * The port on which we listen, so that port 53 stays free. The container's nftables send 127.0.0.11:53 here, by `dnat`:
 * `redirect` in an output chain would lead to 127.0.0.1. It is not among the ports that the kernel gives away by itself
 * (ip_local_port_range ends at 60999), nor one that IANA has assigned.
 */
export const RESOLVER_PORT = 61053;
