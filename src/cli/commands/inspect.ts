/** `inspect`, and what the `inspect` commands of the groups share: looks up names and shows their JSON by a format. */
import { messageOf } from "../../base/errors.ts";
import { type Context, defineCommand } from "../command.ts";
import { ApiError, CliError } from "../exit.ts";
import { boolFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { indentJson } from "../format/json-indent.ts";
import { compileTemplate, TemplateError } from "../format/template.ts";
import { withZeroValues } from "../format/zero-values.ts";
import { type Client, encodeName, parseExactJson } from "../http/client.ts";
import { stdout } from "../output.ts";

const flags = {
  format: stringFlag('Format: "json" or a Go template', { short: "f" }),
  size: boolFlag("Show the size of files of containers", { short: "s" }),
  type: stringFlag("Look only for objects of this type"),
};

export const command = defineCommand({
  name: "inspect",
  usage: "[OPTIONS] NAME|ID [NAME|ID...]",
  summary: "Return low-level information on containers, images, networks and volumes",
  flags,
  args: { min: 1 },
  run,
});

/** EX_USAGE of sysexits.h(3head), as the stock client has it. */
const EXIT_BAD_TEMPLATE = 64;

/** Further details to request. */
interface Details {
  readonly size: boolean;
  /** Asks for more about networks. */
  readonly verbose?: boolean;
}

/** Routes by type, in the order in which a name is looked up. */
const ROUTES: Readonly<Record<string, (name: string, details: Details) => string>> = {
  container: (name, { size }) => `/containers/${name}/json${size ? "?size=1" : ""}`,
  image: (name) => `/images/${name}/json`,
  network: (name, { verbose }) => `/networks/${name}${verbose === true ? "?verbose=true" : ""}`,
  volume: (name) => `/volumes/${name}`,
};

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  if (values.type !== "" && !Object.hasOwn(ROUTES, values.type))
    throw new CliError(`"${values.type}" is not a valid value for --type`);
  return inspect(client, args, values);
}

/** Shows the objects that `names` refer to; `type` is "" for any. */
export async function inspect(
  client: Client,
  names: readonly string[],
  values: Details & { readonly format: string; readonly type: string },
): Promise<number> {
  const failures: string[] = [];
  const found: string[] = [];
  const format = values.format === "" || values.format === "json" ? undefined : compileInspect(values.format);
  for (const name of names) {
    try {
      const { type, json } = await lookUp(client, name, values.type, values);
      found.push(format === undefined ? json : format(type, parseExactJson(json)));
    } catch (error) {
      failures.push(error instanceof TemplateError ? `template parsing error: ${error.message}` : messageOf(error));
    }
  }
  if (values.format === "") await stdout.text(`${indentJson(`[${found.join(",")}]`, "    ")}\n`);
  else if (values.format === "json") await stdout.text(`[${found.map(compactJson).join(",")}]\n`);
  else await stdout.text(found.length === 0 ? "\n" : found.map((text) => `${text}\n`).join(""));
  if (failures.length > 0) throw new CliError(failures.join("\n"));
  return 0;
}

/**
 * Returns the type of the object and its JSON text.
 * @throws ApiError, or CliError if nothing has this name
 */
async function lookUp(
  client: Client,
  name: string,
  asked: string,
  details: Details,
): Promise<{ type: string; json: string }> {
  for (const [type, route] of Object.entries(ROUTES)) {
    if (asked !== "" && type !== asked) continue;
    try {
      return { type, json: await client.getText(route(encodeName(name), details)) };
    } catch (error) {
      if (asked !== "" || !(error instanceof ApiError) || (error.status !== 404 && error.status !== 501)) throw error;
    }
  }
  throw new CliError(`Error: No such object: ${name}`);
}

/**
 * Compiles a format. As the stock client does, it is tried first on the fields of its own types, then on what the
 * daemon sent.
 */
function compileInspect(source: string): (type: string, object: Record<string, unknown>) => string {
  let template: (data: unknown) => string;
  try {
    template = compileTemplate(source);
  } catch (error) {
    throw new CliError(`template parsing error: ${messageOf(error)}`, EXIT_BAD_TEMPLATE);
  }
  return (type, object) => {
    const typed = withZeroValues(type, object);
    try {
      return template(typed);
    } catch {
      return template(object);
    }
  };
}

function compactJson(json: string): string {
  return json.trim();
}
