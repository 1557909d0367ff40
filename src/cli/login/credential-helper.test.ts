import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eraseFromHelper, getFromHelper, parseHelperAnswer, runHelper, storeInHelper } from "./credential-helper.ts";
import { CredentialStore } from "./credentials.ts";
import { readDockerConfig } from "./docker-config.ts";

const folder = mkdtempSync(join(tmpdir(), "lighter-helper-"));
const path = process.env.PATH;

beforeAll(() => {
  process.env.PATH = `${folder}:${path}`;
});
afterAll(() => {
  process.env.PATH = path;
  rmSync(folder, { recursive: true });
});

/** A helper that keeps what it was asked in a file, then does `script`. */
function makeHelper(name: string, script: string): { asked: () => string } {
  const log = join(folder, `${name}.log`);
  const program = join(folder, `docker-credential-${name}`);
  writeFileSync(program, `#!/bin/sh\n{ echo "$@"; cat; } >>${log}\n${script}\n`);
  chmodSync(program, 0o755);
  return { asked: () => readFileSync(log, "utf8") };
}

test("get, store and erase: the action is the argument, and nothing secret is", async () => {
  const helper = makeHelper("good", `[ $1 != get ] || echo '{"ServerURL":"s","Username":"u","Secret":"p"}'`);
  await storeInHelper("good", "r.example", { username: "u", secret: "p" });
  expect(await getFromHelper("good", "r.example")).toEqual({ username: "u", secret: "p" });
  await eraseFromHelper("good", "r.example");
  expect(helper.asked()).toBe(
    'store\n{"ServerURL":"r.example","Username":"u","Secret":"p"}\nget\nr.exampleerase\nr.example',
  );
});

test("a helper that knows nothing is no error, one that fails is", async () => {
  makeHelper("empty", 'echo "credentials not found in native keychain"; exit 1');
  expect(await getFromHelper("empty", "x")).toBeUndefined();
  makeHelper("bad", "echo locked; exit 3");
  await expect(getFromHelper("bad", "x")).rejects.toThrow(
    "error getting credentials - err: exit status 3, out: `locked`",
  );
  await expect(eraseFromHelper("bad", "x")).rejects.toThrow(
    "error erasing credentials - err: exit status 3, out: `locked`",
  );
  const stored = storeInHelper("bad", "x", { username: "u", secret: "hush" });
  await expect(stored).rejects.toThrow("error storing credentials - err: exit status 3, out: `locked`");
  await stored.catch((error: Error) => expect(error.message).not.toContain("hush"));
});

test("a helper that is not installed is named; one outside PATH is not run", async () => {
  expect(await runHelper("absent", "get", "")).toEqual({
    output: "",
    failure: 'exec: "docker-credential-absent": executable file not found in $PATH',
  });
  expect((await runHelper("../x", "get", "")).failure).toBe('"docker-credential-../x" is not a program\'s name');
});

test("a helper that hangs, with a child that holds its output, is given up", async () => {
  makeHelper("slow", "sleep 1000 & echo $! >>$0.pid; wait");
  const result = await runHelper("slow", "get", "", 300);
  expect(result.failure).toBe("no answer within 0.3 s");
  process.kill(Number(readFileSync(join(folder, "docker-credential-slow.pid"), "utf8")));
});

test("an endless answer is cut off with an error", async () => {
  makeHelper("endless", "exec yes");
  expect((await runHelper("endless", "get", "")).failure).toBe("answered more than 262144 bytes");
});

test("an answer without name or secret is refused, and not repeated in the error", () => {
  for (const answer of ["hush", "[]", "null", '{"Username":"u"}', '{"Username":1,"Secret":"hush"}'])
    expect(() => parseHelperAnswer(answer)).toThrow(expect.not.stringContaining("hush"));
});

test("a secret of the user <token> is an identity token, both ways", async () => {
  const helper = makeHelper("token", `[ $1 != get ] || echo '{"Username":"<token>","Secret":"t"}'`);
  const configPath = join(folder, "config.json");
  writeFileSync(configPath, '{"credHelpers":{"r.example":"token"}}');
  const store = new CredentialStore(readDockerConfig(configPath));
  expect(await store.get("r.example")).toEqual({ serveraddress: "r.example", identitytoken: "t" });
  await store.store("r.example", { username: "u", identitytoken: "new", serveraddress: "r.example" });
  expect(helper.asked()).toContain('{"ServerURL":"r.example","Username":"<token>","Secret":"new"}');
  expect(readFileSync(configPath, "utf8")).not.toContain("new");
});
