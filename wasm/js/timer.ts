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
