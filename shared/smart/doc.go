// Package smart translates SMART on FHIR scopes into a spelling that Microsoft Entra can register,
// and back. A translation loses nothing: what a dialect cannot carry is refused, and doubtful
// scopes get warnings. The package is pure and needs only the standard library.
//
// # Why
//
// A SMART scope contains a slash, and Entra cannot resolve a scope with a slash. Each workaround
// replaces the slash with another character, and all but one forget to escape that character where
// the scope already contains it. So
//
//	patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory
//
// comes out of the usual proxy as a scope with the code system "observation/category". This
// package carries a scope without loss, or refuses it with the reason and a fix.
//
// # Scopes
//
// The grammar, from SMART App Launch 2.2, "Scopes and Launch Context", and RFC 6749 section 3.3:
//
//	list        = scope *( white-space scope )
//	scope       = resource / launch / oidc / custom
//	resource    = ( "patient" / "user" / "system" ) "/" ( type / "*" ) "." permissions [ "?" query ]
//	permissions = "read" / "write" / "*"                 ; v1
//	            / [ "c" ] [ "r" ] [ "u" ] [ "d" ] [ "s" ] ; v2, at least one
//	query       = name "=" value *( "&" name "=" value )  ; FHIR search parameters
//	launch      = "launch" [ "/" context ] [ "?" query ]
//	oidc        = "openid" / "profile" / "email" / "offline_access"
//	custom      = anything else: fhirUser, http://hl7.org/fhir/uv/bulkdata/…, my-scope
//
// [Parse] takes a scope apart and never fails; a malformed scope is carried like any other, with
// warnings. Some content is refused in every dialect: white space, control characters,
// characters outside ASCII, the double quote, and percent triples that decode to one of these. A
// receiver that decodes before it splits would see more scopes than were granted.
// Other triples are kept as they are, with a warning.
//
// # Dialects
//
// [Firely] is for Firely Server. "/" becomes the separator, "-" unless another is chosen; a
// separator or a backslash that is in the scope gets a backslash before it. Source: Firely Server
// documentation, "Azure Active Directory / Microsoft Entra", setting AccessTokenScopeReplace.
// It carries every scope. Entra does not list the backslash among the characters of a scope, so
// prefer the separator "~", with which hardly any scope needs an escape; see [ParseSeparator].
//
// [AHDS] is for Azure Health Data Services and microsoft/fhir-server. Before "?", "/" becomes
// "." and "*" becomes "all" where it is the whole type or the whole permission; after it, "/"
// becomes "%2f". Source: Azure-Samples/azure-health-data-and-ai-samples, SMART on FHIR;
// microsoft/fhir-server, SmartClinicalScopesMiddleware. It carries patient/, user/, system/ and
// launch scopes, except those that the server would read differently: a type or permission that
// is "all" already, a second "/" before "?", any percent triple.
//
// [FHIRServerProxy] is the spelling of the SMART on FHIR proxy that was part of Azure API for
// FHIR, retired in September 2026: "/" becomes "$". Source: microsoft/fhir-server,
// AadSmartOnFhirProxyController. It carries scopes without "$".
//
// [AADProxy] is the spelling of smart-on-fhir-aad-proxy, of which Firely's documentation warns:
// "/" becomes "-" and nothing is escaped. It carries scopes without "-".
//
// [Conversion] moves scopes between dialects: it decodes with one and encodes with the other.
//
// # What is never encoded
//
// openid, profile, email, offline_access, .default and {uri}/.default belong to Entra itself. {uri}
// is an absolute URI without query, or the GUID of an application. These scopes pass unchanged,
// without the resource prefix. A bare .default together with a resource is refused. A list that
// names two resources is refused, because Entra gives a token for one.
//
// # Entra
//
// Entra registers values of at most 120 characters, printable ASCII without space, backslash and
// double quote, not beginning with a period (Microsoft Graph, permissionScope and appRole). Each
// [Result] says whether its value is registrable. Agree on [Aliases] for scopes that are too long
// in every spelling. [Translator.Artefacts] returns the app roles and delegated permissions to
// register.
//
// # Warnings
//
// A warning never changes the translation. Its codes:
//
//	too_long, character_not_allowed, leading_period     Entra will not register the value
//	already_encoded, already_translated, already_prefixed  it looks encoded or translated already
//	alias                                               the receiving server does not know the value
//	escape_not_meant, lost_escape                       a proxy without escapes may misread or have lost something
//	html_escaped, comma_joined                          it was copied out of HTML, or is a list of scopes
//	context_missing, unknown_resource_type              the scope itself is doubtful
//	wrong_case, misspelled, unknown_launch_context
//	stu3_resource_type                                  no server of R4 or later has the type
//	malformed_permission, repeated_permission, permission_order, malformed_query
//	modifier_not_supported, chaining_not_supported, include_not_supported   Microsoft's FHIR servers refuse it
//	mixed_versions, mixed_contexts, default_not_alone   the scopes do not go together
//
// The codes of refusals:
//
//	illegal_character, percent_encoded, empty_scope     not a scope
//	lossy, unsupported_scope                            the dialect cannot carry it
//	dangling_escape, invalid_escape, raw_slash, not_canonical, prefix_missing   not an encoded scope
//	default_with_resource, two_resources, alias_collision
package smart
