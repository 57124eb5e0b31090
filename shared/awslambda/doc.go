// Package awslambda lets an [http.Handler] and a scheduled job answer AWS Lambda's events:
// requests of a Function URL or of API Gateway in payload format 2.0 (buffered), and runs of an
// EventBridge schedule. It converts JSON to requests and answers to JSON. It imports no SDK; the
// caller provides the loop that fetches events:
//
//	lambda.StartWithOptions(handler.Invoke)
//
// A handler sees the same as behind the Azure Functions host: repeated query keys, raw paths,
// cookies, and the caller's address in RemoteAddr. A panic ends one request only.
package awslambda
