import { messageOf } from "../../base/errors.ts";
import { VERSION } from "../../base/version.ts";
import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import { type ParsedFlags, stringFlag } from "../flags.ts";
import { goJson } from "../format/go.ts";
import { compileTemplate } from "../format/template.ts";
import { formatBinarySize } from "../format/units.ts";
import { withZeroValues } from "../format/zero-values.ts";
import { printError, printLine, stdout } from "../output.ts";

const flags = { format: stringFlag('Format: "json" or a Go template', { short: "f" }) };

export const command = defineCommand({
  name: "info",
  usage: "[OPTIONS]",
  summary: "Display system-wide information",
  flags,
  args: { min: 0, max: 0 },
  run,
});

/** The API's SystemInfo, with the fields that are shown. What the daemon leaves out is not printed. */
interface Info {
  readonly [key: string]: unknown;
  readonly DriverStatus?: readonly (readonly [string, string])[] | null;
  readonly Plugins?: Readonly<Record<string, readonly string[] | null>>;
  readonly Swarm?: { readonly LocalNodeState?: string };
  readonly Runtimes?: Readonly<Record<string, unknown>> | null;
  readonly ContainerdCommit?: { readonly ID: string };
  readonly CDISpecDirs?: readonly string[] | null;
  readonly DiscoveredDevices?: readonly { readonly Source: string; readonly ID: string }[] | null;
  readonly RuncCommit?: { readonly ID: string };
  readonly InitCommit?: { readonly ID: string };
  readonly SecurityOptions?: readonly string[] | null;
  readonly MemTotal?: number;
  readonly Labels?: readonly string[] | null;
  readonly RegistryConfig?: {
    readonly InsecureRegistryCIDRs?: readonly string[] | null;
    readonly IndexConfigs?: Readonly<Record<string, { Name: string; Secure: boolean }>> | null;
    readonly Mirrors?: readonly string[] | null;
  } | null;
  readonly Warnings?: readonly string[] | null;
}

async function run({ client, debug }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  const clientInfo = {
    Debug: debug,
    Version: VERSION,
    Context: client.host.contextName ?? "default",
    Plugins: [],
    Warnings: null,
  };
  if (values.format !== "") {
    const both = { ...(await client.get<Info>("/info")), ClientInfo: clientInfo };
    await printLine(
      values.format === "json" ? goJson(both) : compileTemplate(values.format)(withZeroValues("info", both)),
    );
    return 0;
  }
  await stdout.text(
    `Client:\n Version:    ${VERSION}\n Context:    ${clientInfo.Context}\n Debug Mode: ${debug}\n\nServer:\n`,
  );
  let info: Info;
  try {
    info = await client.get<Info>("/info");
  } catch (error) {
    await printError(`ERROR: ${messageOf(error)}`);
    throw new CliError("errors pretty printing info");
  }
  await stdout.text(`${formatInfo(info).join("\n")}\n\n`);
  for (const warning of info.Warnings ?? []) await printError(warning);
  return 0;
}

function formatInfo(info: Info): string[] {
  const lines: string[] = [];
  const put = (label: string, value: unknown) => {
    if (value !== undefined && value !== "") lines.push(` ${label}: ${value}`);
  };
  const list = (label: string, items: readonly string[] | null | undefined) => {
    if (items && items.length > 0) lines.push(` ${label}:`, ...items.map((item) => `  ${item}`));
  };
  put("Containers", info.Containers);
  put(" Running", info.ContainersRunning);
  put(" Paused", info.ContainersPaused);
  put(" Stopped", info.ContainersStopped);
  put("Images", info.Images);
  put("Server Version", info.ServerVersion);
  put("Storage Driver", info.Driver);
  for (const [name, value] of info.DriverStatus ?? []) put(` ${name}`, value);
  put("Logging Driver", info.LoggingDriver);
  put("Cgroup Driver", info.CgroupDriver);
  put("Cgroup Version", info.CgroupVersion);
  if (info.Plugins !== undefined) {
    lines.push(" Plugins:");
    for (const kind of ["Volume", "Network", "Authorization", "Log"]) {
      const names = info.Plugins[kind] ?? [];
      if (kind !== "Authorization" || names.length > 0) lines.push(`  ${kind}: ${names.join(" ")}`);
    }
  }
  list("CDI spec directories", info.CDISpecDirs);
  list(
    "Discovered Devices",
    info.DiscoveredDevices?.map(({ Source, ID }) => `${Source}: ${ID}`),
  );
  put("Swarm", info.Swarm?.LocalNodeState);
  if (info.Runtimes && Object.keys(info.Runtimes).length > 0) {
    put("Runtimes", Object.keys(info.Runtimes).join(" "));
    put("Default Runtime", info.DefaultRuntime);
  }
  put("Init Binary", info.InitBinary);
  put("containerd version", info.ContainerdCommit?.ID);
  put("runc version", info.RuncCommit?.ID);
  put("init version", info.InitCommit?.ID);
  list("Security Options", info.SecurityOptions?.flatMap(formatSecurityOption));
  put("Kernel Version", info.KernelVersion);
  put("Operating System", info.OperatingSystem);
  put("OSType", info.OSType);
  put("Architecture", info.Architecture);
  put("CPUs", info.NCPU);
  if (info.MemTotal !== undefined) put("Total Memory", formatBinarySize(info.MemTotal));
  put("Name", info.Name);
  put("ID", info.ID);
  put("Docker Root Dir", info.DockerRootDir);
  put("Debug Mode", info.Debug);
  put("HTTP Proxy", info.HttpProxy);
  put("HTTPS Proxy", info.HttpsProxy);
  put("No Proxy", info.NoProxy);
  list("Labels", info.Labels);
  put("Experimental", info.ExperimentalBuild);
  const insecure = Object.values(info.RegistryConfig?.IndexConfigs ?? {}).filter((index) => !index.Secure);
  list("Insecure Registries", [
    ...insecure.map((index) => index.Name),
    ...(info.RegistryConfig?.InsecureRegistryCIDRs ?? []),
  ]);
  list("Registry Mirrors", info.RegistryConfig?.Mirrors);
  put("Live Restore Enabled", info.LiveRestoreEnabled);
  return lines;
}

/** Splits "name=seccomp,profile=builtin" into the name and, on lines of their own, its profile and other fields. */
function formatSecurityOption(option: string): string[] {
  const fields = new Map(option.split(",").map((field) => field.split("=", 2) as [string, string]));
  const profile = fields.get("profile");
  return [fields.get("name") ?? option, ...(profile === undefined ? [] : [` Profile: ${profile}`])];
}
