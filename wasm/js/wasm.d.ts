/** The compiled module as the build inlines it. */
declare module "#wasm" {
  /** The module, raw-deflated, in base64. */
  export const WASM: string;
  /** Length of the inflated module in bytes. */
  export const WASM_SIZE: number;
}
