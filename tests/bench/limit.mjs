// The limit: a bare socket that writes ready-made requests and only counts the bytes of the replies. Nobody can use it as a client.
import net from "node:net";
import tls from "node:tls";
import { encode } from "./data.mjs";
import { account } from "./measure.mjs";

/** How long silence lasts until a reply is taken for whole, in ms. */
const QUIET = 50;

/** Opens a socket; with `window`, it reads into one buffer of that many bytes that is used again (`onread`). */
export const connectLimit = (window) => async ({ host, port, ca }) => {
  let heard = () => {};
  const onread = { buffer: Buffer.alloc(window || 1), callback: (count) => (heard(count), true) };
  const socket = await new Promise((resolve, reject) => {
    const where = { host, port, noDelay: true, ...(ca && { ca }), ...(window > 0 && { onread }) };
    const opened = (ca ? tls : net).connect(where, () => resolve(opened));
    opened.on("error", reject);
  });
  if (window === 0) socket.on("data", (data) => heard(data.length));

  const replyLength = (request) =>
    new Promise((resolve) => {
      let length = 0;
      let timer;
      heard = (count) => {
        length += count;
        clearTimeout(timer);
        timer = setTimeout(() => resolve(length), QUIET);
      };
      socket.write(request);
    });

  const lengths = new Map();
  return {
    slice: async (workload, milliseconds) => {
      const { wire, loops, operations, wireOperations = 1 } = workload;
      const request = Buffer.concat(wire.map(encode));
      if (!lengths.has(workload)) lengths.set(workload, await replyLength(request));
      const length = lengths.get(workload);
      const under = Math.max(1, loops / wireOperations);
      const many = Buffer.concat(Array.from({ length: request.length < 4096 ? under : 1 }, () => request));
      const send = (count) => {
        if (many.length === request.length) while (count-- > 0) socket.write(request);
        else socket.write(many.subarray(0, count * request.length));
      };
      return account(milliseconds, operations * wireOperations, (until) =>
        new Promise((resolve) => {
          let [bytes, turns, sent] = [0, 0, under];
          const times = new Float64Array(1 << 18);
          const starts = new Float64Array(under).fill(performance.now());
          heard = (count) => {
            bytes += count;
            const whole = Math.floor(bytes / length);
            if (whole === turns) return;
            const now = performance.now();
            const fresh = whole - turns;
            for (; turns < whole; turns++) {
              if (turns < times.length) times[turns] = now - starts[turns % under];
              starts[turns % under] = now;
            }
            if (now < until) {
              sent += fresh;
              send(fresh);
            } else if (turns === sent) {
              resolve({ turns, times: times.slice(0, turns) });
            }
          };
          send(under);
        }),
      );
    },
    close: () => socket.destroy(),
  };
};
