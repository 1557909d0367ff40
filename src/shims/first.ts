/** The globals that modules use while they are evaluated, those of this folder among them. */
import { Buffer } from "./buffer.ts";
import { TextDecoder, TextEncoder } from "./text.ts";

Object.assign(globalThis, { Buffer, TextDecoder, TextEncoder });
