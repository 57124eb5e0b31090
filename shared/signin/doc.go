// Package signin signs people in with Microsoft Entra ID by OpenID Connect, and remembers them in a
// sealed cookie. It renders nothing: it says in values what happened, and which cookies to set.
//
// A sign-in begins with [Service.Start], whose URL the browser visits; what was begun is in a sealed
// cookie. Entra makes the browser post the answer to [Service.Answer], from another site, so that this
// cookie must be SameSite=None, and it and the nonce of the ID token stand in for a check of the
// origin. The session is a second cookie, SameSite=Lax: see [Service.Session] and [Service.Renew].
//
// How the authority answers, by an ID token or by a code, is the [Flow].
package signin
