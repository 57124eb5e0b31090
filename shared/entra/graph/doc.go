// Package graph asks Microsoft Graph when an application's client secrets expire.
//
//	GET https://graph.microsoft.com/v1.0/applications(appId='{client id}')?$select=passwordCredentials
//
// It sends the request as the application, with the application's credentials. An application
// may read its registration only if an administrator has granted a permission such as
// Application.Read.All (https://learn.microsoft.com/graph/api/application-get). Most
// administrators have not, and then a person has to enter the date. So every error here means
// only that Graph does not give the date.
package graph
