/** `dashboard`: prints an address that opens the daemon's page once, and opens it where there is a browser. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Context, defineCommand } from "../command.ts";
import { boolFlag, type ParsedFlags } from "../flags.ts";
import { encodeQuery } from "../http/client.ts";
import { printError, printLine } from "../output.ts";

const flags = {
  end: boolFlag("End the dashboard, with all of its sessions"),
  "no-browser": boolFlag("Print the address only"),
  "read-only": boolFlag("Nothing can be changed in the page, and no terminal opened"),
};

export const command = defineCommand({
  name: "dashboard",
  usage: "[OPTIONS]",
  summary: "Open a page that shows containers, images and the host",
  details:
    "The page is served by the daemon, on this machine's loopback alone, until nobody has looked at it for an hour.\n" +
    "The address works once, within five minutes; the command prints a new one each time.",
  flags,
  args: { min: 0, max: 0 },
  run,
});

interface Opened {
  readonly Url: string;
  readonly Port: number;
  /** The daemon's machine. */
  readonly Hostname: string;
}

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  if (values.end) {
    await client.request({ method: "DELETE", path: "/lighter/dashboard" });
    return 0;
  }
  const query = encodeQuery({ readonly: values["read-only"] ? "1" : undefined });
  const answer = await client.request({ method: "POST", path: `/lighter/dashboard${query}` });
  const { Url: url, Port: port, Hostname }: Opened = JSON.parse(await answer.text());
  await printLine(url);
  if (!values["no-browser"] && openBrowser(url)) return 0;
  const name = /^ssh:\/\/([^/]+)/.exec(client.host.name)?.[1] ?? Hostname;
  await printError(
    `Open this address in a browser of this machine, within five minutes.\nFrom another one, first run there:\n\n` +
      `  ssh -N -L ${port}:127.0.0.1:${port} ${name}\n`,
  );
  return 0;
}

/**
 * Opens the address, if there is a desktop. Everybody may read the arguments of a program, so the address is in a file that only
 * its owner may.
 */
function openBrowser(url: string): boolean {
  const { DISPLAY, WAYLAND_DISPLAY, XDG_RUNTIME_DIR } = process.env;
  if (!(DISPLAY || WAYLAND_DISPLAY) || !XDG_RUNTIME_DIR) return false;
  const path = join(XDG_RUNTIME_DIR, "lighter-dashboard.html");
  try {
    writeFileSync(path, `<!doctype html><meta http-equiv="refresh" content="0; url=${url}">\n`, { mode: 0o600 });
    const child = spawn("xdg-open", [path], { detached: true, stdio: "ignore" });
    child.unref();
    return child.pid !== undefined;
  } catch {
    return false;
  }
}
