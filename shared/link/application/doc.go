// Package application keeps the registrations in Entra that SMART apps have of their own, as links are kept:
// each is a row with a secret that is verified, stored, replaced and watched like a link's. Its name is made
// of the tenant and the application, so that an application is the registration of one app only; and it is no
// slug, so no route of links finds it.
//
// The order of writes is that of package link. The row comes before the app that names it, and goes after
// it, so a crash can leave a registration without an app: Tend removes it.
package application
