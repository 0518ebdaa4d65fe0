// Clerk's own JavaScript SDK against a running sandbox, unchanged.
//
// Reads CLERK_API_URL, CLERK_SECRET_KEY, CLERK_PUBLISHABLE_KEY, CLERK_JWT_KEY, CLERK_USER_ID and
// CLERK_SESSION_ID; ends non-zero at the first thing that is not as Clerk does it.
import assert from "node:assert/strict";
import { createClerkClient, verifyToken } from "@clerk/backend";

const env = (name) => process.env[name] ?? assert.fail(`${name} is not set`);
const apiUrl = env("CLERK_API_URL");
const secretKey = env("CLERK_SECRET_KEY");
const publishableKey = env("CLERK_PUBLISHABLE_KEY");
const userId = env("CLERK_USER_ID");
const sessionId = env("CLERK_SESSION_ID");
// The SDK does not read \n escapes in this variable.
const jwtKey = env("CLERK_JWT_KEY").replaceAll("\\n", "\n");

const client = (key) =>
  createClerkClient({ apiUrl, secretKey: key, publishableKey, telemetry: { disabled: true } });
const clerk = client(secretKey);

const steps = {
  async "lists and gets sessions"() {
    const list = await clerk.sessions.getSessionList({ userId });
    assert.ok(list.totalCount >= 1);
    assert.ok(list.data.some((session) => session.id === sessionId));
    const session = await clerk.sessions.getSession(sessionId);
    assert.equal(session.userId, userId);
    assert.equal(session.status, "active");
    return session;
  },

  async "creates, filters and revokes sessions"() {
    const session = await clerk.sessions.createSession({ userId });
    const revoked = await clerk.sessions.revokeSession(session.id);
    assert.equal(revoked.status, "revoked");
    const list = await clerk.sessions.getSessionList({ userId, status: "revoked", limit: 1 });
    assert.equal(list.data[0].id, session.id);
    await refuses(() => clerk.sessions.getToken(session.id), 404, "resource_not_found");
    return revoked;
  },

  async "mints session tokens that verify"() {
    const { jwt } = await clerk.sessions.getToken(sessionId);
    const byKey = await verifyToken(jwt, { jwtKey });
    const byJwks = await verifyToken(jwt, { secretKey, apiUrl });
    assert.deepEqual(byKey, byJwks);
    assert.equal(byKey.sid, sessionId);
    assert.equal(byKey.sub, userId);
    assert.equal(byKey.v, 2);
    return byKey;
  },

  async "mints template tokens that verify"() {
    const { jwt } = await clerk.sessions.getToken(sessionId, "hasura", 120);
    const claims = await verifyToken(jwt, { jwtKey });
    assert.equal(claims.exp - claims.iat, 120);
    assert.equal(claims.sid, undefined);
    assert.equal(claims["https://hasura.io/jwt/claims"]["x-hasura-user-id"], userId);
    return claims;
  },

  async "fetches the JWKS"() {
    const { keys } = await clerk.jwks.getJwks();
    assert.equal(keys[0].kty, "RSA");
    return keys[0].kid;
  },

  async "authenticates requests"() {
    const { jwt } = await clerk.sessions.getToken(sessionId);
    const request = (token) =>
      new Request("http://app.example.com/", { headers: { authorization: `Bearer ${token}` } });
    const state = await clerk.authenticateRequest(request(jwt), { jwtKey });
    assert.equal(state.status, "signed-in");
    const auth = state.toAuth();
    assert.equal(auth.userId, userId);
    assert.equal(auth.orgRole, "org:admin");
    assert.ok(auth.has({ permission: "org:invoices:read" }));
    assert.ok(!auth.has({ permission: "org:reports:manage" }));
    assert.ok(auth.has({ feature: "org:invoices" }));
    assert.ok(auth.has({ plan: "org:team" }));
    const template = await clerk.sessions.getToken(sessionId, "hasura");
    const refused = await clerk.authenticateRequest(request(template.jwt), { jwtKey });
    assert.equal(refused.status, "signed-out");
    assert.equal(refused.reason, "token-type-mismatch");
    return { orgId: auth.orgId, orgPermissions: auth.orgPermissions };
  },

  async "lists, creates, counts and deletes users"() {
    const before = await clerk.users.getCount();
    const emailAddress = ["grace@example.com"];
    const user = await clerk.users.createUser({ emailAddress, firstName: "Grace", publicMetadata: { role: "admiral" } });
    assert.equal(await clerk.users.getCount(), before + 1);
    const list = await clerk.users.getUserList({ emailAddress });
    assert.deepEqual(list.data.map((one) => one.id), [user.id]);
    const changed = await clerk.users.updateUserMetadata(user.id, { publicMetadata: { role: "rear admiral" } });
    assert.equal(changed.publicMetadata.role, "rear admiral");
    assert.equal((await clerk.users.getUser(user.id)).primaryEmailAddress.emailAddress, emailAddress[0]);
    await clerk.users.deleteUser(user.id);
    await refuses(() => clerk.users.getUser(user.id), 404, "resource_not_found");
    return list.totalCount;
  },

  async "knows organizations and memberships"() {
    const organizations = await clerk.organizations.getOrganizationList();
    const [organization] = organizations.data;
    const members = await clerk.organizations.getOrganizationMembershipList({ organizationId: organization.id });
    assert.ok(members.data.some((member) => member.publicUserData.userId === userId));
    const mine = await clerk.users.getOrganizationMembershipList({ userId });
    assert.equal(mine.data[0].organization.id, organization.id);
    return organization.name;
  },

  async "bans and locks users"() {
    const user = await clerk.users.createUser({ emailAddress: ["ban@example.com"] });
    const session = await clerk.sessions.createSession({ userId: user.id });
    assert.equal((await clerk.users.lockUser(user.id)).locked, true);
    assert.equal((await clerk.sessions.getSession(session.id)).status, "active");
    assert.equal((await clerk.users.unlockUser(user.id)).locked, false);
    assert.equal((await clerk.users.banUser(user.id)).banned, true);
    assert.equal((await clerk.sessions.getSession(session.id)).status, "revoked");
    assert.equal((await clerk.users.unbanUser(user.id)).banned, false);
    await clerk.users.deleteUser(user.id);
  },

  async "changes and ends memberships and organizations"() {
    const user = await clerk.users.createUser({ emailAddress: ["member@example.com"] });
    const organization = await clerk.organizations.createOrganization({ name: "Short-lived" });
    const member = { organizationId: organization.id, userId: user.id };
    await clerk.organizations.createOrganizationMembership({ ...member, role: "org:member" });
    const changed = await clerk.organizations.updateOrganizationMembership({ ...member, role: "org:admin" });
    assert.equal(changed.role, "org:admin");
    const ended = await clerk.organizations.deleteOrganizationMembership(member);
    assert.equal(ended.publicUserData.userId, user.id);
    await refuses(() => clerk.organizations.deleteOrganizationMembership(member), 404, "resource_not_found");
    await clerk.organizations.deleteOrganization(organization.id);
    const gone = { organizationId: organization.id };
    await refuses(() => clerk.organizations.getOrganization(gone), 404, "resource_not_found");
    await clerk.users.deleteUser(user.id);
  },

  async "manages JWT templates"() {
    const template = await clerk.jwtTemplates.create({ name: "stranger", claims: { who: "{{user.first_name}}" } });
    const { jwt } = await clerk.sessions.getToken(sessionId, "stranger");
    const claims = await verifyToken(jwt, { jwtKey });
    assert.equal(claims.who, "Ada");
    const list = await clerk.jwtTemplates.list();
    assert.ok(list.data.some((one) => one.id === template.id));
    await clerk.jwtTemplates.delete(template.id);
    await refuses(() => clerk.sessions.getToken(sessionId, "stranger"), 404, "resource_not_found");
    return claims;
  },

  async "refuses a wrong secret key"() {
    await refuses(() => client("sk_test_wrong").sessions.getSession(sessionId), 401, "clerk_key_invalid");
  },
};

async function refuses(call, status, code) {
  const error = await call().then(() => assert.fail("nothing was refused"), (error) => error);
  assert.equal(error.status, status);
  assert.equal(error.errors?.[0]?.code, code);
  assert.ok(error.clerkTraceId);
}

for (const [name, step] of Object.entries(steps)) {
  const shown = await step();
  console.log(`ok: ${name}: ${JSON.stringify(shown) ?? ""}`);
}
