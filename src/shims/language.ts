/** What the language has and the small engine lacks, or does wrong. */
import { fromHex, toHex } from "./buffer.ts";

function define(target: object, methods: Readonly<Record<PropertyKey, unknown>>): void {
  for (const name of Reflect.ownKeys(methods)) {
    if (name in target) continue;
    Object.defineProperty(target, name, { value: methods[name as string], writable: true, configurable: true });
  }
}

/** The engine's own gives a negative number back unchanged if 64 bits or more are asked for. */
BigInt.asUintN = (bits: number, value: bigint): bigint => value & ((1n << BigInt(bits)) - 1n);

const bigintToString = BigInt.prototype.toString;

/** The engine's own begins a long number with a 0 in the bases 2, 8, 16, …: (2n ** 124n - 1n).toString(16). */
Object.assign(BigInt.prototype, {
  toString(this: bigint, radix?: number): string {
    const text = bigintToString.call(this, radix);
    return text.length > 1 ? text.replace(/^(-?)0+(?=.)/, "$1") : text;
  },
});

define(Symbol, { dispose: Symbol.for("Symbol.dispose"), asyncDispose: Symbol.for("Symbol.asyncDispose") });

define(Uint8Array.prototype, {
  toHex(this: Uint8Array): string {
    return toHex(this);
  },
});
define(Uint8Array, {
  fromHex(text: string): Uint8Array {
    if (!/^(?:[0-9a-fA-F]{2})*$/.test(text)) throw new SyntaxError("Uint8Array.fromHex: not pairs of hex digits");
    return fromHex(text);
  },
});
define(Error, { captureStackTrace: () => {} });
define(Error, { isError: (value: unknown) => value instanceof Error });
define(Promise, {
  try: (work: (...args: unknown[]) => unknown, ...args: unknown[]) =>
    new Promise((resolve) => {
      resolve(work(...args));
    }),
});
define(Array, {
  async fromAsync<T>(items: AsyncIterable<T>): Promise<T[]> {
    const all: T[] = [];
    for await (const item of items) all.push(item);
    return all;
  },
});

const without = (a: ReadonlySet<unknown>, b: ReadonlySet<unknown>) => new Set([...a].filter((each) => !b.has(each)));
define(Set.prototype, {
  union(this: Set<unknown>, other: ReadonlySet<unknown>) {
    return new Set([...this, ...other]);
  },
  intersection(this: Set<unknown>, other: ReadonlySet<unknown>) {
    return new Set([...this].filter((each) => other.has(each)));
  },
  difference(this: Set<unknown>, other: ReadonlySet<unknown>) {
    return without(this, other);
  },
  symmetricDifference(this: Set<unknown>, other: ReadonlySet<unknown>) {
    return new Set([...without(this, other), ...without(other, this)]);
  },
  isSubsetOf(this: Set<unknown>, other: ReadonlySet<unknown>) {
    return without(this, other).size === 0;
  },
  isSupersetOf(this: Set<unknown>, other: ReadonlySet<unknown>) {
    return without(other, this).size === 0;
  },
  isDisjointFrom(this: Set<unknown>, other: ReadonlySet<unknown>) {
    return ![...this].some((each) => other.has(each));
  },
});

type Items<T> = Iterator<T> & Iterable<T>;
const iteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())) as object;
define(iteratorPrototype, {
  *map<T, U>(this: Items<T>, change: (item: T, index: number) => U) {
    let index = 0;
    for (const item of this) yield change(item, index++);
  },
  *filter<T>(this: Items<T>, wanted: (item: T, index: number) => boolean) {
    let index = 0;
    for (const item of this) if (wanted(item, index++)) yield item;
  },
  *flatMap<T, U>(this: Items<T>, change: (item: T, index: number) => Iterable<U>) {
    let index = 0;
    for (const item of this) yield* change(item, index++);
  },
  *take<T>(this: Items<T>, count: number) {
    let left = count;
    if (left > 0)
      for (const item of this) {
        yield item;
        if (--left === 0) return;
      }
  },
  *drop<T>(this: Items<T>, count: number) {
    let left = count;
    for (const item of this) if (left-- <= 0) yield item;
  },
  toArray<T>(this: Items<T>) {
    return [...this];
  },
  some<T>(this: Items<T>, wanted: (item: T) => boolean) {
    for (const item of this) if (wanted(item)) return true;
    return false;
  },
  every<T>(this: Items<T>, wanted: (item: T) => boolean) {
    for (const item of this) if (!wanted(item)) return false;
    return true;
  },
  find<T>(this: Items<T>, wanted: (item: T) => boolean) {
    for (const item of this) if (wanted(item)) return item;
    return undefined;
  },
  forEach<T>(this: Items<T>, call: (item: T, index: number) => void) {
    let index = 0;
    for (const item of this) call(item, index++);
  },
  reduce<T, U>(this: Items<T>, add: (sum: U, item: T) => U, ...begin: [U?]) {
    return [...this].reduce(add as never, ...(begin as [never]));
  },
});

class SuppressedError extends Error {
  constructor(
    readonly error: unknown,
    readonly suppressed: unknown,
    message?: string,
  ) {
    super(message);
    this.name = "SuppressedError";
  }
}

type Work = () => unknown;

/** What both stacks have: work to undo, the last first, of which each is done although others fail. */
class Undo {
  protected work: Work[] = [];
  disposed = false;
  use<T extends object | null | undefined>(resource: T): T {
    const found = resource as Record<symbol, Work> | null | undefined;
    const dispose = found?.[Symbol.asyncDispose] ?? found?.[Symbol.dispose];
    if (dispose !== undefined) this.work.push(() => dispose.call(found));
    return resource;
  }
  adopt<T>(value: T, dispose: (value: T) => unknown): T {
    this.work.push(() => dispose(value));
    return value;
  }
  defer(dispose: Work): void {
    this.work.push(dispose);
  }
  protected moveTo<T extends Undo>(other: T): T {
    other.work = this.work;
    this.work = [];
    this.disposed = true;
    return other;
  }
}

class Failures {
  #failed = false;
  #error: unknown;
  add(error: unknown): void {
    this.#error = this.#failed ? new SuppressedError(error, this.#error) : error;
    this.#failed = true;
  }
  throwIfAny(): void {
    if (this.#failed) throw this.#error;
  }
}

class DisposableStack extends Undo {
  move(): DisposableStack {
    return this.moveTo(new DisposableStack());
  }
  dispose(): void {
    this.disposed = true;
    const failures = new Failures();
    for (const undo of this.work.splice(0).reverse())
      try {
        undo();
      } catch (error) {
        failures.add(error);
      }
    failures.throwIfAny();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}

class AsyncDisposableStack extends Undo {
  move(): AsyncDisposableStack {
    return this.moveTo(new AsyncDisposableStack());
  }
  async disposeAsync(): Promise<void> {
    this.disposed = true;
    const failures = new Failures();
    for (const undo of this.work.splice(0).reverse())
      try {
        await undo();
      } catch (error) {
        failures.add(error);
      }
    failures.throwIfAny();
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.disposeAsync();
  }
}

define(globalThis, { SuppressedError, DisposableStack, AsyncDisposableStack });
