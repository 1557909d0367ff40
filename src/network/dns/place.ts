/** What resolv.conf names in a container. Any address of 127.0.0.0/8 is there without having been given. */
export const RESOLVER_ADDRESS = "127.0.0.11";
/**
 * Where we listen, so that port 53 stays free. The container's nftables send 127.0.0.11:53 here: by `dnat`, as `redirect` in an
 * output chain would lead to 127.0.0.1. Not among the ports that the kernel gives away by itself (ip_local_port_range
 * ends at 60999), nor one that IANA has given to a service.
 */
export const RESOLVER_PORT = 61053;
