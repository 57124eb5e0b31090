// Package browser is the part of the sandbox Entra that browsers see: where people sign in, approve an
// application, and sign out. It is a site of its own, because browsers treat it as another site than
// the application's, and a stand-in on the same site would hide every mistake with cookies and origins.
// Its tokens are those of an [entratest.Authority].
package browser
