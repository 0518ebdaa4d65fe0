// A gRPC service and its client, by grpc-js, with a gateway between them.
// node grpc.mjs GATEWAY UPSTREAM TOKEN OTHER_TOKEN REVOKE_OTHER — exits with 0 where everything is as it should be.
import assert from "node:assert/strict";
import grpc from "@grpc/grpc-js";

const [gateway, upstream, token, otherToken, revokeOther] = process.argv.slice(2);

const bytes = (value) => value;
const method = (name, requestStream, responseStream) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});
const service = {
  Unary: method("Unary", false, false),
  Fail: method("Fail", false, false),
  Count: method("Count", false, true),
  Sum: method("Sum", true, false),
  Chat: method("Chat", true, true),
};

function trailers(values) {
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(values)) metadata.set(name, value);
  return metadata;
}

const server = new grpc.Server();
server.addService(service, {
  Unary(call, callback) {
    const user = call.metadata.get("x-clerk-user-id").join();
    callback(null, Buffer.from(`${call.request} ${user}`), trailers({ "x-sum": "1" }));
  },
  Fail(_call, callback) {
    callback({ code: grpc.status.FAILED_PRECONDITION, details: "not now" });
  },
  Count(call) {
    for (let number = 0; number < 100; number++) call.write(Buffer.from(String(number)));
    call.end(trailers({ "x-count": "100" }));
  },
  Sum(call, callback) {
    let total = 0;
    call.on("data", (chunk) => (total += chunk.length));
    call.on("end", () => callback(null, Buffer.from(String(total))));
  },
  Chat(call) {
    call.on("data", (chunk) => call.write(Buffer.from(chunk.toString().toUpperCase())));
    call.on("end", () => call.end());
  },
});

const bind = (address) =>
  new Promise((done, failed) =>
    server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error) => (error ? failed(error) : done())),
  );

const Client = grpc.makeGenericClientConstructor(service, "test.Echo");
const client = new Client(gateway, grpc.credentials.createInsecure());
const signedIn = () => trailers({ authorization: `Bearer ${token}` });
const otherwise = () => trailers({ authorization: `Bearer ${otherToken}` });
const deadline = () => ({ deadline: Date.now() + 10_000 });

const unary = (name, metadata, request = Buffer.from("hello")) =>
  new Promise((done) => {
    const outcome = {};
    const call = client[name](request, metadata, deadline(), (error, answer) => {
      outcome.error = error;
      outcome.answer = answer?.toString();
    });
    call.on("status", (status) => done({ ...outcome, status }));
  });

const ended = (call) => new Promise((done) => call.on("status", done));

await bind(upstream);

const good = await unary("Unary", signedIn());
assert.match(good.answer, /^hello user_/);
assert.deepEqual(good.status.metadata.get("x-sum"), ["1"]);
assert.equal(good.status.code, grpc.status.OK);

const failed = await unary("Fail", signedIn());
assert.equal(failed.status.code, grpc.status.FAILED_PRECONDITION);
assert.equal(failed.status.details, "not now");

const large = await unary("Unary", signedIn(), Buffer.alloc(2 * 1024 * 1024, "x"));
assert.equal(large.answer.length > 2 * 1024 * 1024, true);

const count = client.Count(Buffer.from("x"), signedIn(), deadline());
const numbers = [];
count.on("data", (chunk) => numbers.push(chunk.toString()));
const counted = await ended(count);
assert.equal(numbers.length, 100);
assert.deepEqual(counted.metadata.get("x-count"), ["100"]);

const total = await new Promise((done, broken) => {
  const sum = client.Sum(signedIn(), deadline(), (error, answer) => (error ? broken(error) : done(answer.toString())));
  for (let turn = 0; turn < 1000; turn++) sum.write(Buffer.alloc(100, "x"));
  sum.end();
});
assert.equal(total, "100000");

const chat = client.Chat(signedIn(), deadline());
for (const word of ["one", "two"]) {
  chat.write(Buffer.from(word));
  // The answer to each is here before the next is sent.
  const answer = await new Promise((done) => chat.once("data", done));
  assert.equal(answer.toString(), word.toUpperCase());
}
chat.end();
assert.equal((await ended(chat)).code, grpc.status.OK);

const signedOut = await unary("Unary", new grpc.Metadata());
assert.equal(signedOut.status.code, grpc.status.UNAUTHENTICATED);
assert.match(signedOut.status.details, /session-token-missing/);
const forged = await unary("Unary", trailers({ authorization: "Bearer x.y.z" }));
assert.equal(forged.status.code, grpc.status.UNAUTHENTICATED);

const held = client.Chat(otherwise(), deadline());
held.on("data", () => {});
held.on("error", () => {});
held.write(Buffer.from("one"));
await new Promise((done) => held.once("data", done));
const over = ended(held);
assert.equal((await fetch(revokeOther, { method: "POST" })).status, 200);
assert.equal((await over).code, grpc.status.UNAUTHENTICATED);
assert.equal((await over).details, "session-revoked");
const refused = await unary("Unary", otherwise());
assert.equal(refused.status.code, grpc.status.UNAUTHENTICATED);
assert.match(refused.status.details, /session-revoked/);

await new Promise((done) => server.tryShutdown(done));
const down = await unary("Unary", signedIn());
assert.equal(down.status.code, grpc.status.UNAVAILABLE);
assert.match(down.status.details, /upstream-/);
client.close();
