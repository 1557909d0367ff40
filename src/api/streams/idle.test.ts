import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { whenIdle } from "./idle.ts";

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

test("rests once after the last call, and again after the next", () => {
  let rests = 0;
  const touch = whenIdle([100], () => {
    rests += 1;
  });
  jest.advanceTimersByTime(1000);
  expect(rests).toBe(0); // no request has come
  touch();
  jest.advanceTimersByTime(60);
  touch();
  jest.advanceTimersByTime(60);
  expect(rests).toBe(0);
  jest.advanceTimersByTime(60);
  expect(rests).toBe(1);
  jest.advanceTimersByTime(1000);
  expect(rests).toBe(1);
  touch();
  jest.advanceTimersByTime(110);
  expect(rests).toBe(2);
});

test("rests after each pause with its index, and begins with the shortest after a call", () => {
  const rests: number[] = [];
  const touch = whenIdle([100, 400, 900], (index) => rests.push(index));
  touch();
  jest.advanceTimersByTime(450);
  expect(rests).toEqual([0, 1]);
  touch();
  jest.advanceTimersByTime(90);
  expect(rests).toEqual([0, 1]);
  jest.advanceTimersByTime(5000);
  expect(rests).toEqual([0, 1, 0, 1, 2]);
});
