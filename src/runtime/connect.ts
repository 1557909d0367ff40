/** Compiles programs that add an interface to a running container, or remove one. */
import { LighterError } from "../base/errors.ts";
import { checkLinkName, encodeGetLink, encodeRemoveLink } from "../linux/netlink/links.ts";
import { encodeReplaceRoute } from "../linux/netlink/routes.ts";
import { OpList, slot } from "../linux/program/builder.ts";
import type { Program } from "../linux/program/op.ts";
import type { HostFacts } from "./host-facts.ts";
import { CLONE } from "./namespaces.ts";
import {
  configureInterface,
  defaultRoute,
  isNoRouter,
  madeSlot,
  makeInterface,
  NAMESPACE,
  openNamespaceOf,
  redirectResolver,
  routeThrough,
} from "./network.ts";
import { openPrivateProc } from "./proc.ts";
import type { Runtime } from "./types.ts";

export type ConnectRequest = Parameters<Runtime["connect"]>[0];
export type DisconnectRequest = Parameters<Runtime["disconnect"]>[0];

/**
 * Compiles the program that gives a running container one more interface. It makes no process: the launcher goes into the
 * namespace and comes back.
 */
export function compileConnect(request: ConnectRequest, facts: HostFacts): Program {
  const { containerPid, interface: wanted, resolverPort } = request;
  const host = new OpList("host");
  openPrivateProc(host, facts, { sysctls: true, processes: false });
  openNamespaceOf(host, containerPid);
  makeInterface(host, wanted, { fd: NAMESPACE });
  host.call("setns", [slot(NAMESPACE), CLONE.network], "enter the container's network namespace");
  if (resolverPort !== undefined) redirectResolver(host, resolverPort);
  configureInterface(host, wanted);

  const cleanup = new OpList("cleanup");
  const guard = madeSlot(wanted);
  cleanup.call("setns", [slot(NAMESPACE), CLONE.network], "the container's network namespace", { guard });
  cleanup.netlink("route", [{ message: encodeRemoveLink(wanted.name) }], `interface ${wanted.name}`, { guard });
  return taskOf(host, cleanup);
}

/** Compiles the program that removes an interface. If the op at `removal` fails with ENODEV, there is no such interface. */
export function compileDisconnect(request: DisconnectRequest): { program: Program; removal: number } {
  const { containerPid, name, gateways } = request;
  checkLinkName(name);
  if (name === "lo") throw new LighterError("invalid", "a container keeps its loopback interface");
  const host = new OpList("host");
  host.call("pidfd_open", [containerPid, 0], "the container's init", { out: "container" });
  host.call("setns", [slot("container"), CLONE.network], "enter the container's network namespace");
  const removal = host.ops.length;
  host.netlink("route", [{ message: encodeRemoveLink(name) }], `remove interface ${name}`);
  const routes = gateways.map(({ gateway, through }) => {
    if (!isNoRouter(gateway)) return { message: encodeReplaceRoute(defaultRoute(gateway)) };
    const index = `interface ${through}`;
    host.netlink("route", [{ message: encodeGetLink(through) }], index, { out: index });
    return routeThrough(index, defaultRoute(gateway));
  });
  if (routes.length > 0) host.netlink("route", routes, "default routes");
  return { program: taskOf(host, new OpList("cleanup")), removal };
}

/** Compiles the program that removes a link. If its only op fails with ENODEV, there is no such link. */
export function compileRemoveLink(index: number): Program {
  const host = new OpList("host");
  host.netlink("route", [{ message: encodeRemoveLink(index) }], `remove link ${index}`);
  return taskOf(host, new OpList("cleanup"));
}

function taskOf(host: OpList, cleanup: OpList): Program {
  const nothing = { init: "container", hold: false, exitPath: "", socketPath: "" };
  return { host: host.ops, init: [], cleanup: cleanup.ops, supervise: nothing };
}
