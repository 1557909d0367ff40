import { expect, test } from "bun:test";
import { parseAttestation, provenanceIn } from "./attestations.ts";
import { parseAgent, parseSecret } from "./build-inputs.ts";
import { parseOutput } from "./build-outputs.ts";

test("parseOutput reads exporters as Docker's client does, a path alone as a directory", () => {
  for (const [text, output] of [
    ["out", { Type: "local", Attrs: {}, dest: "out" }],
    ["-", { Type: "tar", Attrs: {}, dest: "-" }],
    ["type=tar,dest=x.tar", { Type: "tar", Attrs: {}, dest: "x.tar" }],
    ["type=oci,name=a:1", { Type: "oci", Attrs: { name: "a:1" }, dest: "-" }],
    ["type=docker", { Type: "image", Attrs: {} }],
    ["type=docker,dest=x", { Type: "docker", Attrs: {}, dest: "x" }],
    ['type=image,"name=a,b",PUSH=true', { Type: "image", Attrs: { name: "a,b", push: "true" } }],
    ["type=registry,name=a", { Type: "image", Attrs: { name: "a", push: "true" } }],
    ["type=cacheonly", { Type: "cacheonly", Attrs: {} }],
  ] as const)
    expect(parseOutput(text) as object, text).toEqual(output);
  for (const [text, message] of [
    ["dest=x", "type is required for output"],
    ["type=x,y=z", 'exporter "x" could not be found'],
    ["type=local", "dest is required for local exporter"],
    ["type=local,dest=-", "dest is required for local exporter"],
    ["type=tar,x", "invalid value x"],
  ] as const)
    expect(() => parseOutput(text), text).toThrow(message);
});

test("parseSecret finds out where a secret is", () => {
  const variable = `LIGHTER_TEST_SECRET_${process.pid}`;
  process.env[variable] = "x";
  try {
    for (const [text, secret] of [
      ["id=a,src=/b", ["a", { path: "/b" }]],
      ["type=file,id=a,source=/b", ["a", { path: "/b" }]],
      ["id=a,env=B", ["a", { variable: "B" }]],
      ["type=env,id=a", ["a", { variable: "a" }]],
      ["id=nowhere.txt", ["nowhere.txt", { path: "nowhere.txt" }]],
      [`id=${variable}`, [variable, { variable }]],
    ] as const)
      expect(parseSecret(text) as unknown, text).toEqual(secret);
  } finally {
    delete process.env[variable];
  }
  for (const [text, message] of [
    ["src=/b", "secret id is missing"],
    ["a", "invalid field 'a' must be a key=value pair"],
    ["id=a,mode=1", "unexpected key 'mode' in 'mode=1'"],
    ["id=a,type=x", 'unsupported secret type "x"'],
  ] as const)
    expect(() => parseSecret(text), text).toThrow(message);
});

test("provenanceIn: the last attestation counts, and the flags of their own before those", () => {
  const of = (attest: readonly string[], provenance = "", sbom = "") =>
    provenanceIn({ attest: attest.map(parseAttestation), provenance, sbom });
  expect(of([])).toBeUndefined();
  expect(of(["type=provenance"])).toBe("mode=min");
  expect(of(["mode=min,type=provenance", "type=provenance,mode=max,builder-id=x"])).toBe("mode=max,builder-id=x");
  expect(of(["type=provenance,mode=max"], "false")).toBeUndefined();
  expect(of(["type=provenance,disabled=true", "type=sbom,disabled=true"], "true")).toBe("mode=min");
  for (const [attest, sbom] of [
    [["type=sbom"], ""],
    [["type=sbom,generator=x"], ""],
    [[], "true"],
  ] as const)
    expect(() => of(attest, "", sbom)).toThrow("an SBOM needs the image of a scanner");
  expect(of(["type=sbom"], "", "false")).toBeUndefined();
  expect(() => of(["mode=max"])).toThrow("attestation type not specified");
  expect(() => of(["type=x"])).toThrow("unsupported attestation type: x");
});

test("parseAgent reads ids and sockets", () => {
  expect(parseAgent("default=/agent.sock")).toEqual(["default", "/agent.sock"]);
  expect(parseAgent("other=/agent.sock")).toEqual(["other", "/agent.sock"]);
  expect(parseAgent("=/agent.sock")).toEqual(["default", "/agent.sock"]);
});
