import { unexpected } from "./outbox.js";

/** A timer, if there is one. */
export type Timer = ReturnType<typeof setTimeout> | undefined;

/** Calls `task` after so many milliseconds, at the latest after as many as a timer knows: asked for more, it would not wait at all. */
export const later = (task: () => void, milliseconds: number): NonNullable<Timer> => setTimeout(task, Math.min(Math.ceil(milliseconds), 0x7fff_ffff));

/** The same, without holding the process open. */
export const laterUnheld = (task: () => void, milliseconds: number): NonNullable<Timer> => {
  const timer = later(task, milliseconds);
  timer.unref?.();
  return timer;
};

/** Resolves as `promise` does, or after so many milliseconds. */
export const atMost = (milliseconds: number, promise: Promise<unknown>): Promise<void> =>
  new Promise((resolve) => {
    const timer = milliseconds === Infinity ? undefined : later(resolve, milliseconds);
    void promise.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });

/** Gives how many milliseconds closing may take. @throws TypeError, where `timeout` is none. */
export const closeLimit = ({ timeout = Infinity }: { timeout?: number | undefined } = {}): number => {
  if (typeof timeout !== "number" || !(timeout >= 0)) throw unexpected("close: option 'timeout'", "milliseconds, a number from 0", timeout);
  return timeout;
};
