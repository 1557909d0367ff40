/** Dockerfiles: instructions and what they do to a config. */
export { changeConfig } from "./change-config.ts";
