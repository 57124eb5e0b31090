// Command lambda serves the functions on AWS Lambda, over Key Vault, Table Storage and Entra. The
// same binary takes requests from a Function URL or an API Gateway HTTP API (payload format 2.0,
// buffered), and events from the EventBridge schedule that replaces the timer.
//
// infra/settings.md lists its settings. It authenticates to Key Vault and Table Storage as the
// application of AZURE_TENANT_ID and AZURE_CLIENT_ID. The credential is a federated token
// (AZURE_FEDERATED_TOKEN_FILE), AZURE_CLIENT_SECRET, or a certificate
// (AZURE_CLIENT_CERTIFICATE_PATH).
package main
