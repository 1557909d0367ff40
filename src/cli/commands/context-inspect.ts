import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type Context, defineCommand } from "../command.ts";
import { type ParsedFlags, stringFlag } from "../flags.ts";
import { goJson } from "../format/go.ts";
import { indentJson } from "../format/json-indent.ts";
import { compileTemplate } from "../format/template.ts";
import { readContext } from "../http/contexts.ts";
import { printLine, stdout } from "../output.ts";

const flags = { format: stringFlag("Format output: 'json' or a Go template", { short: "f" }) };

export const command = defineCommand({
  name: "context inspect",
  usage: "[OPTIONS] [CONTEXT] [CONTEXT...]",
  summary: "Display detailed information on contexts",
  flags,
  args: { min: 0 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const current = client.host.contextName ?? "default";
  const found = (args.length === 0 ? [current] : args).map((name) =>
    name === "default" ? describeDefault(client.host.name) : describe(name),
  );
  if (values.format === "") await stdout.text(`${indentJson(JSON.stringify(found), "    ")}\n`);
  else
    for (const context of found)
      await printLine(values.format === "json" ? goJson(context) : compileTemplate(values.format)(context));
  return 0;
}

function describeDefault(host: string): object {
  const Storage = { MetadataPath: "<IN MEMORY>", TLSPath: "<IN MEMORY>" };
  const Endpoints = { docker: { Host: host, SkipTLSVerify: false } };
  return { Name: "default", Metadata: {}, Endpoints, TLSMaterial: {}, Storage };
}

function describe(name: string): object {
  const { metadata, metadataPath, tlsPath } = readContext(name, process.env);
  const files = join(tlsPath, "docker");
  const TLSMaterial = existsSync(files) ? { docker: readdirSync(files).sort() } : {};
  return { ...metadata, TLSMaterial, Storage: { MetadataPath: metadataPath, TLSPath: tlsPath } };
}
