// Package awslambda lets an [http.Handler] and a scheduled job answer AWS Lambda's events:
// requests of a Function URL or of API Gateway in payload format 2.0 (buffered), and runs of an
// EventBridge schedule. It turns JSON into requests and answers into JSON and imports no SDK;
// the loop that fetches events is the caller's:
//
//	lambda.StartWithOptions(handler.Invoke)
//
// A handler sees what it would see behind the Azure Functions host: repeated query keys, raw
// paths, cookies, the caller's address in RemoteAddr, and a panic ends one request only.
package awslambda
