import { expect } from "bun:test";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient } from "../support/api-client.ts";
import { hostUsr, hostUsrImage } from "../support/daemon.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/* The units of packaging/systemd. tests/compat/systemd.test.ts runs this file where systemd is process 1. */

const runsHere = existsSync("/run/systemd/system") && isRoot;
const withSystemd = testIf(runsHere, "systemd does not run here, or not for us");
const root = join(import.meta.dirname, "../..");
const UNITS = "/run/systemd/system";

function systemctl(...args: string[]): string {
  return execFileSync("systemctl", args, { stdio: ["ignore", "pipe", "pipe"] })
    .toString()
    .trim();
}

function journal(...args: string[]): string {
  execFileSync("journalctl", ["--sync"]);
  return execFileSync("journalctl", ["--quiet", "--output=cat", ...args]).toString();
}

withSystemd(
  "the daemon starts by its socket, is ready, reloads, logs to the journal; containers outlive a restart",
  async () => {
    const directory = mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? tmpdir(), "lighter-units-"));
    const name = `lighter-test-${process.pid}`;
    const [service, socket] = [join(UNITS, `${name}.service`), join(UNITS, `${name}.socket`)];
    const roots = `--data-root ${directory}/data --exec-root ${directory}/run`;
    const unit = (file: string) =>
      readFileSync(join(root, "packaging/systemd", file), "utf8").replaceAll("lighter.socket", `${name}.socket`);
    const command = `${process.execPath} ${root}/src/main.ts daemon -H fd:// ${roots}`;
    const serviceText = unit("lighter.service").replace("/usr/bin/lighter daemon -H fd://", command);
    expect(serviceText).toContain(command);
    const client = new ApiClient(join(directory, "api.sock"), false);
    let id: string | undefined;
    try {
      writeFileSync(service, serviceText);
      writeFileSync(
        socket,
        unit("lighter.socket")
          .replace("/run/lighter/lighter.sock", client.socketPath)
          .replace("SocketGroup=lighter", "SocketGroup=root"),
      );
      systemctl("daemon-reload");
      systemctl("start", `${name}.socket`);
      const show = (property: string) => systemctl("show", "--value", `--property=${property}`, `${name}.service`);
      expect(show("ActiveState")).toBe("inactive");
      expect((await client.request("GET", "/_ping")).text).toBe("OK");
      systemctl("start", `${name}.service`); // waits until it has said that it is ready
      expect(show("ActiveState")).toBe("active");

      await client.request("POST", "/images/load", hostUsrImage(), { "Content-Type": "application/x-tar" });
      client.image = "host-usr";
      const LogConfig = { Type: "journald", Config: { tag: "{{.Name}}", labels: "kind" } };
      const Cmd = ["/bin/sh", "-c", "echo said; exec sleep 1000"];
      id = await client.run({ Cmd, Labels: { kind: "test" }, HostConfig: { ...hostUsr, LogConfig } }, name);
      const logs = await client.open(`GET /containers/${id}/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n`);
      await logs.until((text) => text.includes("said\n"));
      logs.socket.destroy();

      systemctl("reload", `${name}.service`);
      const { Pid } = (await client.inspect(id)).State;
      systemctl("restart", `${name}.service`);
      expect((await client.inspect(id)).State).toMatchObject({ Status: "running", Pid });
      // Its end is sent on before it is removed.
      await client.request("DELETE", `/containers/${id}?force=1`);
      const journalOf = () => journal(`CONTAINER_ID_FULL=${id}`, "KIND=test", `SYSLOG_IDENTIFIER=${name}`);
      while (existsSync(join(directory, "data/containers", id))) await client.request("GET", "/_ping");
      expect(journalOf()).toBe("said\n");
      expect(journal("--unit", `${name}.service`)).toContain("Reloaded configuration");
      id = undefined;
    } finally {
      if (id !== undefined) await client.request("DELETE", `/containers/${id}?force=1`);
      systemctl("stop", `${name}.socket`, `${name}.service`);
      rmSync(service, { force: true });
      rmSync(socket, { force: true });
      systemctl("daemon-reload");
      rmSync(directory, { recursive: true });
    }
  },
);
