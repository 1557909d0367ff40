/** Opens libc's functions one by one, as they are needed. */
import { dlopen, type FFIFunction } from "bun:ffi";

/**
 * Functions of libc, each opened at its first use: that takes 20 µs, and a short command would pay for all of them. The function
 * that gives errno is opened at once: it is called right after a failed call, and opening it then would change errno.
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
