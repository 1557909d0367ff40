import { expect, test } from "bun:test";
import { encodeOp, type Op } from "./llb.ts";

test("an operation is marshalled as LLB: inputs, then the operation's own message", () => {
  expect(encodeOp({ kind: "image", reference: "docker.io/library/a:1" }, []).toString("hex")).toBe(
    `1a260a24${Buffer.from("docker-image://docker.io/library/a:1").toString("hex")}`,
  );
  const exec: Op = { kind: "exec", args: ["/bin/true"], env: ["A=b"], cwd: "/", user: "", network: "none" };
  // inputs[0].digest; meta {args, env, cwd}; mounts[0] {input 0, dest "/"}; network 2
  expect(encodeOp(exec, ["d"]).toString("hex")).toBe(
    "0a030a0164" + "121c" + "0a130a092f62696e2f747275651203413d621a012f" + "12031a012f" + "1802",
  );
});

test("an empty root file system is input -1", () => {
  const encoded = encodeOp({ kind: "mkdir", path: "/a" }, [""]).toString("hex");
  expect(encoded).toContain("08ffffffffffffffffff01"); // FileAction.input
});
