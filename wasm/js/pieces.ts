import { allocate } from "./text.js";

/** A large argument, as pieces that are written one behind the other. @internal */
export type Large = readonly Uint8Array[];

/** What of a long string is encoded at once. */
const PIECE = 1 << 20;
/** So much memory is kept for the next ones: pages that the system has to give anew cost more than all that is done with them. */
const SPARES = 4;

const encoder = new TextEncoder();
const spares: ArrayBufferLike[] = [];
/** Memory of whole pieces, and how many need what is in there. What nobody lets go of is the garbage collector's. */
const needs = new WeakMap<object, number>();

const make = (length: number): Uint8Array => {
  if (length < PIECE) return allocate(length);
  const spare = spares.pop();
  const piece = spare === undefined ? allocate(PIECE) : new Uint8Array(spare);
  needs.set(piece.buffer, 1);
  return piece;
};

/** Notes that somebody else needs what is in `piece`. @internal */
export const keep = (piece: Uint8Array): void => {
  const count = needs.get(piece.buffer);
  if (count !== undefined) needs.set(piece.buffer, count + 1);
};

/** Notes that one of those who need what is in `piece` does not any more. @internal */
export const letGo = (piece: Uint8Array): void => {
  const count = needs.get(piece.buffer);
  if (count === undefined) return;
  needs.set(piece.buffer, count - 1);
  if (count === 1 && needs.delete(piece.buffer) && spares.length < SPARES) spares.push(piece.buffer);
};

/**
 * Gives `text` as UTF-8, in pieces that the caller needs. Most texts are ASCII, so the first has no room for more: measuring first costs more
 * than a second piece.
 * @internal
 */
export const pieces = (text: string): Uint8Array[] => {
  const made: Uint8Array[] = [];
  for (let at = 0; at < text.length; ) {
    const left = text.length - at;
    const piece = make(Math.min(PIECE, at === 0 ? left : left * 3));
    // both halves of a surrogate pair belong to one piece
    const end = at + PIECE - ((text.charCodeAt(at + PIECE - 1) & 0xfc00) === 0xd800 ? 1 : 0);
    const { read, written } = encoder.encodeInto(text.slice(at, end), piece);
    made.push(piece.subarray(0, written));
    at += read;
  }
  return made;
};
