import { expect, test } from "bun:test";
import { compileTemplate } from "./template.ts";
import { withZeroValues } from "./zero-values.ts";

/** A container, as far as it matters here. */
const CONTAINER = {
  State: { Status: "running" },
  Config: { Entrypoint: null, Cmd: ["sh"], Labels: { a: "b" }, Volumes: null },
  HostConfig: { NetworkMode: "none" },
  Mounts: [{ Type: "bind", Source: "/s" }],
  NetworkSettings: { Ports: {}, Networks: { none: { Aliases: null } } },
};

/** Docker 26's answers. */
const SHOWN: readonly (readonly [string, string])[] = [
  ["{{.SizeRw}} {{.State.Health}} {{.Config.StopTimeout}}", "<nil> <nil> <nil>"],
  ["{{json .SizeRw}} {{json .Config.Entrypoint}} {{json .Config.ExposedPorts}}", "null null null"],
  ["{{.Config.Entrypoint}} {{.Config.Shell}} {{.HostConfig.Binds}} {{.ExecIDs}}", "[] [] [] []"],
  ["{{.Config.ExposedPorts}} {{.Config.Volumes}} {{.HostConfig.Sysctls}}", "map[] map[] map[]"],
  ["{{.Config.StopSignal}}|{{.Config.ArgsEscaped}}|{{.HostConfig.KernelMemory}}", "|false|0"],
  ["{{if .State.Health}}yes{{else}}no{{end}} {{with .State.Health}}{{.Status}}{{end}}", "no "],
  ["{{len .Config.ExposedPorts}} {{range .Config.ExposedPorts}}x{{end}}", "0 "],
  ['{{index .Config.Labels "a"}}{{index .Config.Labels "c"}}{{index .HostConfig.Sysctls "d"}}|', "b|"],
  ["{{.Config.Labels.a}} {{.Config.Labels.c}}", "b <no value>"],
  ["{{range .Mounts}}{{.Type}},{{.Name}},{{.Driver}};{{end}}", "bind,,;"],
  ["{{.NetworkSettings.Networks.none.Aliases}} {{.NetworkSettings.Networks.none.DriverOpts}}", "[] map[]"],
  [
    "{{json .State}} {{json .Config.Labels}} {{json .Mounts}}",
    '{"Status":"running"} {"a":"b"} [{"Type":"bind","Source":"/s"}]',
  ],
  ["{{json .Config}}", '{"Entrypoint":null,"Cmd":["sh"],"Labels":{"a":"b"},"Volumes":null}'],
];

for (const [template, shown] of SHOWN)
  test(`a container with fields left out shows ${shown} for ${template}`, () => {
    expect(compileTemplate(template)(withZeroValues("container", CONTAINER))).toBe(shown);
  });

test("what Go calls otherwise has both names, and is written once", () => {
  const show = compileTemplate(
    "{{.Server.APIVersion}} {{.Server.ApiVersion}} {{.Server.Experimental}} {{json .Server}}",
  );
  const both = { Server: { ApiVersion: "1.45" } };
  expect(show(withZeroValues("version", both))).toBe('1.45 1.45 false {"ApiVersion":"1.45"}');
});

test("a field that the type does not have is not there", () => {
  const show = compileTemplate("{{.State.Helth}}");
  expect(() => show(withZeroValues("container", CONTAINER))).toThrow('map has no entry for key "Helth"');
});
