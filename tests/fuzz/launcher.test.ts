import { afterAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PlayError, SupervisorConnection } from "../../src/linux/process/supervisor.ts";
import { encodeProgram } from "../../src/linux/program/encode.ts";
import {
  HEADER_BYTES,
  HEADER_FIELDS,
  type HeaderField,
  NO_OFFSET,
  PROGRAM_VERSION,
} from "../../src/linux/program/format.ts";
import { listenUnix } from "../../src/linux/sys/unix-socket.ts";
import { harmlessProgram, launch } from "../support/launch.ts";
import { writeCorpus } from "../support/launcher-corpus.ts";
import { Random } from "../support/random.ts";
import { failureOf } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/* Programs that were changed at random: the launcher refuses them or plays them, and never misbehaves. */

const directory = mkdtempSync(join(tmpdir(), "lighter-fuzz-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const CC = process.env.CC ?? "cc";
const SANITIZE = ["-std=c11", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

function hasSanitizers(): boolean {
  const source = join(directory, "empty.c");
  writeFileSync(source, "int main(void) { return 0; }\n");
  return spawnSync(CC, [...SANITIZE, "-o", join(directory, "empty"), source]).status === 0;
}

describe("the launcher without a kernel, under the sanitizers", () => {
  testIf(hasSanitizers(), `"${CC}" has no address sanitizer`)(
    "loads any program or refuses it, and plays what it has loaded, without a fault",
    () => {
      const binary = join(directory, "fuzz");
      const built = spawnSync(CC, [...SANITIZE, "-Wall", "-Wextra", "-Werror", "-o", binary, "launcher/tests/fuzz.c"]);
      expect(built.stderr.toString()).toBe("");
      const corpus = writeCorpus(directory);
      const { seed } = Random.fromEnvironment("launcher");
      const ran = spawnSync(binary, [String(seed), process.env.FUZZ_SECONDS ?? "10", ...corpus]);
      expect({ stderr: ran.stderr.toString(), status: ran.status, signal: ran.signal }).toEqual({
        stderr: "",
        status: 0,
        signal: null,
      });
      const [, rounds, accepted, played] = /^rounds (\d+) accepted (\d+) played (\d+)$/m
        .exec(ran.stdout.toString())!
        .map(Number);
      console.log(ran.stdout.toString().trim());
      // Most changes are to be noticed; but enough are to pass for the ops to be played in many ways.
      expect(accepted).toBeGreaterThan(rounds! / 50);
      expect(played).toBeGreaterThan(accepted! / 4);
    },
  );
});

test("the launcher takes answers of netlink from the kernel alone", () => {
  const binary = join(directory, "netlink");
  const built = spawnSync(CC, ["-std=c11", "-Wall", "-Wextra", "-Werror", "-o", binary, "launcher/tests/netlink.c"]);
  expect(built.stderr.toString()).toBe("");
  const { status, stdout } = spawnSync(binary, { encoding: "utf8" });
  expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
});

const OFFSETS = new Map<HeaderField, number>();
let offset = 0;
for (const [name, type] of HEADER_FIELDS) {
  OFFSETS.set(name, offset);
  offset += type === "u64" ? 8 : 4;
}

const launcherPath = join(process.cwd(), "dist/launcher");

async function expectRefusal(bytes: Uint8Array): Promise<void> {
  const { code, signal, failure } = await launch(launcherPath, bytes, directory);
  expect({ code, signal }).toEqual({ code: 1, signal: null });
  expect(failure).toBeInstanceOf(PlayError);
  expect((failure as PlayError).failure).toEqual({ opIndex: -1, errno: "EPROTO" });
}

describe("the launcher itself refuses with EPROTO and exit code 1", () => {
  const valid = encodeProgram(harmlessProgram(directory));
  const changed = (field: HeaderField, value: number) => {
    const bytes = valid.slice();
    new DataView(bytes.buffer).setUint32(OFFSETS.get(field)!, value, true);
    return bytes;
  };

  test("no bytes, random bytes, and pieces of a program", async () => {
    const random = Random.fromEnvironment("pieces");
    await expectRefusal(new Uint8Array(0));
    for (const length of [1, 8, HEADER_BYTES - 1, HEADER_BYTES, 4096])
      await expectRefusal(new Uint8Array(length).map(() => random.below(256)));
    for (let length = 0; length < valid.length; length += 8 + random.below(40))
      await expectRefusal(valid.slice(0, length));
    const longer = new Uint8Array(valid.length + 1);
    longer.set(valid);
    await expectRefusal(longer);
  });

  test("a header whose fields do not fit the rest", async () => {
    const wrong: [HeaderField, number[]][] = [
      ["magic", [0, 0x3154474d]],
      ["version", [0, PROGRAM_VERSION - 1, PROGRAM_VERSION + 1, 0xffffffff]],
      ["total_bytes", [0, valid.length - 1, valid.length + 8]],
      ["host_count", [0, 1, 0xffffffff]],
      ["init_count", [0, 2, 0x80000000]],
      ["cleanup_count", [1, 0xffffffff]],
      ["relocation_count", [0, 0xffffffff, 0x20000000]],
      ["blob_bytes", [0, 8, 0xffffffff]],
      ["slot_count", [0, 1, 0xffffffff]],
      ["hold", [2, 0xffffffff]],
      ["init_slot", [3, 0xffff, 0xffffffff]],
      ["stdout_slot", [3, 0xfffe]],
      ["log_path", [0x7fffffff]],
      ["log_max_files", [0, 1001]],
      ["exit_path", [0x7fffffff, NO_OFFSET]],
      ["socket_path", [0x7fffffff, NO_OFFSET]],
      ["fail_index", [0, 1]],
    ];
    for (const [field, values] of wrong) for (const value of values) await expectRefusal(changed(field, value));
  });

  test("a program that is no regular file", async () => {
    const socketPath = join(directory, "socket");
    const listenFd = listenUnix(socketPath);
    const connection = await SupervisorConnection.open(socketPath);
    const failure = failureOf(connection.started);
    const nothing = openSync("/dev/null", "r");
    const child = Bun.spawn([launcherPath], {
      stdio: [nothing, "ignore", "ignore", listenFd],
      env: {},
    });
    closeSync(listenFd);
    closeSync(nothing);
    expect(await child.exited).toBe(1);
    expect(await failure).toBeInstanceOf(PlayError);
  });

  test("and plays the program that all this was made from", async () => {
    expect(await launch(launcherPath, valid, directory)).toEqual({ code: 0, signal: null, failure: undefined });
    expect(readFileSync(join(directory, "exit")).length).toBe(32);
  });
});
