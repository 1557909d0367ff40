/** Networks that plugins make. */
export { Cni, type CniOptions } from "./cni.ts";
