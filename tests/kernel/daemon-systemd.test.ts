import { expect } from "bun:test";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient } from "../support/api-client.ts";
import { hostUsr, hostUsrImage } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { daemonProgram, lighterProgram } from "../support/program.ts";
import { isAlive, isRoot, parentOf } from "../support/stage.ts";
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

/** Our units under a name of their own, with a socket and roots of their own. */
class Units implements Disposable {
  readonly directory = mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? tmpdir(), "lighter-units-"));
  readonly name = `lighter-test-${process.pid}`;
  readonly service = `${this.name}.service`;
  readonly socket = `${this.name}.socket`;
  readonly shutdown = `${this.name}-shutdown.service`;
  readonly client = new ApiClient(join(this.directory, "api.sock"), false);

  constructor() {
    const unit = (file: string) =>
      readFileSync(join(root, "packaging/systemd", file), "utf8")
        .replaceAll("lighter.socket", this.socket)
        .replaceAll("lighter.service", this.service)
        .replaceAll("lighter-shutdown.service", this.shutdown);
    const roots = `--data-root ${this.directory}/data --exec-root ${this.directory}/run`;
    const command = `${daemonProgram} daemon -H fd:// ${roots}`;
    const service = unit("lighter.service").replace("/usr/bin/lighter daemon -H fd://", command);
    expect(service).toContain(command);
    const socket = unit("lighter.socket")
      .replace("/run/lighter/lighter.sock", this.client.socketPath)
      .replace("SocketGroup=lighter", "SocketGroup=root");
    const client = `${lighterProgram} -H unix://${this.client.socketPath}`;
    const shutdown = unit("lighter-shutdown.service").replace("/usr/bin/lighter", client);
    expect(shutdown).toContain(`ExecStop=-${client} system stop`);
    writeFileSync(join(UNITS, this.shutdown), shutdown);
    writeFileSync(join(UNITS, this.service), service);
    writeFileSync(join(UNITS, this.socket), socket);
    systemctl("daemon-reload");
  }

  show(property: string): string {
    return systemctl("show", "--value", `--property=${property}`, this.service);
  }

  async loadImage(): Promise<void> {
    await this.client.request("POST", "/images/load", hostUsrImage(), { "Content-Type": "application/x-tar" });
    this.client.image = "host-usr";
  }

  stop(): void {
    systemctl("stop", this.shutdown);
    systemctl("stop", this.socket, this.service);
  }

  [Symbol.dispose](): void {
    this.stop();
    systemctl("disable", "--runtime", this.service);
    for (const unit of [this.service, this.socket, this.shutdown]) rmSync(join(UNITS, unit), { force: true });
    systemctl("daemon-reload");
    rmSync(this.directory, { recursive: true });
  }
}

withSystemd(
  "the daemon starts by its socket, is ready, reloads, logs to the journal; containers outlive a restart",
  async () => {
    using units = new Units();
    const { client, name, directory } = units;
    let id: string | undefined;
    try {
      systemctl("start", units.socket);
      expect(units.show("ActiveState")).toBe("inactive");
      expect((await client.request("GET", "/_ping")).text).toBe("OK");
      systemctl("start", units.service); // waits until it has said that it is ready
      expect(units.show("ActiveState")).toBe("active");

      await units.loadImage();
      const LogConfig = { Type: "journald", Config: { tag: "{{.Name}}", labels: "kind" } };
      const Cmd = ["/bin/sh", "-c", "echo said; exec sleep 1000"];
      id = await client.run({ Cmd, Labels: { kind: "test" }, HostConfig: { ...hostUsr, LogConfig } }, name);
      const logs = await client.open(`GET /containers/${id}/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n`);
      await logs.until((text) => text.includes("said\n"));
      logs.socket.destroy();

      systemctl("reload", units.service);
      const { Pid } = (await client.inspect(id)).State;
      systemctl("restart", units.service);
      expect((await client.inspect(id)).State).toMatchObject({ Status: "running", Pid });
      // Its end is sent on before it is removed.
      await client.request("DELETE", `/containers/${id}?force=1`);
      const journalOf = () => journal(`CONTAINER_ID_FULL=${id}`, "KIND=test", `SYSLOG_IDENTIFIER=${name}`);
      while (existsSync(join(directory, "data/containers", id))) await client.request("GET", "/_ping");
      expect(journalOf()).toBe("said\n");
      expect(journal("--unit", units.service)).toContain("Reloaded configuration");
      id = undefined;
    } finally {
      if (id !== undefined) await client.request("DELETE", `/containers/${id}?force=1`);
    }
  },
);

withSystemd("after a boot the enabled service starts by itself, and with it what restarts always", async () => {
  using units = new Units();
  const { client } = units;
  systemctl("enable", "--runtime", units.service);
  for (const unit of [units.socket, units.shutdown]) expect(systemctl("is-enabled", unit)).toBe("enabled-runtime");
  systemctl("start", units.service);
  await units.loadImage();
  const body = (Name: string) => ({
    Cmd: ["/bin/sleep", "1000"],
    HostConfig: { ...hostUsr, NetworkMode: "none", RestartPolicy: { Name } },
  });
  const [always, once] = [await client.run(body("always")), await client.run(body("no"))];
  const stateOf = async (id: string) => (await client.inspect(id)).State;
  const before = await stateOf(always);
  // What a boot leaves: the disk. No process, and nothing of /run.
  const inits = [before.Pid, (await stateOf(once)).Pid];
  const supervisors = inits.map(parentOf);
  units.stop();
  for (const pid of [...supervisors, ...inits]) process.kill(pid, "SIGKILL");
  await until(async () => !inits.some(isAlive), "the containers are gone");
  rmSync(join(units.directory, "run"), { recursive: true });
  systemctl("start", "multi-user.target");
  await until(async () => units.show("ActiveState") === "active", "the service is active");
  await until(async () => (await stateOf(always)).Running, "the container is back");
  expect((await stateOf(always)).Pid).not.toBe(before.Pid);
  expect((await stateOf(once)).Running).toBe(false);
  for (const id of [always, once]) await client.request("DELETE", `/containers/${id}?force=1`);
});

withSystemd("a shutdown of the host stops containers by their own signals, and what restarts comes back", async () => {
  using units = new Units();
  const { client } = units;
  systemctl("start", units.service, units.shutdown);
  await units.loadImage();
  const body = (Name: string) => ({
    Cmd: ["/bin/sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.1; done"],
    HostConfig: { ...hostUsr, NetworkMode: "none", RestartPolicy: { Name } },
  });
  const ids = [await client.run(body("unless-stopped")), await client.run(body("no"))];
  const states = () => Promise.all(ids.map(async (id) => (await client.inspect(id)).State));
  // A new daemon is no shutdown.
  systemctl("restart", units.service);
  expect((await states()).map(({ Running }) => Running)).toEqual([true, true]);
  systemctl("stop", units.shutdown);
  expect((await states()).map(({ ExitCode }) => ExitCode)).toEqual([7, 7]);
  systemctl("restart", units.service);
  await until(async () => (await states())[0].Running, "the container is back");
  expect((await states())[1].Running).toBe(false);
  for (const id of ids) await client.request("DELETE", `/containers/${id}?force=1`);
});
