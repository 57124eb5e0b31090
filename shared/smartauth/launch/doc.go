// Package launch is SMART App Launch (2.2): the way of an app from its request to tokens, with Entra in
// between. Authorize sends the user to Entra, Callback takes Entra's answer and gives the app a code, Token
// exchanges it, and keeps the grant alive as long as Entra lets the user sign in, Revoke ends it.
//
// What lies between two requests is kept in rows that only the holder of a handle finds and opens. Every
// step writes in an order in which a crash after any write leaves nothing that can be used, and nothing
// that an app holds becomes useless for a fault of ours.
package launch
