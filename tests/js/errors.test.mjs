import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as redwire from "redwire";
import { faked } from "./support/client.mjs";
import { error as reply } from "./support/resp.mjs";
import { rejection } from "./support/until.mjs";

/** Texts of servers: the class, the code, and whether the command may have been executed (undefined: it was). */
const texts = [
  ["ERR something", "ResponseError", "ERR", undefined],
  ["no code at all", "ResponseError", "ERR", undefined],
  ["NOSCRIPT No matching script. Please use EVAL.", "NoScriptError", "NOSCRIPT", false],
  ["READONLY You can't write against a read only replica.", "ReadOnlyError", "READONLY", false],
  ["MOVED 3999 127.0.0.1:6381", "MovedError", "MOVED", false],
  ["ASK 3999 127.0.0.1:6381", "AskError", "ASK", false],
  ["TRYAGAIN Multiple keys request during rehashing of slot", "TryAgainError", "TRYAGAIN", false],
  ["CLUSTERDOWN The cluster is down", "ClusterDownError", "CLUSTERDOWN", false],
  ["CROSSSLOT Keys in request don't hash to the same slot", "ClusterCrossSlotError", "CROSSSLOT", false],
  ["WRONGPASS invalid username-password pair or user is disabled.", "AuthenticationError", "WRONGPASS", undefined],
  ["NOAUTH Authentication required.", "AuthenticationError", "NOAUTH", false],
  ["NOPERM this user has no permissions", "AuthorizationError", "NOPERM", false],
  ["EXECABORT Transaction discarded because of previous errors.", "ExecAbortError", "EXECABORT", false],
  ["WRONGTYPE Operation against a key holding the wrong kind of value", "WrongTypeError", "WRONGTYPE", undefined],
  ["ERR unknown command 'FOO', with args beginning with: 'x' ", "UnknownCommandError", "ERR", false],
  ["LOADING Redis is loading the dataset in memory", "BusyLoadingError", "LOADING", false],
  ["MASTERDOWN Link with MASTER is down", "ResponseError", "MASTERDOWN", false],
  ["MISCONF Redis is configured to save RDB snapshots", "ResponseError", "MISCONF", false],
  ["OOM command not allowed when used memory > 'maxmemory'.", "ResponseError", "OOM", false],
  ["MOVED __proto__ evil", "MovedError", "MOVED", false],
  ["__proto__ x", "ResponseError", "ERR", undefined],
  ["CONSTRUCTOR x", "ResponseError", "CONSTRUCTOR", undefined],
];

/** What is added where the server does not say it. */
const remedies = {
  __proto__: null,
  CROSSSLOT: "give the keys one {hash tag}",
  MOVED: "this is a node of a cluster: use RedisCluster",
  NOAUTH: "set 'password', or 'username' and 'password'",
  NOPERM: "have the user be granted it with ACL SETUSER, or use another",
  READONLY: "connect to its primary",
  WRONGTYPE: "check with TYPE what the key holds, or use another key",
};

describe("server errors are replies, typed by their code", () => {
  for (const protocol of [2, 3]) {
    for (const [text, type, code, maybeExecuted] of texts) {
      test(`${text.slice(0, 40)}, protocol ${protocol}`, async (t) => {
        const { redis, fake } = faked(t, (args) => (args[0] === "GET" ? reply(text) : Buffer.from("+PONG\r\n")), { protocol });
        const error = await rejection(redis.get("k"));
        assert.equal(error.constructor, redwire[type]);
        assert.equal(error.name, type);
        assert.equal(error.code, code);
        const remedy = type === "UnknownCommandError" ? "check its name, the server's version, that its module is loaded, and that this is no sentinel" : remedies[code];
        const told = text.replace(", with args beginning with: 'x' ", "");
        assert.equal(error.message, remedy === undefined ? text : `${told} (${remedy})`);
        assert.equal(error.command, "GET");
        assert.equal(error.maybeExecuted, maybeExecuted);
        assert.ok(error instanceof redwire.RedisError && error instanceof Error);
        assert.equal(await redis.ping(), "PONG");
        assert.equal(fake.links.length, code === "READONLY" || code === "LOADING" ? 2 : 1, "the link goes on, unless the server may be better next time");
      });
    }
  }

  test("classes say what they are", () => {
    const { RedisError, ConnectionError, BusyLoadingError, ProtocolError, ResponseError, TimeoutError, DecodeError, IntegerRangeError, ClientError } = redwire;
    for (const type of [BusyLoadingError, ProtocolError]) assert.ok(new type("x") instanceof ConnectionError);
    for (const type of [ConnectionError, TimeoutError, ResponseError, DecodeError, ClientError]) assert.ok(new type("x") instanceof RedisError);
    assert.ok(new IntegerRangeError(1n) instanceof RedisError);
    for (const name of ["WatchError", "NoScriptError", "ReadOnlyError", "MovedError", "AskError", "TryAgainError", "ClusterDownError", "ClusterCrossSlotError", "AuthenticationError", "AuthorizationError", "ExecAbortError", "WrongTypeError", "UnknownCommandError"]) {
      assert.ok(new redwire[name]("x") instanceof ResponseError, name);
      assert.equal(new redwire[name]("x").name, name);
      assert.equal(redwire[name].name, name);
    }
    const prototypes = Object.getOwnPropertyNames(Array.prototype).length;
    assert.equal(Object.getOwnPropertyNames(Array.prototype).length, prototypes);
  });
});
