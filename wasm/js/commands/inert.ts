import type { Commands } from "../generated/commands.js";
import type { Forms, Plain, Str } from "../replies.js";

/** A command that is not sent yet: `redis.execute` sends it. */
export interface InertCommand<Name = unknown, Room = unknown, Overload = unknown> {
  /** As Redis spells it. */
  readonly command: string;
  readonly args: readonly unknown[];
  /** For types only: the method that it stands for. */
  readonly method?: readonly [name: Name, room: Room, overload: Overload];
}

/** Makes the function that makes inert commands called `command`. */
export const of =
  (command: string): any =>
  (...args: unknown[]): InertCommand => ({ command, args });

type Call<A extends unknown[], R> = (...args: A) => Promise<R>;

/** The ways to call a method, the first first. */
// prettier-ignore
type Overloads<M> =
  M extends { (...args: infer A): Promise<infer P>; (...args: infer B): Promise<infer Q>; (...args: infer C): Promise<infer R>; (...args: infer D): Promise<infer S>; (...args: infer E): Promise<infer T> }
    ? [Call<A, P>, Call<B, Q>, Call<C, R>, Call<D, S>, Call<E, T>] :
  M extends { (...args: infer A): Promise<infer P>; (...args: infer B): Promise<infer Q>; (...args: infer C): Promise<infer R>; (...args: infer D): Promise<infer S> }
    ? [Call<A, P>, Call<B, Q>, Call<C, R>, Call<D, S>] :
  M extends { (...args: infer A): Promise<infer P>; (...args: infer B): Promise<infer Q>; (...args: infer C): Promise<infer R> }
    ? [Call<A, P>, Call<B, Q>, Call<C, R>] :
  M extends { (...args: infer A): Promise<infer P>; (...args: infer B): Promise<infer Q> }
    ? [Call<A, P>, Call<B, Q>] :
  M extends (...args: infer A) => Promise<infer P> ? [Call<A, P>] : never;

type Method<Name, Room, S extends Str = string, N = number, F extends Forms = Plain> = Name extends keyof (Room extends keyof Commands ? Commands<S, N, F>[Room] : Commands<S, N, F>)
  ? (Room extends keyof Commands ? Commands<S, N, F>[Room] : Commands<S, N, F>)[Name]
  : never;

type Intersection<U> = (U extends unknown ? (one: U) => void : never) extends (all: infer I) => void ? I : never;

/** The function that makes an inert command of what the method of the same name takes. */
export type Inert<Name, Room = ""> = Intersection<
  { [I in keyof Overloads<Method<Name, Room>>]: Overloads<Method<Name, Room>>[I] extends Call<infer A, unknown> ? (...args: A) => InertCommand<Name, Room, I> : never }[number]
>;

/** What a client gives for an inert command. */
export type ReplyOf<C, S extends Str, N, F extends Forms> =
  C extends InertCommand<infer Name, infer Room, infer I> ? (I extends keyof Overloads<Method<Name, Room, S, N, F>> ? (Overloads<Method<Name, Room, S, N, F>>[I] extends Call<any, infer R> ? R : unknown) : unknown) : never;
