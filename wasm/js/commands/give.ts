import type { Queue, RawPipeline } from "../pipeline.js";
import type { AnyWorld, World } from "../replies.js";
import type { InertCommand } from "./inert.js";

/** What methods give for a reply of type `R`, by their kind. */
export interface Give<W extends AnyWorld, T extends unknown[], R> {
  /** A promise of it. */
  promise: Promise<R>;
  /** A promise of whatever the server sent. */
  raw: Promise<unknown>;
  /** A promise that settles when the command was written. */
  unanswered: Promise<void>;
  /** A pipeline one longer than `T`. */
  queue: Queue<W, [...T, R]>;
  /** A pipeline whose results nobody can say. */
  rawqueue: RawPipeline;
  /** A command that is not sent yet. */
  inert: InertCommand<R>;
}

/** What methods give. */
export type Kind = keyof Give<World, [], unknown>;
