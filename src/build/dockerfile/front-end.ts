/** The front end that a Dockerfile asks for by `# syntax=`. */
import { readLines } from "./lines.ts";

/** Images whose front end is the one that is built in here, whatever the version. */
const BUILT_IN = /^(docker\.io\/)?docker\/dockerfile(-upstream)?([:@]|$)/;

/** A front end that is an image, and all that is said of it. */
export interface ForeignFrontEnd {
  image: string;
  line: string;
}

/** Returns the front end that a text wants, if it is not built in. `wanted` goes before what the text says. */
export function foreignFrontEnd(text: string, wanted: string | undefined): ForeignFrontEnd | undefined {
  const line = (wanted ?? readLines(text).directives.get("syntax") ?? "").trim();
  const [image = ""] = line.split(/\s+/);
  return image === "" || isBuiltIn(image) ? undefined : { image, line };
}

/** Whether a front end's image is the one that is built in. */
export function isBuiltIn(image: string): boolean {
  return BUILT_IN.test(image);
}
