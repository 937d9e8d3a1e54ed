import net from "node:net";

/**
 * A connector to the server on `port`. Once `arm` is called, its next link is cut after so many bytes: `up` of those that the client writes
 * get through, or `down` of those that the server answers. Later links are whole.
 */
export const cutter = (port) => {
  let left;
  const connector = (endpoint, sink) =>
    new Promise((resolve, reject) => {
      const socket = net.connect(port, "127.0.0.1");
      const cut = () => {
        left = undefined;
        socket.end();
        sink.onClose(new Error("cut"));
      };
      /** Gives what of `bytes` gets through in a direction. */
      const through = (bytes, way) => {
        if (left?.[way] === undefined) return bytes;
        const part = bytes.subarray(0, left[way]);
        left[way] -= part.length;
        return part;
      };
      socket.on("error", reject);
      socket.on("data", (bytes) => {
        const part = through(bytes, "down");
        if (part.length > 0) sink.onData(part);
        if (left?.down === 0) cut();
      });
      socket.on("close", () => sink.onClose());
      socket.on("connect", () =>
        resolve({
          write(bytes) {
            socket.write(through(bytes, "up"));
            if (left?.up === 0) cut();
          },
          close: () => socket.destroy(),
        }),
      );
    });
  return { connector, arm: (limits) => (left = limits) };
};
