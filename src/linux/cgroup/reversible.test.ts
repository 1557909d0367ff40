import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { applyReversibly, valueBefore } from "./reversible.ts";
import { applyCgroupWrites } from "./setup.ts";

const directory = mkdtempSync(join(tmpdir(), "lighter-reversible-"));
afterAll(() => rmSync(directory, { recursive: true }));

const write = (file: string, value: string) => ({ file: join(directory, file), value, why: `resources.${file}` });
const before = (file: string, value: string, text: string) => valueBefore({ file: `/x/${file}`, value, why: "" }, text);

test("valueBefore is the file's text where it holds one value", () => {
  expect(before("memory.max", "1", "max\n")).toBe("max");
  expect(before("cpu.max", "1 2", "max 100000\n")).toBe("max 100000");
  expect(before("io.weight", "50", "default 100\n8:0 200\n")).toBe("default 100");
  expect(before("memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")).toBe("0");
  expect(before("cpuset.cpus", "0", "\n")).toBe("\n");
});

test("valueBefore of a file with a line for each device is that device's line, or what makes it go", () => {
  const line = "8:0 rbps=1 wbps=max riops=max wiops=max";
  expect(before("io.max", "8:0 rbps=5", `8:16 rbps=2\n${line}\n`)).toBe(line);
  expect(before("io.max", "8:32 rbps=5", `${line}\n`)).toBe("8:32 rbps=max wbps=max riops=max wiops=max");
  expect(before("blkio.throttle.read_bps_device", "8:0 5", "")).toBe("8:0 0");
  expect(before("io.bfq.weight", "8:0 5", "default 100\n")).toBe("8:0 default");
  expect(before("rdma.max", "mlx5 hca_handle=1", "mlx5 hca_handle=max hca_object=9\n")).toBe(
    "mlx5 hca_handle=max hca_object=9",
  );
});

test("applyReversibly puts every file back as it was if a write fails, and on demand", () => {
  for (const [file, text] of [
    ["a", "old a\n"],
    ["b", "old b\n"],
  ] as const)
    writeFileSync(join(directory, file), text);
  const texts = () => ["a", "b"].map((file) => readFileSync(join(directory, file), "utf8").slice(0, 5));
  const warnings: string[] = [];
  const warn = (message: string) => warnings.push(message);

  const attempt = () => applyReversibly([write("a", "new a"), write("b", "new b"), write("missing", "1")], warn);
  expect(attempt).toThrow(
    expect.objectContaining({ code: "kernel", detail: expect.objectContaining({ errno: "ENOENT" }) }),
  );
  expect(texts()).toEqual(["old a", "old b"]);

  const putBack = applyReversibly([write("a", "new a"), write("a", "nwr a")], warn);
  expect(texts()).toEqual(["nwr a", "old b"]);
  putBack();
  expect(texts()).toEqual(["old a", "old b"]);
  expect(warnings).toEqual([]);
});

test("applyCgroupWrites wants one of two alternatives, and refuses a setting that has neither file", () => {
  const tolerate = ["ENOENT"];
  writeFileSync(join(directory, "new-name"), "100\n");
  const either = (first: string, second: string) => [
    { ...write(first, "55"), tolerate },
    { ...write(second, "55"), tolerate, alternative: true as const },
  ];
  applyCgroupWrites(either("old-name", "new-name"));
  applyCgroupWrites(either("new-name", "old-name"));
  expect(readFileSync(join(directory, "new-name"), "utf8")).toBe("550\n"); // no O_TRUNC
  expect(() => applyCgroupWrites(either("old-name", "older-name"))).toThrow(
    expect.objectContaining({ code: "not-supported", message: expect.stringContaining("resources.older-name") }),
  );
});
