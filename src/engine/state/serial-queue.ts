/** Runs one task at a time, in the order given: everything that changes one container's state goes through its queue. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(task: () => Promise<T> | T): Promise<T> {
    const result = this.#last.then(task);
    this.#last = result.catch(() => {}); // the caller gets the failure; the next task runs all the same
    return result;
  }
}
