// Clerk's webhooks by those who make them: Svix's library signs, and it and Clerk's own verifier judge.
//
// webhooks.mjs send     signs events with CLERK_WEBHOOK_SIGNING_SECRET and posts them to WEBHOOK_URL
// webhooks.mjs verify   reads {"headers": {…}, "body": "…"} lines, and prints each event's type
import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { verifyWebhook } from "@clerk/backend/webhooks";
import { Webhook } from "svix";

const secret = process.env.CLERK_WEBHOOK_SIGNING_SECRET ?? assert.fail("no secret");
const svix = new Webhook(secret);

async function post(headers, body) {
  const answer = await fetch(process.env.WEBHOOK_URL, { method: "POST", headers, body });
  return answer.status;
}

function signed(id, at, body, prefix = "svix-") {
  return {
    "content-type": "application/json",
    [`${prefix}id`]: id,
    [`${prefix}timestamp`]: String(Math.floor(at.getTime() / 1000)),
    [`${prefix}signature`]: svix.sign(id, at, body),
  };
}

// The gateway must judge as Svix's own verifier does.
async function agree(name, headers, body) {
  let taken = true;
  try {
    svix.verify(body, headers);
  } catch {
    taken = false;
  }
  const status = await post(headers, body);
  assert.equal(status, taken ? 204 : 400, `${name}: ${status}`);
}

async function send() {
  const now = () => new Date();
  const ago = (seconds) => new Date(Date.now() - seconds * 1000);
  const event = (type, data) =>
    JSON.stringify({ object: "event", type, timestamp: Date.now(), instance_id: "ins_1", data });
  const body = event("email.created", { note: "ümläute, 漢字 and \u2028" });
  const good = signed("msg_1", now(), body);
  const other = new Webhook("whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXI=");
  await agree("as it is", good, body);
  await agree("by the standard's names", signed("msg_2", now(), body, "webhook-"), body);
  await agree("290 s old", signed("msg_3", ago(290), body), body);
  await agree("310 s old", signed("msg_4", ago(310), body), body);
  await agree("290 s ahead", signed("msg_5", ago(-290), body), body);
  await agree("310 s ahead", signed("msg_6", ago(-310), body), body);
  await agree("another body", good, `${body} `);
  await agree("another id", { ...good, "svix-id": "msg_7" }, body);
  const at = now();
  const by = (webhook) => webhook.sign("msg_8", at, body);
  const list = { ...signed("msg_8", at, body), "svix-signature": `${by(other)} ${by(svix)}` };
  await agree("several signatures", list, body);
  await agree("another secret", { ...list, "svix-signature": by(other) }, body);
  const missing = { ...good };
  delete missing["svix-timestamp"];
  await agree("no timestamp", missing, body);
  const revoked = event("session.revoked", { id: process.env.CLERK_SESSION_ID, status: "revoked" });
  await agree("a revocation", signed("msg_9", now(), revoked), revoked);
}

async function verify() {
  for await (const line of createInterface({ input: process.stdin })) {
    const { headers, body } = JSON.parse(line);
    svix.verify(body, headers);
    const event = JSON.parse(body);
    const request = new Request("http://receiver.test/", { method: "POST", headers, body });
    const clerks = await verifyWebhook(request, { signingSecret: secret });
    assert.equal(clerks.type, event.type);
    assert.deepEqual(clerks.data, event.data);
    await assert.rejects(async () => {
      const changed = new Request("http://receiver.test/", { method: "POST", headers, body: `${body} ` });
      await verifyWebhook(changed, { signingSecret: secret });
    });
    console.log(event.type);
  }
}

await { send, verify }[process.argv[2]]();
