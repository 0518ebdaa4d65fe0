// Envoy's question and answer by grpc-js, with the messages' fields named and numbered as Envoy's API has them.
// node ext_authz.mjs ADDRESS TOKEN — exits with 0 where everything is as it should be.
import assert from "node:assert/strict";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const [address, token] = process.argv.slice(2);
const file = new URL("ext_authz.proto", import.meta.url).pathname;
const options = { keepCase: true, oneofs: true, enums: String };
const { envoy } = grpc.loadPackageDefinition(loader.loadSync(file, options));
const { Authorization } = envoy.service.auth.v3;
const client = new Authorization(address, grpc.credentials.createInsecure());

const check = (path, headers) =>
  new Promise((done, failed) => {
    const http = { method: "GET", path, host: "app.test", scheme: "https", headers };
    const source = { address: { socket_address: { address: "192.0.2.7", port_value: 5000 } } };
    const question = { attributes: { source, request: { http } } };
    const deadline = Date.now() + 20_000;
    client.Check(question, { deadline }, (error, answer) => (error ? failed(error) : done(answer)));
  });

const headers = { authorization: `Bearer ${token}`, "x-clerk-user-id": "forged", "x-clerk-org-id": "forged" };
const allowed = await check("/app/a?b", headers);
assert.equal(allowed.http_response, "ok_response");
assert.equal(allowed.status?.code ?? 0, 0);
for (const { append_action } of allowed.ok_response.headers) assert.equal(append_action, "OVERWRITE_IF_EXISTS_OR_ADD");
const set = Object.fromEntries(allowed.ok_response.headers.map(({ header }) => [header.key, header.value]));
assert.match(set.authorization, /^Bearer ey/);
assert.notEqual(set.authorization, headers.authorization);
assert.match(set["x-clerk-user-id"], /^user_/);
assert.equal(allowed.dynamic_metadata.fields.user_id.string_value, set["x-clerk-user-id"]);
assert(allowed.dynamic_metadata.fields.expires_at.number_value > 1_700_000_000);

const denied = await check("/app/a", {});
assert.equal(denied.http_response, "denied_response");
assert.equal(denied.status.code, grpc.status.UNAUTHENTICATED);
assert.equal(denied.denied_response.status.code, 401);
assert.equal(JSON.parse(denied.denied_response.body).code, "session-token-missing");
client.close();
