/** `top` of all containers and `stats` with pressure, of containers that run. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { lighterCommand, runProgram } from "../compat/cli-support.ts";
import { TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { TerminalSession } from "../support/terminal.ts";
import { describeIf } from "../support/test-if.ts";

const HostConfig = { Binds: ["/usr:/usr:ro"], NetworkMode: "none" };

describeIf(process.getuid?.() === 0 ? undefined : "needs root")("use", () => {
  let daemon: TestDaemon;
  let env: Record<string, string>;

  beforeAll(async () => {
    daemon = await TestDaemon.start({ hostNetwork: true });
    env = { LIGHTER_HOST: `unix://${daemon.socketPath}` };
    await daemon.run({ Cmd: ["/bin/sleep", "1000"], HostConfig }, "idle");
    await daemon.run(
      { Cmd: ["/bin/sh", "-c", "while :; do :; done"], HostConfig: { ...HostConfig, NanoCpus: 2e8 } },
      "busy",
    );
  }, 60_000);

  afterAll(() => daemon[Symbol.asyncDispose](), 60_000);

  const run = (...args: string[]) => runProgram([...lighterCommand, ...args], { env });
  /** The first word of each line after the headings. */
  const names = (text: string) => [...text.slice(text.indexOf("NAME")).matchAll(/^(\w+) /gm)].map(([, name]) => name);

  test("top without a container prints one measurement where there is no terminal, sorted as is asked for", async () => {
    const { code, stdout, stderr } = await run("top");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^\d\d:\d\d:\d\d {3}2 containers, 0 machines {3}load [\d.]+/);
    expect(names(stdout)).toEqual(["NAME", "busy", "idle"]);
    expect(Number(/^busy +([\d.]+)/m.exec(stdout)?.[1])).toBeGreaterThan(1);
    expect(stdout).not.toContain("\x1b");
    expect(await run("top", "--sort", "age")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("cpu, memory, io"),
    });
    expect((await run("top", "idle")).stdout).toContain("sleep 1000");
  });

  test("top on a terminal: keys sort, choose, stop after a question, and quit; the terminal is as it was", async () => {
    const terminal = new TerminalSession([...lighterCommand, "top"], { rows: 12, columns: 100, env });
    const draws = () => terminal.output.split("\x1b[H").slice(1);
    /** Waits for a screen, drawn from now on, that has the text. */
    const screen = async (isIt: (text: string) => boolean) => {
      const before = draws().length;
      await until(() => draws().slice(before).some(isIt), "the screen");
    };
    await terminal.shows("q quit");
    expect(terminal.isRaw).toBe(true);
    const shows = async (key: string, isIt: (text: string) => boolean) => {
      const seen = screen(isIt);
      terminal.type(key);
      await seen;
    };
    await shows("a", (text) => text.includes("NAME*") && text.indexOf("busy") < text.indexOf("idle"));
    await shows("r", (text) => text.indexOf("idle") < text.indexOf("busy"));
    await shows("k", (text) => text.includes("choose a container"));
    await shows("\x1b[B", (text) => text.includes("\x1b[7midle"));
    await shows("k", (text) => text.includes("stop idle? y"));
    await shows("n", (text) => text.includes("q quit"));
    const resized = screen((text) => !text.includes("SENT") && text.includes("CPU %"));
    terminal.resize(10, 60);
    await resized;
    terminal.type("q");
    expect(await terminal.ended()).toBe(0);
    expect(terminal.output).toEndWith("\x1b[?25h\x1b[?1049l");
    expect((await daemon.inspect("idle")).State.Running).toBe(true);
    terminal.close();
  });

  test("stats --pressure has columns for it, and Docker's table has not", async () => {
    const plain = (await run("stats", "--no-stream")).stdout;
    expect(plain).not.toContain("WAIT");
    const [heading = "", row = ""] = (await run("stats", "--no-stream", "--pressure", "busy")).stdout.split("\n");
    expect(heading).toMatch(/PIDS +CPU WAIT some\/all +MEM WAIT some\/all +I\/O WAIT some\/all$/);
    expect(row).toMatch(/ (\d+\.\d\d%|--) \/ (\d+\.\d\d%|--)$/);
    const template = await run("stats", "--no-stream", "--format", "{{.CPUPressure}}", "busy");
    expect(template.stdout).toMatch(/^(\d+\.\d\d%|--) \/ (\d+\.\d\d%|--)\n$/);
  });

  test("stats --history is lines of JSON, each with its time", async () => {
    const { stdout } = await run("stats", "--no-stream", "--history", "busy", "idle");
    const lines = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map(({ Name }) => Name).sort()).toEqual(["busy", "idle"]);
    for (const { Time } of lines) expect(Math.abs(Date.parse(Time) - Date.now())).toBeLessThan(60_000);
    expect(await run("stats", "--history", "--format", "table")).toMatchObject({ code: 1 });
  });
});
