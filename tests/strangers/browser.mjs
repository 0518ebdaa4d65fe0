// A browser's WebSocket through a gateway: Chromium opens a page and a socket behind it, with the session's cookie.
// node browser.mjs GATEWAY UPSTREAM TOKEN — exits with 0 where everything is as it should be.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocketServer } from "ws";

const [gateway, upstream, token] = process.argv.slice(2);

const page = `<!doctype html><title>page</title><script>
  const said = [];
  const socket = (path) => new Promise((done) => {
    const open = new WebSocket("ws://" + location.host + path);
    open.onmessage = (event) => { said.push(event.data); if (said.length < 3) open.send("again"); else open.close(1000); };
    open.onopen = () => { said.push("open " + open.extensions); open.send("hello ".repeat(1000)); };
    open.onclose = (event) => done(event.code);
    open.onerror = () => said.push("error");
  });
  (async () => {
    const signedOut = await socket("/app/ws");
    document.cookie = "__session=${token}; path=/";
    said.length = 0;
    const signedIn = await socket("/app/ws");
    await fetch("/public/done", { method: "POST", body: JSON.stringify({ signedOut, signedIn, said }) });
  })();
</script>`;

let told;
const done = new Promise((resolve) => (told = resolve));
const server = createServer((request, response) => {
  if (request.url !== "/public/done") return response.setHeader("content-type", "text/html").end(page);
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    response.end();
    told(JSON.parse(Buffer.concat(chunks).toString()));
  });
});
const sockets = new WebSocketServer({ server, perMessageDeflate: { threshold: 0 } });
const users = [];
sockets.on("connection", (socket, request) => {
  users.push(request.headers["x-clerk-user-id"]);
  socket.on("message", (message) => socket.send(`${message.length} bytes`));
});
const [host, port] = upstream.split(":");
await new Promise((listening) => server.listen(Number(port), host, listening));

const profile = mkdtempSync(join(tmpdir(), "chromium-"));
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"];
const browser = spawn("chromium", [...flags, ...quiet, `--user-data-dir=${profile}`, `http://${gateway}/public/page`], { stdio: "ignore" });
const late = new Promise((_, failed) => setTimeout(() => failed(new Error("the browser said nothing")), 60_000).unref());
try {
  const { signedOut, signedIn, said } = await Promise.race([done, late]);
  assert.equal(signedOut, 1006);
  assert.equal(signedIn, 1000);
  assert.deepEqual(said, ["open permessage-deflate", "6000 bytes", "5 bytes"]);
  assert.equal(users.length, 1);
  assert.match(users[0], /^user_/);
} finally {
  browser.kill("SIGKILL");
  await new Promise((gone) => browser.on("exit", gone));
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  server.closeAllConnections();
  server.close();
  sockets.close();
}
