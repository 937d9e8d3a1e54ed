import { builtin } from "./builtin.js";

/** How strings and the bytes of wasm memory become each other; one implementation per kind of host. */
export interface Codec {
  /** The memory that addresses are in. */
  attach(memory: ArrayBuffer): void;
  /** Gives the bytes from `start` to `end` as one char each. */
  latin1(start: number, end: number): string;
  /** Gives the bytes from `start` to `end` as UTF-8; invalid bytes become U+FFFD. */
  utf8(start: number, end: number): string;
  /** Writes `text` as UTF-8 at `address`, where there is room for three bytes per char; gives the bytes written. */
  write(text: string, address: number): number;
}

/** Node's and Bun's buffers have these, and they are the quickest way. */
interface Slices {
  latin1Slice(start: number, end: number): string;
  utf8Slice(start: number, end: number): string;
  utf8Write(text: string, start: number, length: number): number;
}

class BufferCodec implements Codec {
  #memory!: Slices;

  attach(memory: ArrayBuffer): void {
    this.#memory = Buffer.from(memory) as unknown as Slices;
  }

  latin1(start: number, end: number): string {
    return this.#memory.latin1Slice(start, end);
  }

  utf8(start: number, end: number): string {
    return this.#memory.utf8Slice(start, end);
  }

  write(text: string, address: number): number {
    return this.#memory.utf8Write(text, address, text.length * 3);
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** More arguments than this overflow a call. */
const CHARS = 4096;

const chars = (bytes: Uint8Array, start: number, end: number): string => {
  let text = "";
  for (let at = start; at < end; at += CHARS) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, Math.min(at + CHARS, end)) as unknown as number[]);
  }
  return text;
};

class PortableCodec implements Codec {
  #memory!: Uint8Array;

  attach(memory: ArrayBuffer): void {
    this.#memory = new Uint8Array(memory);
  }

  latin1(start: number, end: number): string {
    return chars(this.#memory, start, end);
  }

  utf8(start: number, end: number): string {
    return decoder.decode(this.#memory.subarray(start, end));
  }

  write(text: string, address: number): number {
    return encoder.encodeInto(text, this.#memory.subarray(address, address + text.length * 3)).written;
  }
}

const isAscii = builtin<typeof import("node:buffer")>("node:buffer")?.isAscii;
const hasSlices = typeof Buffer === "function" && typeof (Buffer.prototype as unknown as Slices).utf8Write === "function";

/** Gives the codec for this host. */
export const createCodec = (): Codec => (hasSlices ? new BufferCodec() : new PortableCodec());

/** Gives `text` as UTF-8; lone surrogates become U+FFFD. */
export const encode = (text: string): Uint8Array => (hasSlices ? Buffer.from(text) : encoder.encode(text));

/** Gives `bytes` as a string; `ascii` is whether they all are, if known. */
export const decode = (bytes: Uint8Array, ascii: boolean | undefined): string => {
  if (!hasSlices) return decoder.decode(bytes);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) as unknown as Slices;
  return (ascii ?? isAscii?.(bytes)) ? buffer.latin1Slice(0, bytes.length) : buffer.utf8Slice(0, bytes.length);
};

/** Gives `bytes` as one char each. */
export const latin1 = (bytes: Uint8Array): string => {
  if (hasSlices) return (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) as unknown as Slices).latin1Slice(0, bytes.length);
  return chars(bytes, 0, bytes.length);
};

/** Gives `length` bytes of any content. */
export const allocate = (length: number): Uint8Array => {
  if (!hasSlices) return new Uint8Array(length);
  const { buffer, byteOffset } = Buffer.allocUnsafeSlow(length);
  return new Uint8Array(buffer, byteOffset, length);
};

/** Gives `text`, which `bytes` became, or a copy of them where something of them is lost in it. */
export const exactly = (bytes: Uint8Array, text: string): string | Uint8Array => (text.includes("\ufffd") && !isExact(bytes, text) ? new Uint8Array(bytes) : text);

/** Gives whether `bytes` are what `text` is in UTF-8. */
export const isExact = (bytes: Uint8Array, text: string): boolean => {
  const again = encode(text);
  return again.length === bytes.length && again.every((byte, at) => byte === bytes[at]);
};
