/**
 * The table of every setting that Docker's daemon has, by its key in daemon.json, and how each is treated here.
 * Source: dockerd(8) of versions 26 to 28, and dockerd 26's messages for wrong values.
 */

import type { GcSettings, RuntimeEntry } from "../../engine/mod.ts";
import { builder } from "./builder-kinds.ts";
import { bytes, flag, type Kind, number, pairs, switches, text, texts, type Ulimit, ulimits, unread } from "./kinds.ts";
import { type AddressPoolValue, addressPools, networkOptions } from "./network-kinds.ts";
import { runtimes } from "./runtime-kinds.ts";

/** The settings that are used; each is absent unless given. */
export interface Values {
  "data-root"?: string;
  "exec-root"?: string;
  pidfile?: string;
  hosts?: string[];
  group?: string;
  cri?: string;
  "cri-hidden"?: boolean;
  "cni-conf-dir"?: string;
  "cni-bin-dirs"?: string[];
  tls?: boolean;
  tlsverify?: boolean;
  tlscacert?: string;
  tlscert?: string;
  tlskey?: string;
  debug?: boolean;
  "log-level"?: string;
  "log-format"?: string;
  "metrics-addr"?: string;
  "otlp-endpoint"?: string;
  labels?: string[];
  features?: Record<string, boolean>;
  "shutdown-timeout"?: number;
  "live-restore"?: boolean;
  "registry-mirrors"?: string[];
  "insecure-registries"?: string[];
  "max-concurrent-downloads"?: number;
  "max-concurrent-uploads"?: number;
  "max-download-attempts"?: number;
  "log-driver"?: string;
  "log-opts"?: Record<string, string>;
  "default-ulimits"?: Ulimit[];
  "default-shm-size"?: number;
  "userns-remap"?: string;
  "default-ipc-mode"?: string;
  "default-cgroupns-mode"?: string;
  "default-runtime"?: string;
  runtimes?: Record<string, RuntimeEntry>;
  "cdi-spec-dirs"?: string[];
  builder?: GcSettings;
  "build-download-max"?: number;
  "no-new-privileges"?: boolean;
  "seccomp-profile"?: string;
  "cgroup-parent"?: string;
  "exec-opts"?: string[];
  init?: boolean;
  dns?: string[];
  "dns-opts"?: string[];
  "dns-search"?: string[];
  bridge?: string;
  bip?: string;
  bip6?: string;
  "fixed-cidr"?: string;
  "fixed-cidr-v6"?: string;
  "default-gateway"?: string;
  "default-gateway-v6"?: string;
  icc?: boolean;
  "ip-masq"?: boolean;
  ipv6?: boolean;
  mtu?: number;
  ip?: string;
  iptables?: boolean;
  ip6tables?: boolean;
  "ip-forward"?: boolean;
  "default-address-pools"?: AddressPoolValue[];
  "default-network-opts"?: Record<string, Record<string, string>>;
  "host-gateway-ip"?: string;
  "userland-proxy"?: boolean;
}

export interface Setting<T> {
  kind: Kind<T>;
  help: string;
  /** The flag's name where it differs from the key: lists have it in the singular. */
  flag?: string;
  short?: string;
  /** Whether SIGHUP applies a new value. */
  reloads?: true;
}

export const SETTINGS: { readonly [K in keyof Required<Values>]: Setting<Required<Values>[K]> } = {
  "data-root": { kind: text("PATH"), help: 'what is kept: images, containers (default "/var/lib/lighter")' },
  "exec-root": { kind: text("PATH"), help: 'what a reboot may clear (default "/run/lighter")' },
  pidfile: { kind: text("PATH"), help: "file that holds the daemon's process id", short: "p" },
  hosts: {
    kind: texts("ADDRESS"),
    flag: "host",
    short: "H",
    help: 'unix://PATH, tcp://HOST:PORT or fd:// to listen on (default "unix:///run/lighter/lighter.sock")',
  },
  group: {
    kind: text("GROUP"),
    short: "G",
    help: "group of unix sockets (default: lighter, or docker, if there is one)",
  },
  cri: {
    kind: text("ADDRESS"),
    help: 'serve Kubernetes\' runtime interface there, for a kubelet: unix:///run/lighter/cri.sock, or "unix://" for that',
  },
  "cri-hidden": { kind: flag, help: "lists and counts leave out the containers of pods" },
  "cni-conf-dir": { kind: text("PATH"), help: 'where pods\' network is described (default "/etc/cni/net.d")' },
  "cni-bin-dirs": {
    kind: texts("PATH"),
    flag: "cni-bin-dir",
    help: 'where its plugins are (default "/opt/cni/bin" and "/usr/lib/cni")',
  },
  tls: { kind: flag, help: "TLS on tcp:// sockets; implied by --tlsverify" },
  tlsverify: { kind: flag, help: "TLS, and clients must have a certificate" },
  tlscacert: { kind: text("PATH"), help: 'authority of clients\' certificates (default "~/.docker/ca.pem")' },
  tlscert: { kind: text("PATH"), help: 'the daemon\'s certificate (default "~/.docker/cert.pem")' },
  tlskey: { kind: text("PATH"), help: 'the daemon\'s key (default "~/.docker/key.pem")' },
  debug: { kind: flag, short: "D", help: "log requests, too", reloads: true },
  "log-level": {
    kind: text("LEVEL"),
    short: "l",
    help: 'debug, info, warn, error or fatal (default "info")',
    reloads: true,
  },
  "log-format": {
    kind: text("FORMAT"),
    help: 'of the daemon\'s own log: text or json (default "text")',
    reloads: true,
  },
  "metrics-addr": { kind: text("HOST:PORT"), help: "serve metrics for Prometheus there, at /metrics" },
  "otlp-endpoint": {
    kind: text("URL"),
    help: "send traces to this OpenTelemetry collector by OTLP/HTTP (default: OTEL_EXPORTER_OTLP_ENDPOINT)",
  },
  labels: { kind: texts("KEY=VALUE"), flag: "label", help: "shown by `info`", reloads: true },
  features: {
    kind: switches,
    flag: "feature",
    help: "buildkit=false: Docker's client uses the classic builder; others are kept",
    reloads: true,
  },
  "shutdown-timeout": {
    kind: number("SECONDS"),
    help: "kept: containers run on when the daemon ends",
    reloads: true,
  },
  "live-restore": { kind: flag, help: "always on: containers need no daemon to run", reloads: true },
  "registry-mirrors": {
    kind: texts("URL"),
    flag: "registry-mirror",
    help: "asked before docker.io",
    reloads: true,
  },
  "insecure-registries": {
    kind: texts("ADDRESS"),
    flag: "insecure-registry",
    help: "HOST[:PORT] or CIDR that need not have a certificate",
    reloads: true,
  },
  "max-concurrent-downloads": { kind: number("COUNT"), help: "layers at a time, over all pulls", reloads: true },
  "max-concurrent-uploads": { kind: number("COUNT"), help: "layers at a time of a push (default 5)", reloads: true },
  "max-download-attempts": { kind: number("COUNT"), help: "attempts for each request (default 5)", reloads: true },
  "log-driver": { kind: text("DRIVER"), help: 'for containers (default "json-file")' },
  "log-opts": { kind: pairs, flag: "log-opt", help: "for containers that name no driver of their own" },
  "default-ulimits": { kind: ulimits, flag: "default-ulimit", help: "for containers" },
  "default-shm-size": { kind: bytes, help: "size of /dev/shm (default 64m)" },
  "default-ipc-mode": { kind: text("MODE"), help: '"private" or "shareable" (default "private")' },
  "default-cgroupns-mode": { kind: text("MODE"), help: '"private" or "host" (default "private")' },
  "default-runtime": { kind: text("NAME"), help: 'of containers that name none: "lighter", or one of NVIDIA\'s' },
  runtimes: {
    kind: runtimes,
    flag: "add-runtime",
    help: "NVIDIA's means the GPUs that CDI specs tell of; others are listed, and not used",
  },
  builder: { kind: builder, help: 'what the cache of builds keeps: {"gc": {...}}' },
  "build-download-max": { kind: bytes, help: "size of a file that a build downloads (default 10g)" },
  "cdi-spec-dirs": {
    kind: texts("PATH"),
    flag: "cdi-spec-dir",
    help: 'directories with CDI specs of devices (default "/etc/cdi" and "/var/run/cdi")',
  },
  "no-new-privileges": { kind: flag, help: "for containers that do not say" },
  "seccomp-profile": { kind: text("PATH"), help: 'a file, "builtin" or "unconfined" (default "builtin")' },
  "cgroup-parent": { kind: text("CGROUP"), help: 'parent of containers\' cgroups (default "/lighter")' },
  "exec-opts": { kind: texts("NAME=VALUE"), flag: "exec-opt", help: "native.cgroupdriver=cgroupfs, or systemd" },
  "userns-remap": {
    kind: text("USER[:GROUP]"),
    help: 'in whose subordinate ids containers run; "default", or "auto" for a range each',
  },
  init: { kind: flag, help: "run an init in containers that do not say" },
  dns: { kind: texts("ADDRESS"), help: "DNS server of containers that do not say" },
  "dns-opts": { kind: texts("OPTION"), flag: "dns-opt", help: "the same for resolver options" },
  "dns-search": { kind: texts("DOMAIN"), help: "the same for search domains" },
  bridge: {
    kind: text("BRIDGE"),
    short: "b",
    help: 'one that is there, for the network "bridge"; "none" for no such network',
  },
  bip: { kind: text("CIDR"), help: "address of that network's bridge, with the prefix" },
  bip6: { kind: text("CIDR"), help: "the same for IPv6" },
  "fixed-cidr": { kind: text("CIDR"), help: "where that network's containers get their addresses from" },
  "fixed-cidr-v6": { kind: text("CIDR"), help: "the same for IPv6" },
  "default-gateway": { kind: text("ADDRESS"), help: "of that network's containers, in place of the bridge" },
  "default-gateway-v6": { kind: text("ADDRESS"), help: "the same for IPv6" },
  icc: { kind: flag, help: "that network's containers reach one another (default true)" },
  "ip-masq": { kind: flag, help: "what leaves that network has the host's address (default true)" },
  ipv6: { kind: flag, help: "that network has IPv6" },
  mtu: { kind: number("BYTES"), help: "that network's (default: the kernel's)" },
  ip: { kind: text("ADDRESS"), help: 'where it publishes ports that name no address (default "0.0.0.0")' },
  iptables: { kind: flag, help: "write firewall rules: publishing, masquerading, isolation (default true)" },
  ip6tables: { kind: flag, help: "the same for IPv6 (default true)" },
  "ip-forward": { kind: flag, help: "have the host forward packets (default true)" },
  "default-address-pools": {
    kind: addressPools,
    flag: "default-address-pool",
    help: "where networks that name no subnet get theirs from",
  },
  "default-network-opts": {
    kind: networkOptions,
    flag: "default-network-opt",
    help: "options of new networks of a driver",
  },
  "host-gateway-ip": { kind: text("ADDRESS"), help: 'what "host-gateway" stands for (default: the bridge\'s address)' },
  "userland-proxy": { kind: flag, help: "accepted: there is no proxy, the kernel forwards" },
};

/** A setting that cannot be honoured: any value is an error with the reason, unless it asks for what is so anyway. */
interface Refused {
  kind: Kind<unknown>;
  why: string;
  flag?: string;
  short?: string;
  harmless: readonly unknown[];
}

const NO_CONTAINERD = "there is no containerd";
const refused = (kind: Kind<unknown>, why: string, harmless: readonly unknown[] = [], flagName?: string): Refused => ({
  kind,
  why,
  harmless,
  ...(flagName === undefined ? {} : { flag: flagName }),
});
const aSwitch = unread();
const aValue = unread("VALUE");

export const REFUSED: Readonly<Record<string, Refused>> = {
  "network-control-plane-mtu": refused(aValue, "there is no swarm", [0, 1500, "0", "1500"]),
  "userland-proxy-path": refused(aValue, "there is no proxy program"),

  "allow-nondistributable-artifacts": refused(aValue, "such layers are pulled and not pushed"),
  "api-cors-header": refused(aValue, "a web page must not reach the API"),
  "authorization-plugins": refused(aValue, "there are no plugins", [], "authorization-plugin"),
  containerd: refused(aValue, NO_CONTAINERD),
  "containerd-namespace": refused(aValue, NO_CONTAINERD),
  "containerd-plugin-namespace": refused(aValue, NO_CONTAINERD, [], "containerd-plugins-namespace"),
  "cpu-rt-period": refused(aValue, "use the limits of each container", [0, "0"]),
  "cpu-rt-runtime": refused(aValue, "use the limits of each container", [0, "0"]),
  "cri-containerd": refused(aSwitch, NO_CONTAINERD, [false]),
  experimental: refused(aSwitch, "there is nothing experimental to switch on", [false]),
  "init-path": refused(aValue, "containers get the init that is part of this program"),
  "node-generic-resources": refused(aValue, "there is no swarm", [], "node-generic-resource"),
  proxies: refused(aValue, "set HTTP_PROXY, HTTPS_PROXY and NO_PROXY in the daemon's environment"),
  "http-proxy": refused(aValue, "set HTTP_PROXY in the daemon's environment"),
  "https-proxy": refused(aValue, "set HTTPS_PROXY in the daemon's environment"),
  "no-proxy": refused(aValue, "set NO_PROXY in the daemon's environment"),
  "raw-logs": refused(aSwitch, "the log has no colours to leave out", [true, false]),
  rootless: refused(aSwitch, "the daemon needs root", [false]),
  "selinux-enabled": refused(aSwitch, "SELinux labels are not available yet", [false]),
  "storage-driver": { ...refused(aValue, "containers' files are on overlayfs", ["overlay2"]), short: "s" },
  "storage-opts": refused(aValue, "the storage has no options", [], "storage-opt"),
  "swarm-default-advertise-addr": refused(aValue, "there is no swarm"),
};
