// Runs Clerk's own verifyToken over JSON lines, for the differential test.
//
// In:  {"id": "…", "token": "…", "options": {"jwtKey": "PEM", …}, "now_ms"?: 1795644599022}
// Out: {"id": "…", "ok": true} or {"id": "…", "ok": false, "reason": "token-expired"}
import { createInterface } from "node:readline";
import { verifyToken } from "@clerk/backend";

const systemNow = Date.now;
const SystemDate = Date;

// verifyToken reads the time both as Date.now() and as new Date(Date.now()).
function setTime(nowMs) {
  SystemDate.now = nowMs === undefined ? systemNow : () => nowMs;
}

async function judge({ token, options }) {
  try {
    await verifyToken(token, options);
    return { ok: true };
  } catch (error) {
    return { ok: false, reason: error.reason ?? error.name ?? "unknown" };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() === "") continue;
  const { id, now_ms: nowMs, ...question } = JSON.parse(line);
  setTime(nowMs);
  const verdict = await judge(question);
  setTime(undefined);
  process.stdout.write(`${JSON.stringify({ id, ...verdict })}\n`);
}
