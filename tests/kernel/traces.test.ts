/** What a collector gets of real starts, and that a start does not wait for one. */
import { expect } from "bun:test";
import { Collector } from "../support/collector.ts";
import { TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { testIf } from "../support/test-if.ts";

const rooted = testIf(process.getuid?.() === 0, "needs root");
const HostConfig = { Binds: ["/usr:/usr:ro"], NetworkMode: "none" };
const FLUSH = "OTEL_BSP_SCHEDULE_DELAY";

rooted(
  "a start is a tree of spans, down to the phases of its program; an exec is one, and sees no variable of it",
  async () => {
    using collector = new Collector();
    process.env[FLUSH] = "10";
    await using daemon = await TestDaemon.start({ hostNetwork: true, flags: ["--otlp-endpoint", collector.url] });
    delete process.env[FLUSH];
    const id = await daemon.run({ Cmd: ["/bin/sleep", "1000"], HostConfig });
    await until(
      () => collector.spans.some(({ name }) => name.startsWith("POST /containers/{id...}/start")),
      "the start",
    );
    const [start] = collector.named("start");
    expect(start!.attributes["container.id"]).toBe(id);
    expect(collector.partsOf(start!)).toEqual([
      "profile",
      "volumes",
      "network",
      "image",
      "compile",
      "supervisor",
      "program",
    ]);
    const [program] = collector.named("program");
    const phases = collector.spans.filter(({ parentId }) => parentId === program!.id);
    for (const name of ["launcher: namespaces", "container: mounts", "container: execve"])
      expect(phases.map((phase) => phase.name)).toContain(name);
    // The launcher's clock is the real time, as the daemon's is; each is exact to less than that.
    for (const { beganNs, endedNs } of phases) {
      expect(beganNs >= program!.beganNs - 5_000_000n).toBe(true);
      expect(endedNs <= program!.endedNs + 5_000_000n).toBe(true);
    }
    const { json } = await daemon.request("POST", `/containers/${id}/exec`, {
      Cmd: ["/bin/sh", "-c", 'test -z "$TRACEPARENT"'],
    });
    await daemon.request("POST", `/exec/${json.Id}/start`, { Detach: true });
    await until(
      async () => (await daemon.request("GET", `/exec/${json.Id}/json`)).json.ExitCode === 0,
      "the exec has ended",
    );
    await until(() => collector.named("exec").length === 1, "the exec's span");
  },
);

rooted("a collector that never answers delays no start", async () => {
  using collector = new Collector(() => new Promise<Response>(() => {}));
  process.env[FLUSH] = "1";
  await using daemon = await TestDaemon.start({ hostNetwork: true, flags: ["--otlp-endpoint", collector.url] });
  delete process.env[FLUSH];
  await until(() => collector.requests.length > 0, "a batch is under way");
  const begun = performance.now();
  const id = await daemon.run({ Cmd: ["/bin/true"], HostConfig });
  await daemon.request("POST", `/containers/${id}/wait`);
  expect(performance.now() - begun).toBeLessThan(9000); // the collector has ten seconds for a batch
});
