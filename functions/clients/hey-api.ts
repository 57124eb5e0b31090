// The calls of README.md, with a client by @hey-api/openapi-ts.
import assert from "node:assert/strict";
import { client } from "./generated/hey-api/client.gen.js";
import { changeLink, listLinks, register, translateScope, translateScopeGet, verify } from "./generated/hey-api/index.js";

const slug = "by-hey-api";
client.setConfig({ baseUrl: process.env["FHIRLINK_URL"] ?? "http://127.0.0.1:7071" });

const registered = await register({
  body: {
    slug,
    description: "Good Health Clinic",
    fhirServerUrl: "https://clinic.fhir.sandbox.test",
    clientId: "22222222-2222-4222-8222-222222222222",
    clientSecret: "sandbox-secret-value",
    listed: true,
  },
});
assert(registered.data, JSON.stringify(registered.error));
assert.equal(registered.data.status, "active");

const verified = await verify({ body: { slug } });
assert(verified.data, JSON.stringify(verified.error));
assert.equal(verified.data.access, "read_write");

const page = await listLinks({ query: { status: "active" } });
assert(page.data, JSON.stringify(page.error));
assert(page.data.links.some((link) => link.slug === slug));

const changed = await changeLink({
  path: { slug },
  headers: { "If-Match": registered.data.etag },
  body: { description: "Better Health Clinic" },
});
assert(changed.data, JSON.stringify(changed.error));
assert.equal(changed.data.description, "Better Health Clinic");
assert.equal(changed.data.listed, true);

const translated = await translateScope({ body: { scope: ["patient/Observation.rs", "openid"] } });
assert(translated.data, JSON.stringify(translated.error));
assert.equal(translated.data.scope, "patient-Observation.rs openid");

const queried = await translateScopeGet({ query: { scope: "patient/Observation.rs openid" } });
assert(queried.data, JSON.stringify(queried.error));
assert.equal(queried.data.scope, translated.data.scope);

const missing = await verify({ body: { slug: "no-such-clinic" } });
assert(missing.error && "code" in missing.error);
assert.equal(missing.error.code, "link_not_found");
console.log("ok");
