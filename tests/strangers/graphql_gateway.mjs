// Hive Gateway, which checks JWTs against a JWKS URL, behind a gateway that mints template tokens for it.
// node graphql_gateway.mjs GATEWAY UPSTREAM, with ISSUER, JWKS_URL, USER_ID, SESSION_TOKEN and OTHER_TEMPLATE_TOKEN
// in the environment — exits with 0 where everything is as it should be.
import assert from "node:assert/strict";
import http from "node:http";
import { createGatewayRuntime } from "@graphql-hive/gateway-runtime";
import useJWT, { createRemoteJwksSigningKeyProvider, useForwardedJWT } from "@graphql-mesh/plugin-jwt-auth";
import { createSchema, createYoga } from "graphql-yoga";

const [gateway, upstream] = process.argv.slice(2);
const { ISSUER, JWKS_URL, USER_ID, SESSION_TOKEN, OTHER_TEMPLATE_TOKEN } = process.env;

const listen = (handler, port) =>
  new Promise((done) => {
    const server = http.createServer(handler).listen(port, "127.0.0.1", () => done(server));
  });

// The service: it says who the verified token is about.
const service = createYoga({
  logging: false,
  plugins: [useForwardedJWT()],
  schema: createSchema({
    typeDefs: "type Query { user: String, role: String }",
    resolvers: { Query: { user: (_, __, { jwt }) => jwt.payload.sub, role: (_, __, { jwt }) => jwt.payload.role } },
  }),
});
const serviceServer = await listen(service, 0);

// Clerk signs session and template tokens with one key: the audience tells them apart.
const hive = createGatewayRuntime({
  logging: false,
  proxy: { endpoint: `http://127.0.0.1:${serviceServer.address().port}/graphql` },
  plugins: () => [
    useJWT({
      signingKeyProviders: [createRemoteJwksSigningKeyProvider({ jwksUri: JWKS_URL })],
      tokenVerification: { issuer: ISSUER, audience: "graphql", algorithms: ["RS256"] },
      reject: { missingToken: true, invalidToken: true },
    }),
  ],
});
const hiveServer = await listen(hive, Number(upstream.split(":")[1]));

async function ask(address, token) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const body = JSON.stringify({ query: "{ user role }" });
  const answer = await fetch(`http://${address}/graphql`, { method: "POST", headers, body });
  return { status: answer.status, text: await answer.text() };
}

const through = await ask(gateway, SESSION_TOKEN);
assert.equal(through.status, 200, through.text);
assert.deepEqual(JSON.parse(through.text).data, { user: USER_ID, role: "user" });

for (const [who, address, token] of [
  ["nobody, through the gateway", gateway, undefined],
  ["nobody, past it", upstream, undefined],
  ["a session token, past it", upstream, SESSION_TOKEN],
  ["another template's token, past it", upstream, OTHER_TEMPLATE_TOKEN],
  ["another template's token, through the gateway", gateway, OTHER_TEMPLATE_TOKEN],
]) {
  const refused = await ask(address, token);
  assert.equal(refused.status, 401, `${who}: ${refused.status} ${refused.text}`);
  assert.ok(!refused.text.includes(USER_ID), who);
}

for (const server of [hiveServer, serviceServer]) {
  server.close();
  server.closeAllConnections();
}
process.exit(0);
