/** The front end that a Dockerfile asks for by `# syntax=`. */
import { readLines } from "./lines.ts";

/** Images whose front end is the one that is built in here, whatever the version. */
const BUILT_IN = /^(docker\.io\/)?docker\/dockerfile(-upstream)?([:@]|$)/;

/** Returns the image of a front end that is not built in; undefined if it is. `wanted` goes before what the text says. */
export function foreignFrontEnd(text: string, wanted: string | undefined): string | undefined {
  const [image = ""] = (wanted ?? readLines(text).directives.get("syntax") ?? "").trim().split(/\s+/);
  return image === "" || BUILT_IN.test(image) ? undefined : image;
}
