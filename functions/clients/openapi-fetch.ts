// The calls of README.md, with types by openapi-typescript and requests by openapi-fetch.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./generated/openapi-typescript.js";

const slug = "by-openapi-fetch";
const api = createClient<paths>({ baseUrl: process.env["FHIRLINK_URL"] ?? "http://127.0.0.1:7071" });

const registered = await api.POST("/api/register", {
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

const verified = await api.POST("/api/verify", { body: { slug } });
assert(verified.data, JSON.stringify(verified.error));
assert.equal(verified.data.access, "read_write");

const page = await api.GET("/api/links", { params: { query: { status: "active" } } });
assert(page.data, JSON.stringify(page.error));
assert(page.data.links.some((link) => link.slug === slug));

const changed = await api.PATCH("/api/links/{slug}", {
  params: { path: { slug }, header: { "If-Match": registered.data.etag } },
  body: { description: "Better Health Clinic" },
});
assert(changed.data, JSON.stringify(changed.error));
assert.equal(changed.data.description, "Better Health Clinic");
assert.equal(changed.data.listed, true);

const translated = await api.POST("/api/translate-scope", { body: { scope: ["patient/Observation.rs", "openid"] } });
assert(translated.data, JSON.stringify(translated.error));
assert.equal(translated.data.scope, "patient-Observation.rs openid");

const queried = await api.GET("/api/translate-scope", { params: { query: { scope: "patient/Observation.rs openid" } } });
assert(queried.data, JSON.stringify(queried.error));
assert.equal(queried.data.scope, translated.data.scope);


const missing = await api.POST("/api/verify", { body: { slug: "no-such-clinic" } });
assert.equal(missing.error?.code, "link_not_found");
console.log("ok");
