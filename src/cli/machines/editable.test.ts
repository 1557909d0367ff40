import { expect, test } from "bun:test";
import { formatEditable, parseEdited } from "./editable.ts";

const machine = {
  Id: "c0ffee".repeat(8),
  Name: "/web",
  Created: "",
  Config: { Image: "debian", Tty: true },
  State: { Status: "running", Running: true },
  HostConfig: {
    Memory: 512 << 20,
    NanoCpus: 1_500_000_000,
    RestartPolicy: { Name: "on-failure", MaximumRetryCount: 3 },
  },
  NetworkSettings: {},
};

test("a machine's settings are edited as lines of flags, and only changed ones are flags again", () => {
  const text = formatEditable(machine);
  expect(text).toContain("\nname: web\nrestart: on-failure:3\nmemory: 512m\n");
  expect(text).toContain("\ncpus: 1.5\n");
  expect(parseEdited(machine, text)).toEqual([]);
  expect(parseEdited(machine, text.replace("512m", "1g").replace("name: web", "  name :db  "))).toEqual([
    "--name=db",
    "--memory=1g",
  ]);
  expect(parseEdited(machine, "")).toEqual([]);
});

test("an edited line that is no setting changes nothing", () => {
  for (const line of ["colour: red", "memory 1g", ": x", "__proto__: 1"])
    expect(() => parseEdited(machine, `memory: 1g\n${line}\n`)).toThrow("nothing is changed");
});
