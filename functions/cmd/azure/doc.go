// Command azure is the custom handler for Azure Functions. It serves the functions over Key Vault,
// Table Storage and Entra, behind the Functions host on the same machine.
//
// It takes no arguments; infra/settings.md lists its settings. The host starts it, passes the port
// in FUNCTIONS_CUSTOMHANDLER_PORT, asks GET / until it gets an answer, and kills it without a
// warning. The host does not restart a handler that exits with 0
// (HttpFunctionInvocationDispatcher), so the program exits with 0 after a signal only.
package main
