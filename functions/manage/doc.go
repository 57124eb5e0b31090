// Package manage serves the pages below /api/manage/: "Manage FHIR Server" for the people who link a
// clinic's FHIR server, and what stands around it.
//
//	GET            /api/manage/                        the linked servers
//	GET, POST      /api/manage/add                     link one
//	POST           /api/manage/discover                what a FHIR server's URL tells, for the script
//	GET            /api/manage/servers.csv
//	GET, POST      /api/manage/servers/{slug}          one of them; POST verifies it
//	GET            /api/manage/servers/{slug}/report.json
//	GET, POST      /api/manage/servers/{slug}/edit, …/secret, …/delete
//	GET, POST      /api/manage/scopes                  needs no sign-in
//	GET, POST      /api/manage/notifications
//	GET            /api/manage/about, …/guide          need no sign-in
//	GET            /api/manage/assets/{hash}/{file}
//
//	GET            /api/manage/sign-in                 sends the browser to Microsoft Entra ID
//	POST           /api/manage/signed-in               takes its answer, from Entra's site
//	POST           /api/manage/sign-out
//	GET            /api/manage/signed-out, …/consented where Entra leads back to
//	GET            /api/manage/organization, …/close
//
// A page calls the same methods of [link.Service] and [webhook.Service] as the JSON routes, so that no
// rule exists twice. Everything works without script. What is typed is never lost, except a client
// secret, which is never written into HTML.
package manage
