/** Reads the network settings from the daemon's. Source: dockerd(8); moby daemon/daemon_unix.go, initBridgeDriver. */
import { checkNetworkSettings, DEFAULT_NETWORK_SETTINGS, type NetworkSettings } from "../../engine/mod.ts";
import { invalid } from "./kinds.ts";
import type { Values } from "./settings.ts";

/** The networks' settings, checked. @throws LighterError "invalid", naming the setting */
export function parseNetworkSettings(values: Values): NetworkSettings {
  const standard = DEFAULT_NETWORK_SETTINGS;
  const settings: NetworkSettings = {
    defaultBridge: parseDefaultBridge(values),
    addressPools: values["default-address-pools"] ?? standard.addressPools,
    defaultOptions: values["default-network-opts"] ?? {},
    firewall: values.iptables ?? true,
    firewall6: values.ip6tables ?? true,
    forwarding: values["ip-forward"] ?? true,
    hostGateways: values["host-gateway-ip"] ? [values["host-gateway-ip"]] : [],
  };
  checkNetworkSettings(settings);
  return settings;
}

function parseDefaultBridge(values: Values): NetworkSettings["defaultBridge"] {
  const optional = <K extends string>(name: K, value: string | undefined) => (value ? { [name]: value } : {});
  const { bridge = "", bip = "", bip6 = "" } = values;
  if (bridge !== "" && (bip !== "" || bip6 !== ""))
    throw invalid("bip: you specified -b and --bip, mutually exclusive options. Please specify only one");
  if (values.icc === false && values.iptables === false)
    throw invalid(
      "icc: you specified --iptables=false with --icc=false. ICC=false uses iptables to function. Please set --icc or --iptables to true",
    );
  if (bridge === "none") return undefined;
  return {
    ...optional("foreignName", bridge),
    ...optional("address", bip),
    ...optional("address6", bip6),
    ...optional("fixedCidr", values["fixed-cidr"]),
    ...optional("fixedCidr6", values["fixed-cidr-v6"]),
    ...optional("gateway", values["default-gateway"]),
    ...optional("gateway6", values["default-gateway-v6"]),
    icc: values.icc ?? true,
    masquerade: (values["ip-masq"] ?? true) && (values.iptables ?? true), // the value that `inspect` shows

    enableIPv6: values.ipv6 ?? false,
    mtu: values.mtu ?? 0,
    hostAddress: values.ip || "0.0.0.0",
  };
}
