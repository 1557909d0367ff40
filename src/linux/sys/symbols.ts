import { dlopen, type FFIFunction } from "bun:ffi";

/**
 * Functions of libc, each opened when it is first asked for: that takes 20 µs, and a command has few of them to spare. What tells errno
 * is opened at once: it is asked for right after a call has failed, and opening would change it.
 */
export function libcSymbols<Functions extends Record<string, FFIFunction>>(
  functions: Functions,
): ReturnType<typeof dlopen<Functions>>["symbols"] {
  const symbols: Record<string, unknown> = {};
  for (const name of Object.keys(functions)) {
    const open = () => {
      const value = dlopen("libc.so.6", { [name]: functions[name]! }).symbols[name];
      Object.defineProperty(symbols, name, { value });
      return value;
    };
    Object.defineProperty(symbols, name, { configurable: true, enumerable: true, get: open });
    if (name === "__errno_location") open();
  }
  return symbols as ReturnType<typeof dlopen<Functions>>["symbols"];
}
