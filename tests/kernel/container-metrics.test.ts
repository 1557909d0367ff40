/** What Prometheus gets of real containers, on the cgroups of this kernel. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { createServer } from "node:net";
import { checkMetrics } from "../support/check-metrics.ts";
import { TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { missing } from "../support/missing.ts";
import { describeIf, testIf } from "../support/test-if.ts";

const MEMORY_BYTES = 64 * 1024 * 1024;
const hostUsr = { Binds: ["/usr:/usr:ro"], NetworkMode: "none" };
/** Names that are Docker's and cAdvisor's are as they are. */
const THEIRS = /^(engine_daemon_events_subscribers_total|container_\w+) /;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describeIf(process.getuid?.() === 0 ? undefined : "needs root")("metrics of containers", () => {
  let daemon: TestDaemon;
  let url: string;

  beforeAll(async () => {
    const address = `127.0.0.1:${await freePort()}`;
    url = `http://${address}`;
    daemon = await TestDaemon.start({ hostNetwork: true, flags: ["--metrics-addr", address] });
  }, 60_000);

  afterAll(() => daemon[Symbol.asyncDispose](), 60_000);

  const page = async (path: string) => await (await fetch(`${url}${path}`)).text();

  /** The values of a container, by name without "container_"; of several samples the last. */
  async function valuesOf(name: string): Promise<Record<string, number>> {
    const text = await page("/metrics/containers");
    expect(checkMetrics(text)).toEqual([]);
    const samples = text.matchAll(new RegExp(`^container_(\\w+)\\{id="[^"]+",name="${name}",.*\\} (\\S+)$`, "gm"));
    return Object.fromEntries([...samples].map(([, metric, value]) => [metric!, Number(value)]));
  }

  const openFiles = () => readdirSync(`/proc/${daemon.pid}/fd`).length;

  test("values are the container's, also when it was started anew; its files are closed when it has ended", async () => {
    const HostConfig = { ...hostUsr, Memory: MEMORY_BYTES, PidsLimit: 50, CpuShares: 512 };
    const script = "while :; do :; done";
    const id = await daemon.run({ Cmd: ["/bin/sh", "-c", script], HostConfig }, "busy");
    await until(async () => (await valuesOf("busy")).cpu_usage_seconds_total! > 0.05, "it uses CPU time");
    const values = await valuesOf("busy");
    expect(values).toMatchObject({
      ...{ spec_memory_limit_bytes: MEMORY_BYTES, threads_max: 50, spec_cpu_shares: 512, processes: 1 },
      oom_events_total: 0,
    });
    expect(values.memory_usage_bytes).toBeGreaterThan(100_000);
    expect(values.memory_working_set_bytes).toBeLessThanOrEqual(values.memory_usage_bytes!);
    expect(values.fs_inodes_free).toBeLessThanOrEqual(values.fs_inodes_total!);
    await daemon.request("POST", `/containers/${id}/restart?t=0`);
    const again = await valuesOf("busy");
    expect(again.start_time_seconds).toBeGreaterThan(values.start_time_seconds!);
    expect(again.processes).toBeGreaterThan(0);
    const before = openFiles();
    await daemon.request("POST", `/containers/${id}/kill`);
    await daemon.request("POST", `/containers/${id}/wait`);
    expect(await valuesOf("busy")).toEqual({});
    expect(before - openFiles()).toBeGreaterThanOrEqual(10);
  });

  test("what a container has written is there once a walk has measured it", async () => {
    const script = "head -c 2000000 /dev/zero >/file; sleep 1000";
    await daemon.run({ Cmd: ["/bin/sh", "-c", script], HostConfig: hostUsr }, "writer");
    await until(
      async () => (await daemon.request("GET", "/containers/writer/json?size=1")).json.SizeRw >= 2_000_000,
      "it has written",
    );
    expect(await valuesOf("writer")).not.toHaveProperty("fs_usage_bytes");
    await until(async () => (await valuesOf("writer")).fs_usage_bytes! >= 2_000_000, "its file is measured");
  });

  testIf(missing("promtool") === undefined, missing("promtool") ?? "")(
    "promtool finds nothing in either page",
    async () => {
      await daemon.run({ Cmd: ["/bin/sleep", "1000"], HostConfig: hostUsr }, "idle");
      for (const path of ["/metrics", "/metrics/containers"]) {
        const checked = Bun.spawnSync(["promtool", "check", "metrics"], { stdin: Buffer.from(await page(path)) });
        const lines = `${checked.stdout}${checked.stderr}`
          .split("\n")
          .filter((line) => line !== "" && !THEIRS.test(line));
        expect(lines).toEqual([]);
      }
    },
  );
});
